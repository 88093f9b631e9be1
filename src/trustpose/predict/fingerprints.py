"""Fingerprints of models and files: SHA-256 of their content."""

import hashlib
from pathlib import Path

from trustpose.models.spec import DEFAULT, default_folder
from trustpose.predict.adapters import ADAPTERS


def fingerprint(given: Path | str | None) -> str | None:
    """Fingerprint a file (with a network's JSON, or a model folder's spec and network); a name is returned
    unchanged."""
    if given is None:
        return None
    path = Path(given)
    parts = [path / "model.json", path / "model.onnx"] if path.is_dir() else [path, path.with_suffix(".json")]
    parts = [part for part in dict.fromkeys(parts) if part.is_file()]
    if not parts:
        return str(given)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes())
    return digest.hexdigest()


def model_fingerprint(model: str) -> str | None:
    """Fingerprint a model by what `tp.load` takes; of another package's estimator, the file that it is given."""
    prefix, _, argument = model.partition(":")
    return fingerprint(default_folder() if model == DEFAULT else argument if prefix in ADAPTERS else model)

"""Fingerprints of models and files: SHA-256 of their content."""

import hashlib
from pathlib import Path

from trustpose.files import read_bytes
from trustpose.models.spec import DEFAULT, MODEL_JSON, MODEL_ONNX, MODEL_PARTS, ModelSpec, default_folder
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.base_predictor import BasePredictor


def fingerprint(model: Path | str | None) -> str | None:
    """Fingerprint a file (with a network's JSON, or what a model folder predicts with); a name stays as it is."""
    if model is None:
        return None
    path = Path(model)
    names = (MODEL_JSON, MODEL_ONNX, *MODEL_PARTS)
    parts = [path / name for name in names] if path.is_dir() else [path, path.with_suffix(".json")]
    parts = [part for part in dict.fromkeys(parts) if part.is_file()]
    if not parts:
        return str(model)
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.read_bytes())
    return digest.hexdigest()


def model_fingerprint(model: str) -> str | None:
    """Fingerprint a model by what `tp.load` takes; of another package's estimator, the file that it is given."""
    prefix, _, argument = model.partition(":")
    return fingerprint(default_folder() if model == DEFAULT else argument if prefix in ADAPTERS else model)


def network_file(predictor: BasePredictor) -> Path | None:
    """Return the ONNX file of one of our own networks, None for another package's estimator."""
    prefix = predictor.model.partition(":")[0]
    return None if prefix in ADAPTERS else ModelSpec.read(predictor.model).onnx


def fingerprint_of(file: Path) -> str:
    """Return the SHA-256 of one file's content."""
    return hashlib.sha256(read_bytes(file)).hexdigest()

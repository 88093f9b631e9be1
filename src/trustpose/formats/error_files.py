"""The error model of results, NAME.errors.json beside NAME.json or a folder: which discs of `expected_error` hold.

Results are a list of rows with no room for what all of them share. The file names the SHA-256 of its results, so that
it is never read for others: edited or merged results are read with the mixture of `geometry.expected_error`.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from trustpose.files import InputError, is_stdout, read_json, write_json
from trustpose.formats.parquet_parts import parts_in
from trustpose.poses import ErrorModel

_BLOCK = 2**20


def errors_path(results: str | Path) -> Path:
    """Return the path of the file for these results."""
    return Path(results).with_suffix(".errors.json")


def write_errors(results: str | Path, model: ErrorModel | None) -> None:
    """Write the file beside results that were just written, a file or a folder of parts, or remove the one of earlier
    results. Nothing is written for results on standard output or a device. Raises InputError if the file cannot be
    written."""
    path = Path(results)
    if is_stdout(path) or not (path.is_file() or path.is_dir()):
        return
    errors_file = errors_path(path)
    if model is not None:
        write_json(errors_file, {"results": path.name, "sha256": results_sha256(path), "errors": model.to_json()})
    elif errors_file.is_file():
        errors_file.unlink()


def results_sha256(results: Path) -> str | None:
    """Return the SHA-256 of a file, or of a folder's Parquet files one after another; None for a stream."""
    files: Sequence[Path] = parts_in(results) if results.is_dir() else [results]
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            while content := opened.read(_BLOCK):
                digest.update(content)
    return digest.hexdigest()


def read_errors(results: str | Path, sha256: str | None = None) -> ErrorModel | None:
    """Return the error model beside results with this SHA-256, computed if it is None; None if there is none, or it is
    of other results.

    Raises InputError naming the file if it is damaged or of a later version.
    """
    path = errors_path(results)
    if not path.is_file():
        return None
    value = read_json(path)
    if not isinstance(value, dict) or value.get("sha256") != (sha256 or results_sha256(Path(results))):
        return None
    try:
        return ErrorModel.of_json(value.get("errors"))
    except ValueError as error:
        raise InputError(f"{path}: field {error}") from None

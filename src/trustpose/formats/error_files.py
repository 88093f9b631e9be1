"""The error model of a results file, NAME.errors.json beside NAME.json: which discs of `expected_error` hold.

Results are a list of rows with no room for what all of them share. The file names the SHA-256 of its results, so that
it is never read for others: edited or merged results are read with the mixture of `geometry.expected_error`.
"""

import hashlib
from pathlib import Path

from trustpose.files import InputError, is_stdout, read_json, write_json
from trustpose.poses import ErrorModel


def errors_path(results: str | Path) -> Path:
    """Return the path of the file for these results."""
    return Path(results).with_suffix(".errors.json")


def write_errors(results: str | Path, model: ErrorModel | None) -> None:
    """Write the file beside results that were just written, or remove the one of earlier results. Nothing is written
    for results on standard output or a device. Raises InputError if the file cannot be written."""
    path = Path(results)
    if is_stdout(path) or not path.is_file():
        return
    beside = errors_path(path)
    if model is not None:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        write_json(beside, {"results": path.name, "sha256": digest, "errors": model.to_json()})
    elif beside.is_file():
        beside.unlink()


def read_errors(results: str | Path, sha256: str) -> ErrorModel | None:
    """Return the error model beside results with this SHA-256; None if there is none, or it is of other results.

    Raises InputError naming the file if it is damaged or of a later version.
    """
    path = errors_path(results)
    if not path.is_file():
        return None
    value = read_json(path)
    if not isinstance(value, dict) or value.get("sha256") != sha256:
        return None
    try:
        return ErrorModel.of_json(value.get("errors"))
    except ValueError as error:
        raise InputError(f"{path}: field {error}") from None

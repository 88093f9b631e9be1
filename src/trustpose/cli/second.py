"""The option --second of `trustpose calibrate`: other networks' results on the same people."""

from pathlib import Path
from typing import TYPE_CHECKING

from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.calibration.second import Second
    from trustpose.formats.coco import ResultsFile, TruthFile


def named_file(given: str) -> tuple[str | None, Path]:
    """Split NAME=FILE into name and file; without a name, or if a file has all of it as its name, the name is None."""
    name, equals, file = given.partition("=")
    if not equals or Path(given).exists():
        return None, Path(given)
    if not name or not file:
        raise InputError(f"--second: expected RESULTS.json or NAME=RESULTS.json, got {given!r}")
    return name, Path(file)


def second_files(given: list[str] | None) -> list[Path]:
    """Return the files of --second."""
    return [named_file(one)[1] for one in given or []]


def opinions_at_fitting(given: list[str] | None, truth: "TruthFile") -> "tuple[Second, ...]":
    """Read the results of --second for people of a ground truth. Raises InputError."""
    from trustpose.calibration.second import Second
    from trustpose.formats.coco import read_results

    found = []
    for name, file in map(named_file, given or []):
        read = read_results(file, truth=truth, common=True)
        found.append(Second(read.poses, name, Path(read.path).name, read.sha256))
    return tuple(found)


def opinions_beside(given: list[str] | None, results: "ResultsFile") -> "tuple[Second, ...]":
    """Read the results of --second for the people of other results. Raises InputError."""
    from trustpose.calibration.second import beside
    from trustpose.formats.coco import read_results

    return tuple(beside(results, read_results(file), name) for name, file in map(named_file, given or []))

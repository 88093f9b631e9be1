"""The record beside calibrated results, RESULTS.calibrator.json: which calibrator gave their trust, and what it was
fitted on, so that an audit can say when it measures trust on the people it was fitted on."""

import hashlib
from pathlib import Path
from typing import Any

from trustpose.calibration.calibrator import Calibrator
from trustpose.files import InputError, is_stdout, read_json, write_json
from trustpose.formats.coco import ResultsFile, TruthFile

_SUFFIX = ".calibrator.json"


def fitted_photos(calibrator: Calibrator, results: ResultsFile) -> int:
    """Number of photos of these results that the calibrator was fitted on, by their ids; 0 for ids that are texts."""
    if results.poses.image_id is None or not results.image_texts.are_numbers:
        return 0
    return calibrator.fitted_images(results.poses.image_id)


def in_sample_warnings(calibrator: Calibrator, results: ResultsFile) -> tuple[str, ...]:
    """A warning where results are of photos that the calibrator was fitted on."""
    photos = fitted_photos(calibrator, results)
    if not photos:
        return ()
    return (
        f"the calibrator was fitted on {photos:,} of these photos, by their ids: trust looks better there than it is",
    )


def write_record(out: Path, calibrator_file: Path, calibrator: Calibrator, results: ResultsFile) -> None:
    """Write the record beside calibrated results that are a file."""
    if is_stdout(out) or not out.is_file():
        return
    card = calibrator.card
    content = calibrator_file.read_bytes() if calibrator_file.is_file() else str(calibrator_file).encode()
    record = {
        "results_sha256": _sha256(out.read_bytes()),
        "calibrator": {"file": calibrator_file.name, "sha256": _sha256(content), "estimator": card.estimator},
        "fitted": {"ground_truth": card.truth.__dict__, "results": card.results.__dict__},
        "fitted_photos": fitted_photos(calibrator, results),
    }
    write_json(out.with_name(out.name + _SUFFIX), record)


def in_sample_notes(truth: TruthFile, results: ResultsFile) -> tuple[str, ...]:
    """A note for an audit of calibrated results on the people of the fit; none where no record says so, or where the
    record is another file's."""
    try:
        record = read_json(f"{results.path}{_SUFFIX}")
        name, photos = record["calibrator"]["file"], int(record["fitted_photos"])
        is_same_truth = record["fitted"]["ground_truth"]["sha256"] == truth.sha256
        if record["results_sha256"] != results.sha256 or not (is_same_truth or photos):
            return ()
    except (InputError, KeyError, TypeError, ValueError):
        return ()
    where = "this ground truth" if is_same_truth else f"{photos:,} of these photos, by their ids"
    return (f"the trust of these results was fitted on {where} ({name}): in-sample numbers, better than on others",)


def _sha256(content: bytes) -> Any:
    return hashlib.sha256(content).hexdigest()

"""What an audit of calibrated results should say of the calibrator: whom it was fitted on, and whether it applies."""

from trustpose.calibration.calibrator import Calibrator
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile


def audit_notes(calibrator: Calibrator, truth: TruthFile, results: ResultsFile, area: str) -> tuple[str, ...]:
    """Sentences for the notes of an audit of `results` against `truth`; none where all is as it should be.

    Raises InputError where the calibrator is of another skeleton or does not read these results.
    """
    card = calibrator.card
    if truth.keypoint_names != card.keypoints:
        raise InputError(
            f"{truth.path}: its {len(truth.keypoint_names)} keypoints are not the {len(card.keypoints)} that the "
            "calibrator was fitted on"
        )
    notes = []
    known = calibrator.fitted_images(truth.images.id) if truth.image_texts.are_numbers else 0
    if truth.sha256 == card.truth.sha256:
        notes.append(
            f"the calibrator was fitted on this very ground truth ({card.truth.file}): trust was learnt from these "
            "people, and looks better here than on others; its own out-of-fold numbers say how it does on others"
        )
    elif known:
        notes.append(f"the calibrator was fitted on {known} of these {len(truth.images)} photos, by their ids")
    if area != card.area:
        notes.append(f"the calibrator was fitted to OKS by area {card.area!r}, this audit measures by {area!r}")
    return (*notes, *calibrator.shift(results.poses).warnings())

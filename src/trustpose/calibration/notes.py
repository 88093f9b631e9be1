"""Notes of an audit of calibrated results: whether the calibrator was fitted on this data, and whether it applies."""

from trustpose.calibration.applied_record import fitted_photos, in_sample_sentence, is_same_file
from trustpose.calibration.calibrator import Calibrator
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile


def audit_notes(calibrator: Calibrator, truth: TruthFile, results: ResultsFile, area: str) -> tuple[str, ...]:
    """Return notes for an audit of `results` against `truth`; none if there is nothing to report.

    Raises InputError if the calibrator has another skeleton or cannot read these results.
    """
    card = calibrator.card
    if truth.keypoint_names != card.keypoints:
        raise InputError(
            f"{truth.path}: its {len(truth.keypoint_names)} keypoints are not the {len(card.keypoints)} that the "
            "calibrator was fitted on"
        )
    notes = []
    photos = fitted_photos(calibrator, [truth.images.id] if truth.image_texts.are_numbers else None)
    sentence = in_sample_sentence(photos, is_same=is_same_file(truth.sha256, card.truth.sha256))
    if sentence is not None:
        notes.append(f"{sentence}; its out-of-fold numbers show how it performs there")
    if area != card.area:
        notes.append(f"the calibrator was fitted with area {card.area!r}, this audit uses {area!r}")
    notes += [f"calibrator: {opinion.sentence()}" for opinion in card.opinions]
    return (*notes, *calibrator.shift(results.poses).warnings())

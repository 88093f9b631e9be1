"""Notes of an audit of calibrated results: whether the calibrator was fitted on this data, and whether it applies."""

import numpy as np
from jaxtyping import Int

from trustpose.calibration.applied_record import fitted_photos, in_sample_sentence, is_same_file
from trustpose.calibration.calibrator import Calibrator
from trustpose.files import InputError
from trustpose.poses import Poses


def audit_notes(
    calibrator: Calibrator,
    truth: str,
    truth_sha256: str,
    keypoint_names: tuple[str, ...],
    image_ids: Int[np.ndarray, " I"] | None,
    poses: Poses,
    area: str,
) -> tuple[str, ...]:
    """Return notes for an audit of `poses` with this calibrator's trust; none if there is nothing to report.

    `truth`, `truth_sha256`, `keypoint_names`, and `image_ids`, None if they are texts, are the ground truth's. Raises
    InputError if the calibrator has another skeleton or cannot read these results.
    """
    card = calibrator.card
    if keypoint_names != card.keypoints:
        raise InputError(
            f"{truth}: its {len(keypoint_names)} keypoints are not the {len(card.keypoints)} that the calibrator was "
            "fitted on"
        )
    notes = []
    photos = fitted_photos(calibrator, None if image_ids is None else [image_ids])
    sentence = in_sample_sentence(photos, is_same=is_same_file(truth_sha256, card.truth.sha256))
    if sentence is not None:
        notes.append(f"{sentence}; its out-of-fold numbers show how it performs there")
    if area != card.area:
        notes.append(f"the calibrator was fitted with area {card.area!r}, this audit uses {area!r}")
    notes += [f"calibrator: {opinion.sentence()}" for opinion in card.opinions]
    return (*notes, *calibrator.shift(poses).warnings())

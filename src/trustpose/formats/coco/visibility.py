"""What v means in a ground truth: COCO's absent, occluded and visible, or only whether a keypoint is labelled.

PoseTrack18, FreiHAND, WFLW and 300-W write v = 1 for every labelled keypoint, in the layout in which COCO's v = 1 means
occluded.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Int

from trustpose.poses import Truth, Visibility

TERNARY, LABELLED = "ternary", "labelled"  # values of a category's `visibility`
ASSUMED = (
    "v: is 0 or 1 in all annotations, so 1 is taken for labelled, not for occluded "
    '("visibility": "ternary" of the category says otherwise)'
)


def is_ternary(v: Int[np.ndarray, "N K"], stated: str | None) -> bool:
    """Return whether v has COCO's meaning: as the file states, else whether a 2 occurs or no keypoint is labelled."""
    if stated is not None:
        return stated == TERNARY
    return bool((v == Visibility.VISIBLE).any() or not (v == Visibility.OCCLUDED).any())


def without_occlusion(truth: Truth) -> Truth:
    """Return the people with v = 2 for every labelled keypoint, which is the v of all data sets without COCO's."""
    return replace(truth, v=np.where(truth.v > 0, int(Visibility.VISIBLE), 0))

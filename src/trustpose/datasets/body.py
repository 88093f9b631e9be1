"""The parts of a body by the names of its keypoints: upper and lower half, and roughly where its pixels are."""

from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.skeletons import Skeleton

_LOWER = ("hip", "pelvis", "knee", "ankle", "heel", "toe", "foot")
_FACE = ("nose", "eye", "ear", "mouth", "head")
_FEWEST = 5  # labelled keypoints of a body that can be cut out
# half widths as shares of the trunk's length (shoulders to hips), a little inside people's outlines
_LIMB, _HEAD, _TRUNK = 0.14, 0.3, 0.1
_TRUNK_OF_BOX = 0.3  # trunk's length as a share of the box's height, where shoulders or hips are missing


@lru_cache
def lower_body(skeleton: Skeleton) -> tuple[bool, ...]:
    """Which of the K keypoints belong to the lower half: hips and below, as HRNet's data sets have it."""
    return tuple(any(part in name for part in _LOWER) for name in skeleton.keypoints)


@lru_cache
def _face(skeleton: Skeleton) -> tuple[bool, ...]:
    return tuple(any(part in name for part in _FACE) for name in skeleton.keypoints)


@lru_cache
def _trunk(skeleton: Skeleton) -> tuple[int, ...] | None:
    """Left and right shoulder, right and left hip: the trunk's outline."""
    names = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
    if not set(names) <= set(skeleton.keypoints):
        return None
    return tuple(skeleton.keypoints.index(name) for name in names)


def body_mask(
    xy: Float[np.ndarray, "K 2"],
    v: Int[np.ndarray, " K"],
    box_height: float,
    skeleton: Skeleton,
    width: int,
    height: int,
) -> UInt8[np.ndarray, "height width"] | None:
    """A soft mask (height, width), 0–255, of a body: limbs as thick lines, trunk filled, head as a disc.

    xy (K, 2) in pixels of the mask. None where too few keypoints are labelled to tell where the body is.
    """
    has: Bool[np.ndarray, " K"] = v > 0
    if np.count_nonzero(has) < _FEWEST or np.abs(xy[has]).max() > 16000:  # OpenCV draws with 16 bits and a few to spare
        return None
    trunk = _trunk(skeleton)
    length = _TRUNK_OF_BOX * box_height
    mask = np.zeros((height, width), np.uint8)
    if trunk is not None and has[list(trunk)].all():
        corners = xy[list(trunk)]
        length = max(float(np.linalg.norm(corners[:2].mean(axis=0) - corners[2:].mean(axis=0))), length / 2)
        hull = cv2.convexHull(np.rint(corners).astype(np.int32))
        cv2.fillPoly(mask, [hull], 255)
        cv2.polylines(mask, [hull], True, 255, max(round(2 * _TRUNK * length), 1))
    face = np.array(_face(skeleton))
    thickness = max(round(2 * _LIMB * length), 1)
    for a, b in skeleton.edges:
        if has[a] and has[b] and not (face[a] or face[b]):
            cv2.line(mask, _point(xy[a]), _point(xy[b]), 255, thickness)
    if (has & face).any():
        cv2.circle(mask, _point(xy[has & face].mean(axis=0)), max(round(_HEAD * length), 1), 255, -1)
    return cv2.blur(mask, (3, 3))


def _point(xy: np.ndarray) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))

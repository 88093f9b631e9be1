"""Reference lengths: what a joint's error is divided by before it is called small or large.

Each function returns one length per person, in pixels, NaN where the labels it needs are missing; a person without a
reference length counts nowhere (`metrics.correct_joints`). Joints are those of the ground truth, never predicted ones.
"""

import numpy as np
from jaxtyping import Bool, Float

from trustpose.skeletons import Skeleton

HEAD_FACTOR = 0.6
_TORSO = ("left_shoulder", "right_hip")
_EYE_CORNERS = {"face68": ("face_36", "face_45"), "face70": ("face_36", "face_45"), "face98": ("wflw_60", "wflw_72")}


def head_size(box: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """Return MPII's head size: 0.6 × the diagonal of the labelled head rectangle, xyxy in pixels.

    Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014; the
    factor is `SC_BIAS` of the evaluation toolkit published with it. NaN for a rectangle with a NaN or without a size.
    """
    return _positive(HEAD_FACTOR * np.hypot(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]))


def box_side(box: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """Return the longer side of each box xyxy, max(h, w).

    Yang & Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, PAMI 2013: PCK with the box
    of the labelled joints; with the data set's own box where it has one, as in PoseTrack, Penn Action and JHMDB.
    """
    return _positive(np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]))


def joints_box(xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"]) -> Float[np.ndarray, "N 4"]:
    """Return the box xyxy (N, 4) around the labelled joints, without a margin; NaN without any."""
    low = np.where(labelled[..., None], xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(labelled[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
    box = np.concatenate([low, high], axis=1)
    return np.where(labelled.any(axis=1, keepdims=True), box, np.nan)


def joint_distance(
    xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"], first_joint: int, second_joint: int
) -> Float[np.ndarray, " N"]:
    """Return the distance (N,) of two labelled joints, by their indices; NaN where either is unlabelled."""
    length = np.linalg.norm(xy[:, first_joint] - xy[:, second_joint], axis=1)
    return _positive(np.where(labelled[:, first_joint] & labelled[:, second_joint], length, np.nan))


def eye_corner_distance(
    xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"], skeleton: Skeleton
) -> Float[np.ndarray, " N"]:
    """Return the distance (N,) of the outer corners of a face's eyes.

    300-W (Sagonas et al., 2013) and WFLW (Wu et al., Look at Boundary, CVPR 2018) divide errors by it. Raises
    ValueError for a skeleton that is no face."""
    if skeleton.name not in _EYE_CORNERS:
        expected = ", ".join(_EYE_CORNERS)
        raise ValueError(f"skeleton {skeleton.name!r} has no corners of the eyes, expected one of {expected}")
    corners = (skeleton.index(name) for name in _EYE_CORNERS[skeleton.name])
    return joint_distance(xy, labelled, *corners)


def torso_diameter(
    xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    skeleton: Skeleton,
    *,
    either_diagonal: bool = False,
) -> Float[np.ndarray, " N"]:
    """Return the distance (N,) of the left shoulder and the right hip.

    Toshev & Szegedy, DeepPose, CVPR 2014, section 3.2 names this pair, and section 4.1 uses the torso diameter for PDJ.
    `either_diagonal` takes the right shoulder and the left hip where the first pair is not labelled: no paper does, it
    is for data sets with many unlabelled joints. Raises ValueError if the skeleton lacks a joint.
    """
    pairs = [_TORSO, ("right_shoulder", "left_hip")] if either_diagonal else [_TORSO]
    lacking = [name for pair in pairs for name in pair if name not in skeleton.keypoints]
    if lacking:
        raise ValueError(f"skeleton {skeleton.name!r} lacks {', '.join(lacking)}, which the torso diameter needs")
    lengths = [joint_distance(xy, labelled, skeleton.index(start), skeleton.index(end)) for start, end in pairs]
    return lengths[0] if len(lengths) == 1 else np.where(np.isnan(lengths[0]), lengths[1], lengths[0])


def _positive(length: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Return lengths, NaN where they are not finite and above 0: nothing can be divided by them."""
    return np.where(np.isfinite(length) & (length > 0), length, np.nan)

"""Distances between earlier poses and those of a frame, from 0 (the same position) to 1, by which people are linked
over time.

A distance is any function of two `Poses`, so that a new one takes one line:
`track(poses, distance=lambda past, current: 1 - my_similarity(past.xy, current.xy))`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.crops import grow_box
from trustpose.geometry.oks import opks
from trustpose.grouping.suppression import ASPECT, PADDING, PoseArea, check_area, pose_area
from trustpose.names import expected_one_of
from trustpose.poses import Poses, Poses3D

_UNTRUSTED_WEIGHT = 0.1  # weight of a keypoint of which nothing is expected; 1.1 is that of a sure one
Distance = Callable[[Poses, Poses], Float[np.ndarray, "P n"]]
"""(P earlier poses, n poses of a frame) -> (P, n), 0 to 1; a pair that must not be linked may be infinite."""
Distance3D = Callable[[Poses3D, Poses3D], Float[np.ndarray, "P n"]]
"""The same in 3D, in metres."""


def oks_distance(past: Poses, current: Poses, *, area: PoseArea = "crop") -> Float[np.ndarray, "P n"]:
    """Return 1 − OKS of every pair (P, n), over the keypoints that neither pose lacks; 1 without any.

    Sigmas are those of the poses' skeleton. Neither pose is the truth, so that OKS uses the mean of both areas
    (`pose_area`, by the convention `area`, of each pose's box or, without one, of the box around its keypoints). Xiao
    et al. 2018, "Simple Baselines for Human Pose Estimation and Tracking", section 3.2. Raises ValueError if the
    skeleton is unknown or has no sigmas.
    """
    return _distance(past, current, area, None)


def trust_distance(past: Poses, current: Poses, *, area: PoseArea = "crop") -> Float[np.ndarray, "P n"]:
    """Return 1 − OKS as `oks_distance` does, each keypoint weighted by 0.1 + q₁ q₂, q its expected OPKS in each pose.

    A joint that is likely to be misplaced in either frame is weak evidence for or against the same person; but weak,
    not none, since a network misplaces a joint in the next frame as in this one, and a mean over the two joints that it
    trusts in a doubtful pose is near 1 for whoever comes close. Raises ValueError if `quality` is None, also.
    """
    for name, poses in (("past", past), ("current", current)):
        if poses.quality is None:
            raise ValueError(f"trust_distance needs the keypoints' expected OPKS, Poses.quality of {name} is None")
    assert past.quality is not None and current.quality is not None
    weight = _UNTRUSTED_WEIGHT + np.nan_to_num(past.quality)[:, None] * np.nan_to_num(current.quality)  # (P, n, K)
    return _distance(past, current, area, weight)


def box_distance(past: Poses, current: Poses) -> Float[np.ndarray, "P n"]:
    """Return 1 − IoU of the boxes of every pair (P, n): `box`, or the box around the keypoints of a pose without."""
    return 1.0 - np.nan_to_num(paired_iou(past.person_box()[:, None], current.person_box()))


def both_distance(past: Poses, current: Poses, *, area: PoseArea = "crop") -> Float[np.ndarray, "P n"]:
    """Return the mean of `box_distance` and `trust_distance` of every pair (P, n), or `oks_distance` where one side has
    no expected OPKS.

    Joints distinguish people who overlap, and a box is steady where joints are not.
    """
    joints = oks_distance if past.quality is None or current.quality is None else trust_distance
    return (joints(past, current, area=area) + box_distance(past, current)) / 2


def metre_distance(past: Poses3D, current: Poses3D) -> Float[np.ndarray, "P n"]:
    """Return the median distance in metres of the joints of every pair (P, n); infinite without a common joint."""
    apart = np.linalg.norm(past.xyz[:, None] - current.xyz, axis=-1)  # (P, n, K)
    ordered = np.sort(apart, axis=2)  # NaN comes last
    count = np.isfinite(apart).sum(axis=2)[..., None]
    middle = np.concatenate([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, apart.shape[2] - 1)], axis=2)
    return np.where(count[..., 0] > 0, np.take_along_axis(ordered, middle, axis=2).mean(axis=2), np.inf)


def named_distance(name: str, area: str = "crop") -> Distance:
    """Return the distance of that name, one of `DISTANCES`, its OKS by that area (`area_of`)."""
    if name not in DISTANCES:
        raise ValueError(f"distance: {expected_one_of(DISTANCES, name)}")
    return DISTANCES[name] if name == "box" else partial(DISTANCES[name], area=area)


DISTANCES: dict[str, Callable[..., Any]] = {
    "both": both_distance,
    "oks": oks_distance,
    "trust": trust_distance,
    "box": box_distance,
}


def _distance(past: Poses, current: Poses, area: PoseArea, weight: np.ndarray | None) -> np.ndarray:
    if past.skeleton is None:
        raise ValueError("OKS needs the skeleton's sigmas, Poses.skeleton is None")
    both = _has_position(past)[:, None] & _has_position(current)  # (P, n, K)
    mean = (area_of(past, area)[:, None] + area_of(current, area)) / 2  # (P, n)
    terms = opks(past.xy[:, None], current.xy, both, mean, past.skeleton.sigmas)  # (P, n, K)
    share = both.astype(np.float64) if weight is None else both * weight
    total = share.sum(axis=2)
    return 1.0 - np.divide((terms * share).sum(axis=2), total, out=np.zeros_like(total), where=total > 0)


def area_of(poses: Poses, area: PoseArea) -> Float[np.ndarray, " N"]:
    """Return the area (N,) in square pixels of each pose for OKS, as `pose_area` does with `Poses.person_box` as the
    box; 0 without any."""
    check_area(area)
    if area == "keypoints":
        return pose_area(poses, area)
    box = poses.person_box()
    has_box = np.asarray(np.isfinite(box).all(axis=1))
    if not has_box.all():
        box = np.where(has_box[:, None], box, 0.0)
    box = grow_box(box, PADDING, ASPECT) if area == "crop" else box.astype(np.float64)
    size = np.maximum(box[:, 2:] - box[:, :2], 0).prod(axis=1)  # `box_size` finds a file's decimals, and takes long
    return size if has_box.all() else np.where(has_box, size, 0.0)


def _has_position(poses: Poses) -> np.ndarray:
    """Return which keypoints (N, K) have a position."""
    is_finite = np.asarray(np.isfinite(poses.xy).all(axis=2))
    return is_finite if poses.missing is None else is_finite & ~poses.missing

"""Compute the overlap of two poses of one photo: their OKS to each other, instead of box IoU.

Neither pose is the truth, so OKS uses the mean of both areas, as in the code of SimpleBaseline and HRNet
(leoxiaobin/deep-high-resolution-net.pytorch, `lib/nms/nms.py`, MIT). Poses have no segments either, so the convention
for their area has to be named.
"""

from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float

from trustpose.geometry.crops import grow_box
from trustpose.geometry.oks import oks
from trustpose.poses import Poses, box_size

PoseArea = Literal["crop", "box", "keypoints"]
POSE_AREAS: tuple[PoseArea, ...] = get_args(PoseArea)
_PADDING, _ASPECT = 1.25, 3 / 4  # of HRNet's and SimpleBaseline's crops
_TERMS = 2**18  # keypoints of pairs at a time: bounds intermediate arrays to some megabytes for any crowd


def pose_area(poses: Poses, convention: PoseArea) -> Float[np.ndarray, " N"]:
    """Return the area (N,) of each pose in square pixels, by a named convention.

    "crop" is the box extended to 3:4 and then enlarged by 1.25, as in HRNet and SimpleBaseline, whose threshold of 0.9
    refers to it; "box" is the box itself; "keypoints" the box around all keypoints, for poses without another (without
    missing and NaN ones; 0 if none remains). Raises ValueError for another name, or if a pose has no box.
    """
    check_area(convention)
    if convention == "keypoints":
        xy = poses.xy.astype(np.float64)
        known = np.isfinite(xy) & (True if poses.missing is None else ~poses.missing[..., None])
        extent = np.max(xy, axis=1, where=known, initial=-np.inf) - np.min(xy, axis=1, where=known, initial=np.inf)
        return np.where(known.any(axis=(1, 2)), np.prod(np.maximum(extent, 0), axis=1), 0.0)
    if poses.box is None:
        raise ValueError(f"area {convention!r} needs the poses' boxes; use area 'keypoints' without boxes")
    missing = ~np.isfinite(poses.box).all(axis=1)
    if missing.any():
        raise ValueError(
            f"area {convention!r} needs the poses' boxes, {missing.sum()} of {len(poses)} poses have none; "
            "use area 'keypoints'"
        )
    box = grow_box(poses.box, _PADDING, _ASPECT) if convention == "crop" else poses.box.astype(np.float64)
    return np.maximum(box_size(box), 0).prod(axis=1)


def check_area(convention: str) -> None:
    """Raise ValueError for an unknown area."""
    if convention not in POSE_AREAS:
        raise ValueError(f"area: expected one of {', '.join(POSE_AREAS)}, got {convention!r}")


def oks_between(
    xy: Float[np.ndarray, "*I n K 2"],
    area: Float[np.ndarray, "*I n"],
    sigmas: Float[np.ndarray, " K"],
    counted: Bool[np.ndarray, "*I n K"] | None = None,
) -> Float[np.ndarray, "*I n n"]:
    """Compute OKS of every pose of a photo with every other, 0–1, symmetric; leading axes are photos of n poses each.

    xy: image pixels; area: (…, n) square pixels, averaged for each pair. Only keypoints that are `counted` (…, n, K) in
    both poses are used, by default all, but never NaN. A pair without any has an OKS of 0.
    """
    xy = xy.astype(np.float64, copy=False)
    takes_part = np.asarray(np.isfinite(xy).all(axis=-1))  # (…, n, K)
    if counted is not None:
        takes_part &= counted
    n, count = xy.shape[-3:-1]
    overlap = np.empty((*xy.shape[:-2], n))
    step = max(1, _TERMS // max(1, count * n * int(np.prod(xy.shape[:-3]))))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        both = takes_part[..., rows, None, :] & takes_part[..., None, :, :]  # (…, r, n, K)
        mean = (area[..., rows, None] + area[..., None, :]) / 2  # (…, r, n)
        overlap[..., rows, :] = oks(xy[..., rows, None, :, :], xy[..., None, :, :, :], both, mean, sigmas)
    return np.nan_to_num(overlap, copy=False, nan=0.0)

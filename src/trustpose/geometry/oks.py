"""The OKS kernel, used wherever trustpose compares a pose with the truth.

    OKS = Σᵢ exp(−dᵢ² / (2 s² kᵢ²)) δ(vᵢ>0) / Σᵢ δ(vᵢ>0),   kᵢ = 2σᵢ, s² = area

as in COCO keypoint evaluation (pycocotools' `computeOks`, in the same order of operations, so that thresholds cut at
the same places) and Eq. 1 of the OKS-Net paper. OPKSᵢ, one keypoint's term, is the HPCVNet poster's.
Written against the array API: for numpy arrays and torch tensors, with gradients in torch. All arguments of a call must
be of the same kind.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace
from jaxtyping import Bool, Float

Array = Any  # a numpy array or a torch tensor, the same kind within a call

_TERMS = 2**18  # keypoints of pairs at a time: bounds intermediate arrays to some megabytes for any crowd
_EPSILON = float(np.spacing(1))  # pycocotools adds it to every area


def opks(xy: Array, truth_xy: Array, v: Array, area: Array, sigmas: Array) -> Array:
    """Compute the object per keypoint similarity (…, K), 0–1; 0 if the keypoint is not labelled (v = 0).

    xy, truth_xy: (…, K, 2) in one pixel frame; v: (…, K) in {0, 1, 2}; area: (…) in square pixels of that frame, always
    explicit (see `Truth.area_by`); sigmas: (K,) or (…, K). Leading shapes broadcast. Source: HPCVNet poster.
    """
    xp = array_namespace(xy, truth_xy)
    dx = xy[..., 0] - truth_xy[..., 0]  # (…, K)
    dy = xy[..., 1] - truth_xy[..., 1]
    similarity = _similarity(xp, dx, dy, area, sigmas)
    return xp.where(v > 0, similarity, xp.zeros_like(similarity))


def oks(xy: Array, truth_xy: Array, v: Array, area: Array, sigmas: Array, box: Array | None = None) -> Array:
    """Compute the object keypoint similarity (…), 0–1, with shapes as in `opks`.

    A person without labelled keypoints has no OKS. If `box` (…, 4) xyxy is given, pycocotools' substitute is used: each
    keypoint's distance to the box enlarged to three times its size about its centre ("doubled" on each side), averaged
    over all K. Without `box` it is NaN. Gradients stay finite for the other people.
    """
    xp = array_namespace(xy, truth_xy)
    terms = opks(xy, truth_xy, v, area, sigmas)  # (…, K)
    count = xp.sum(xp.astype(v > 0, terms.dtype), axis=-1)  # (…)
    has_labels = count > 0
    similarity = xp.sum(terms, axis=-1) / xp.where(has_labels, count, xp.ones_like(count))
    if bool(xp.all(has_labels)):
        return similarity
    if box is None:
        return xp.where(has_labels, similarity, xp.full_like(similarity, float("nan")))
    return xp.where(has_labels, similarity, _oks_to_doubled_box(xy, box, area, sigmas))


def _similarity(xp: Any, dx: Array, dy: Array, area: Array, sigmas: Array) -> Array:
    """Compute exp(−d² / variance / area / 2), in pycocotools' order of operations."""
    variances = (sigmas * 2) ** 2
    return xp.exp(-((dx**2 + dy**2) / variances / (area[..., None] + _EPSILON) / 2))


def _oks_to_doubled_box(xy: Array, box: Array, area: Array, sigmas: Array) -> Array:
    """Compute the mean over K of the similarity of each keypoint to the enlarged box; 1 inside it. (…)"""
    xp = array_namespace(xy, box)
    size = box[..., 2:] - box[..., :2]  # (…, 2)
    low = (box[..., :2] - size)[..., None, :]  # (…, 1, 2)
    high = (box[..., :2] + size * 2)[..., None, :]
    zero = xp.zeros_like(xy)
    outside = xp.maximum(zero, low - xy) + xp.maximum(zero, xy - high)  # (…, K, 2)
    similarity = _similarity(xp, outside[..., 0], outside[..., 1], area, sigmas)
    return xp.sum(similarity, axis=-1) / xy.shape[-2]


def oks_between(
    xy: Float[np.ndarray, "*I n K 2"],
    area: Float[np.ndarray, "*I n"],
    sigmas: Float[np.ndarray, " K"],
    counted: Bool[np.ndarray, "*I n K"] | None = None,
) -> Float[np.ndarray, "*I n n"]:
    """Compute OKS of every pose of a photo with every other, 0–1, symmetric; leading axes are photos of n poses each.

    xy: image pixels; area: (…, n) square pixels, averaged for each pair. Only keypoints that are `counted` (…, n, K) in
    both poses are used, by default all, but never NaN. A pair without any has an OKS of 0.

    Neither pose is the truth, so OKS uses the mean of both areas, as in the code of SimpleBaseline and HRNet
    (leoxiaobin/deep-high-resolution-net.pytorch, `lib/nms/nms.py`, MIT).
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

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

Array = Any  # a numpy array or a torch tensor, the same kind within a call

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
    some = count > 0
    similarity = xp.sum(terms, axis=-1) / xp.where(some, count, xp.ones_like(count))
    if bool(xp.all(some)):
        return similarity
    if box is None:
        return xp.where(some, similarity, xp.full_like(similarity, float("nan")))
    return xp.where(some, similarity, _oks_to_doubled_box(xy, box, area, sigmas))


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

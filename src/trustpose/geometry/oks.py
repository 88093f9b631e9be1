"""The OKS kernel, used wherever trustpose compares a pose with the truth.

    OKS = Σᵢ exp(−dᵢ² / (2 s² kᵢ²)) δ(vᵢ>0) / Σᵢ δ(vᵢ>0),   kᵢ = 2σᵢ, s² = area

with dᵢ the distance of keypoint i to its label, σᵢ the skeleton's constant of this kind of joint, and vᵢ > 0 where it
is labelled. OPKSᵢ = exp(…) δ(vᵢ>0) is one keypoint's term, of the HPCVNet poster; OKS is Eq. 1 of the OKS-Net paper.

The order of operations is that of pycocotools' `computeOks`, so that an OKS falls on the same side of every threshold.
The code uses the array API: the arguments of a call are all numpy arrays, or all torch tensors, with gradients.
"""

from typing import Any

import numpy as np
from array_api_compat import array_namespace
from jaxtyping import Bool, Float

Array = Any  # a numpy array or a torch tensor, the same kind within a call

_TERMS_AT_A_TIME = 2**18  # of OKS of all pairs, so that intermediate arrays have some megabytes for any crowd
_EPSILON = float(np.spacing(1))  # pycocotools adds it to every area


def _namespace_of(*arrays: Array) -> Any:
    """Return the module with the array API's functions for these arrays.

    numpy is such a module itself; array_api_compat's for numpy imports all parts of numpy, twice the time of numpy.
    """
    return np if all(isinstance(array, np.ndarray) for array in arrays) else array_namespace(*arrays)


def opks(xy: Array, truth_xy: Array, v: Array, area: Array, sigmas: Array) -> Array:
    """Compute the object per keypoint similarity of poses with people.

    Args:
        xy: (…, K, 2), the poses' keypoints, pixels. Leading axes of all arguments broadcast.
        truth_xy: (…, K, 2), the labelled keypoints, in the same frame.
        v: (…, K), COCO's v of the labels: 0, 1 or 2.
        area: (…), the people's areas in square pixels of that frame; which area is never guessed, see `Truth.area_by`.
        sigmas: (K,) or (…, K), the skeleton's σ.

    Returns:
        (…, K), 0–1; 0 where the keypoint is not labelled.

    Source:
        HPCVNet poster.
    """
    xp = _namespace_of(xy, truth_xy)
    dx = xy[..., 0] - truth_xy[..., 0]  # (…, K)
    dy = xy[..., 1] - truth_xy[..., 1]
    similarity = similarity_at(dx, dy, area, sigmas)
    return xp.where(v > 0, similarity, xp.zeros_like(similarity))


def oks(xy: Array, truth_xy: Array, v: Array, area: Array, sigmas: Array, box: Array | None = None) -> Array:
    """Compute the object keypoint similarity of poses with people.

    Args:
        xy, truth_xy, v, area, sigmas: as of `opks`.
        box: (…, 4), the people's boxes, xyxy; for people without labelled keypoints, who have no OKS. pycocotools uses
            instead the similarity to the box enlarged to three times its size about its centre: each keypoint's
            distance to that box, averaged over all K.

    Returns:
        (…), 0–1; without `box` NaN for people without labelled keypoints. Gradients of the others stay finite.
    """
    xp = _namespace_of(xy, truth_xy)
    terms = opks(xy, truth_xy, v, area, sigmas)  # (…, K)
    labels = xp.sum(xp.astype(v > 0, terms.dtype), axis=-1)  # (…)
    has_labels = labels > 0
    similarity = xp.sum(terms, axis=-1) / xp.where(has_labels, labels, xp.ones_like(labels))
    if bool(xp.all(has_labels)):
        return similarity
    if box is None:
        return xp.where(has_labels, similarity, xp.full_like(similarity, float("nan")))
    return xp.where(has_labels, similarity, _oks_to_enlarged_box(xy, box, area, sigmas))


def oks_between(
    xy: Float[np.ndarray, "*I n K 2"],
    area: Float[np.ndarray, "*I n"],
    sigmas: Float[np.ndarray, " K"],
    counted: Bool[np.ndarray, "*I n K"] | None = None,
) -> Float[np.ndarray, "*I n n"]:
    """Compute OKS of every pose of a photo with every other.

    Neither pose is the truth, so OKS uses the mean of both areas, as in the code of SimpleBaseline and HRNet
    (leoxiaobin/deep-high-resolution-net.pytorch, `lib/nms/nms.py`, MIT).

    Args:
        xy: (…, n, K, 2), image pixels; leading axes are photos of n poses each.
        area: (…, n), square pixels.
        sigmas: (K,), the skeleton's σ.
        counted: (…, n, K), the keypoints to compare; a pair is compared by those that count in both poses. None: all.
            A keypoint without a position, NaN, never counts.

    Returns:
        (…, n, n), 0–1, symmetric; 0 for a pair without a keypoint that counts in both poses.
    """
    xy = xy.astype(np.float64, copy=False)
    is_compared = np.asarray(np.isfinite(xy).all(axis=-1))  # (…, n, K)
    if counted is not None:
        is_compared &= counted
    n, keypoints = xy.shape[-3:-1]
    similarity = np.empty((*xy.shape[:-2], n))
    step = max(1, _TERMS_AT_A_TIME // max(1, keypoints * n * int(np.prod(xy.shape[:-3]))))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        in_both = is_compared[..., rows, None, :] & is_compared[..., None, :, :]  # (…, r, n, K)
        mean_area = (area[..., rows, None] + area[..., None, :]) / 2  # (…, r, n)
        similarity[..., rows, :] = oks(xy[..., rows, None, :, :], xy[..., None, :, :, :], in_both, mean_area, sigmas)
    return np.nan_to_num(similarity, copy=False, nan=0.0)


def similarity_at(dx: Array, dy: Array, area: Array, sigmas: Array) -> Array:
    """Compute exp(−d² / variance / area / 2), in pycocotools' order of operations.

    Args:
        dx, dy: (…, K), a keypoint's distance to its label, pixels.
        area: (…), the people's areas.
        sigmas: (K,) or (…, K).

    Returns:
        (…, K), 0–1.
    """
    xp = _namespace_of(dx, dy)
    variances = (sigmas * 2) ** 2
    return xp.exp(-((dx**2 + dy**2) / variances / (area[..., None] + _EPSILON) / 2))


def _oks_to_enlarged_box(xy: Array, box: Array, area: Array, sigmas: Array) -> Array:
    """Compute the mean (…) over K of each keypoint's similarity to the box of three times the size; 1 inside it."""
    xp = _namespace_of(xy, box)
    size = box[..., 2:] - box[..., :2]  # (…, 2)
    low = (box[..., :2] - size)[..., None, :]  # (…, 1, 2)
    high = (box[..., :2] + size * 2)[..., None, :]
    zero = xp.zeros_like(xy)
    outside = xp.maximum(zero, low - xy) + xp.maximum(zero, xy - high)  # (…, K, 2)
    similarity = similarity_at(outside[..., 0], outside[..., 1], area, sigmas)
    return xp.sum(similarity, axis=-1) / xy.shape[-2]

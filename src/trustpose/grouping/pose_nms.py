"""AlphaPose's parametric pose NMS: the similarity of two poses, by matching keypoints and by distances.

Fang et al., RMPE: Regional Multi-person Pose Estimation, ICCV 2017, section 3.3. For a reference pose i with box Bᵢ:

    K(i, j) = Σₙ tanh(cᵢⁿ / σ₁) tanh(cⱼⁿ / σ₁) over keypoints n of j within a box about i's, a tenth of Bᵢ along x and y
    H(i, j) = Σₙ exp(−|kᵢⁿ − kⱼⁿ|² / σ₂)
    alike = K + λ H, and j is dropped if that reaches η

with keypoints k and their scores c. Here the sums are means over the keypoints of both poses, and alike = (K + λ H) /
(1 + λ), from 0 to 1, so that η has one meaning for skeletons of any size; and |kᵢ − kⱼ| is in tenths of √(Bᵢ's area),
as the paper names no unit. (It prints ≤ η, which would drop poses of other people.)

AlphaPose's published code differs: keypoints match within a pixel, H is Σₙ exp(−|kᵢⁿ − kⱼⁿ| / σ₂) in pixels, and a pose
of which five keypoints are within min(7, Bᵢ's longer side / 10) pixels of i's is dropped too. That is form "code"; its
parameters are `ALPHAPOSE`. It also merges what it drops into what it keeps (`merge`), of which the paper says nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

_SHARE = 0.1  # of the reference's box, for a keypoint's window and as unit of distances
_CODE_WINDOW, _CODE_REACH, _CODE_MATCHES = 1.0, 7.0, 5  # pixels, pixels, keypoints
_MERGE_REACH = 15.0  # pixels
_LOWEST = 1e-5  # a score that weighs nothing would leave a keypoint without a position
_TERMS = 2**18  # keypoints of pairs at a time


@dataclass(frozen=True)
class PoseDistance:
    """σ₁ `score_scale`, σ₂ `distance_scale`, λ `balance`; `form`: see the module. The fourth parameter, η, is the
    threshold of suppression. Raises ValueError for a number out of range."""

    score_scale: float = 0.3
    distance_scale: float = 1.0
    balance: float = 1.0
    form: Literal["paper", "code"] = "paper"

    def __post_init__(self) -> None:
        for name in ("score_scale", "distance_scale", "balance"):
            value = getattr(self, name)
            if not (0 < value < np.inf or (name == "balance" and value == 0)):
                raise ValueError(f"{name}: expected a number above 0, got {value:g}")


ALPHAPOSE = PoseDistance(score_scale=1.0, distance_scale=2.65, balance=1.7, form="code")
ALPHAPOSE_THRESHOLD = 22.48 / (17 * (1 + ALPHAPOSE.balance))  # of 17 keypoints
NAMED = {"alphapose": ALPHAPOSE}


def read_distance(text: str) -> PoseDistance:
    """Return the distance of a text: σ₁, σ₂ and λ with commas between, "0.3,1,1", or a name of `NAMED`.

    Raises ValueError for anything else, and for a number out of range.
    """
    if text in NAMED:
        return NAMED[text]
    try:
        score_scale, distance_scale, balance = (float(part) for part in text.split(","))
    except ValueError:
        names = ", ".join(NAMED)
        raise ValueError(f"distance: expected σ₁,σ₂,λ, such as 0.3,1,1, or {names}, got {text!r}") from None
    return PoseDistance(score_scale, distance_scale, balance)


def pose_similarity(
    xy: Float[np.ndarray, "*I n K 2"],
    score: Float[np.ndarray, "*I n K"],
    size: Float[np.ndarray, "*I n 2"],
    distance: PoseDistance,
    counted: Bool[np.ndarray, "*I n K"] | None = None,
) -> Float[np.ndarray, "*I n n"]:
    """Return how alike each pose of a photo (row i, the reference) is to each other (column j), 0–1; leading axes are
    photos of n poses each.

    xy: image pixels; score: of keypoints, below 0 as 0; size: width and height of the poses' boxes, pixels. Keypoints
    that are not `counted`, or NaN, in either pose are left out; a pair without any is not alike (0). Infinite where
    form "code" drops a pose for its matching keypoints alone.
    """
    takes_part = np.isfinite(xy).all(axis=-1) & np.isfinite(score)
    if counted is not None:
        takes_part = takes_part & counted
    n, count = xy.shape[-3:-1]
    trust = np.tanh(np.where(takes_part, np.maximum(score, 0), 0) / distance.score_scale)  # (…, n, K)
    alike = np.empty((*xy.shape[:-2], n))
    step = max(1, _TERMS // max(1, count * n * int(np.prod(xy.shape[:-3]))))
    for start in range(0, n, step):
        rows = slice(start, start + step)
        both = takes_part[..., rows, None, :] & takes_part[..., None, :, :]  # (…, r, n, K)
        away = np.abs(xy[..., rows, None, :, :] - xy[..., None, :, :, :])  # (…, r, n, K, 2)
        trusts = trust[..., rows, None, :] * trust[..., None, :, :]
        alike[..., rows, :] = _alike(away, both, trusts, size[..., rows, :], distance)
    return alike


def _alike(
    away: np.ndarray, both: np.ndarray, trust: np.ndarray, size: np.ndarray, distance: PoseDistance
) -> Float[np.ndarray, "*I r n"]:
    """Return the similarity of r references to n poses, of offsets (…, r, n, K, 2), both's keypoints and products of
    scores (…, r, n, K), and the references' sizes (…, r, 2)."""
    away = np.where(both[..., None], away, np.inf)
    squared = (away**2).sum(axis=-1)  # (…, r, n, K)
    length = np.sqrt(squared)
    if distance.form == "code":
        matched, near = length <= _CODE_WINDOW, np.exp(-length / distance.distance_scale)
    else:
        window = size[..., None, None, :] * _SHARE / 2  # to either side
        matched = (away <= window).all(axis=-1)
        unit = np.maximum(size.prod(axis=-1), 1e-12)[..., None, None] * _SHARE**2
        near = np.exp(-squared / unit / distance.distance_scale)
    total = np.where(matched, trust, 0).sum(axis=-1) + distance.balance * near.sum(axis=-1)
    alike = total / np.maximum(both.sum(axis=-1), 1) / (1 + distance.balance)
    if distance.form == "code":
        reach = np.minimum(size.max(axis=-1) * _SHARE, _CODE_REACH)[..., None, None]
        alike = np.where((length <= reach).sum(axis=-1) >= _CODE_MATCHES, np.inf, alike)
    return alike


def merge(
    xy: Float[np.ndarray, "N K 2"],
    score: Float[np.ndarray, "N K"],
    instead: Int[np.ndarray, " N"],
    size: Float[np.ndarray, "N 2"],
    counted: Bool[np.ndarray, "N K"] | None = None,
) -> tuple[Float[np.ndarray, "N K 2"], Float[np.ndarray, "N K"]]:
    """Return positions and scores with the keypoints of dropped poses merged into those of the kept ones.

    A kept pose's keypoint becomes the mean, weighted by scores, of its own and those of the poses that were dropped for
    it which lie within min(15, its box's longer side / 10) pixels; its score likewise the weighted mean of the scores.
    Source: AlphaPose's code (`pPose_nms.p_merge_fast`).

    Args:
        xy: Positions, image pixels.
        score: Of keypoints; below 1e-5 as 1e-5.
        instead: The row of the kept pose for which each was dropped, its own for kept ones.
        size: Width and height of the poses' boxes, pixels.
        counted: Keypoints that take part; None: all. NaN never do, and keep what they have.
    """
    reach = np.minimum(_SHARE * size[instead].max(axis=1), _MERGE_REACH)[:, None]  # (N, 1)
    near = np.linalg.norm(xy - xy[instead], axis=2) <= reach  # (N, K), False for NaN
    near &= np.isfinite(score)
    if counted is not None:
        near &= counted & counted[instead]
    weight = np.where(near, np.maximum(score, _LOWEST), 0)  # (N, K)
    terms = np.stack([np.where(near, xy[..., 0], 0), np.where(near, xy[..., 1], 0), weight], axis=-1)  # x, y, score
    total, sums = np.zeros(weight.shape), np.zeros(terms.shape)
    np.add.at(total, instead, weight)
    np.add.at(sums, instead, weight[..., None] * terms)
    is_merged = total > 0
    means = sums / np.where(is_merged, total, 1)[..., None]
    return np.where(is_merged[..., None], means[..., :2], xy), np.where(is_merged, means[..., 2], score)


Grid = Mapping[str, Sequence[float]]
GRID: Grid = {
    "score_scale": (0.03, 0.1, 0.3, 1.0),
    "distance_scale": (0.1, 0.3, 1.0, 3.0, 10.0),
    "balance": (0.3, 1.0, 3.0, 10.0),
    "threshold": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
}
_TOGETHER = (("score_scale", "distance_scale"), ("balance", "threshold"))


def choose_parameters(
    measure: Callable[[PoseDistance, float], float], start: PoseDistance, threshold: float, grid: Grid = GRID
) -> tuple[PoseDistance, float, float]:
    """Return the three parameters and the threshold with the highest `measure` (a distance, a threshold), such as AP on
    training photos, and that measure.

    Two parameters are varied over their grids while the other two stay, in turns, until neither turn improves; the
    earlier in ties. Source: the same section, "optimize two parameters at a time by fixing the other two".
    """
    chosen, best, improved = (start, threshold), measure(start, threshold), True
    while improved:
        improved = False
        for names in _TOGETHER:
            start, threshold = chosen  # of this turn
            for values in product(*(grid[name] for name in names)):
                changes = dict(zip(names, values, strict=True))
                other_threshold = changes.pop("threshold", threshold)
                candidate = replace(start, **changes)  # type: ignore[arg-type]
                value = measure(candidate, other_threshold)
                if value > best:
                    best, chosen, improved = value, (candidate, other_threshold), True
    return chosen[0], chosen[1], best

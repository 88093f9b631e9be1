"""How well expected errors in pixels hold: the share of keypoints within discs that should hold 50, 80 and 95 % of
them, and how large errors are against their expected median.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from trustpose.metrics.bootstrap import replicate_sums
from trustpose.poses import ExpectedError

SHARES = (0.50, 0.80, 0.95)
QUALITY_RANGES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
_QUANTILES = np.linspace(0.02, 0.98, 97)  # between which the medians of draws are interpolated
_FARTHEST = 1e9  # times the expected median, to keep an overflowed distance a number


@dataclass(frozen=True)
class DiscCoverage:
    """The share of n keypoints within the discs that should hold 50, 80 or 95 % ("50", "80", "95")."""

    coverage: dict[str, float | None]
    n: int


@dataclass(frozen=True)
class PixelTrust:
    """Errors of n labelled keypoints against `expected_error`, in pixels.

    `coverage` is the share within the disc that should hold 50, 80 or 95 % ("50", "80", "95"); `median_ratio` the
    median of error / expected median: below 1, errors are smaller than expected. `joints` has the coverage of each
    kind of joint, left and right together, `by_quality` that of each range of expected OPKS (given that the keypoint is
    labelled). `discs`: "fitted", those of the file's error model, or "mixture", those of the mixture of Rayleigh
    distributions alone.
    """

    coverage: dict[str, float | None]
    median_ratio: float | None
    n: int
    joints: dict[str, DiscCoverage] = field(default_factory=dict)
    by_quality: dict[str, DiscCoverage] = field(default_factory=dict)
    discs: str | None = None


def errors_of_labelled(
    distance: Float[np.ndarray, " L"], error: ExpectedError
) -> tuple[Float[np.ndarray, " L"], Float[np.ndarray, " L"]]:
    """Return for L keypoints the probability that the error is at most what it is, 0–1, uniformly distributed if the
    expectation is right, and the error / its expected median. `error` has shape (L,), distances are pixels."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = distance / error.median
        return error.probability_within(distance), np.clip(ratio, 0, _FARTHEST)


def pixel_trust(
    probability: Float[np.ndarray, " L"],
    ratio: Float[np.ndarray, " L"],
    quality: Float[np.ndarray, " L"] | None = None,
    joint: Sequence[str] = (),
    discs: str | None = None,
) -> PixelTrust:
    """Summarise `errors_of_labelled`; None for every number if L = 0. `quality` (L,) and `joint`, a name each, divide
    the keypoints."""
    has_keypoints = len(probability) > 0
    median = float(np.median(ratio)) if has_keypoints else None
    names, joints = np.asarray(joint), {}
    for name in dict.fromkeys(joint):
        joints[name] = disc_coverage(probability[names == name])
    ranges = {}
    for low, high in pairwise(QUALITY_RANGES):
        if quality is not None and has_keypoints:
            inside = (quality >= low) & ((quality < high) | (high == QUALITY_RANGES[-1]))
            ranges[f"{low:g}-{high:g}"] = disc_coverage(probability[inside])
    whole = disc_coverage(probability)
    return PixelTrust(whole.coverage, median, whole.n, joints, ranges, discs)


def disc_coverage(probability: Float[np.ndarray, " L"]) -> DiscCoverage:
    """Return the share of keypoints within each disc; None without keypoints."""
    shares = {_named(share): float(np.mean(probability <= share)) if len(probability) else None for share in SHARES}
    return DiscCoverage(shares, len(probability))


def coverage_replicates(
    counts: Int[np.ndarray, "B I"], probability: Float[np.ndarray, " L"], image: Int[np.ndarray, " L"]
) -> dict[str, Float[np.ndarray, " B"]]:
    """Compute the coverage of each disc in every draw of the images; `image` (L,) is a keypoint's, 0..I−1."""
    within = _shares_up_to(counts, probability, image, np.array(SHARES))
    return {_named(share): within[:, i] for i, share in enumerate(SHARES)}


def median_replicates(
    counts: Int[np.ndarray, "B I"], ratio: Float[np.ndarray, " L"], image: Int[np.ndarray, " L"]
) -> Float[np.ndarray, " B"]:
    """Compute the median of `ratio` in every draw, interpolated between quantiles of the sample itself."""
    if not len(ratio):
        return np.full(len(counts), np.nan)
    grid = np.quantile(ratio, _QUANTILES)
    shares = _shares_up_to(counts, ratio, image, grid)
    return np.array([np.nan if np.isnan(row).any() else np.interp(0.5, row, grid) for row in shares])


def _shares_up_to(
    counts: Int[np.ndarray, "B I"],
    values: Float[np.ndarray, " L"],
    image: Int[np.ndarray, " L"],
    limits: Float[np.ndarray, " G"],
) -> Float[np.ndarray, "B G"]:
    """Return the share of values up to each limit (ascending), in every draw; NaN in a draw without values."""
    bins, images = len(limits) + 1, counts.shape[1]
    place = image * bins + np.searchsorted(limits, values, side="left")
    histogram = np.bincount(place, minlength=images * bins).reshape(images, bins)
    sums = replicate_sums(counts, np.cumsum(histogram, axis=1))  # (B, G + 1), the last all values
    total = sums[:, -1:]
    return np.divide(sums[:, :-1], total, out=np.full((len(counts), len(limits)), np.nan), where=total > 0)


def _named(share: float) -> str:
    return str(round(100 * share))

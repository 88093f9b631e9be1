"""Percentile intervals by resampling images: how far a number would vary over other samples of photos.

Images, not people, are drawn with replacement, since people in one photo are correlated. A draw is a row of counts, one
per image; a metric made of sums per image then costs one matrix product for all draws. Efron & Tibshirani, "An
Introduction to the Bootstrap" (1993), chapter 13, for the percentile interval.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int, Real

from trustpose.metrics.classification import confusion_by_group
from trustpose.metrics.reliability import (
    Binning,
    brier_from_sums,
    brier_sums,
    ece_from_sums,
    pearson_from_sums,
    pearson_sums,
    reliability_sums,
)

DRAWS = 1000
_BLOCK_BYTES = 2**23  # of counts converted to float64 at a time
_DRAWN_AT_A_TIME = 2**16  # images


def resample_counts(images: int, draws: int = DRAWS, seed: int = 0) -> Int[np.ndarray, "B I"]:
    """Draw I images with replacement B times; return how often each is drawn (B, I), rows sum to I.

    Counts take one byte each: 100 MB for a thousand draws of 100,000 images. The same seed gives the same counts.
    Raises ValueError for no image or no draw.
    """
    rows = resample_draws(images, draws, seed)
    return np.fromiter(rows, np.dtype((np.int8, (images,))), draws)


def resample_draws(images: int, draws: int, seed: int) -> Iterator[Int[np.ndarray, " I"]]:
    """Return the rows of `resample_counts`, of which only the last need be in memory."""
    if images < 1:
        raise ValueError(f"images: expected 1 or more to draw from, got {images}")
    if draws < 1:
        raise ValueError(f"draws: expected 1 or more, got {draws}")
    generator = np.random.default_rng(seed)
    return (_drawn_counts(generator, images) for _ in range(draws))


def _drawn_counts(generator: np.random.Generator, images: int) -> Int[np.ndarray, " I"]:
    # To overflow 8 bits, one of 128 images or more would have to be drawn 128 times: a chance of 1 / 128!.
    counts = np.zeros(images, np.int8)
    for start in range(0, images, _DRAWN_AT_A_TIME):
        np.add.at(counts, generator.integers(0, images, size=min(_DRAWN_AT_A_TIME, images - start)), np.int8(1))
    return counts


def interval(values: Float[np.ndarray, " B"], level: float = 0.95) -> tuple[float, float]:
    """Return the percentile interval (low, high) of a number's draws (B,), ignoring NaN.

    Both ends are NaN if all draws are. Raises ValueError if level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError(f"level: expected a share between 0 and 1, got {level}")
    defined = values[~np.isnan(values)]
    if len(defined) == 0:
        return float("nan"), float("nan")
    low, high = np.quantile(defined, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)


def sums_by_group(
    values: Real[np.ndarray, " N *S"], group: Int[np.ndarray, " N"], groups: int
) -> Float[np.ndarray, " G *S"]:
    """Sum rows (N, …) within their group (G, …), such as an image; `group` is in 0..groups−1."""
    columns = values.reshape(len(values), int(np.prod(values.shape[1:]))).T
    sums = np.zeros((len(columns), groups))
    for row, column in zip(sums, columns, strict=True):
        row[:] = np.bincount(group, weights=column, minlength=groups)
    return sums.T.reshape(groups, *values.shape[1:])


def replicate_sums(counts: Int[np.ndarray, "B I"], sums: Real[np.ndarray, " I *S"]) -> Float[np.ndarray, " B *S"]:
    """Convert sums per image (I, …) to sums per draw (B, …) by a matrix product, in blocks of bounded memory.

    Raises ValueError if the number of images differs.
    """
    draws, images = counts.shape
    if len(sums) != images:
        raise ValueError(f"sums: expected one row per image ({images}), got {len(sums)}")
    flat = sums.reshape(images, int(np.prod(sums.shape[1:]))).astype(np.float64)
    result = np.empty((draws, flat.shape[1]))
    rows = max(1, _BLOCK_BYTES // (8 * images))
    for start in range(0, draws, rows):
        result[start : start + rows] = counts[start : start + rows].astype(np.float64) @ flat
    return result.reshape(draws, *sums.shape[1:])


def pearson_replicates(
    counts: Int[np.ndarray, "B I"],
    x: Real[np.ndarray, " N"],
    y: Real[np.ndarray, " N"],
    image: Int[np.ndarray, " N"],
) -> Float[np.ndarray, " B"]:
    """Compute Pearson's r (B,) of x and y in every draw; `image` (N,) is the image, 0..I−1, of a row."""
    return pearson_from_sums(replicate_sums(counts, pearson_sums(x, y, image, counts.shape[1])))


def ece_replicates(
    counts: Int[np.ndarray, "B I"],
    score: Real[np.ndarray, " N"],
    target: Real[np.ndarray, " N"],
    image: Int[np.ndarray, " N"],
    bins: int = 15,
    binning: Binning = "equal-width",
) -> Float[np.ndarray, " B"]:
    """Compute the expected calibration error (B,) in every draw, in the bins of the sample itself.

    A draw repeats rows, which by chance widens the gaps within bins: if the true error is near 0, draws lie above
    the sample's own value.
    """
    return ece_from_sums(replicate_sums(counts, reliability_sums(score, target, image, counts.shape[1], bins, binning)))


def brier_replicates(
    counts: Int[np.ndarray, "B I"],
    score: Real[np.ndarray, " N"],
    target: Real[np.ndarray, " N"],
    image: Int[np.ndarray, " N"],
) -> Float[np.ndarray, " B"]:
    """Compute the Brier score (B,) in every draw."""
    return brier_from_sums(replicate_sums(counts, brier_sums(score, target, image, counts.shape[1])))


def confusion_replicates(
    counts: Int[np.ndarray, "B I"],
    v_true: Int[np.ndarray, "*S"],
    v_pred: Int[np.ndarray, "*S"],
    image: Int[np.ndarray, "*S"],
    classes: int = 3,
) -> Float[np.ndarray, "B C C"]:
    """Compute confusion counts (B, C, C) in every draw, for `labelled_scores` and `ternary_scores`."""
    return replicate_sums(counts, confusion_by_group(v_true, v_pred, image, counts.shape[1], classes))

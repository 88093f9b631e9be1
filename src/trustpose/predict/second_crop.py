"""A second, tighter crop of each person: what two crops gave is merged."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

NEAR = 1 / 64
"""Of the crop's height: how far apart both crops' positions of a keypoint may be for their mean to be used. One heatmap
pixel of usual networks; one to four are about as good (https://trustpose.github.io/trustpose/benchmarks/default-model.html)."""


def merge_crops(
    xy: Float[np.ndarray, "M K 2"],
    score: Float[np.ndarray, "M K"],
    trust: Mapping[str, Float[np.ndarray, "M ..."]],
    height: Float[np.ndarray, " N"],
) -> tuple[Float[np.ndarray, "N K 2"], Float[np.ndarray, "N K"], dict[str, Float[np.ndarray, "N ..."]]]:
    """Merge what two crops of each of N people gave.

    Positions are averaged where they are near to each other, else that with the higher score is used. Scores and trust
    are averaged.

    Args:
        xy: (2 N, K, 2), image pixels: from the first crops of all people, then from the second.
        score: (2 N, K), in the same order, as is trust.
        trust: (2 N, …), by field.
        height: (N,), of the first crops, image pixels.

    Returns:
        xy (N, K, 2), score (N, K) and trust (N, …).
    """
    first, second = np.split(xy, 2)
    is_near = np.hypot(*np.moveaxis(first - second, 2, 0)) < NEAR * height[:, None]
    is_first = np.greater_equal(*np.split(score, 2))
    merged = np.where(is_near[..., None], (first + second) / 2, np.where(is_first[..., None], first, second))
    return merged, _mean_of_halves(score), {name: _mean_of_halves(values) for name, values in trust.items()}


def _mean_of_halves(values: Float[np.ndarray, "M ..."]) -> Float[np.ndarray, "N ..."]:
    return np.add(*np.split(values, 2)) / 2

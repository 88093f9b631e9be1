"""One person seen in two crops, of which the second is cut tighter or wider: one pose of both."""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

NEAR = 1 / 64
"""Of the crop's height: how far both places of a keypoint may be apart for their mean to be used. One heatmap pixel of
usual networks; one to four are about as good (docs/benchmarks/default-model.md)."""


def merged(
    xy: Float[np.ndarray, "M K 2"],
    score: Float[np.ndarray, "M K"],
    trust: Mapping[str, Float[np.ndarray, "M ..."]],
    height: Float[np.ndarray, " N"],
) -> tuple[Float[np.ndarray, "N K 2"], Float[np.ndarray, "N K"], dict[str, Float[np.ndarray, "N ..."]]]:
    """Return poses, scores and trust of N people, given M = 2 N: those from the first crop of each, then the second.

    Places are averaged where they are near to each other, else that of the higher score is used. Scores and trust are
    averaged. xy in image pixels; height: of the first crop, image pixels.
    """
    first, second = np.split(xy, 2)
    is_near = np.hypot(*np.moveaxis(first - second, 2, 0)) < NEAR * height[:, None]
    is_first = np.greater_equal(*np.split(score, 2))
    chosen = np.where(is_near[..., None], (first + second) / 2, np.where(is_first[..., None], first, second))
    return chosen, _mean(score), {name: _mean(values) for name, values in trust.items()}


def _mean(values: Float[np.ndarray, "M ..."]) -> Float[np.ndarray, "N ..."]:
    return np.add(*np.split(values, 2)) / 2

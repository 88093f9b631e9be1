"""How close each kind of keypoint lands: the spread of OPKS per keypoint, over the people who have it labelled."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

THRESHOLDS = (0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class SimilarityTable:
    """OPKS per keypoint, labelled ones only; everything but `count` is NaN for a keypoint that nobody has labelled.

    `share[j]` is the share of labelled keypoints with OPKS of `thresholds[j]` or more.
    """

    count: Int[np.ndarray, " K"]
    mean: Float[np.ndarray, " K"]
    lower_quartile: Float[np.ndarray, " K"]
    median: Float[np.ndarray, " K"]
    upper_quartile: Float[np.ndarray, " K"]
    share: Float[np.ndarray, "T K"]
    thresholds: tuple[float, ...]


def similarity_table(
    opks: Float[np.ndarray, "N K"], labelled: Bool[np.ndarray, "N K"], thresholds: tuple[float, ...] = THRESHOLDS
) -> SimilarityTable:
    """The table of OPKS (N, K), 0–1, over the keypoints that are `labelled` (v > 0). Quartiles interpolate linearly.

    Raises ValueError where the shapes differ. OPKS: HPCVNet poster.
    """
    if opks.shape != labelled.shape:
        raise ValueError(f"labelled: expected the shape of opks {opks.shape}, got {labelled.shape}")
    rows = [_column(opks[labelled[:, k], k], thresholds) for k in range(opks.shape[1])]
    columns = np.array(rows, dtype=np.float64).reshape(opks.shape[1], 4 + len(thresholds)).T  # (4 + T, K)
    mean, lower, median, upper = columns[:4]
    return SimilarityTable(labelled.sum(axis=0), mean, lower, median, upper, columns[4:], tuple(thresholds))


def _column(values: np.ndarray, thresholds: tuple[float, ...]) -> list[float]:
    if len(values) == 0:
        return [float("nan")] * (4 + len(thresholds))
    shares = (values[:, None] >= np.array(thresholds)).mean(axis=0)
    return [float(values.mean()), *np.quantile(values, (0.25, 0.5, 0.75)).tolist(), *shares.tolist()]

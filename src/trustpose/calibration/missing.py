"""Features of missing keypoints, which have a printed score but no position.

A tree's split compares with a threshold, and NaN would compare like the smallest number. So undefined features of a
missing keypoint are `NOWHERE`: as a coordinate a whole box before the box, as a length negative; found keypoints hardly
ever have such values, so one split separates them. Predictions for other keypoints are not affected. `missing` (K, N)
is None if no keypoint is; then, and for people without missing keypoints, all features are the usual ones.
"""

import numpy as np
from jaxtyping import Bool, Float, Shaped

NOWHERE = np.float32(-1)

Missing = Bool[np.ndarray, "K N"] | None


def unless_missing(
    column: Float[np.ndarray, "*K N"], missing: Bool[np.ndarray, "*K N"] | None, value: np.float32 = NOWHERE
) -> Float[np.ndarray, "*K N"]:
    """Return the column with `value` where something is missing."""
    return column if missing is None else np.where(missing, value, column)


def either(missing: Missing, a: int, b: int) -> Bool[np.ndarray, " N"] | None:
    """Return where (N,) one of two keypoints is missing."""
    return None if missing is None else missing[a] | missing[b]


def mean_of_found(column: Shaped[np.ndarray, "K N"], missing: Missing) -> Float[np.ndarray, " N"]:
    """Return the mean (N,) over keypoints that are not missing, `NOWHERE` without any."""
    if missing is None:
        return column.mean(axis=0, dtype=np.float32)
    count = np.count_nonzero(~missing, axis=0).astype(np.float32)
    total = np.where(missing, np.float32(0), column).sum(axis=0, dtype=np.float32)
    return np.where(count > 0, total / np.maximum(count, 1), NOWHERE)


def extent_of_found(
    axis: Float[np.ndarray, "K N"], missing: Missing
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Return minimum and maximum (N,) over keypoints that are not missing, `NOWHERE` without any."""
    if missing is None:
        return axis.min(axis=0), axis.max(axis=0)
    low = axis.min(axis=0, where=~missing, initial=np.float32(np.inf))
    high = axis.max(axis=0, where=~missing, initial=np.float32(-np.inf))
    none_found = missing.all(axis=0)
    return np.where(none_found, NOWHERE, low), np.where(none_found, NOWHERE, high)

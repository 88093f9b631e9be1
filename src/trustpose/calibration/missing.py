"""What features say of keypoints that are missing: they have a printed score, and no place.

Trees ask "greater than?", which NaN would answer as the smallest number does. So what a missing keypoint has no value
for gets `NOWHERE`: as a place a whole box before the box, as a length below 0, numbers that found ones hardly ever
take, and one question tells it apart. It does not influence the predictions for others. `missing` (K, N) is None where
no keypoint is; then, and for people without missing keypoints, everything is as if there were no such thing.
"""

import numpy as np
from jaxtyping import Bool, Float, Shaped

NOWHERE = np.float32(-1)

Missing = Bool[np.ndarray, "K N"] | None


def unless_missing(
    column: Float[np.ndarray, "*K N"], missing: Bool[np.ndarray, "*K N"] | None, value: np.float32 = NOWHERE
) -> Float[np.ndarray, "*K N"]:
    """The column with `value` where something is missing."""
    return column if missing is None else np.where(missing, value, column)


def either(missing: Missing, a: int, b: int) -> Bool[np.ndarray, " N"] | None:
    """Where (N,) one of two keypoints is missing."""
    return None if missing is None else missing[a] | missing[b]


def mean_of_found(column: Shaped[np.ndarray, "K N"], missing: Missing) -> Float[np.ndarray, " N"]:
    """The mean (N,) over keypoints that are not missing, `NOWHERE` without any."""
    if missing is None:
        return column.mean(axis=0, dtype=np.float32)
    count = np.count_nonzero(~missing, axis=0).astype(np.float32)
    total = np.where(missing, np.float32(0), column).sum(axis=0, dtype=np.float32)
    return np.where(count > 0, total / np.maximum(count, 1), NOWHERE)


def extent_of_found(
    axis: Float[np.ndarray, "K N"], missing: Missing
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """The lowest and highest (N,) of keypoints that are not missing, `NOWHERE` without any."""
    if missing is None:
        return axis.min(axis=0), axis.max(axis=0)
    low = axis.min(axis=0, where=~missing, initial=np.float32(np.inf))
    high = axis.max(axis=0, where=~missing, initial=np.float32(-np.inf))
    nobody = missing.all(axis=0)
    return np.where(nobody, NOWHERE, low), np.where(nobody, NOWHERE, high)

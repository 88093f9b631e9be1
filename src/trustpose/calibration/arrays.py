"""Arrays of a calibrator: names, shapes, dtypes and ranges of its file's, and features of missing keypoints."""

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Bool, Float, Num, Shaped

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
LARGEST = 1e12  # absolute value of any number in a calibrator: squares and sums stay finite in float32


def expect_names(columns: Mapping[str, np.ndarray], names: Collection[str], optional: Collection[str] = ()) -> None:
    """Raise KeyError for a missing name and ValueError for an unknown one."""
    for name in names:
        if name not in columns:
            raise KeyError(name)
    unknown = next((name for name in columns if name not in (*names, *optional)), None)
    if unknown is not None:
        raise ValueError(f"array {unknown[:40]!r} is unknown")


def expect_numbers(
    column: Shaped[np.ndarray, "..."],
    name: str,
    shape: tuple[int | None, ...],
    *,
    kinds: str = "f",
    minimum: float | None = None,
    maximum: float = LARGEST,
) -> Num[np.ndarray, "..."]:
    """Return the column after checks. `shape`: None for any length. `kinds`: of its dtype; "iu" are integers.

    Raises ValueError for another shape or kind, or a number outside minimum … maximum (−maximum … maximum if `minimum`
    is None), including NaN.
    """
    fits = len(shape) == column.ndim and all(want in (None, has) for want, has in zip(shape, column.shape, strict=True))
    minimum = -maximum if minimum is None else minimum
    is_kind = column.dtype.kind in kinds and (kinds != "f" or column.dtype in _FLOATS)
    if not fits or not is_kind or not ((column >= minimum) & (column <= maximum)).all():
        listed = ", ".join("any" if want is None else str(want) for want in shape)
        raise ValueError(
            f"{name}: expected numbers from {minimum:g} to {maximum:g} of shape ({listed}), "
            f"got {column.dtype} of shape {column.shape}"
        )
    return column


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

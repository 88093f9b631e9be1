"""The arrays of a calibrator's file, checked as they are read: their names, shapes, dtypes and ranges."""

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Num, Shaped

LARGEST = 1e12  # absolute value of any number in a calibrator: squares and sums stay finite in float32
MISSING_FEATURE = np.float32(-1)  # of a missing keypoint; lengths are not negative, so that trees tell it apart
_FLOAT_TYPES = (np.dtype(np.float32), np.dtype(np.float64))


def check_names(arrays: Mapping[str, np.ndarray], required: Collection[str], optional: Collection[str] = ()) -> None:
    """Raise KeyError for a required array that is missing, and ValueError for one that is neither required nor
    optional."""
    for name in required:
        if name not in arrays:
            raise KeyError(name)
    unknown = next((name for name in arrays if name not in (*required, *optional)), None)
    if unknown is not None:
        raise ValueError(f"array {unknown[:40]!r} is unknown")


def checked_array(
    array: Shaped[np.ndarray, "..."],
    name: str,
    shape: tuple[int | None, ...],
    *,
    kinds: str = "f",
    minimum: float | None = None,
    maximum: float = LARGEST,
) -> Num[np.ndarray, "..."]:
    """Return an array that has the expected shape, dtype and range.

    Args:
        array: as the file has it.
        name: names it in the error.
        shape: the expected length of each axis; None: any length.
        kinds: the accepted kinds of dtype, as numpy's `dtype.kind`: "f" is float32 or float64, "iu" whole numbers.
        minimum: the smallest accepted number; None: −`maximum`.
        maximum: the largest accepted number.

    Raises:
        ValueError: for another shape or dtype, or a number outside the range, NaN included.
    """
    minimum = -maximum if minimum is None else minimum
    has_shape = len(shape) == array.ndim and all(
        expected in (None, length) for expected, length in zip(shape, array.shape, strict=True)
    )
    has_type = array.dtype.kind in kinds and (kinds != "f" or array.dtype in _FLOAT_TYPES)
    if not has_shape or not has_type or not ((array >= minimum) & (array <= maximum)).all():
        lengths = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(
            f"{name}: expected numbers from {minimum:g} to {maximum:g} of shape ({lengths}), "
            f"got {array.dtype} of shape {array.shape}"
        )
    return array

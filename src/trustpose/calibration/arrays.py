"""Validate the arrays of a calibrator's file: names, shapes, dtypes and ranges."""

from collections.abc import Collection, Mapping

import numpy as np
from jaxtyping import Num, Shaped

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

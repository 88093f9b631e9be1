"""`keypoint_std` of smoothed results: the standard deviation of each joint after `trustpose smooth`, pixels."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from trustpose.io.columns import Rows
from trustpose.io.parquet import parts_in
from trustpose.io.row_stream import open_rows
from trustpose.io.tables import is_results_table

FIELD = "keypoint_std"


def smoothed_std_in(rows: Rows, count: int) -> Float[np.ndarray, "N K"] | None:
    """Return the standard deviations (N, K) in rows of results, NaN for joints and rows without; None if no row has
    any.

    Args:
        rows: of the results.
        count: K keypoints.

    Raises:
        InputError: naming the row, for anything but a number above 0, or null, for each keypoint.
    """
    if not rows.has(FIELD):
        return None
    std = np.full((len(rows), count), np.nan)
    for row, cell in enumerate(rows.values(FIELD)):
        if cell is None:
            continue
        cells = list(cell) if isinstance(cell, (list, tuple, np.ndarray)) else []
        is_number = [
            value is None or (isinstance(value, (int, float)) and (value > 0 or np.isnan(value))) for value in cells
        ]
        if len(cells) != count or not all(is_number):
            raise rows.fail(row, FIELD, f"a number above 0, or null, for each of {count} keypoints", cell)
        std[row] = [np.nan if value is None else value for value in cells]
    return std if np.isfinite(std).any() else None


def smoothed_std_of_file(path: str | Path, count: int) -> Float[np.ndarray, "N K"] | None:
    """Return those of a results file, in the order of `read_poses`; None for one that was not smoothed. Raises
    InputError as `smoothed_std_in` does."""
    if not _mentions_field(Path(path)):
        return None
    batch = open_rows(path, whole_photos=False).whole()
    std = smoothed_std_in(batch.rows, count)
    if std is None or is_results_table(path):  # whose poses are in the order of their photos, as the batch is
        return std
    in_file = np.empty_like(std)
    in_file[batch.position] = std
    return in_file


def _mentions_field(path: Path) -> bool:
    files = parts_in(path) if path.is_dir() else [path]
    return any(file.is_file() and FIELD.encode() in file.read_bytes() for file in files)

"""Rows of results written as Parquet in random pieces: files, and row groups within them."""

from pathlib import Path
from typing import Any

import numpy as np


def write_parts(
    folder: Path,
    rows: list[dict[str, Any]],
    random: np.random.Generator,
    *,
    cuts: list[int] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write rows in their order, cut at random, or at `cuts`, into parts of row groups of one to twenty rows."""
    import pyarrow.parquet as parquet

    from trustpose.poses.tables import arrow_table

    folder.mkdir()
    if cuts is None:
        cuts = np.sort(random.integers(0, len(rows) + 1, random.integers(0, 5))).tolist()
    for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(rows)], strict=True)):
        table = arrow_table(rows[start:end])
        table = table.replace_schema_metadata(metadata) if metadata else table
        parquet.write_table(table, folder / f"{number:02}.parquet", row_group_size=int(random.integers(1, 20)))
    return folder

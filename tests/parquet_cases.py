"""Rows of results in all layouts: JSON, CSV, and Parquet in random pieces, which are files and row groups in them."""

import csv
import io
import json
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


def write_layouts(folder: Path, rows: list[dict[str, Any]]) -> list[Path]:
    """Write the same rows as JSON, CSV, one Parquet file and a folder of parts."""
    random = np.random.default_rng(len(rows))
    folder.mkdir()
    (folder / "results.json").write_text(json.dumps(rows))
    (folder / "results.csv").write_text(as_csv(rows))
    write_parts(folder / "one", rows, random, cuts=[])
    (folder / "one" / "00.parquet").rename(folder / "one.parquet")
    parts = write_parts(folder / "parts", rows, random, cuts=sorted(random.integers(0, len(rows) + 1, 4).tolist()))
    return [folder / "results.json", folder / "results.csv", folder / "one.parquet", parts]


def as_csv(rows: list[dict[str, Any]]) -> str:
    """Rows as CSV, a JSON value a cell."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(names)
    writer.writerows([json.dumps(row[name]) if name in row else "" for name in names] for row in rows)
    return text.getvalue()

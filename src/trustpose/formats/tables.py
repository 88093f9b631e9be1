"""Write COCO results as JSON, CSV or Parquet, one row per pose or, tidy, per keypoint; read them with one row per pose.

In CSV a cell with several numbers is JSON, numbers have all their digits, and an empty cell is a field that the row
lacks. Parquet needs the extra `tables`.
"""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from jaxtyping import Float, Int

from trustpose.files import InputError, atomic_write, write_json
from trustpose.formats.error_files import write_errors
from trustpose.images import Images
from trustpose.names import expected_one_of
from trustpose.poses import Poses
from trustpose.poses.poses import Texts
from trustpose.poses.tables import arrow_table, package, tidy_rows

FORMATS = ("json", "csv", "parquet")
_LARGEST_CELL = 2**24  # characters; 133 keypoints with visibility have 20,000


def check_format(format_: str) -> None:
    """Raise InputError for an unknown format, and for Parquet if pyarrow is missing."""
    if format_ not in FORMATS:
        raise InputError(f"--format: {expected_one_of(FORMATS, format_)}")
    if format_ == "parquet":
        _parquet()


def write_table(
    path: str | Path,
    poses: Poses | None,
    *,
    format: str = "json",
    tidy: bool = False,
    images: Images | None = None,
    score: Float[np.ndarray, " N"] | None = None,
    category_id: Int[np.ndarray, " N"] | int = 1,
    texts: Texts | None = None,
) -> None:
    """Write poses as COCO results in a format of `FORMATS`, atomically; None stands for no poses.

    `score`, `category_id` and `texts` are as for `Poses.to_coco`. With `images`, rows have their photo's `file_name` if
    known, which our readers ignore. An error model of the poses goes into a file beside them (`formats.error_files`).
    Raises InputError, and ValueError as `Poses.to_coco` does.
    """
    check_format(format)
    rows = [] if poses is None else poses.to_coco(score=score, category_id=category_id, texts=texts)
    if images is not None and poses is not None and poses.image_id is not None:
        names = images.names()
        for row, image in zip(rows, poses.image_id.tolist(), strict=True):
            row |= {"file_name": names[image]} if image in names else {}
    if tidy and poses is not None:
        rows = tidy_rows(poses, rows)
    if format == "json":
        write_json(path, rows)
    elif format == "csv":
        with atomic_write(Path(path)) as file:
            file.write(csv_text(rows, list(dict.fromkeys(name for row in rows for name in row))).encode())
    else:
        content = io.BytesIO()
        _parquet().write_table(arrow_table(rows), content)
        with atomic_write(Path(path)) as file:
            file.write(content.getvalue())
    write_errors(path, None if poses is None else poses.error_model)


def read_rows(content: bytes, path: str | Path) -> list[dict[str, Any]] | None:
    """Return the rows of a table written by `write_table`, recognised by suffix; None for other files. Raises
    InputError."""
    suffix = Path(path).suffix.lower()
    if suffix == ".parquet":
        try:
            rows = _parquet().read_table(io.BytesIO(content)).to_pylist()
        except (OSError, ValueError, MemoryError, KeyError, TypeError, NotImplementedError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{path}: is not a readable Parquet file ({str(error).splitlines()[0]})") from None
    elif suffix == ".csv":
        rows = _rows_of_csv(content, path)
    else:
        return None
    if rows and "keypoints" not in rows[0]:
        raise InputError(f"{path}: column 'keypoints' is missing, expected one row per pose (not --tidy)")
    return [{name: cell for name, cell in row.items() if cell is not None} for row in rows]


def csv_text(rows: list[dict[str, Any]], names: Sequence[str], *, has_header: bool = True) -> str:
    """Return rows as CSV with these columns."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if has_header:
        writer.writerow(names)
    writer.writerows([_cell(row.get(name)) for name in names] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return orjson.dumps(value).decode()


def _rows_of_csv(content: bytes, path: str | Path) -> list[dict[str, Any]]:
    csv.field_size_limit(_LARGEST_CELL)
    try:
        names, *lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
    except (UnicodeDecodeError, csv.Error, ValueError) as error:
        raise InputError(f"{path}: is not a readable CSV file ({error})") from None
    wrong = next((index for index, line in enumerate(lines) if len(line) != len(names)), None)
    if wrong is not None:
        raise InputError(f"{path}: row {wrong}: expected {len(names)} cells, got {len(lines[wrong])}")
    return [{name: _value(cell) for name, cell in zip(names, line, strict=True) if cell} for line in lines]


def _value(cell: str) -> Any:
    """Parse a cell as JSON, else return it as text."""
    try:
        return orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell


def _parquet() -> Any:
    try:
        return package("pyarrow.parquet")
    except ImportError as error:
        raise InputError(str(error)) from None

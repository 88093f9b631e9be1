"""One block's poses as a Parquet file, a row a pose: the columns of `io.tables`, all of them in every file.

Blocks without people, or without a field that others have, could not be read as one table otherwise. The file's
metadata has the counts of its photos, and which of them could not be read and why: a block leaves one file.
"""

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import orjson

from trustpose.files import InputError
from trustpose.json_records import read_record
from trustpose.poses import Poses
from trustpose.poses.tables import package
from trustpose.scale.storage import StoragePath

KEY = b"trustpose"


@dataclass(frozen=True)
class Unread:
    """A photo that gave no result: its id, its name, and the reason."""

    image_id: int
    file: str
    reason: str


@dataclass(frozen=True)
class Counts:
    """The counts of one block: its photos (unreadable ones included), its people, its photos without people, and the
    unreadable photos."""

    photos: int = 0
    people: int = 0
    without_people: int = 0
    unread: tuple[Unread, ...] = field(default=())

    def to_json(self) -> bytes:
        """Return them as JSON."""
        return orjson.dumps(asdict(self))

    @classmethod
    def from_json(cls, content: bytes) -> "Counts":
        """Build the counts from the output of `to_json`."""
        return read_record(cls, orjson.loads(content))


def pose_schema() -> Any:
    """Return the `pyarrow.Schema` of the poses."""
    arrow = package("pyarrow")
    whole, number = arrow.int64(), arrow.float64()
    numbers, wholes = arrow.list_(number), arrow.list_(whole)
    columns = {
        **{"image_id": whole, "category_id": whole, "keypoints": numbers, "score": number},
        **{"annotation_id": whole, "track_id": whole, "bbox": numbers, "bbox_score": number},
        **{"pose_score": number, "presence": number, "pose_quality": number, "keypoint_quality": numbers},
        **{"visibility": arrow.list_(numbers), "visibility_label": wholes, "keypoint_missing": wholes},
        "file_name": arrow.string(),
    }
    return arrow.schema(list(columns.items()))


def error_schema() -> Any:
    """Return the `pyarrow.Schema` of errors.parquet."""
    arrow = package("pyarrow")
    return arrow.schema([("file", arrow.string()), ("reason", arrow.string()), ("image_id", arrow.int64())])


def block_content(photos: Sequence[tuple[str, Poses]], counts: Counts) -> bytes:
    """Return the Parquet file of one block: each photo's name and poses.

    `pose_score` is always there if the estimator gives one: whether it equals `score` in all rows is not known from one
    block.
    """
    rows: list[dict[str, Any]] = []
    for name, poses in photos:
        pose_score = [None] * len(poses) if poses.pose_score is None else _numbers(poses.pose_score)
        rows += [
            row | {"pose_score": score, "file_name": name}
            for row, score in zip(poses.to_coco(), pose_score, strict=True)
        ]
    schema = pose_schema()
    lacking = {name for row in rows for name in row} - set(schema.names)
    if lacking:
        raise ValueError(f"rows: no column for {', '.join(sorted(lacking))}")
    table = package("pyarrow").Table.from_pylist(rows, schema=schema)
    return parquet_bytes(table.replace_schema_metadata({KEY: counts.to_json()}))


def _numbers(column: np.ndarray) -> list[float | None]:
    return [None if np.isnan(value) else value for value in column.astype(np.float64).tolist()]


def errors_content(unread: Sequence[Unread]) -> bytes:
    """Return errors.parquet."""
    rows = [{"file": photo.file, "reason": photo.reason, "image_id": photo.image_id} for photo in unread]
    return parquet_bytes(package("pyarrow").Table.from_pylist(rows, schema=error_schema()))


def read_counts(file: StoragePath) -> Counts:
    """Return the counts in a block's file. Raises InputError if it is not one."""
    arrow = package("pyarrow")
    try:
        with file.open() as opened:
            metadata = package("pyarrow.parquet").ParquetFile(opened).schema_arrow.metadata or {}
        return Counts.from_json(metadata[KEY])
    except (OSError, KeyError, TypeError, ValueError, arrow.ArrowException) as error:
        raise InputError(f"{file.name}: is not a file of poses of such a run ({type(error).__name__})") from None


def parquet_bytes(table: Any) -> bytes:
    """Return a table as the content of a Parquet file."""
    content = io.BytesIO()
    package("pyarrow.parquet").write_table(table, content, compression="zstd")
    return content.getvalue()

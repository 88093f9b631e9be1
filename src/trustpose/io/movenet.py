"""Read poses of TensorFlow's samples: MoveNet's CSV, and what TensorFlow.js prints.

Format: TensorFlow's tutorial "Human Pose Classification with MoveNet and TensorFlow Lite" (Apache-2.0) writes a row a
photo: `file_name`, then NOSE_x, NOSE_y, NOSE_score and so on in pixels, then `class_no` and `class_name`. TensorFlow.js
(`@tensorflow-models/pose-detection`, its README; Apache-2.0) gives a list of poses of one photo, each with `keypoints`
of x, y in pixels, `score` and `name`, and, from MoveNet MultiPose, `score`, `box` in shares of the photo and `id`.
"""

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any

import numpy as np
from msgspec import Meta

from trustpose.files import InputError
from trustpose.io.csv_rows import check_width, first_row, numbers, read_rows
from trustpose.io.tool_poses import ToolPoses, no_people
from trustpose.json_records import Number, OpenRecord, read_records
from trustpose.poses import MISSING_ID, Poses
from trustpose.skeletons import Skeleton, find_skeleton

_ENDINGS = ("_x", "_y", "_score")
_CLASS = ("class_no", "class_name")


def fits_csv(content: bytes) -> bool:
    """Return whether a CSV file has the tutorial's header."""
    header = first_row(content)
    return header[:1] == ["file_name"] and len(header) > 3 and header[1].endswith("_x")


def read_csv(content: bytes, path: str) -> ToolPoses:
    """Return the poses of a file, one a row. Raises InputError."""
    header, *rows = read_rows(content, path)
    columns = header[1 : len(header) - 2] if tuple(header[-2:]) == _CLASS else header[1:]
    names = [column.removesuffix("_x") for column in columns[::3]]
    expected = [name + ending for name in names for ending in _ENDINGS]
    if columns != expected or len(set(names)) != len(names):
        wrong = next((pair for pair in zip(expected, columns, strict=False) if len(set(pair)) > 1), (expected[-1], ""))
        raise InputError(f"{path}: header: expected {wrong[0]!r}, got {wrong[1][:30]!r}")
    if not rows:
        return no_people(path)
    check_width(rows, len(header), path, first_line=2)
    table = numbers(rows, 1, 1 + len(columns), path, first_line=2).reshape(len(rows), -1, 3)
    if np.isnan(table).any():
        raise InputError(f"{path}: line {2 + int(np.argwhere(np.isnan(table))[0, 0])}: expected x, y, score")
    names = [name.lower() for name in names]
    photo = tuple(PurePath(row[0].replace("\\", "/")).name for row in rows)
    if not all(photo):
        raise InputError(f"{path}: line {2 + photo.index('')}: 'file_name': expected the photo's name")
    return ToolPoses(path, Poses(xy=table[..., :2], score=table[..., 2]), photo=photo, skeleton=_skeleton(names, path))


def fits_json(value: Any) -> bool:
    """Return whether a JSON value is a list of TensorFlow.js' poses."""
    first = value[0] if isinstance(value, list) and value else None
    points = first.get("keypoints") if isinstance(first, dict) else None
    return isinstance(points, list) and bool(points) and isinstance(points[0], dict) and {"x", "y"} <= set(points[0])


@dataclass(frozen=True)
class _Point(OpenRecord):
    x: Number
    y: Number
    score: Number
    name: Any = None


@dataclass(frozen=True)
class _Pose(OpenRecord):
    keypoints: Annotated[tuple[_Point, ...], Meta(min_length=1, description="a list of objects with x, y and score")]
    score: Number | None = None
    id: Annotated[int, Meta(ge=MISSING_ID, le=2**63 - 1, description="a whole number of at least 0")] | None = None


def read_json(value: Any, path: str) -> ToolPoses:
    """Return the poses of one photo, which has the file's name. Raises InputError."""
    people = read_records(_Pose, value, path, "pose")
    names = [point.name for point in people[0].keypoints]
    for row, person in enumerate(people):
        if len(person.keypoints) != len(names):
            expected = f"{len(names)} keypoints, as in the first pose"
            raise InputError(f"{path}: pose {row}: field 'keypoints': expected {expected}, got {len(person.keypoints)}")
    is_named = all(isinstance(name, str) and name for name in names)
    if is_named and any([point.name for point in person.keypoints] != names for person in people):
        raise InputError(f"{path}: field 'keypoints': expected the same names in the same order in each pose")
    table = np.array([[(point.x, point.y, point.score) for point in person.keypoints] for person in people])
    poses = Poses(
        xy=table[..., :2],
        score=table[..., 2],
        pose_score=_column([person.score for person in people], np.nan),
        track_id=_column([person.id for person in people], MISSING_ID),
    )
    skeleton = _skeleton(names, path) if is_named else None
    return ToolPoses(path, poses, photo=(Path(path).stem,) * len(poses), skeleton=skeleton)


def _column(values: list[Any], missing: float) -> np.ndarray | None:
    """Return an array (N,) of values with `missing` for None; None if it has no others."""
    is_filled = any(value is not None for value in values)
    return np.array([missing if value is None else value for value in values]) if is_filled else None


def _skeleton(names: list[str], path: str) -> Skeleton:
    if len(set(names)) != len(names):
        raise InputError(f"{path}: field 'keypoints': expected each name once")
    return find_skeleton(tuple(names)) or Skeleton("the file's keypoints", tuple(names), ())

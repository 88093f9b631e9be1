"""Read poses of TensorFlow's samples: MoveNet's CSV, and what TensorFlow.js prints.

Format: TensorFlow's tutorial "Human Pose Classification with MoveNet and TensorFlow Lite" (Apache-2.0) writes a row a
photo: `file_name`, then NOSE_x, NOSE_y, NOSE_score and so on in pixels, then `class_no` and `class_name`. TensorFlow.js
(`@tensorflow-models/pose-detection`, its README; Apache-2.0) gives a list of poses of one photo, each with `keypoints`
of x, y in pixels, `score` and `name`, and, from MoveNet MultiPose, `score`, `box` in shares of the photo and `id`.
"""

from pathlib import Path, PurePath
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.columns import Rows
from trustpose.io.csv_rows import check_width, first_row, numbers, read_rows
from trustpose.io.tool_poses import ToolPoses, no_people
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


def read_json(value: Any, path: str) -> ToolPoses:
    """Return the poses of one photo, which has the file's name. Raises InputError."""
    rows = Rows.of(value, path, "pose")
    people = [_points(rows, row) for row in range(len(rows))]
    count = len(people[0])
    for row, points in enumerate(people):
        if len(points) != count:
            raise rows.fail(row, "keypoints", f"{count} keypoints, as in the first pose", points)
    table = np.array([_numbers(points, rows, row) for row, points in enumerate(people)], dtype=np.float64)
    names = [point.get("name") for point in people[0]]
    is_named = all(isinstance(name, str) and name for name in names)
    if is_named and any([point.get("name") for point in points] != names for points in people):
        raise InputError(f"{path}: field 'keypoints': expected the same names in the same order in each pose")
    track = rows.integers("id", optional=True)
    if track is not None and (track < MISSING_ID).any():
        raise rows.fail(int(np.argmin(track)), "id", "a whole number of at least 0", int(track.min()))
    pose_score = rows.numbers("score", optional=True)
    poses = Poses(xy=table[..., :2], score=table[..., 2], pose_score=pose_score, track_id=track)
    skeleton = _skeleton([str(name) for name in names], path) if is_named else None
    return ToolPoses(path, poses, photo=(Path(path).stem,) * len(poses), skeleton=skeleton)


def _points(rows: Rows, row: int) -> list[dict[str, Any]]:
    points = rows.rows[row].get("keypoints")
    if not isinstance(points, list) or not points or not all(isinstance(point, dict) for point in points):
        raise rows.fail(row, "keypoints", "a list of objects with x, y and score", points)
    return points


def _numbers(points: list[dict[str, Any]], rows: Rows, row: int) -> list[list[float]]:
    table: list[list[Any]] = [[point.get(field) for field in ("x", "y", "score")] for point in points]
    for values in table:
        if any(type(value) not in (int, float) or not abs(value) < 1e12 for value in values):
            raise rows.fail(row, "keypoints", "x, y and score of each keypoint as numbers", values)
    return table


def _skeleton(names: list[str], path: str) -> Skeleton:
    if len(set(names)) != len(names):
        raise InputError(f"{path}: field 'keypoints': expected each name once")
    return find_skeleton(tuple(names)) or Skeleton("the file's keypoints", tuple(names), ())

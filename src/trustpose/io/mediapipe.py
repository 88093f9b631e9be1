"""Read poses of MediaPipe's samples: the CSV of its pose classification, and results as JSON.

Format: MediaPipe's documentation. "Pose Classification" (its notebook "Extended"; Apache-2.0) writes rows without a
header: a photo's name, in the joint file then its class, and x, y, z in pixels of 33 landmarks; without visibility.
The Pose Landmarker for the web gives `landmarks`, a list of people with 33 landmarks each of x, y (shares of the
photo), z, `visibility`; the earlier "solutions" give one person, `poseLandmarks` in JavaScript and `landmark` as
protobuf's MessageToDict prints it in Python. `visibility` is taken for the keypoint's score.
"""

from pathlib import Path, PurePath
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.csv_rows import check_width, first_row, numbers, read_rows
from trustpose.io.tool_poses import ToolPoses, default_scores, no_people
from trustpose.json_records import short
from trustpose.poses import Poses
from trustpose.skeletons import BLAZEPOSE_33

_COUNT = len(BLAZEPOSE_33)
_OF_MANY = ("landmarks", "poseLandmarks", "pose_landmarks")  # people, or in the earlier solutions one person
_OF_ONE = ("landmark",)
_LEAST = {"x": -1e6, "y": -1e6, "visibility": 0.0}


def fits_csv(content: bytes) -> bool:
    """Return whether a CSV file's first row is a photo's name and three numbers of 33 landmarks."""
    cells = first_row(content)
    return _first_number(cells) is not None and all(map(_is_number, cells[_first_number(cells) or 0 :]))


def _first_number(cells: list[str]) -> int | None:
    """Return the index of the first landmark's cell; None if another number of cells follows a name."""
    start = len(cells) - 3 * _COUNT
    return start if start in (1, 2) and not _is_number(cells[0]) else None


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def read_csv(content: bytes, path: str) -> ToolPoses:
    """Return the poses of a file, one a row. Raises InputError."""
    rows = read_rows(content, path)
    start = _first_number(rows[0]) if rows else None
    if start is None:
        raise InputError(f"{path}: line 1: expected a photo's name, and x, y, z of {_COUNT} landmarks")
    check_width(rows, start + 3 * _COUNT, path, first_line=1)
    table = numbers(rows, start, start + 3 * _COUNT, path, first_line=1).reshape(len(rows), _COUNT, 3)
    if np.isnan(table).any():
        raise InputError(
            f"{path}: line {1 + int(np.argwhere(np.isnan(table))[0, 0])}: expected x, y, z of each landmark"
        )
    photo = tuple(PurePath(row[0].replace("\\", "/")).name for row in rows)
    if not all(photo):
        raise InputError(f"{path}: line {1 + photo.index('')}: expected the photo's name")
    score, notes = default_scores(table[..., :2])
    return ToolPoses(path, Poses(xy=table[..., :2], score=score), photo=photo, skeleton=BLAZEPOSE_33, notes=notes)


def fits_json(value: Any) -> bool:
    """Return whether a JSON value is a result of a photo."""
    if not isinstance(value, dict):
        return False
    return any(isinstance(value.get(field), list) for field in (*_OF_MANY, *_OF_ONE))


def read_json(value: Any, path: str) -> ToolPoses:
    """Return the people of one photo, which has the file's name. Raises InputError."""
    field = next(field for field in (*_OF_MANY, *_OF_ONE) if isinstance(value.get(field), list))
    people = value[field]
    photo = Path(path).stem
    if people and isinstance(people[0], dict):  # of the earlier solutions
        people = [people]
    if not people:
        return no_people(path, photo)
    table = np.array([_person(person, f"{path}: field {field!r}: person {row}") for row, person in enumerate(people)])
    poses = Poses(xy=table[..., :2], score=table[..., 2])
    return ToolPoses(path, poses, photo=(photo,) * len(poses), skeleton=BLAZEPOSE_33, is_relative=True)


def _person(landmarks: Any, name: str) -> list[list[float]]:
    """Return x, y, visibility of each landmark."""
    if not isinstance(landmarks, list) or len(landmarks) != _COUNT:
        got = len(landmarks) if isinstance(landmarks, list) else short(landmarks)
        raise InputError(f"{name}: expected {_COUNT} landmarks, got {got}")
    table = []
    for number, landmark in enumerate(landmarks):
        fields: dict[str, Any] = landmark if isinstance(landmark, dict) else {}
        for axis, lowest in _LEAST.items():
            value: Any = fields.get(axis)
            if type(value) not in (int, float) or not lowest <= value <= -_LEAST["x"]:
                raise InputError(f"{name}: landmark {number}: {axis!r}: expected a number, got {short(value)}")
        table.append([float(fields[axis]) for axis in _LEAST])
    return table

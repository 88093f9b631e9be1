"""Read poses of MediaPipe's samples: the CSV of its pose classification, and results as JSON.

Format: MediaPipe's documentation. "Pose Classification" (its notebook "Extended"; Apache-2.0) writes rows without a
header: a photo's name, in the joint file then its class, and x, y, z in pixels of 33 landmarks; without visibility.
The Pose Landmarker for the web gives `landmarks`, a list of people with 33 landmarks each of x, y (shares of the
photo), z, `visibility`; the earlier "solutions" give one person, `poseLandmarks` in JavaScript and `landmark` as
protobuf's MessageToDict prints it in Python. `visibility` is taken for the keypoint's score.
"""

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Annotated, Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.csv_rows import check_width, first_row, numbers, read_rows
from trustpose.io.tool_poses import ToolPoses, default_scores, no_people
from trustpose.json_records import OpenRecord, read_records, within
from trustpose.poses import Poses
from trustpose.skeletons import BLAZEPOSE_33

_COUNT = len(BLAZEPOSE_33)
_OF_MANY = ("landmarks", "poseLandmarks", "pose_landmarks")  # people, or in the earlier solutions one person
_OF_ONE = ("landmark",)


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


@dataclass(frozen=True)
class _Landmark(OpenRecord):
    x: Annotated[float, within(-1e6, 1e6)]
    y: Annotated[float, within(-1e6, 1e6)]
    visibility: Annotated[float, within(0, 1e6)]


def read_json(value: Any, path: str) -> ToolPoses:
    """Return the people of one photo, which has the file's name. Raises InputError."""
    field = next(field for field in (*_OF_MANY, *_OF_ONE) if isinstance(value.get(field), list))
    people = value[field]
    photo = Path(path).stem
    if people and isinstance(people[0], dict):  # of the earlier solutions
        people = [people]
    if not people:
        return no_people(path, photo)
    rows = []
    for index, person in enumerate(people):
        name = f"{path}: field {field!r}: person {index}"
        landmarks = read_records(_Landmark, person, name, "landmark")
        if len(landmarks) != _COUNT:
            raise InputError(f"{name}: expected {_COUNT} landmarks, got {len(landmarks)}")
        rows.append([(landmark.x, landmark.y, landmark.visibility) for landmark in landmarks])
    table = np.array(rows)
    poses = Poses(xy=table[..., :2], score=table[..., 2])
    return ToolPoses(path, poses, photo=(photo,) * len(poses), skeleton=BLAZEPOSE_33, is_relative=True)

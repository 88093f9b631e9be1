"""Read poses of Ultralytics: labels of `save_txt=True`, one file per photo, and `Results.to_json()`.

Format: Ultralytics' documentation of prediction and of its pose labels, and its announcement of `tojson`
(ultralytics/ultralytics#2131); it is AGPL-3.0, its source was not opened. A line of a label file is `class x y width
height`, then x, y, confidence of each keypoint, as fractions of the photo's width and height, then the person's
confidence with `save_conf=True`, then the track's number with tracking. `to_json()` is a list of `{name, class,
confidence, box: {x1, y1, x2, y2}, keypoints: {x, y, visible}}`, in pixels unless `normalize=True`, and does not name
its photo: the file must have the photo's name. `visible` is the keypoint's confidence. From October 2023 on (#5212)
both moved a keypoint with a confidence below 0.5 to 0, 0; release 8.4.190, whose output was compared with this reader,
does not. `predictions.json` of `val` is read by coco_variants.py.
"""

from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.columns import Rows
from trustpose.io.tool_poses import ToolPoses, no_people
from trustpose.poses import MISSING_ID, Poses

_BOX = ("x1", "y1", "x2", "y2")
_DROPPED_BELOW = 0.5  # confidence below which some releases move a keypoint to 0, 0


def fits(value: Any) -> bool:
    """Return whether a JSON value is from `Results.to_json()` (an empty list matches every tool)."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and isinstance(first.get("box"), dict)


def read(value: Any, path: str) -> ToolPoses:
    """Return the people of one photo, which has the file's name. Raises InputError."""
    rows = Rows.of(value, path, "detection")
    if not len(rows):
        return no_people(path, Path(path).stem)
    flat = [_flat(rows, index) for index in range(len(rows))]
    count = len(flat[0]["keypoints.x"])
    table = Rows(path, "detection", flat)
    of_each = f" (one of each of {count} keypoints)"
    x, y, visible = (table.lists(f"keypoints.{name}", count, description=of_each) for name in ("x", "y", "visible"))
    box, confidence = table.lists("box", 4, description=" (x1, y1, x2, y2)"), table.numbers("confidence")
    assert x is not None and y is not None and visible is not None and box is not None
    return ToolPoses(
        path,
        Poses(
            xy=np.stack([x, y], axis=2),
            score=visible,
            pose_score=confidence,
            box=box,
            box_score=confidence,
            track_id=table.integers("track_id", optional=True),
        ),
        photo=(Path(path).stem,) * len(rows),
        category=table.integers("class"),
        dropped_below=_DROPPED_BELOW,
        is_relative=bool(np.abs(box).max() <= 2),  # a fraction exceeds 1 by rounding only, and no box has 2 pixels
    )


def _flat(rows: Rows, index: int) -> dict[str, Any]:
    """Return a detection with its box as a list and its keypoints' lists as columns."""
    row = rows.rows[index]
    keypoints, box = row.get("keypoints"), row.get("box")
    if keypoints is None:
        raise InputError(
            f"{rows.path}: detection {index}: field 'keypoints' is missing, expected a pose model's results"
        )
    if not isinstance(keypoints, dict) or not isinstance(keypoints.get("x"), list) or not keypoints["x"]:
        raise rows.fail(index, "keypoints", "an object with lists x, y, visible", keypoints)
    if "visible" not in keypoints:
        raise InputError(
            f"{rows.path}: detection {index}: field 'keypoints.visible' is missing: the model gives no confidence of "
            "its keypoints (kpt_shape [K, 2])"
        )
    if not isinstance(box, dict) or any(name not in box for name in _BOX):
        raise rows.fail(index, "box", "an object with x1, y1, x2, y2", box)
    flat = {f"keypoints.{name}": keypoints.get(name) for name in ("x", "y", "visible")}
    return row | flat | {"box": [box[name] for name in _BOX]}


def read_labels(content: bytes, path: str, counts: tuple[int, ...]) -> ToolPoses:
    """Return the people of a label file, which has its photo's name, coordinates relative to its size.

    `counts` are the numbers of keypoints to try: a line does not state where its keypoints end. Raises InputError.
    """
    try:
        lines = [line.split() for line in content.decode("utf-8").splitlines()]
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not a text file") from None
    numbered = [(line_number, line) for line_number, line in enumerate(lines, 1) if line]
    if not numbered:
        return no_people(path, Path(path).stem)
    width = len(numbered[0][1])
    count = next((count for count in counts if 0 <= width - 5 - 3 * count <= 2), None)
    if count is None:
        listed = " or ".join(map(str, dict.fromkeys(counts)))
        if any(0 <= width - 5 - 2 * count <= 2 for count in counts):
            raise InputError(
                f"{path}: line {numbered[0][0]}: keypoints have x, y and no confidence, as models of kpt_shape [K, 2] "
                "and releases of early 2023 write them"
            )
        raise InputError(
            f"{path}: line {numbered[0][0]}: expected class, box and x, y, confidence of {listed} keypoints (then "
            f"confidence and track), got {width} numbers; --skeleton names other keypoints"
        )
    max_numbers = 5 + 3 * count + 2
    for line_number, line in numbered:
        if not max_numbers - 2 <= len(line) <= max_numbers:
            raise InputError(
                f"{path}: line {line_number}: expected {max_numbers - 2} to {max_numbers} numbers, got {len(line)}"
            )
    table = np.full((len(numbered), max_numbers), np.nan)
    for row, (line_number, line) in enumerate(numbered):
        table[row, : len(line)] = _line(line, line_number, path)
        last = table[row, max_numbers - 2]
        if len(line) == max_numbers - 1 and last >= 1 and last % 1 == 0:  # tracked without save_conf: a track's number
            table[row, max_numbers - 2 :] = np.nan, last
    return _from_table(table, count, path)


def _line(line: list[str], line_number: int, path: str) -> np.ndarray:
    try:
        numbers = np.array(line, dtype=np.float64)
    except ValueError:
        raise InputError(
            f"{path}: line {line_number}: expected numbers, got the text {' '.join(line)[:30]!r}"
        ) from None
    if not np.isfinite(numbers).all():
        raise InputError(f"{path}: line {line_number}: expected finite numbers")
    is_class = numbers[0] % 1 == 0 and 0 <= numbers[0] < 2**31
    if not is_class or (np.abs(numbers[1:5]) > 2).any() or (numbers[3:5] < 0).any():
        raise InputError(f"{path}: line {line_number}: expected a class and a box in fractions of the photo (0 to 1)")
    return numbers


def _from_table(table: np.ndarray, count: int, path: str) -> ToolPoses:
    """Convert rows of class, box, 3 × `count` numbers, confidence, track to poses; the last two may be NaN."""
    centre, size = table[:, 1:3], table[:, 3:5]
    keypoints = table[:, 5:-2].reshape(-1, count, 3)
    confidence, track = table[:, -2], table[:, -1]
    if (track % 1 > 0).any() or (track < 0).any() or (track > 2**53).any() or (np.abs(confidence - 0.5) > 0.5).any():
        raise InputError(f"{path}: expected a confidence of 0 to 1 and a track's number after the keypoints")
    is_scored, is_tracked = ~np.isnan(confidence).all(), ~np.isnan(track).all()
    return ToolPoses(
        path,
        Poses(
            xy=keypoints[:, :, :2],
            score=keypoints[:, :, 2],
            pose_score=confidence if is_scored else None,
            box=np.concatenate([centre - size / 2, centre + size / 2], axis=1),
            box_score=confidence if is_scored else None,
            track_id=np.nan_to_num(track, nan=MISSING_ID).astype(np.int64) if is_tracked else None,
        ),
        photo=(Path(path).stem,) * len(table),
        category=table[:, 0].astype(np.int64),
        is_relative=True,
        dropped_below=_DROPPED_BELOW,
    )

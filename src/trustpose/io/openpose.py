"""Read OpenPose's output of `--write_json`: one `NAME_keypoints.json` per photo or frame.

Format: OpenPose's documentation of its output (doc/02_output.md; the project's licence is for non-commercial use, and
its source was not opened). `people` is a list; `pose_keypoints_2d` is x, y, c of each keypoint, c from 0 to 1; a
missing keypoint is 0, 0, 0. The order is that of BODY_25, COCO_18 or MPI_15, recognised by the number of keypoints;
BODY_25B, of the training repository, has 25 too, and is told from BODY_25 by the people's limbs (`which_body_25`).
There is neither a score nor a box per person. Hands, faces and 3D points are ignored.
"""

from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.columns import Rows
from trustpose.io.tool_poses import ToolPoses, no_people
from trustpose.poses import MISSING_ID, Poses
from trustpose.skeletons import OPENPOSE_BODY_25, OPENPOSE_BODY_25B, OPENPOSE_COCO_18, OPENPOSE_MPI_15, Skeleton

SKELETONS: dict[int, Skeleton] = {
    len(skeleton): skeleton for skeleton in (OPENPOSE_BODY_25, OPENPOSE_COCO_18, OPENPOSE_MPI_15)
}
_FIELDS = ("pose_keypoints_2d", "pose_keypoints")  # the second up to version 1.0
_FEWEST_LIMBS = 4  # of a pose, in either order, so that its limbs say which one it has
# Mean limb in the order of BODY_25 / mean limb in that of BODY_25B. Of COCO val2017's people, labels written in the
# first order have less than 0.85 in 99.6 %, and in the second more than 1 in 85 % (medians of five people: in 99 %).
_SURELY_25, _SURELY_25B = 0.85, 1.0


def fits(value: Any) -> bool:
    """Return whether a JSON value is from OpenPose, or a tool with the same format."""
    return isinstance(value, dict) and isinstance(value.get("people"), list)


def read(value: Any, path: str) -> ToolPoses:
    """Return the people of a file; the photo's name is the file's without `_keypoints`. Raises InputError."""
    return people(value, path, Path(path).stem.removesuffix("_keypoints"))


def people(value: Any, path: str, photo: str) -> ToolPoses:
    """Return the people of the photo named `photo`. Raises InputError."""
    if not isinstance(value, dict) or not isinstance(value.get("people"), list):
        raise InputError(f"{path}: field 'people': expected a list of people, in an object")
    rows = Rows.of(value["people"], path, "person")
    field = next((name for name in _FIELDS if name in rows.fields), _FIELDS[0])
    with_body = [row for row in rows.rows if row.get(field) != []]  # a person may have hands or a face only
    without_body = len(rows) - len(with_body)
    if not with_body:
        return no_people(path, photo, without_body=without_body)
    poses = poses_of(Rows(path, "person", with_body), field)
    if 0 < np.abs(poses.xy).max() <= 1:
        raise InputError(
            f"{path}: field '{field}': all coordinates are within 1, as --keypoint_scale 3 and 4 write them; "
            "expected pixels of the photo (--keypoint_scale 0)"
        )
    skeleton = SKELETONS.get(poses.keypoint_count)
    return ToolPoses(path, poses, photo=(photo,) * len(poses), skeleton=skeleton, without_body=without_body)


def poses_of(rows: Rows, field: str) -> Poses:
    """Return poses from rows with one flat list of x, y, c. Raises InputError."""
    first = rows.rows[0].get(field)
    if not isinstance(first, list) or not first or len(first) % 3:
        raise rows.fail(0, field, "a list of x, y, c for each keypoint", first)
    count = len(first) // 3
    table = rows.lists(field, 3 * count, description=f" (x, y, c of {count} keypoints)")
    assert table is not None
    keypoints = table.reshape(-1, count, 3)
    return Poses(xy=keypoints[:, :, :2], score=keypoints[:, :, 2], track_id=_track_ids(rows))


def which_body_25(poses: Poses) -> tuple[Skeleton, str | None]:
    """Return which of OpenPose's two orders of 25 keypoints the N poses have, and a note for the user unless it is
    BODY_25 beyond doubt.

    In the wrong order limbs join joints that are far apart. Each pose's mean limb is compared in both orders, and the
    median over the poses decides; where they say nothing it is BODY_25, the usual one.
    """
    body_25, body_25b = (_mean_limb(poses, skeleton) for skeleton in (OPENPOSE_BODY_25, OPENPOSE_BODY_25B))
    comparable = (body_25 > 0) & (body_25b > 0)
    ratio = float(np.median(body_25[comparable] / body_25b[comparable])) if comparable.any() else 0.0
    if ratio > _SURELY_25B:
        names = f"{OPENPOSE_BODY_25B.name}, not {OPENPOSE_BODY_25.name}"
        return OPENPOSE_BODY_25B, f"25 keypoints read as {names}, by the lengths of limbs; --skeleton overrides this"
    if ratio > _SURELY_25:
        names = f"{OPENPOSE_BODY_25.name} or {OPENPOSE_BODY_25B.name}"
        return OPENPOSE_BODY_25, f"25 keypoints may be {names}, read as the first; --skeleton overrides this"
    return OPENPOSE_BODY_25, None


def _mean_limb(poses: Poses, skeleton: Skeleton) -> np.ndarray:
    """Return the mean length (N,) of the limbs between placed keypoints, in pixels; 0 with fewer than four."""
    start, end = np.array(skeleton.edges).T
    placed = np.asarray(np.isfinite(poses.xy).all(axis=2))
    placed = placed if poses.missing is None else placed & ~poses.missing
    drawn = placed[:, start] & placed[:, end]  # (N, L)
    length = np.where(drawn, np.linalg.norm(poses.xy[:, start] - poses.xy[:, end], axis=2), 0.0)
    count = drawn.sum(axis=1)
    return np.where(count >= _FEWEST_LIMBS, length.sum(axis=1) / np.maximum(count, 1), 0.0)


def _track_ids(rows: Rows) -> np.ndarray | None:
    """Return `person_id`, a list of one number, -1 without tracking."""
    if "person_id" not in rows.fields:
        return None
    note = " (the person's number)"
    listed = rows.lists("person_id", 1, optional=True, description=note)
    if listed is None:
        return None
    numbers = np.nan_to_num(listed[:, 0], nan=MISSING_ID)
    wrong = (numbers % 1 != 0) | (np.abs(numbers) > 2**53)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise rows.fail(row, "person_id", f"a whole number{note}", float(numbers[row]))
    return None if (numbers < 0).all() else np.maximum(numbers, MISSING_ID).astype(np.int64)

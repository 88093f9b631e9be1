"""Read AlphaPose's `alphapose-results.json` in its own, 'cmu' and 'open' format.

Format: AlphaPose's documentation (doc/output.md, docs/run.md; the project's licence is for non-commercial use, and its
source was not opened), with `box` (x, y, width, height) and `idx` (the tracked person) as in results in its issues
(MVIG-SJTU/AlphaPose#1007). If its pose NMS merged poses, `idx` is a list of theirs, [[3.0], [7.0]]; without tracking it
is 0 for all (#761). `image_id` is a file's name, or for a video the frame's number with a suffix. `score` comes from
its pose NMS and exceeds 1; c is up to 1, or up to 6 with COCO models. Keypoints are COCO's 17, Halpe's 26 or MPII's 16
in its own format; in 'cmu' and 'open' OpenPose's 18 or 15, without a pose score.
"""

from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.coco.results import poses_of_rows
from trustpose.io.coco_variants import keypoint_count, name_photos
from trustpose.io.columns import Rows
from trustpose.io.openpose import people, poses_of
from trustpose.io.tool_poses import ToolPoses, join, no_people
from trustpose.skeletons import COCO_17, HALPE_26, MPII_16, OPENPOSE_COCO_18, OPENPOSE_MPI_15, Skeleton

SKELETONS: dict[int, Skeleton] = {
    len(skeleton): skeleton for skeleton in (COCO_17, HALPE_26, MPII_16, OPENPOSE_COCO_18, OPENPOSE_MPI_15)
}


def fits(value: Any) -> bool:
    """Return whether a JSON value has one of AlphaPose's formats (an empty list matches every tool)."""
    if isinstance(value, dict):
        return "bodies" in value or (bool(value) and all(map(_is_photo, value.values())))
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict) or "bbox" in first or "keypoints" not in first:
        return False
    return isinstance(first.get("image_id"), str) or "box" in first or "idx" in first


def read(value: Any, path: str) -> ToolPoses:
    """Return the poses of a file, with one photo ('cmu') or many. Raises InputError."""
    if isinstance(value, dict):
        photos = {Path(path).stem: value} if _is_photo(value) else value
        return _of_photos(photos, path)
    rows = Rows.of(value, path, "result")
    if not len(rows):
        return no_people(path)
    rows, photo, is_numbered = name_photos(rows)
    merged = sum(isinstance(row.get("idx"), list) and len(row["idx"]) > 1 for row in rows.rows)
    rows = Rows(path, "result", [_as_coco(rows, row) for row in range(len(rows))])
    poses, score = poses_of_rows(rows, keypoint_count(rows)), rows.numbers("score")
    track_id = None if poses.track_id is None or not poses.track_id.any() else poses.track_id
    note = f"poses that AlphaPose merged from several: {merged}; `track_id` is that of the first"
    return ToolPoses(
        path,
        replace(poses, pose_score=score, track_id=track_id, image_id=poses.image_id if is_numbered else None),
        photo=photo,
        skeleton=SKELETONS.get(poses.keypoint_count),
        category=rows.integers("category_id", optional=True),
        notes=(note,) if merged and track_id is not None else (),
    )


def _is_photo(value: Any) -> bool:
    return isinstance(value, dict) and isinstance(value.get("bodies", value.get("people")), list)


def _of_photos(photos: dict[str, Any], path: str) -> ToolPoses:
    """Return the people of `photos` {name: its people}."""
    all_parts = [_of_photo(photo, path, PurePath(name).name) for name, photo in photos.items()]
    without_body = sum(part.without_body for part in all_parts)
    parts = [part for part in all_parts if len(part)]
    empty = tuple(name for part in all_parts for name in part.empty)
    if not parts:
        return replace(no_people(path, without_body=without_body), empty=empty)
    names = tuple(name for part in parts for name in part.photo or ())
    poses = join([part.poses for part in parts], [path] * len(parts))
    return replace(parts[0], poses=poses, photo=names, empty=empty, without_body=without_body)


def _of_photo(value: Any, path: str, photo: str) -> ToolPoses:
    if not _is_photo(value):
        raise InputError(f"{path}: image {photo!r}: expected an object with 'bodies' or 'people'")
    if "people" in value:
        return people(value, path, photo)
    rows = Rows.of(value["bodies"], path, f"image {photo!r}, body")
    if not len(rows):
        return no_people(path, photo)
    poses = poses_of(rows, "joints")
    return ToolPoses(path, poses, photo=(photo,) * len(poses), skeleton=SKELETONS.get(poses.keypoint_count))


def _as_coco(rows: Rows, index: int) -> dict[str, Any]:
    """Return a result with COCO's names: `box` as `bbox`; `idx`, a number or lists with it first, as `track_id`."""
    row = rows.rows[index]
    renamed = {name: row[name] for name in ("image_id", "category_id", "keypoints", "score") if name in row}
    if row.get("box") is not None:
        if not isinstance(row["box"], list) or len(row["box"]) != 4:
            raise rows.fail(index, "box", "4 finite numbers (x, y, width, height)", row["box"])
        renamed["bbox"] = row["box"]
    number: Any = row.get("idx")
    while isinstance(number, list) and number:
        number = number[0]
    if number is None or number == []:
        return renamed
    if not isinstance(number, (int, float)) or isinstance(number, bool) or not np.isfinite(number) or number % 1:
        raise rows.fail(index, "idx", "the number of the tracked person", row["idx"])
    return renamed | {"track_id": int(number)}

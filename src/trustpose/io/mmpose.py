"""Read poses of mmpose 1.x: `predictions/*.json` of its inferencer, and the file of its top-down demo.

Formats: mmpose's user guide, "Inference with existing models", and `mmpose/structures/utils.py`,
`demo/topdown_demo_with_mmdet.py` (Apache-2.0). A photo's file is a list of instances, a video's a list of `{frame_id,
instances}`; the demo's `{meta_info, instance_info}` holds either list. The `*.keypoints.json` of mmpose's CocoMetric is
in coco_variants.py.
"""

from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.columns import Rows
from trustpose.io.tool_poses import ToolPoses, no_people
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton, find_skeleton


def fits(value: Any) -> bool:
    """Return whether a JSON value is from the inferencer or the demo (an empty list matches every tool)."""
    if isinstance(value, dict):
        return "instance_info" in value
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and ("keypoint_scores" in first or "instances" in first)


def read(value: Any, path: str) -> ToolPoses:
    """Return the poses of a file; for a video, `image_id` is the frame's number in the file. Raises InputError."""
    skeleton = None
    if isinstance(value, dict):
        skeleton = _named_keypoints(value.get("meta_info"))
        value = value.get("instance_info")
    rows = Rows.of(value, path, "instance")
    if not len(rows):
        return no_people(path, Path(path).stem)
    if "instances" not in rows.fields:
        return ToolPoses(path, _poses(rows), photo=(Path(path).stem,) * len(rows), skeleton=skeleton)
    frames = Rows(path, "frame", rows.rows)
    numbers = frames.integers("frame_id")
    assert numbers is not None
    frames.unique("frame_id", numbers)
    people: list[dict[str, Any]] = []
    frame_of: list[int] = []
    for index, (number, row) in enumerate(zip(numbers.tolist(), frames.rows, strict=True)):
        inside = row.get("instances")
        if not isinstance(inside, list) or any(type(person) is not dict for person in inside):
            raise frames.fail(index, "instances", "a list of objects", inside)
        people += inside
        frame_of += [number] * len(inside)
    if not people:
        return no_people(path)
    poses = _poses(Rows(path, "instance", people), np.array(frame_of, dtype=np.int64))
    return ToolPoses(path, poses, skeleton=skeleton)


def _poses(rows: Rows, frame: np.ndarray | None = None) -> Poses:
    """Return the poses of instances; boxes are xyxy, which the inferencer wraps in one more list."""
    flat = [_flat(rows, row) for row in range(len(rows))]
    count = len(flat[0]["keypoints"]) // 2
    table = Rows(rows.path, rows.noun, flat)
    xy = table.lists("keypoints", 2 * count, description=f" (x, y of {count} keypoints)")
    assert xy is not None
    return Poses(
        xy=xy.reshape(-1, count, 2),
        score=table.lists("keypoint_scores", count, description=f" (one of each of {count} keypoints)"),
        box=table.lists("bbox", 4, optional=True, description=" (x0, y0, x1, y1)"),
        box_score=table.numbers("bbox_score", optional=True),
        track_id=table.integers("track_id", optional=True),
        image_id=frame,
    )


def _flat(rows: Rows, index: int) -> dict[str, Any]:
    """Return an instance with its pairs x, y and its box as flat lists."""
    row = rows.rows[index]
    pairs, box = row.get("keypoints"), row.get("bbox")
    if not isinstance(pairs, list) or not pairs or any(not isinstance(pair, list) or len(pair) != 2 for pair in pairs):
        if isinstance(pairs, list) and pairs and all(isinstance(pair, list) and len(pair) == 3 for pair in pairs):
            raise InputError(f"{rows.path}: {rows.noun} {index}: field 'keypoints': has three dimensions, expected two")
        raise rows.fail(index, "keypoints", "a list of [x, y]", pairs)
    if isinstance(box, list) and len(box) == 1 and isinstance(box[0], list):
        box = box[0]
    return row | {"keypoints": [number for pair in pairs for number in pair], "bbox": box}


def _named_keypoints(meta: Any) -> Skeleton | None:
    """Return the keypoints named by the demo's meta_info, in order; None if it names none."""
    names = meta.get("keypoint_id2name") if isinstance(meta, dict) else None
    if not isinstance(names, dict) or not names:
        return None
    in_order = tuple(names.get(str(i)) for i in range(len(names)))
    if any(not isinstance(name, str) for name in in_order) or len(set(in_order)) != len(in_order):
        return None
    ordered = tuple(str(name) for name in in_order)
    return find_skeleton(ordered) or Skeleton("the file's meta_info", ordered, ())

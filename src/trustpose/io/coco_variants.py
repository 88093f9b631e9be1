"""Read the COCO results of other tools: mmpose's CocoMetric, Ultralytics' val, Detectron2's COCOEvaluator.

`*.keypoints.json` (mmpose, Apache-2.0: `mmpose/evaluation/metrics/coco_metric.py`), `predictions.json` (Ultralytics'
documentation of `val` with `save_json=True`; in release 8.4 `file_name` names the photo, and `image_id` is its name as
a number, or the name itself) and `coco_instances_results.json` (Detectron2, Apache-2.0:
`detectron2/evaluation/coco_evaluation.py`; keypoints are already moved by half a pixel, from pixel corners to COCO's
pixel centres) are lists with one object per pose. `*.predictions.json` (OpenPifPaf's documentation of `predict
--json-output`; it is AGPL-3.0, its source was not opened) is such a list for one photo, named by the file's name only;
a missing keypoint has score 0 at any position.

COCO-WholeBody's results have 17 `keypoints`, and the others of the 133 in four further fields.
"""

from dataclasses import replace
from pathlib import PurePath
from typing import Any

from trustpose.files import InputError
from trustpose.io.coco.labels import has_whole_body
from trustpose.io.coco.results import poses_of_rows
from trustpose.io.columns import Rows
from trustpose.io.tool_poses import ToolPoses, no_people
from trustpose.poses import find_missing
from trustpose.skeletons import COCO_17, COCO_WHOLEBODY_133


def fits(value: Any) -> bool:
    """Return whether a JSON value is a list of COCO results (an empty list matches every tool)."""
    first = value[0] if isinstance(value, list) and value else None
    if not isinstance(first, dict):
        return False
    if "image_id" not in first:
        return {"keypoints", "score", "category_id"} <= set(first)
    return isinstance(first["image_id"], int) or "bbox" in first


def read(value: Any, path: str) -> ToolPoses:
    """Return the poses of a file, including our extended fields. Raises InputError."""
    rows = Rows.of(value, path, "result")
    if not len(rows):
        return no_people(path)
    if "keypoints" not in rows.fields:
        raise InputError(f"{path}: field 'keypoints' is in no result: boxes or masks only, expected a keypoint model's")
    is_openpifpaf = "image_id" not in rows.fields
    rows, photo, is_numbered = name_photos(rows)
    count = keypoint_count(rows)
    skeleton = COCO_WHOLEBODY_133 if count == len(COCO_17) and has_whole_body(rows) else None
    poses = poses_of_rows(rows, count if skeleton is None else len(skeleton))
    if is_openpifpaf:
        poses = replace(poses, missing=find_missing(poses.xy, poses.score, anywhere=True))
    score, category = rows.numbers("score"), rows.integers("category_id", optional=True, numerals=True)
    assert score is not None
    if poses.pose_score is None:
        poses = replace(poses, pose_score=score)
    if not is_numbered:
        poses = replace(poses, image_id=None)
    return ToolPoses(path, poses, photo=photo, skeleton=skeleton, ranking=score, category=category)


def name_photos(rows: Rows) -> tuple[Rows, tuple[str, ...] | None, bool]:
    """Return the rows with a number in each `image_id`, the photos' names or None, and whether the numbers are the
    file's.

    A name is `file_name` if every row has it, else an `image_id` that is a text; the row's index then replaces the
    number. If no row has an `image_id`, the file holds one photo with the file's name.
    """
    if "image_id" not in rows.fields:
        photo = PurePath(rows.path).stem.removesuffix(".predictions")
        return _with_row_ids(rows), (photo,) * len(rows), False
    ids = [row.get("image_id") for row in rows.rows]
    files = [row.get("file_name") for row in rows.rows]
    texts = sum(type(image_id) is str for image_id in ids)
    names = files if all(type(file) is str for file in files) else ids if texts else None
    photo = None if names is None else tuple(PurePath(str(name)).name for name in names)
    if not texts:
        return rows, photo, True
    if names is ids and texts != len(ids):
        index = next(i for i, image_id in enumerate(ids) if type(image_id) is not str)
        raise rows.fail(index, "image_id", "a file's name, as in other results", ids[index])
    return _with_row_ids(rows), photo, False


def _with_row_ids(rows: Rows) -> Rows:
    return Rows(rows.path, rows.noun, [row | {"image_id": index} for index, row in enumerate(rows.rows)])


def keypoint_count(rows: Rows) -> int:
    """Return K, from the first row."""
    first = rows.rows[0].get("keypoints")
    if not isinstance(first, list) or not first or len(first) % 3:
        raise rows.fail(0, "keypoints", "a list of x, y, score for each keypoint", first)
    return len(first) // 3

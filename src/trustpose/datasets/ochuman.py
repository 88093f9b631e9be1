"""OCHuman: people who occlude each other, nineteen joints, in its native layout `ochuman.json`.

Zhang et al., Pose2Seg: Detection Free Human Instance Segmentation, CVPR 2019. `images` hold `annotations` with `bbox`
x1, y1, x2, y2 and `keypoints` x, y, v of the joints in `keypoint_names`; v is 0 missing, 1 visible, 2 occluded by the
person itself, 3 by others. People without keypoints are left out. The file's version in COCO's layout
(`ochuman_coco_format_*.json`), with COCO's 17 joints, is read by `io.coco`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from trustpose.datasets.label_files import check_positions, truth_file
from trustpose.files import InputError
from trustpose.io.coco.truth import TruthFile
from trustpose.skeletons import OCHUMAN_19

_V = np.array([0, 2, 1, 1])  # COCO's v by theirs


def fits_json(value: Any) -> bool:
    """Return whether a JSON value is of this layout."""
    return isinstance(value, dict) and {"images", "keypoint_names", "keypoint_visible"} <= set(value)


def of_json(value: dict[str, Any], content: bytes, path: str | Path) -> TruthFile:
    """Return the people of the parsed object. Raises InputError naming the photo and the field."""
    joints = _joint_order(value["keypoint_names"], path)
    names: list[str] = []
    points: list[np.ndarray] = []
    boxes: list[np.ndarray] = []
    sizes: list[tuple[int, int]] = []
    for index, photo in enumerate(value["images"]):
        people = photo.get("annotations") if isinstance(photo, dict) else None
        if not isinstance(people, list) or not isinstance(photo.get("file_name"), str):
            raise InputError(f"{path}: image {index}: field 'file_name', 'annotations': expected a text and a list")
        for person in people:
            if person.get("keypoints") is None:
                continue
            field_of = f"{path}: image {index}: field"
            points.append(
                _numbers(person["keypoints"], 3 * len(joints), f"{field_of} 'keypoints'").reshape(-1, 3)[joints]
            )
            boxes.append(_numbers(person.get("bbox"), 4, f"{field_of} 'bbox'"))
            names.append(photo["file_name"])
            sizes.append((int(photo.get("width", 0)), int(photo.get("height", 0))))
    if not points:
        raise InputError(f"{path}: holds no labelled people")
    labels = np.stack(points)
    if not np.isin(labels[..., 2], (0, 1, 2, 3)).all():
        raise InputError(f"{path}: field 'keypoints': expected v of 0 (missing), 1, 2 or 3")
    v = _V[labels[..., 2].astype(np.int64)]
    check_positions(labels[..., :2], v > 0, path, "keypoints")
    box, size = np.stack(boxes), np.array(sizes)
    return truth_file(path, content, OCHUMAN_19, labels[..., :2], v, names, box=box, sizes=size)


def _joint_order(keypoint_names: Any, path: str | Path) -> list[int]:
    """Return the file's column of each joint of the skeleton."""
    names = [str(name).lower() for name in keypoint_names] if isinstance(keypoint_names, list) else []
    if sorted(names) != sorted(OCHUMAN_19.keypoints):
        raise InputError(f"{path}: field 'keypoint_names': expected the names {', '.join(OCHUMAN_19.keypoints)}")
    return [names.index(name) for name in OCHUMAN_19.keypoints]


def _numbers(value: Any, count: int, field: str) -> np.ndarray:
    if not isinstance(value, list) or len(value) != count or any(type(number) not in (int, float) for number in value):
        raise InputError(f"{field}: expected {count} numbers")
    return np.array(value, dtype=np.float64)

"""AI Challenger's human keypoints: fourteen joints, in its own layout, a JSON list with one object per photo.

Wu et al., AI Challenger: A Large-scale Dataset for Going Deeper in Image Understanding, ICME 2019. `human_annotations`
holds the boxes x1, y1, x2, y2 by person, `keypoint_annotations` x, y, v by person; v is 1 visible, 2 occluded, 3 not
labelled. mmpose's `aic_val.json` has COCO's layout, which `io.coco` reads.
"""

from pathlib import Path
from typing import Any

import numpy as np

from trustpose.datasets.label_files import check_positions, truth_file
from trustpose.files import InputError
from trustpose.io.coco.truth import TruthFile
from trustpose.skeletons import AIC_14

_V = np.array([0, 2, 1, 0])  # COCO's v by theirs


def fits_json(value: Any) -> bool:
    """Return whether a JSON value is of this layout."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and {"keypoint_annotations", "human_annotations", "image_id"} <= set(first)


def of_json(value: list[Any], content: bytes, path: str | Path) -> TruthFile:
    """Return the people of the parsed list. Raises InputError naming the photo and the field."""
    names: list[str] = []
    joints: list[np.ndarray] = []
    boxes: list[np.ndarray] = []
    for index, photo in enumerate(value):
        field_of = f"{path}: photo {index}: field"
        people = photo.get("keypoint_annotations") if isinstance(photo, dict) else None
        person_boxes = photo.get("human_annotations") if isinstance(photo, dict) else None
        if (
            not isinstance(people, dict)
            or not isinstance(person_boxes, dict)
            or not isinstance(photo.get("image_id"), str)
        ):
            raise InputError(
                f"{field_of} 'image_id', 'keypoint_annotations', 'human_annotations': expected a text, objects"
            )
        for person, points in people.items():
            joints.append(
                _numbers(points, 3 * len(AIC_14), f"{field_of} 'keypoint_annotations.{person}'").reshape(-1, 3)
            )
            boxes.append(_numbers(person_boxes.get(person), 4, f"{field_of} 'human_annotations.{person}'"))
            names.append(f"{photo['image_id'].removesuffix('.jpg')}.jpg")
    if not joints:
        raise InputError(f"{path}: holds no labelled people")
    points = np.stack(joints)
    if not np.isin(points[..., 2], (1, 2, 3)).all():
        raise InputError(
            f"{path}: field 'keypoint_annotations': expected v of 1 (visible), 2 (occluded), 3 (unlabelled)"
        )
    v = _V[points[..., 2].astype(np.int64)]
    check_positions(points[..., :2], v > 0, path, "keypoint_annotations")
    return truth_file(path, content, AIC_14, points[..., :2], v, names, box=np.stack(boxes))


def _numbers(value: Any, count: int, field: str) -> np.ndarray:
    if not isinstance(value, list) or len(value) != count or any(type(number) not in (int, float) for number in value):
        raise InputError(f"{field}: expected {count} numbers")
    return np.array(value, dtype=np.float64)

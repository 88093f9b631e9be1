"""OCHuman: people who occlude each other, nineteen joints, in its native layout `ochuman.json`.

Zhang et al., Pose2Seg: Detection Free Human Instance Segmentation, CVPR 2019. `images` hold `annotations` with `bbox`
x1, y1, x2, y2 and `keypoints` x, y, v of the joints in `keypoint_names`; v is 0 missing, 1 visible, 2 occluded by the
person itself, 3 by others. People without keypoints are left out. The file's version in COCO's layout
(`ochuman_coco_format_*.json`), with COCO's 17 joints, is read by `io.coco`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from trustpose.datasets.label_files import check_positions, truth_file
from trustpose.files import InputError
from trustpose.io.coco.truth import TruthFile
from trustpose.json_records import Count, Number, OpenRecord, of_length, read_records
from trustpose.skeletons import OCHUMAN_19

_V = np.array([0, 2, 1, 1])  # COCO's v by theirs


def fits_json(value: Any) -> bool:
    """Return whether a JSON value is of this layout."""
    return isinstance(value, dict) and {"images", "keypoint_names", "keypoint_visible"} <= set(value)


@dataclass(frozen=True)
class _Person(OpenRecord):
    keypoints: Annotated[tuple[Number, ...], of_length(3 * len(OCHUMAN_19))] | None = None
    bbox: Annotated[tuple[Number, ...], of_length(4)] | None = None

    def __post_init__(self) -> None:
        if self.keypoints is not None and self.bbox is None:
            raise ValueError("bbox: is missing, expected 4 numbers")


@dataclass(frozen=True)
class _Photo(OpenRecord):
    file_name: str
    annotations: tuple[_Person, ...]
    width: Count = 0
    height: Count = 0


def of_json(value: dict[str, Any], content: bytes, path: str | Path) -> TruthFile:
    """Return the people of the parsed object. Raises InputError naming the photo and the field."""
    joints = _joint_order(value["keypoint_names"], path)
    photos = read_records(_Photo, value["images"], path, "image")
    people = [(photo, person) for photo in photos for person in photo.annotations if person.keypoints is not None]
    if not people:
        raise InputError(f"{path}: holds no labelled people")
    labels = np.array([person.keypoints for _, person in people]).reshape(len(people), -1, 3)[:, joints]
    if not np.isin(labels[..., 2], (0, 1, 2, 3)).all():
        raise InputError(f"{path}: field 'keypoints': expected v of 0 (missing), 1, 2 or 3")
    v = _V[labels[..., 2].astype(np.int64)]
    check_positions(labels[..., :2], v > 0, path, "keypoints")
    box, names = np.array([person.bbox for _, person in people]), [photo.file_name for photo, _ in people]
    sizes = np.array([(photo.width, photo.height) for photo, _ in people])
    return truth_file(path, content, OCHUMAN_19, labels[..., :2], v, names, box=box, sizes=sizes)


def _joint_order(keypoint_names: Any, path: str | Path) -> list[int]:
    """Return the file's column of each joint of the skeleton."""
    names = [str(name).lower() for name in keypoint_names] if isinstance(keypoint_names, list) else []
    if sorted(names) != sorted(OCHUMAN_19.keypoints):
        raise InputError(f"{path}: field 'keypoint_names': expected the names {', '.join(OCHUMAN_19.keypoints)}")
    return [names.index(name) for name in OCHUMAN_19.keypoints]

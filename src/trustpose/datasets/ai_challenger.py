"""AI Challenger's human keypoints: fourteen joints, in its own layout, a JSON list with one object per photo.

Wu et al., AI Challenger: A Large-scale Dataset for Going Deeper in Image Understanding, ICME 2019. `human_annotations`
holds the boxes x1, y1, x2, y2 by person, `keypoint_annotations` x, y, v by person; v is 1 visible, 2 occluded, 3 not
labelled. mmpose's `aic_val.json` has COCO's layout, which `io.coco` reads.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from trustpose.datasets.label_files import check_positions, truth_file
from trustpose.files import InputError
from trustpose.io.coco.truth import TruthFile
from trustpose.json_records import Number, OpenRecord, of_length, read_records, short
from trustpose.skeletons import AIC_14

_V = np.array([0, 2, 1, 0])  # COCO's v by theirs


def fits_json(value: Any) -> bool:
    """Return whether a JSON value is of this layout."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and {"keypoint_annotations", "human_annotations", "image_id"} <= set(first)


@dataclass(frozen=True)
class _Photo(OpenRecord):
    image_id: str
    keypoint_annotations: dict[str, Annotated[tuple[Number, ...], of_length(3 * len(AIC_14))]]
    human_annotations: dict[str, Annotated[tuple[Number, ...], of_length(4)]]

    def __post_init__(self) -> None:
        for person in self.keypoint_annotations.keys() - self.human_annotations.keys():
            raise ValueError(f"human_annotations: expected a box of {short(person)}, as keypoint_annotations has")


def of_json(value: list[Any], content: bytes, path: str | Path) -> TruthFile:
    """Return the people of the parsed list. Raises InputError naming the photo and the field."""
    photos = read_records(_Photo, value, path, "photo")
    joints = [points for photo in photos for points in photo.keypoint_annotations.values()]
    boxes = [photo.human_annotations[person] for photo in photos for person in photo.keypoint_annotations]
    names = [f"{photo.image_id.removesuffix('.jpg')}.jpg" for photo in photos for _ in photo.keypoint_annotations]
    if not joints:
        raise InputError(f"{path}: holds no labelled people")
    points = np.array(joints).reshape(len(joints), -1, 3)
    if not np.isin(points[..., 2], (1, 2, 3)).all():
        raise InputError(
            f"{path}: field 'keypoint_annotations': expected v of 1 (visible), 2 (occluded), 3 (unlabelled)"
        )
    v = _V[points[..., 2].astype(np.int64)]
    check_positions(points[..., :2], v > 0, path, "keypoint_annotations")
    return truth_file(path, content, AIC_14, points[..., :2], v, names, box=np.array(boxes))

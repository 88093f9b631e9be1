"""Boxes as xyxy in image pixels: the record of a photo's, and how much two of them overlap."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.poses import box_size


def xywh_to_xyxy(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 4"]:
    """COCO's (x, y, width, height) as (x0, y0, x1, y1)."""
    return np.concatenate([box[..., :2], box[..., :2] + box[..., 2:]], axis=-1)


def xyxy_to_xywh(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 4"]:
    """(x0, y0, x1, y1) as COCO's (x, y, width, height), exactly as a file gave it; see `poses.box_size`."""
    return np.concatenate([box[..., :2], box_size(box)], axis=-1)


def paired_iou(a: Float[np.ndarray, "*#N 4"], b: Float[np.ndarray, "*#N 4"]) -> Float[np.ndarray, "*_"]:
    """Intersection over union (…) of xyxy boxes at the same place, leading shapes broadcast; 0 where both are empty."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    intersection = np.clip(high - low, 0, None).prod(axis=-1)
    union = _area(a) + _area(b) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def paired_overlap(a: Float[np.ndarray, "*#N 4"], b: Float[np.ndarray, "*#N 4"]) -> Float[np.ndarray, "*_"]:
    """The share (…) of each xyxy box a that lies in the box b at the same place; 0 where a is empty."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    inside, whole = np.clip(high - low, 0, None).prod(axis=-1), _area(a)
    return np.divide(inside, whole, out=np.zeros_like(inside), where=whole > 0)


def _area(box: np.ndarray) -> np.ndarray:
    return np.clip(box[..., 2:] - box[..., :2], 0, None).prod(axis=-1)


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes xyxy in image pixels, with a detector's score and the labelled person's id where known.

    `source` is the file of xywh boxes that they come from, for messages.
    """

    xyxy: Float[np.ndarray, "N 4"]
    image_id: Int[np.ndarray, " N"]
    score: Float[np.ndarray, " N"] | None = None
    annotation_id: Int[np.ndarray, " N"] | None = None
    source: str | None = None

    def __len__(self) -> int:
        return len(self.xyxy)

    def __getitem__(self, rows: np.ndarray) -> "Boxes":
        columns = (self.score, self.annotation_id)
        score, annotation_id = (None if column is None else column[rows] for column in columns)
        return Boxes(self.xyxy[rows], self.image_id[rows], score, annotation_id, self.source)

    def of_images(self, image_ids: Int[np.ndarray, " I"]) -> list["Boxes"]:
        """The boxes of each image, in the order of the rows; none for an image without any."""
        order = np.argsort(self.image_id, kind="stable")
        low, high = (np.searchsorted(self.image_id[order], image_ids, side) for side in ("left", "right"))
        return [self[order[start:stop]] for start, stop in zip(low, high, strict=True)]


NO_BOXES = Boxes(np.zeros((0, 4)), np.zeros(0, np.int64))

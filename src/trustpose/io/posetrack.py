"""PoseTrack 2018's additions to COCO's annotations: head boxes, regions to be ignored, frames without labels."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from trustpose.files import read_json
from trustpose.geometry.polygons import in_polygon
from trustpose.io.coco.truth import TruthFile
from trustpose.io.columns import Rows


@dataclass(frozen=True, eq=False)
class PoseTrackLabels:
    """For the M people and I images of a ground truth: the width and height of each head's box, NaN without one; the
    polygons (P, 2) by image id, image pixels, in which no people are labelled; and which images are labelled at all."""

    head: Float[np.ndarray, "M 2"]
    ignored: dict[int, list[Float[np.ndarray, "P 2"]]]
    is_labelled: Bool[np.ndarray, " I"]

    def is_ignored(self, image: int, xy: Float[np.ndarray, "N K 2"]) -> Bool[np.ndarray, "N K"]:
        """Return which joints are inside a region of their image that is to be ignored."""
        is_inside = np.zeros(xy.shape[:2], bool)
        for polygon in self.ignored.get(image, []):
            is_inside |= in_polygon(xy.reshape(-1, 2), polygon).reshape(is_inside.shape)
        return is_inside


def read_posetrack_labels(truth: TruthFile) -> PoseTrackLabels:
    """Read the fields `bbox_head`, `ignore_regions_x`, `ignore_regions_y` and `is_labeled` of a ground truth that
    `read_truth` has read; a file without them has no heads, no regions, and labels in all images. Raises InputError."""
    value: Any = read_json(truth.path)
    people = Rows(truth.path, "annotation", value["annotations"])
    images = Rows(truth.path, "image", value["images"])
    head = people.lists("bbox_head", 4, optional=True, description=" (x, y, width, height)")
    head = np.full((len(people), 4), np.nan) if head is None else head
    if (head[:, 2:] <= 0).any():
        row = int(np.argmax((head[:, 2:] <= 0).any(axis=1)))
        raise people.fail(row, "bbox_head", "a width and height above 0", head[row].tolist())
    numbers = truth.annotation_texts.number_of
    ids = np.array([numbers.get(row["id"], row["id"]) for row in people.rows], dtype=np.int64)
    assert truth.truth.annotation_id is not None
    label_rows = np.argsort(ids)[np.searchsorted(np.sort(ids), truth.truth.annotation_id)]
    texts = truth.image_texts.number_of
    row_of_image = {texts.get(row["id"], row["id"]): index for index, row in enumerate(images.rows)}
    rows = [row_of_image[image] for image in truth.images.id.tolist()]
    regions = {image: _polygons(images, index) for image, index in zip(truth.images.id.tolist(), rows, strict=True)}
    return PoseTrackLabels(
        head[label_rows, 2:],
        {image: polygons for image, polygons in regions.items() if polygons},
        np.array([images.rows[index].get("is_labeled") is not False for index in rows], dtype=bool),
    )


def _polygons(images: Rows, index: int) -> list[np.ndarray]:
    row = images.rows[index]
    x, y = row.get("ignore_regions_x") or [], row.get("ignore_regions_y") or []
    try:
        polygons = [np.array([xs, ys], dtype=np.float64).T for xs, ys in zip(x, y, strict=True)]
        if any(polygon.ndim != 2 or not np.isfinite(polygon).all() for polygon in polygons):
            raise ValueError
    except (TypeError, ValueError):
        raise images.fail(
            index, "ignore_regions_x", "polygons: as many lists of numbers as ignore_regions_y", x
        ) from None
    return [polygon for polygon in polygons if len(polygon) > 2]

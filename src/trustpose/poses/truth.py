"""`Truth`: what people labelled."""

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.poses.rows import PersonRows, box_size, check_columns, take
from trustpose.skeletons.skeleton import Skeleton

Area = Literal["segment", "box", "box*0.53"]
AREAS: tuple[Area, ...] = ("segment", "box", "box*0.53")


class Visibility(IntEnum):
    """COCO's v: 0 absent (not labelled), 1 occluded (labelled, not visible), 2 visible."""

    ABSENT = 0
    OCCLUDED = 1
    VISIBLE = 2


@dataclass(frozen=True, eq=False)
class Truth(PersonRows):
    """N labelled people: keypoints in image pixels, COCO's v in {0, 1, 2}, and the areas OKS may be measured with.

    `area` is square pixels with its source in `area_source` ("segment" or what the file says); `box` is xyxy.
    `num_keypoints` is the file's own count, which COCO evaluation goes by (people with 0 are ignored); it is counted
    from v where not given. `skeleton` says which joints the K keypoints are; None: unknown. Raises ValueError naming
    the field where a shape, dtype or value is wrong.
    """

    xy: Float[np.ndarray, "N K 2"]
    v: Int[np.ndarray, "N K"]
    area: Float[np.ndarray, " N"] | None = None
    area_source: np.ndarray | None = None
    box: Float[np.ndarray, "N 4"] | None = None
    iscrowd: Bool[np.ndarray, " N"] | None = None
    image_id: Int[np.ndarray, " N"] | None = None
    annotation_id: Int[np.ndarray, " N"] | None = None
    num_keypoints: Int[np.ndarray, " N"] | None = None
    skeleton: Skeleton | None = None

    def __post_init__(self) -> None:
        rows = {"area": "float", "box": "float", "iscrowd": "bool"}
        rows |= dict.fromkeys(("image_id", "annotation_id", "num_keypoints"), "int")
        check_columns(self, {"xy": ("float", (2,)), "v": ("int", ())}, rows)
        n = len(self)
        if n and not np.isin(self.v, (0, 1, 2)).all():
            raise ValueError("Truth.v: expected 0 (absent), 1 (occluded) or 2 (visible), got other values")
        if self.num_keypoints is None:
            object.__setattr__(self, "num_keypoints", np.count_nonzero(self.v > 0, axis=1).astype(np.int64))
        if self.iscrowd is None:
            object.__setattr__(self, "iscrowd", np.zeros(n, dtype=np.bool_))

    @property
    def keypoint_count(self) -> int:
        """K."""
        return self.xy.shape[1]

    def area_by(self, convention: Area) -> Float[np.ndarray, " N"]:
        """The area (N,) in square pixels that OKS is measured with, by a named convention.

        "segment" is the file's `area` (COCO evaluation), "box" the box's area (HPCVNet's targets), "box*0.53" the
        box's area times 0.53 (data sets without segments, as in xtcocotools). Raises ValueError for another name or
        where the column is missing.
        """
        if convention not in AREAS:
            raise ValueError(f"area: expected one of {', '.join(AREAS)}, got {convention!r}")
        column = "area" if convention == "segment" else "box"
        if getattr(self, column) is None:
            raise ValueError(f"area {convention!r} needs Truth.{column}, which is None")
        if self.area is not None and convention == "segment":
            return self.area
        assert self.box is not None
        width, height = box_size(self.box).T
        return width * height if convention == "box" else width * height * 0.53

    def take_keypoints(self, index: Int[np.ndarray, " L"], skeleton: Skeleton | None = None) -> "Truth":
        """The same people with keypoints picked by `index`; a joint that the source lacks (-1) is absent: v = 0, x = y
        = 0, and `num_keypoints` is counted anew. `skeleton` says which joints those are."""
        xy, v = np.nan_to_num(take(self.xy, index)), take(self.v, index, fill=0)
        return replace(self, xy=xy, v=v, num_keypoints=None, skeleton=skeleton)

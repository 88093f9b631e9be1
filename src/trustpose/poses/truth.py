"""`Truth`: annotations of people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from trustpose.images import Images
from trustpose.names import expected_one_of
from trustpose.notebook import html_line, html_table
from trustpose.poses.rows import PersonRows, box_size, check_columns, take
from trustpose.skeletons.skeleton import Skeleton

Area = Literal["segment", "box", "box*0.53", "file"]
AREAS: tuple[Area, ...] = ("segment", "box", "box*0.53", "file")
_MOST_ROWS = 10  # people listed in a notebook
SEGMENT = "segment"  # `area_source` of a segment's area


class Visibility(IntEnum):
    """COCO's v: 0 absent (not labelled), 1 occluded (labelled, not visible), 2 visible."""

    ABSENT = 0
    OCCLUDED = 1
    VISIBLE = 2


@dataclass(frozen=True, eq=False, repr=False)
class Truth(PersonRows):
    """N labelled people: keypoints in image pixels, COCO's v in {0, 1, 2}, and the areas for OKS.

    `area` is in square pixels, `area_source` the source of each row's: "segment", "box*0.53" or another name in the
    file (None: all are from segments, as in COCO). `box` is xyxy. `num_keypoints` is the file's own count, which COCO
    evaluation uses (people with 0 are ignored); computed from v if not given. `track_id` is the same for one person in
    the frames of a clip, -1 for a row without. `head_size` is that of PCKh in pixels, NaN for a row without. `skeleton`
    names the K joints; None: unknown. `images` are the photos of the file, those without people too; None: unknown.
    Raises ValueError naming the field if a shape, dtype or value is wrong.
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
    track_id: Int[np.ndarray, " N"] | None = None
    head_size: Float[np.ndarray, " N"] | None = None
    skeleton: Skeleton | None = None
    images: Images | None = None

    def __post_init__(self) -> None:
        rows = {"area": "float", "head_size": "float", "box": "float", "iscrowd": "bool"}
        rows |= dict.fromkeys(("image_id", "annotation_id", "num_keypoints", "track_id"), "int")
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
        """The number of keypoints of each pose, K."""
        return self.xy.shape[1]

    @classmethod
    def _further_fields(cls, parts: Sequence["Truth"]) -> dict[str, Any]:
        """The concatenation of parts of one file has its images; parts of several files have none in common."""
        images = parts[0].images
        return {"images": images} if all(part.images is images for part in parts) else {}

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the first people."""
        columns = {name: column for name, column in self.columns().items() if column is not None and column.ndim == 1}
        columns = {name: column for name, column in columns.items() if name in ("image_id", "annotation_id", "area")}
        columns |= {value.name.lower(): (self.v == value).sum(axis=1) for value in reversed(Visibility)}
        shown = range(min(len(self), _MOST_ROWS))
        rows = [(row, *(f"{column[row]:.15g}" for column in columns.values())) for row in shown]
        return html_line(repr(self)) + html_table(("person", *columns), rows)

    @property
    def is_segment(self) -> Bool[np.ndarray, " N"]:
        """Whether a row's `area` is from a segment."""
        if self.area is None or self.area_source is None:
            return np.full(len(self), self.area is not None)
        return self.area_source == SEGMENT

    def describe_areas(self) -> str:
        """Describe the sources of `area`, the most frequent first: "1,019 box*0.53, 477 segment"."""
        return describe_sources(np.full(len(self), SEGMENT) if self.area_source is None else self.area_source)

    def area_by(self, convention: Area) -> Float[np.ndarray, " N"]:
        """Return the area of each person for OKS, by a named convention.

        Args:
            convention: "segment" is the segment's area (COCO evaluation), NaN in a row whose area has another source;
                "box" the box's area (HPCVNet's targets); "box*0.53" the box's area times 0.53 (data sets without
                segments, as in xtcocotools); "file" is `area` whatever its source, as COCO's own tools use it.

        Returns:
            The areas (N,), square pixels.

        Raises:
            ValueError: for another name, if the column is missing, and, naming the sources, for "segment" if no row has
                one.
        """
        if convention not in AREAS:
            raise ValueError(f"area: {expected_one_of(AREAS, convention)}")
        column = "area" if convention in ("segment", "file") else "box"
        if getattr(self, column) is None:
            raise ValueError(f"area {convention!r} needs Truth.{column}, which is None")
        if self.area is not None and convention == "file":
            return self.area
        if self.area is not None and convention == "segment":
            is_segment = self.is_segment
            if len(self) and not is_segment.any():
                raise ValueError(f"area 'segment': no row has one, Truth.area is {self.describe_areas()}")
            return self.area if is_segment.all() else np.where(is_segment, self.area, np.nan)
        assert self.box is not None
        width, height = box_size(self.box).T
        return width * height if convention == "box" else width * height * 0.53

    def area_of_all(self, convention: Area) -> Float[np.ndarray, " N"]:
        """Like `area_by`, but for all rows. Raises ValueError, naming sources, if a row has no area."""
        area = self.area_by(convention)
        if self.area_source is not None and np.isnan(area).any():
            raise ValueError(
                f"area {convention!r}: {np.isnan(area).sum():,} of {len(self):,} rows have none, Truth.area is "
                f"{self.describe_areas()}; 'file' uses it unchanged"
            )
        return area

    def take_keypoints(self, index: Int[np.ndarray, " L"], skeleton: Skeleton | None = None) -> "Truth":
        """Return the same people with keypoints selected by `index`; a joint that the source lacks (-1) is absent: v =
        0, x = y = 0, and `num_keypoints` is recomputed. `skeleton` names the new joints."""
        xy, v = np.nan_to_num(take(self.xy, index)), take(self.v, index, fill=0)
        return replace(self, xy=xy, v=v, num_keypoints=None, skeleton=skeleton)


def describe_sources(area_source: Shaped[np.ndarray, " N"] | None) -> str:
    """Count areas by source, the most frequent first: "1,019 box*0.53, 477 segment"; None: "unknown"."""
    if area_source is None:
        return "unknown"
    names, counts = np.unique(area_source.astype(np.str_), return_counts=True)
    return describe_counts(dict(zip(names.tolist(), counts.tolist(), strict=True)))


def describe_counts(sources: Mapping[str, int]) -> str:
    """Describe numbers of areas by source as `describe_sources` does."""
    ordered = sorted(sources.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{count:,} {name}" for name, count in ordered)

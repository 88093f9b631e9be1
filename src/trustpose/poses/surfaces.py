"""`SurfaceTruth`, points that people labelled on the surface of bodies, and `Surface`, an estimate for each pixel."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.images import Images
from trustpose.poses.run_lengths import RunLengths
from trustpose.skeletons.surface_parts import MASK_PARTS, SURFACE_PARTS

MASK_SIDE = 256  # pixels of a labelled mask, which covers its person's box
Units = Literal[255, 256]
"""How many units of `dp_x` and `dp_y` a side of the box has: 256 in the data's description and in Detectron2's
training, 255 in the COCO DensePose evaluation."""


@dataclass(frozen=True, eq=False)
class SurfaceTruth:
    """N people with P points labelled on their surface, as in DensePose-COCO.

    Attributes:
        box: (N, 4) xyxy, image pixels.
        image_id, annotation_id: (N,).
        area: (N,) of the segment, square pixels.
        masks: for each person 14 masks of 256 × 256 over its box, None for a part without one, or None for a person
            without masks.
        person: (P,) row of each point's person, ascending.
        part: (P,) 0 (background) to 24, see `skeletons.surface_parts`.
        uv: (P, 2) coordinates on the part's chart, 0–1; NaN where unknown.
        xy_box: (P, 2) position in the box, 256 units a side (`dp_x`, `dp_y`).
        images: the photos of the file; None: unknown.

    Raises:
        ValueError: if a shape or value is wrong.
    """

    box: Float[np.ndarray, "N 4"]
    image_id: Int[np.ndarray, " N"]
    annotation_id: Int[np.ndarray, " N"]
    area: Float[np.ndarray, " N"]
    masks: tuple[tuple[RunLengths | None, ...] | None, ...]
    person: Int[np.ndarray, " P"]
    part: Int[np.ndarray, " P"]
    uv: Float[np.ndarray, "P 2"]
    xy_box: Float[np.ndarray, "P 2"]
    images: Images | None = None

    def __post_init__(self) -> None:
        if len(self.part) and not ((self.part >= 0) & (self.part <= len(SURFACE_PARTS))).all():
            raise ValueError(f"SurfaceTruth.part: expected 0 to {len(SURFACE_PARTS)}")
        if len(self.masks) != len(self.box):
            raise ValueError(f"SurfaceTruth.masks: expected {len(self.box)}, got {len(self.masks)}")
        if len(self.person) and (np.diff(self.person) < 0).any():
            raise ValueError("SurfaceTruth.person: expected ascending rows")

    def __len__(self) -> int:
        return len(self.box)

    def __repr__(self) -> str:
        """One line: how many people, points and masks."""
        masked = sum(masks is not None for masks in self.masks)
        return f"SurfaceTruth({len(self):,} people, {len(self.part):,} points, masks of {masked:,})"

    def __getitem__(self, rows: Int[np.ndarray, " n"]) -> "SurfaceTruth":
        """Return these people with their points."""
        points = [np.flatnonzero(self.person == row) for row in rows]
        chosen = np.concatenate(points) if points else np.zeros(0, np.int64)
        return replace(
            self,
            box=self.box[rows],
            image_id=self.image_id[rows],
            annotation_id=self.annotation_id[rows],
            area=self.area[rows],
            masks=tuple(self.masks[row] for row in rows),
            person=np.repeat(np.arange(len(rows)), [len(of_person) for of_person in points]),
            part=self.part[chosen],
            uv=self.uv[chosen],
            xy_box=self.xy_box[chosen],
        )

    def points_of(self, row: int) -> slice:
        """Return the rows of a person's points."""
        low, high = np.searchsorted(self.person, [row, row + 1])
        return slice(int(low), int(high))

    def xy(self, units: Units = 256) -> Float[np.ndarray, "P 2"]:
        """Return the positions of the points in image pixels."""
        box = self.box[self.person]
        return box[:, :2] + self.xy_box / units * (box[:, 2:] - box[:, :2])

    def mask(self, row: int) -> UInt8[np.ndarray, "256 256"] | None:
        """Return the mask over a person's box: 0 (background) to 14; of parts that overlap the later one. None for a
        person without masks."""
        masks = self.masks[row]
        if masks is None:
            return None
        labels = np.zeros((MASK_SIDE, MASK_SIDE), np.uint8)
        for number, runs in enumerate(masks[: len(MASK_PARTS)], 1):
            if runs is not None:
                labels[runs.mask] = number
        return labels


@dataclass(frozen=True, eq=False)
class Surface:
    """The surface of a person in each pixel of a box.

    Attributes:
        part: (h, w) 0 (background) to 24.
        uv: (h, w, 2) coordinates on the part's chart, 0–1; 0 on the background.
        box: (4,) xyxy, image pixels; h and w are its sides in whole pixels.
        score: (h, w) the network's own probability of the part, 0–1; None for surfaces from a file.
        quality: (h, w) expected geodesic point similarity, 0–1; None if the network has no head for it.
    """

    part: UInt8[np.ndarray, "h w"]
    uv: Float[np.ndarray, "h w 2"]
    box: Float[np.ndarray, " 4"]
    score: Float[np.ndarray, "h w"] | None = None
    quality: Float[np.ndarray, "h w"] | None = None

    def pixels(
        self, xy: Float[np.ndarray, "P 2"]
    ) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"], Bool[np.ndarray, " P"]]:
        """Return rows and columns of the pixels at positions in image pixels, and which of them lie in the box; 0, 0
        for those outside. Positions are cut towards zero, as in the COCO DensePose evaluation."""
        column, row = (xy - self.box[:2]).astype(np.int64).T
        height, width = self.part.shape
        is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        return np.where(is_inside, row, 0), np.where(is_inside, column, 0), is_inside

    def sample(self, xy: Float[np.ndarray, "P 2"]) -> tuple[Int[np.ndarray, " P"], Float[np.ndarray, "P 2"]]:
        """Return part and uv at positions in image pixels; the background outside the box."""
        row, column, is_inside = self.pixels(xy)
        return np.where(is_inside, self.part[row, column], 0).astype(np.int64), self.uv[row, column]

    def on_image(self, width: int, height: int) -> Bool[np.ndarray, "H W"]:
        """Return which pixels of a photo show the person. The box's corner is cut to whole pixels, as in the COCO
        DensePose evaluation."""
        mask = np.zeros((height, width), np.bool_)
        rows, columns = self.part.shape
        x, y = int(self.box[0]), int(self.box[1])
        left, right = max(x, 0), min(int(self.box[2]), width, x + columns)
        top, bottom = max(y, 0), min(int(self.box[3]), height, y + rows)
        if left < right and top < bottom:
            mask[top:bottom, left:right] = self.part[top - y : bottom - y, left - x : right - x] > 0
        return mask


@dataclass(frozen=True, eq=False)
class Surfaces:
    """The surfaces of N people: `surfaces`, with `image_id` (N,) and `score` (N,), by which they are ranked."""

    surfaces: tuple[Surface, ...]
    image_id: Int[np.ndarray, " N"]
    score: Float[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.surfaces)

    def __iter__(self) -> Iterator[Surface]:
        return iter(self.surfaces)

    def __repr__(self) -> str:
        """One line: how many people and photos."""
        return f"Surfaces({len(self):,} people on {len(np.unique(self.image_id)):,} photos)"

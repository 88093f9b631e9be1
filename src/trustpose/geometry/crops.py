"""Boxes of people, and affine crops: from a box to a network's input pixels and its maps, and back.

Pixel convention in this file: coordinate (0, 0) is the centre of the first pixel, x to the right, y down, both in the
image (`_img`) and in the crop (`_crop`). The padded box's low corner maps to crop (0, 0), its high corner to crop (W,
H), which is one pixel beyond the last centre. This is the convention of HRNet's and SimpleBaseline's
`get_affine_transform`; `Grid` extends it to maps, where map pixel m is at crop pixel m × stride.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

Cutting = Literal["affine", "whole-pixels"]  # how a box becomes a crop: `warp`, or `cut_whole_pixels`
CropPixels = UInt8[np.ndarray, "B H W 3"] | Float32[np.ndarray, "B H W 3"]  # RGB, 0–255, for a network
Frame = Literal["input", "image"]
Padding = float | tuple[float, float]  # factor that enlarges a box; two numbers: for width and height

_SMALLEST_SIDE = 1.0  # image pixels; so that an empty box gives an invertible crop
_LARGEST_WARP = 32766  # cv2.warpAffine keeps source coordinates in 16 bits


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes xyxy in image pixels, with a detector's score and the labelled person's id if known.

    `source` is the file of xywh boxes that they come from, for error messages.
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
        """Return the boxes of each image, in row order; empty for an image without any."""
        order = np.argsort(self.image_id, kind="stable")
        low, high = (np.searchsorted(self.image_id[order], image_ids, side) for side in ("left", "right"))
        return [self[order[start:stop]] for start, stop in zip(low, high, strict=True)]


NO_BOXES = Boxes(np.zeros((0, 4)), np.zeros(0, np.int64))


@dataclass(frozen=True)
class Grid:
    """Positions of a map's cells: cell m, counted from 0, is at m × stride + offset in pixels of `frame`.

    stride: along x and along y. frame: "input", the network's input pixels, a person's crop or a whole photo; "image",
    those of the photo itself.
    """

    stride: tuple[float, float]
    offset: float = 0.0
    frame: Frame = "input"

    def positions(self, cells: Float[Any, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Convert positions in cells to x, y in the frame's pixels."""
        return cells * self.stride + self.offset

    def cells(self, positions: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Convert positions in the frame's pixels to cells."""
        return (positions - self.offset) / self.stride


def grow_box(box: Float[np.ndarray, "*N 4"], padding: Padding, aspect: float) -> Float[np.ndarray, "*N 4"]:
    """Enlarge boxes xyxy about their centre: both sides × `padding`, then the short one up to `aspect` = width /
    height.

    A side below one pixel counts as one pixel. Raises ValueError if padding, aspect or a box is not finite, or if
    padding or aspect is not above 0.
    """
    across, down = padding if isinstance(padding, tuple) else (padding, padding)
    for name, value in (("padding", across), ("padding", down), ("aspect", aspect)):
        if not (np.isfinite(value) and value > 0):
            raise ValueError(f"{name}: expected a finite number above 0, got {value}")
    if not np.isfinite(box).all():
        raise ValueError("box: expected finite numbers, got NaN or infinity")
    box = box.astype(np.float64)
    low, high = box[..., :2], box[..., 2:]
    centre = (low + high) / 2
    width, height = np.moveaxis(np.maximum(high - low, _SMALLEST_SIDE) * (across, down), -1, 0)
    grown = np.stack([np.maximum(width, height * aspect), np.maximum(height, width / aspect)], axis=-1)
    return np.concatenate([centre - grown / 2, centre + grown / 2], axis=-1)


def affine_to_crop(box: Float[np.ndarray, "*N 4"], width: int, height: int) -> Float[np.ndarray, "*N 2 3"]:
    """Return affines (…, 2, 3) that map boxes xyxy, image pixels, to the whole of a crop of width × height pixels.

    Boxes are used unchanged: apply `grow_box` first to preserve the aspect ratio.
    """
    low = box[..., :2].astype(np.float64)
    scale = np.array([width, height]) / (box[..., 2:] - low)  # (…, 2) crop pixels for one image pixel
    affine = np.zeros((*box.shape[:-1], 2, 3))
    affine[..., 0, 0] = scale[..., 0]
    affine[..., 1, 1] = scale[..., 1]
    affine[..., 2] = -low * scale
    return affine


def of_pixel_middles(affine: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "2 3"]:
    """Return an affine of positions, where pixels have their middles at halves, for positions of pixels' middles, as
    `warp` and `cut_out` take it."""
    return np.c_[affine[:, :2], affine[:, 2] + affine[:, :2] @ [0.5, 0.5] - 0.5]


def invert_affine(affine: Float[np.ndarray, "*N 2 3"]) -> Float[np.ndarray, "*N 2 3"]:
    """Return the inverse affines (…, 2, 3). Raises numpy's LinAlgError if one is singular."""
    linear = np.linalg.inv(affine[..., :2])  # (…, 2, 2)
    return np.concatenate([linear, -linear @ affine[..., 2:]], axis=-1)


def transform(affine: Float[np.ndarray, "*N 2 3"], xy: Float[np.ndarray, "*N K 2"]) -> Float[np.ndarray, "*N K 2"]:
    """Apply affines (…, 2, 3) to points (…, K, 2)."""
    return xy @ np.swapaxes(affine[..., :2], -1, -2) + affine[..., None, :, 2]


def warp(
    image: UInt8[np.ndarray, "H W 3"], affine: Float[np.ndarray, "2 3"], width: int, height: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Cut the crop (height, width, 3) of an image under any affine from image to crop pixels.

    Bilinear, black outside the image, as HRNet's `warpAffine` (no smoothing before shrinking).
    """
    if max(image.shape[:2]) > _LARGEST_WARP:
        image, affine = _window(image, affine, width, height)
    return cv2.warpAffine(image, affine, (width, height), flags=cv2.INTER_LINEAR)


def _window(
    image: np.ndarray, affine: np.ndarray, width: int, height: int
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2 3"]]:
    """Return the part of a huge image that the crop shows, subsampled if it is still too large, and its affine."""
    rim = np.array([[-1.0, -1.0], [width, -1.0], [-1.0, height], [width, height]])
    seen, size = transform(invert_affine(affine), rim), np.array(image.shape[1::-1])
    low = np.clip(np.floor(seen.min(axis=0)) - 1, 0, size - 1).astype(np.int64)
    high = np.clip(np.ceil(seen.max(axis=0)) + 2, low + 1, size).astype(np.int64)
    step = int(np.ceil((high - low).max() / _LARGEST_WARP))
    part = np.ascontiguousarray(image[low[1] : high[1] : step, low[0] : high[0] : step])
    part_affine = affine.copy()
    part_affine[:, :2] *= step
    part_affine[:, 2] += affine[:, :2] @ low
    return part, part_affine


def box_share(
    size: Float[np.ndarray, "*N 2"], affine: Float[np.ndarray, "*N 2 3"], width: int, height: int
) -> Float[np.ndarray, "*N 2"]:
    """Return boxes' widths and heights, in image pixels, as fractions of crops of width × height pixels under
    `affine`."""
    growth = np.sqrt(np.abs(np.linalg.det(affine[..., :2])))
    return size * growth[..., None] / (width, height)


_PLAIN = 4.0
"""Photo pixels per crop pixel from which on the photo is smoothed first. Published results are plain bilinear,
which skips pixels; in COCO a person is at most 3.6 times as large as its crop. On `dev` photos enlarged four times
SimplePose has AP 0.503 either way; with noise of 20 grey levels on the large photo 0.429 plain and 0.456 smoothed."""


def cut_out(
    image: UInt8[np.ndarray, "H W 3"], affine: Float[np.ndarray, "2 3"], width: int, height: int
) -> UInt8[np.ndarray, "h w 3"]:
    """Cut the crop (height, width, 3) of an image under an axis-aligned affine from image to crop pixels.

    Bilinear, black outside the image. If one crop pixel covers at least four image pixels a side, the image is first
    averaged over whole pixels, so that bilinear sampling covers two to three of the averaged pixels.
    """
    step = int(1 / (2 * max(affine[0, 0], affine[1, 1]))) if max(affine[0, 0], affine[1, 1]) <= 1 / _PLAIN else 1
    if step < 2 or min(image.shape[:2]) < step:
        return warp(image, affine, width, height)
    corners = transform(invert_affine(affine), np.array([[-2.0, -2.0], [width + 1.0, height + 1.0]]))
    size = np.array(image.shape[1::-1])
    low = np.clip(np.floor(corners[0]), 0, size - step).astype(np.int64)
    count = np.clip(np.ceil((corners[1] - low) / step), 1, (size - low) // step).astype(np.int64)
    high = low + count * step
    small = cv2.resize(image[low[1] : high[1], low[0] : high[0]], count.tolist(), interpolation=cv2.INTER_AREA)
    moved = affine.copy()
    moved[:, :2] *= step
    moved[:, 2] += affine[:, :2] @ (low + (step - 1) / 2)  # centre of the first averaged pixel
    return warp(small, moved, width, height)


def stretch(image: UInt8[np.ndarray, "H W 3"], width: int, height: int) -> UInt8[np.ndarray, "h w 3"]:
    """Resize a whole image to (height, width, 3), without keeping its proportions, corners to corners as in cv2.resize.

    Bicubic, as PaddleDetection resizes photos for its detectors. Where one pixel stands for at least four image pixels
    along a side, the image is first averaged along it, so that two or three remain, as in `cut_out`.
    """
    sides = zip(image.shape[:2], (height, width), strict=True)
    steps = [side // (2 * new) if side >= _PLAIN * new else 1 for side, new in sides]
    if max(steps) > 1:
        small = [-(-side // step) for side, step in zip(image.shape[:2], steps, strict=True)]
        image = cv2.resize(image, small[::-1], interpolation=cv2.INTER_AREA)
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def cut_whole_pixels(
    image: UInt8[np.ndarray, "H W 3"], box: Float[np.ndarray, " 4"], width: int, height: int
) -> Float32[np.ndarray, "h w 3"]:
    """Cut the crop (height, width, 3), 0–255, of a box xyxy in image pixels, as in pytorch-pose.

    A rectangle of whole pixels is resized bilinearly, black outside the image; values between grey levels are kept. If
    one crop pixel covers at least two image pixels a side, the image is first resized by that factor, without
    smoothing. As in pytorch-pose, keypoints are mapped back by the box's own affine, though the rectangle may be off by
    up to a pixel. Source: output of pytorch-pose's `crop` for synthetic images (https://trustpose.github.io/trustpose/parity.html).
    """
    black = np.zeros((height, width, 3), np.float32)
    side, centre, size = box[2:] - box[:2], (box[:2] + box[2:]) / 2, np.array(image.shape[1::-1])
    shrink = max(float(side[1]) / height, 1.0)
    if shrink >= 2:
        centre, side, size = centre / shrink, side / shrink, np.floor(size / shrink)
    if side.min() <= 0 or size.min() < 1 or size.max() < 2:
        return black
    left, right = _whole_pixels(float(centre[0]), float(side[0]), width)
    top, bottom = _whole_pixels(float(centre[1]), float(side[1]), height)
    columns, rows = range(max(left, 0), min(right, int(size[0]))), range(max(top, 0), min(bottom, int(size[1])))
    if not (columns and rows):
        return black
    if shrink >= 2:
        seen = _resized(image, columns, rows, size)
    else:
        seen = image[rows.start : rows.stop, columns.start : columns.stop]
    window = np.zeros((bottom - top, right - left, 3), np.float32)
    window[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = seen
    return cv2.resize(window, (width, height), interpolation=cv2.INTER_LINEAR)


def cut_boxes(
    image: UInt8[np.ndarray, "h w 3"] | None,
    boxes: Float[np.ndarray, "n 4"],
    affine: Float[np.ndarray, "n 2 3"],
    size: tuple[int, int],
    cutting: Cutting,
) -> CropPixels:
    """Cut the crops (n, H, W, 3) of size (W, H) of grown boxes, whose affines `affine_to_crop` gives. `image` may be
    None without boxes."""
    width, height = size
    crops = np.empty((len(boxes), height, width, 3), np.uint8 if cutting == "affine" else np.float32)
    if image is not None:
        for row in range(len(boxes)):
            cut, region = (cut_out, affine[row]) if cutting == "affine" else (cut_whole_pixels, boxes[row])
            crops[row] = cut(image, region, width, height)
    return crops


def _whole_pixels(centre: float, side: float, length: int) -> tuple[int, int]:
    """Return the pixels [start, stop) for `length` crop pixels: counted from one, rounded towards zero."""
    pixel = 1 / (length / side)  # not side / length, to reproduce rounding errors at whole numbers
    low = length * (0.5 - centre / side) * pixel
    start, stop = (math.trunc((border - 1) * pixel - low) + 1 for border in (0, length))
    return start, max(stop, start + 1)


def _resized(image: np.ndarray, columns: range, rows: range, size: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    """Resize these columns and rows of the image bilinearly to `size`, width and height, without smoothing."""
    left_columns, right_columns, across = _neighbours(columns, image.shape[1], int(size[0]))
    above, below, down = _neighbours(rows, image.shape[0], int(size[1]))
    lines = [
        image[np.ix_(row, left_columns)] * (1 - across)[:, None] + image[np.ix_(row, right_columns)] * across[:, None]
        for row in (above, below)
    ]
    return lines[0] * (1 - down)[:, None, None] + lines[1] * down[:, None, None]


def _neighbours(pixels: range, before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return for each pixel of `after` the two neighbouring pixels of `before`, and the weight of the second."""
    position = np.clip((np.arange(pixels.start, pixels.stop) + 0.5) * (before / after) - 0.5, 0, before - 1)
    first = np.floor(position).astype(np.int64)
    return first, np.minimum(first + 1, before - 1), position - first

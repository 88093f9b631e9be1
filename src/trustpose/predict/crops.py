"""Pixels for a network out of a photo of any size: as the published results cut them, and smoothed where those never
go."""

import math

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

from trustpose.geometry.crops import invert_affine, transform, warp

_PLAIN = 4.0
"""Photo pixels for one crop pixel from which on the photo is smoothed first. Published results are plain bilinear,
which skips pixels; in COCO a person is at most 3.6 times as large as its crop. On `dev` photos enlarged four times
SimplePose has AP 0.503 either way; with noise of 20 grey levels on the large photo 0.429 plain and 0.456 smoothed."""


def cut_out(
    image: UInt8[np.ndarray, "H W 3"], affine: Float[np.ndarray, "2 3"], width: int, height: int
) -> UInt8[np.ndarray, "h w 3"]:
    """The crop (height, width, 3) of an image under an axis-aligned affine from image to crop pixels.

    Bilinear, black outside the image. Where one crop pixel stands for at least four image pixels a side, the
    image is first shrunk by a whole number of pixels, averaging, so that bilinear sampling sees from two to three.
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
    moved[:, 2] += affine[:, :2] @ (low + (step - 1) / 2)  # where the first averaged pixel has its centre
    return warp(small, moved, width, height)


def cut_whole_pixels(
    image: UInt8[np.ndarray, "H W 3"], box: Float[np.ndarray, " 4"], width: int, height: int
) -> Float32[np.ndarray, "h w 3"]:
    """The crop (height, width, 3), 0–255, of a box xyxy in image pixels, as pytorch-pose cuts it.

    A rectangle of whole pixels is resized bilinearly, black outside the image; values between grey levels are kept.
    Where one crop pixel stands for at least two image pixels a side, the image is first resized by that much, without
    smoothing. Keypoints go back by the box's own affine, as there, though the rectangle lies up to a pixel beside it.
    Source: what pytorch-pose's `crop` gave for made-up images (docs/parity.md).
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


def _whole_pixels(centre: float, side: float, length: int) -> tuple[int, int]:
    """The pixels [start, stop) for `length` crop pixels: counted from one, rounded towards zero."""
    pixel = 1 / (length / side)  # not side / length: where a corner is a whole number, rounding errors decide as there
    low = length * (0.5 - centre / side) * pixel
    start, stop = (math.trunc((at - 1) * pixel - low) + 1 for at in (0, length))
    return start, max(stop, start + 1)


def _resized(image: np.ndarray, columns: range, rows: range, size: np.ndarray) -> Float[np.ndarray, "h w 3"]:
    """These columns and rows of the image resized bilinearly to `size`, width and height, without smoothing."""
    left, right, across = _neighbours(columns, image.shape[1], int(size[0]))
    above, below, down = _neighbours(rows, image.shape[0], int(size[1]))
    lines = [
        image[np.ix_(row, left)] * (1 - across)[:, None] + image[np.ix_(row, right)] * across[:, None]
        for row in (above, below)
    ]
    return lines[0] * (1 - down)[:, None, None] + lines[1] * down[:, None, None]


def _neighbours(pixels: range, before: int, after: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The two pixels of `before` that each of these of `after` lies between, and how near it is to the second."""
    place = np.clip((np.arange(pixels.start, pixels.stop) + 0.5) * (before / after) - 0.5, 0, before - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, before - 1), place - first

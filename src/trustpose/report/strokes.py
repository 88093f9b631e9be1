"""Lines, circles and text on RGB pixels, in coordinates of 1/16 pixel where a point is given."""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Int, UInt8

SHIFT = 4  # cv2 draws at 1/16 pixel
MAX_COORDINATE = 1e6  # pixels; cv2's fixed-point coordinates overflow beyond about 1e8
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE = 30  # height of a line of this font at scale 1, in pixels

Colour = tuple[int, int, int]
Pixels = UInt8[np.ndarray, "H W 3"]


def line(drawn: np.ndarray, ends: Sequence[Sequence[int]], colour: Colour, width: int) -> None:
    """Draw a line between two points, (x, y) each."""
    cv2.line(drawn, ends[0], ends[1], colour, width, cv2.LINE_AA, SHIFT)


def circle(drawn: np.ndarray, point: np.ndarray, radius: float, colour: Colour, thickness: int = cv2.FILLED) -> None:
    """Draw a circle around a point, its radius in pixels."""
    centre = (int(point[0]), int(point[1]))
    cv2.circle(drawn, centre, round(radius * (1 << SHIFT)), colour, thickness, cv2.LINE_AA, SHIFT)


def tint(drawn: np.ndarray, point: Int[np.ndarray, "2"], radius: float, colour: Colour, opacity: float) -> None:
    """Draw a see-through disc with a thin edge around a point, its radius in pixels."""
    x, y = (float(coordinate) / (1 << SHIFT) for coordinate in point)
    height, width = drawn.shape[:2]
    left, right = max(0, int(x - radius) - 2), min(width, int(x + radius) + 3)
    top, bottom = max(0, int(y - radius) - 2), min(height, int(y + radius) + 3)
    if left >= right or top >= bottom:
        return
    part = drawn[top:bottom, left:right]
    disc = part.copy()
    cv2.circle(disc, (round(x) - left, round(y) - top), round(radius), colour, cv2.FILLED)  # its rough edge is covered
    cv2.addWeighted(disc, opacity, part, 1 - opacity, 0, dst=part)
    circle(drawn, point, radius, colour, max(1, round(radius / 80)))  # 1 is six times as fast as 2


@lru_cache(maxsize=1024)
def text_mask(text: str, height: int) -> UInt8[np.ndarray, "h w"]:
    """Return the opacity (0–255) of a line of text of this height in pixels; cached, as OpenCV 5 is slow at it."""
    scale = height / _LINE
    weight = max(1, round(1.7 * scale))
    (width, above), below = cv2.getTextSize(text, _FONT, scale, weight)
    canvas = np.zeros((above + below + 2 * weight, width + 4 * weight), np.uint8)
    cv2.putText(canvas, text, (2 * weight, above + weight), _FONT, scale, 255, weight, cv2.LINE_AA)
    columns = np.flatnonzero(canvas.any(axis=0))
    return canvas[:, columns[0] : columns[-1] + 1] if len(columns) else canvas[:, :1]


@lru_cache(maxsize=256)
def _text_colours(text: str, height: int, *, is_dark: bool) -> UInt8[np.ndarray, "h w 3"]:
    """Return the text on black in white or, if dark, on white in black; in three channels, which numpy combines with
    pixels ten times as fast as one."""
    mask = text_mask(text, height)
    return np.repeat((255 - mask if is_dark else mask)[:, :, None], 3, axis=2)


def write(drawn: np.ndarray, text: str, left: int, middle: int, height: int, *, is_dark: bool = False) -> None:
    """Write a line of text, white on dark or dark on light, that starts at `left` and is centred at `middle`, both in
    pixels, cut off at the edges."""
    mask = _text_colours(text, height, is_dark=is_dark)
    top = middle - mask.shape[0] // 2
    rows = slice(max(0, -top), max(0, drawn.shape[0] - top))
    columns = slice(max(0, -left), max(0, drawn.shape[1] - left))
    mask = mask[rows, columns]
    if mask.size:
        top, left = max(0, top), max(0, left)
        part = drawn[top : top + mask.shape[0], left : left + mask.shape[1]]
        (np.minimum if is_dark else np.maximum)(part, mask, out=part)

"""Draw surfaces on photos: parts in colours, lines of equal U and V, expected similarity, or a texture."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.io.photos import read_image
from trustpose.names import expected_one_of
from trustpose.poses.surfaces import Surface, Surfaces
from trustpose.report.options import SURFACE_STYLES
from trustpose.skeletons.surface_parts import SURFACE_PARTS

_LINES = 8  # of equal U, and of equal V, across a part
_OPACITY = 0.6
_ROWS, _COLUMNS = 6, 4  # of a texture's squares


def draw_surfaces(
    pixels: UInt8[np.ndarray, "H W 3"], surfaces: Surfaces | Iterable[Surface], style: str = "contours"
) -> UInt8[np.ndarray, "H W 3"]:
    """Return the photo with the people's surfaces.

    Args:
        pixels: RGB.
        surfaces: of the photo; later ones cover earlier ones.
        style: "contours" draws lines of equal U and of equal V, coloured by their value, around each part; "parts"
            colours the parts; "trust" the expected similarity, from red (0) to green (1).

    Raises:
        ValueError: for another style, or for "trust" of a surface without expected similarity.
    """
    if style not in SURFACE_STYLES:
        raise ValueError(f"style: {expected_one_of(SURFACE_STYLES, style)}")
    drawn = pixels.copy()
    for surface in surfaces:
        colour, opacity = _paint(surface, style)
        _blend(drawn, surface, colour, opacity)
    return drawn


def _paint(surface: Surface, style: str) -> tuple[Float[np.ndarray, "h w 3"], Float[np.ndarray, "h w"]]:
    """Return a surface's colours, 0–255, and how much they cover, 0–1."""
    is_person = (surface.part > 0).astype(np.float64)
    if style == "trust":
        if surface.quality is None:
            raise ValueError("style: trust needs surfaces with expected similarity (Surface.quality), got none")
        hue = np.clip(surface.quality, 0, 1) / 3  # of a circle: red to green
        return _hues(hue), is_person * _OPACITY
    if style == "parts":
        return _hues(surface.part / (len(SURFACE_PARTS) + 1)), is_person * _OPACITY
    steps = np.floor(surface.uv * _LINES) + surface.part[..., None] * (_LINES + 1)
    u_line, v_line = (_borders(steps[..., axis]) for axis in (0, 1))
    outline = _borders(surface.part.astype(np.float64))
    value = np.where(v_line, surface.uv[..., 1], surface.uv[..., 0])
    colour = np.where(outline[..., None], 255.0, _hues(0.7 * (1 - value)))
    return colour, ((u_line | v_line | outline) & (surface.part > 0)).astype(np.float64)


def _borders(labels: Float[np.ndarray, "h w"]) -> np.ndarray:
    """Return the pixels whose label differs from the next one's to the right or below."""
    border = np.zeros(labels.shape, np.bool_)
    border[:, :-1] |= labels[:, 1:] != labels[:, :-1]
    border[:-1] |= labels[1:] != labels[:-1]
    return border


def _hues(hue: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w 3"]:
    """Return bright colours, RGB 0–255, of hues 0–1 around the circle."""
    hsv = np.stack([hue * 180, np.full_like(hue, 220), np.full_like(hue, 240)], axis=-1).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB).astype(np.float64)


def _blend(
    drawn: UInt8[np.ndarray, "H W 3"],
    surface: Surface,
    colour: Float[np.ndarray, "h w 3"],
    opacity: np.ndarray,
) -> None:
    """Paint a surface's pixels over a photo, in place; what lies outside is left out."""
    height, width = drawn.shape[:2]
    x, y = np.floor(surface.box[:2]).astype(int)
    rows, columns = surface.part.shape
    top, bottom, left, right = max(y, 0), min(y + rows, height), max(x, 0), min(x + columns, width)
    if top >= bottom or left >= right:
        return
    part = slice(top - y, bottom - y), slice(left - x, right - x)
    share = opacity[part].astype(np.float64)[..., None]
    below = drawn[top:bottom, left:right]
    drawn[top:bottom, left:right] = np.rint(below * (1 - share) + colour[part] * share).astype(np.uint8)


def read_texture(path: str | Path) -> UInt8[np.ndarray, "24 s s 3"]:
    """Return the squares of a texture atlas: 6 rows and 4 columns of squares, part by part down the columns, as
    DensePose's. Raises InputError for another shape."""
    image = read_image(path)
    side = image.shape[0] // _ROWS
    if image.shape[:2] != (_ROWS * side, _COLUMNS * side) or not side:
        size = f"{image.shape[0]} × {image.shape[1]} pixels"
        raise InputError(f"{path}: expected a texture of {_ROWS} × {_COLUMNS} squares, got {size}")
    squares = image.reshape(_ROWS, side, _COLUMNS, side, 3).transpose(2, 0, 1, 3, 4)
    return squares.reshape(len(SURFACE_PARTS), side, side, 3)


def dress(
    pixels: UInt8[np.ndarray, "H W 3"],
    surfaces: Surfaces | Iterable[Surface],
    texture: UInt8[np.ndarray, "24 s s 3"],
) -> UInt8[np.ndarray, "H W 3"]:
    """Return the photo with a texture on the people. U runs across a part's square, 1 − V down; black pixels of the
    texture leave the photo as it is."""
    drawn, last = pixels.copy(), texture.shape[1] - 1
    for surface in surfaces:
        column = np.rint(surface.uv[..., 0] * last).astype(np.int64)
        row = np.rint((1 - surface.uv[..., 1]) * last).astype(np.int64)
        colour = texture[np.maximum(surface.part, 1).astype(np.int64) - 1, row, column].astype(np.float64)
        _blend(drawn, surface, colour, (surface.part > 0) & colour.any(axis=-1))
    return drawn


def extract_texture(
    pixels: UInt8[np.ndarray, "H W 3"], surfaces: Surfaces | Iterable[Surface], side: int = 200
) -> UInt8[np.ndarray, "24 s s 3"]:
    """Return the texture that a photo's people wear: the mean colour of the pixels at each place of the charts, black
    where no pixel shows it."""
    total, count = np.zeros((len(SURFACE_PARTS), side, side, 3)), np.zeros((len(SURFACE_PARTS), side, side))
    for surface in surfaces:
        line, column = np.nonzero(surface.part)
        x, y = np.floor(surface.box[:2]).astype(int)
        is_inside = (line + y >= 0) & (line + y < pixels.shape[0]) & (column + x >= 0) & (column + x < pixels.shape[1])
        line, column = line[is_inside], column[is_inside]
        uv = surface.uv[line, column]
        cell = (
            surface.part[line, column].astype(np.int64) - 1,
            np.rint((1 - uv[:, 1]) * (side - 1)).astype(np.int64),
            np.rint(uv[:, 0] * (side - 1)).astype(np.int64),
        )
        np.add.at(total, cell, pixels[line + y, column + x])
        np.add.at(count, cell, 1)
    return np.rint(total / np.maximum(count, 1)[..., None]).astype(np.uint8)

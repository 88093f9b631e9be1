"""Drawings of surfaces: what is painted, textures that come back, and what is refused."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.surface_cases import random_surface
from trustpose.files import InputError
from trustpose.poses.surfaces import Surface
from trustpose.report.options import SURFACE_STYLES
from trustpose.report.surfaces import draw_surfaces, dress, extract_texture, read_texture

PHOTO = np.full((60, 50, 3), 100, np.uint8)


def _smooth() -> Surface:
    """A torso of 20 × 30 pixels, U across and V down, beyond the photo's right border."""
    v, u = np.meshgrid(np.linspace(0, 1, 30), np.linspace(0, 1, 20), indexing="ij")
    uv = np.stack([u, v], axis=-1).astype(np.float32)
    return Surface(
        np.full((30, 20), 2, np.uint8), uv, np.array([40.0, 10.0, 60.0, 40.0]), quality=np.full((30, 20), 0.9)
    )


@pytest.mark.parametrize("style", SURFACE_STYLES)
def test_only_the_person_is_painted(style: str) -> None:
    drawn = draw_surfaces(PHOTO, [_smooth()], style)
    changed = (drawn != PHOTO).any(axis=-1)
    assert changed[10:40, 40:].mean() > 0.25 and changed.sum() == changed[10:40, 40:].sum()
    if style == "contours":
        assert not changed[10:40, 40:].all()
        lines = changed[11:39, 40:50].all(axis=0).sum()
        assert lines == 4  # of eight across 20 pixels, ten of which are in the photo
    if style == "trust":
        red, green, _ = drawn[20, 45]
        assert green > red


def test_trust_needs_quality() -> None:
    with pytest.raises(ValueError, match="trust needs surfaces with expected similarity"):
        draw_surfaces(PHOTO, [random_surface(0)], "trust")


def test_a_texture_is_worn_and_taken_off(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    squares = rng.integers(1, 256, (4, 6, 10, 10, 3)).astype(np.uint8)  # column, row of the atlas
    atlas = squares.transpose(1, 2, 0, 3, 4).reshape(60, 40, 3)
    cv2.imwrite(str(tmp_path / "atlas.png"), atlas[..., ::-1])
    texture = read_texture(tmp_path / "atlas.png")
    np.testing.assert_array_equal(texture, squares.reshape(24, 10, 10, 3))
    surface = random_surface(1)
    dressed = dress(PHOTO, [surface], texture)
    part, uv = int(surface.part[3, 5]), surface.uv[3, 5]
    assert part
    row, column = round((1 - uv[1]) * 9), round(uv[0] * 9)
    np.testing.assert_array_equal(dressed[4 + 3, 3 + 5], texture[part - 1, row, column])
    again = extract_texture(dressed, [surface], 10)
    seen = again.any(axis=-1)
    assert seen.sum() > 100
    np.testing.assert_array_equal(again[seen], texture[seen])
    cv2.imwrite(str(tmp_path / "other.png"), atlas[:50])
    with pytest.raises(InputError, match="expected a texture of 6 × 4 squares, got 50 × 40 pixels"):
        read_texture(tmp_path / "other.png")

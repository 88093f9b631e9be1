"""Cutting out: as published below four photo pixels a crop pixel, smoothed and in the same place beyond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.geometry.crops import affine_to_crop, cut_out, cut_whole_pixels, warp


def _affine(x0, y0, width, shrink):
    height = 48 * shrink
    return affine_to_crop(np.array([x0, y0, x0 + width, y0 + height], dtype=float), 36, 48)


@given(st.floats(0.2, 3.99), st.floats(-20, 60), st.floats(-20, 60))
def test_as_published_where_published_results_go(shrink, x0, y0):
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
    affine = _affine(x0, y0, 36 * shrink, shrink)
    np.testing.assert_array_equal(cut_out(image, affine, 36, 48), warp(image, affine, 36, 48))


@given(st.floats(4, 25), st.floats(-300, 500), st.floats(-300, 500))
def test_a_slope_stays_where_it_is(shrink, x0, y0):
    """Averaging and sampling leave a linear slope as it is, so the value of a crop pixel gives its photo pixel."""
    x, y = np.meshgrid(np.arange(900), np.arange(700))
    image = np.rint(np.stack([x * 0.25, y * 0.25, (x + y) * 0.125], axis=2)).astype(np.uint8)
    affine = _affine(x0, y0, 36 * shrink, shrink)
    crop = cut_out(image, affine, 36, 48).astype(float)
    columns, rows = x0 + np.arange(36) * shrink, y0 + np.arange(48) * shrink
    inside = np.outer(
        (rows > 2 * shrink) & (rows < 700 - 2 * shrink - 1), (columns > 2 * shrink) & (columns < 900 - 2 * shrink - 1)
    )
    expected_x, expected_y = np.meshgrid(columns * 0.25, rows * 0.25)
    for channel, expected in ((0, expected_x), (1, expected_y), (2, (expected_x + expected_y) / 2)):
        assert np.abs(crop[..., channel] - expected)[inside].max(initial=0) <= 1.01
    outside = np.outer((rows < -2 * shrink) | (rows > 700 + 2 * shrink), np.ones(36, bool))
    assert (crop[outside] == 0).all()


@pytest.mark.parametrize("shrink", [4, 10, 24])
def test_noise_is_averaged_away(shrink):
    image = np.random.default_rng(0).normal(128, 30, (48 * shrink, 36 * shrink, 3)).clip(0, 255).astype(np.uint8)
    affine = _affine(0, 0, 36 * shrink, shrink)
    assert cut_out(image, affine, 36, 48)[2:-2, 2:-2].std() < 0.7 * warp(image, affine, 36, 48)[2:-2, 2:-2].std()


def test_photos_smaller_than_a_step():
    for shape in ((1, 400, 3), (400, 1, 3), (3, 3, 3)):
        crop = cut_out(np.full(shape, 200, np.uint8), _affine(-100, -100, 36 * 20, 20), 36, 48)
        assert crop.shape == (48, 36, 3)


# What pytorch-pose's `crop` (edc7aec) gave, run on this image and these boxes: the red channel of 4 × 4 crops, × 255.
_WHOLE_PIXELS = {
    "inside, between pixels": (
        (8.45, 5.75, 22.15, 19.45),
        [
            [123.446, 102.196, 144.946, 27.696],
            [161.161, 43.911, 182.661, 65.411],
            [198.875, 81.625, 220.375, 103.125],
            [236.589, 119.339, 162.089, 140.839],
        ],
    ),
    "over the corner": (
        (-3, 16.75, 6, 25.75),
        [
            [0.0, 135.433, 152.712, 46.077],
            [0.0, 57.779, 84.958, 72.477],
            [0.0, 63.817, 100.896, 98.877],
            [0.0, 0.0, 0.0, 0.0],
        ],
    ),
    "shrunk first": (
        (-1, -3.5, 29, 26.5),
        [
            [158.75, 172.188, 188.313, 201.75],
            [173.75, 137.188, 108.313, 96.75],
            [143.75, 107.188, 78.312, 66.75],
            [78.75, 92.188, 108.313, 121.75],
        ],
    ),
    "shrunk first, beyond the photo": (
        (10, -27, 70, 33),
        [[0.0] * 4, [107.813, 40.43, 0.0, 0.0], [107.813, 40.43, 0.0, 0.0], [0.0] * 4],
    ),
}


@pytest.mark.parametrize("case", _WHOLE_PIXELS)
def test_whole_pixels_as_pytorch_pose_cuts_them(case):
    box, expected = _WHOLE_PIXELS[case]
    y, x, channel = np.mgrid[:24, :30, :3]
    image = ((x * 37 + y * 11 + channel * 50) % 256).astype(np.uint8)
    crop = cut_whole_pixels(image, np.array(box, dtype=float), 4, 4)
    assert crop.shape == (4, 4, 3) and crop.dtype == np.float32
    np.testing.assert_allclose(crop[..., 0], expected, atol=2e-3)


@pytest.mark.parametrize(
    "box",
    [
        (0, 40, 10, 50),  # below the photo
        (1e17, 0, 1e17, 30),  # so far away that it has no width left
        (-1e6, -1e6, 1e6, 1e6),  # so large that the photo has less than a pixel
        (1e300, 1e300, 2e300, 2e300),
    ],
)
def test_whole_pixels_where_nothing_is_seen_are_black(box):
    crop = cut_whole_pixels(np.full((24, 30, 3), 200, np.uint8), np.array(box, dtype=float), 8, 8)
    assert crop.shape == (8, 8, 3) and not crop.any()


def test_a_box_of_less_than_a_pixel_has_one():
    image = np.full((24, 30, 3), 200, np.uint8)
    assert (cut_whole_pixels(image, np.array([-0.6, -0.6, 0.6, 0.6]), 8, 8) == 200).all()

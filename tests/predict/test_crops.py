"""Cutting out: as published below four photo pixels a crop pixel, smoothed and in the same place beyond."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.geometry.crops import affine_to_crop, warp
from trustpose.predict.crops import cut_out


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
    """Averaging and sampling leave a linear slope as it is, so every crop pixel says which photo pixel it shows."""
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

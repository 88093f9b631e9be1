"""DARK: kernel and smoothing are OpenCV's, the step is the equations of the papers, solved by numpy.linalg."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trustpose.codecs.peaks import blur_kernel, dark, highest_pixels


@pytest.mark.parametrize(("sigma", "taps"), [(1.0, 5), (1.5, 7), (2.0, 11), (3.0, 17)])
def test_the_kernel_is_opencvs_with_the_official_number_of_taps(sigma, taps):
    kernel = blur_kernel(sigma)
    assert len(kernel) == taps
    width = 0.3 * ((taps - 1) * 0.5 - 1) + 0.8  # what OpenCV documents; up to 9 taps it has rounded tables instead
    np.testing.assert_allclose(kernel, cv2.getGaussianKernel(taps, width)[:, 0], atol=1e-12)


def _loop(heatmap, sigma, compact):
    """The papers' step for one map whose peak is well inside, or None where there is none to a maximum nearby."""
    y, x = np.unravel_index(heatmap.argmax(), heatmap.shape)
    taps = len(blur_kernel(sigma))
    smooth = cv2.GaussianBlur(heatmap.astype(np.float64), (taps, taps), 0.3 * ((taps - 1) * 0.5 - 1) + 0.8)
    log = np.log(smooth)
    gradient = np.array([log[y, x + 1] - log[y, x - 1], log[y + 1, x] - log[y - 1, x]]) / 2
    if compact:
        dxx = log[y, x + 1] - 2 * log[y, x] + log[y, x - 1]
        dyy = log[y + 1, x] - 2 * log[y, x] + log[y - 1, x]
        dxy = (
            log[y + 1, x + 1] + log[y - 1, x - 1] + 2 * log[y, x]
            - log[y, x + 1] - log[y, x - 1] - log[y + 1, x] - log[y - 1, x]
        ) / 2  # fmt: skip
    else:
        dxx = (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2]) / 4
        dyy = (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x]) / 4
        dxy = (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1]) / 4
    hessian = np.array([[dxx, dxy], [dxy, dyy]])
    if np.linalg.eigvalsh(hessian).max() > -1e-6:
        return None
    step = -np.linalg.solve(hessian, gradient)
    return np.array([x, y]) + step if np.abs(step).max() < taps // 2 else None


@given(st.integers(0, 2**31), st.sampled_from([1.0, 2.0, 3.0]), st.booleans())
def test_the_step_is_the_equations_on_bumps_with_others_beside_them(seed, sigma, compact):
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(48), np.arange(64))
    maps = np.full((1, 6, 64, 48), 0.01)
    for k in range(6):
        for height in (1.0, 0.6, 0.4):
            cx, cy = rng.uniform((16, 16), (32, 48))
            maps[0, k] += height * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * rng.uniform(0.8, 1.5) * sigma**2))
    xy, score = dark(maps, sigma, compact=compact)
    for k in range(6):
        assert score[0, k] == maps[0, k].max()
        expected = _loop(maps[0, k], sigma, compact)
        if expected is not None:
            np.testing.assert_allclose(xy[0, k], expected, atol=1e-6)


@given(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)).flatmap(
        lambda shape: arrays(np.float32, shape, elements=st.floats(-2, 2, width=32))
    ),
    st.sampled_from([1.0, 2.0, 3.0]),
    st.booleans(),
)
def test_any_map_gives_a_finite_place_not_far_from_its_highest_pixel(heatmaps, sigma, compact):
    xy, score = dark(heatmaps, sigma, compact=compact)
    peak, height = highest_pixels(heatmaps)
    np.testing.assert_array_equal(score, height)
    assert np.isfinite(xy).all()
    assert np.abs(xy - peak).max() <= 4 + len(blur_kernel(sigma)) // 2


@pytest.mark.parametrize("value", [0.0, -1.0, 1e-30, np.nan, np.inf])
def test_maps_without_a_bump_stay_at_their_highest_pixel(value):
    heatmaps = np.full((1, 2, 16, 12), value, np.float32)
    heatmaps[0, 1] = 0
    heatmaps[0, 1, 8, 6] = 1
    for compact in (False, True):
        xy, _ = dark(heatmaps, 2.0, compact=compact)
        np.testing.assert_array_equal(xy, [[[0, 0], [6, 8]]])


def test_the_height_of_the_map_does_not_matter():
    rng = np.random.default_rng(0)
    maps = cv2.GaussianBlur(rng.uniform(0, 1, (64, 48)), (15, 15), 0)[None, None]
    for compact in (False, True):
        np.testing.assert_allclose(
            dark(maps * 0.02, 2.0, compact=compact)[0], dark(maps, 2.0, compact=compact)[0], atol=1e-6
        )

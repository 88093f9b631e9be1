"""Peaks: quarter offsets against loops written from the papers, smoothing against sums, patches against slices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trustpose.codecs.peaks import argmax_quarter, highest_pixels, patches, smoothed, towards_second_highest

small_maps = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]))
)


def _loop(heatmap):
    """Quarter offset for one map, pixel by pixel."""
    height, width = heatmap.shape
    y, x = divmod(int(heatmap.argmax()), width)
    position = np.array([x, y], float)
    if 0 < x < width - 1 and 0 < y < height - 1:
        position[0] += 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
        position[1] += 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    return position, heatmap[y, x]


@given(small_maps)
def test_decoding_is_the_loop_on_any_map(heatmaps):
    xy, score = argmax_quarter(heatmaps)
    for b in range(heatmaps.shape[0]):
        for k in range(heatmaps.shape[1]):
            position, height = _loop(heatmaps[b, k])
            np.testing.assert_array_equal(xy[b, k], position)
            assert score[b, k] == height


def _towards_second(heatmap):
    """MSPN's place for one map: from the highest pixel a quarter towards the second highest, wherever it is."""
    pixels = {(x, y): heatmap[y, x] for y in range(heatmap.shape[0]) for x in range(heatmap.shape[1])}
    first = max(pixels, key=lambda xy: pixels[xy])
    pixels[first] = -np.inf
    way = np.subtract(max(pixels, key=lambda xy: pixels[xy]), first)
    position = first + 0.25 * way / np.hypot(*way)
    return np.minimum(np.maximum(position, 0), np.array(heatmap.shape[::-1]) - 1), heatmap[first[1], first[0]]


@given(st.integers(0, 2**31), st.integers(2, 7), st.integers(2, 7))
def test_the_quarter_towards_the_second_highest_pixel(seed, height, width):
    heatmaps = np.random.default_rng(seed).uniform(0.1, 1, (2, 3, height, width)).astype(np.float32)
    xy, score = towards_second_highest(heatmaps)
    for b, k in np.ndindex(2, 3):
        position, highest = _towards_second(heatmaps[b, k])
        np.testing.assert_allclose(xy[b, k], position, atol=1e-12)
        assert score[b, k] == highest


@given(st.integers(0, 2**31), st.sampled_from([[1], [1, 2, 1], [1, 4, 6, 4, 1]]), st.integers(0, 6))
def test_smoothing_is_a_weighted_sum_over_a_frame_of_zeros(seed, weight, margin):
    heatmap = np.random.default_rng(seed).normal(size=(6, 5))
    framed = np.pad(heatmap, margin)
    down, across = (
        sum(np.eye(size, k=k - len(weight) // 2) * one for k, one in enumerate(weight)) / sum(weight)
        for size in framed.shape
    )
    found = smoothed(heatmap[None, None], len(weight), margin)[0, 0]
    np.testing.assert_allclose(found, down @ framed @ across.T, atol=1e-12)


@given(small_maps, st.integers(0, 3))
def test_patches_are_slices_of_the_map_in_a_frame_of_zeros(heatmaps, radius):
    position, _ = highest_pixels(heatmaps)
    framed = np.pad(heatmaps, ((0, 0), (0, 0), (radius, radius), (radius, radius)))
    found = patches(heatmaps, position, radius)
    for b, k in np.ndindex(heatmaps.shape[:2]):
        x, y = position[b, k]
        np.testing.assert_array_equal(found[b, k], framed[b, k, y : y + 2 * radius + 1, x : x + 2 * radius + 1])


def test_low_and_flat_maps_are_decoded_like_all_others():
    xy, score = argmax_quarter(np.full((1, 2, 8, 6), -3.0, np.float32))
    assert np.isfinite(xy).all() and (score == -3).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_maps_do_not_stop_the_others(value):
    heatmaps = np.zeros((1, 2, 8, 6), np.float32)
    heatmaps[0, 0] = value
    heatmaps[0, 1, 4, 3] = 1
    xy, _ = argmax_quarter(heatmaps)
    np.testing.assert_array_equal(xy[0, 1], [3, 4])

"""Peaks: the quarter offset against a loop written from HRNet's description, patches against plain slices."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trustpose.codecs.peaks import argmax_quarter, highest_pixels, patches

small_maps = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]))
)


def _loop(heatmap):
    """Quarter offset for one map, pixel by pixel."""
    height, width = heatmap.shape
    y, x = divmod(int(heatmap.argmax()), width)
    place = np.array([x, y], float)
    if 0 < x < width - 1 and 0 < y < height - 1:
        place[0] += 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
        place[1] += 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    return place, heatmap[y, x]


@given(small_maps)
def test_decoding_is_the_loop_on_any_map(heatmaps):
    xy, score = argmax_quarter(heatmaps)
    for b in range(heatmaps.shape[0]):
        for k in range(heatmaps.shape[1]):
            place, height = _loop(heatmaps[b, k])
            np.testing.assert_array_equal(xy[b, k], place)
            assert score[b, k] == height


@given(small_maps, st.integers(0, 3))
def test_patches_are_slices_of_the_map_in_a_frame_of_zeros(heatmaps, radius):
    place, _ = highest_pixels(heatmaps)
    framed = np.pad(heatmaps, ((0, 0), (0, 0), (radius, radius), (radius, radius)))
    found = patches(heatmaps, place, radius)
    for b, k in np.ndindex(heatmaps.shape[:2]):
        x, y = place[b, k]
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

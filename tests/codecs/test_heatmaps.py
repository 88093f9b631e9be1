"""Heatmap codec: bounds by hypothesis, decoding against a loop written from HRNet's description."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec, argmax_quarter, flip_back
from trustpose.skeletons import COCO_17

CODEC = HeatmapCodec(width=48, height=64, stride=4.0)


@given(arrays(np.float64, (2, 5, 2), elements=st.floats(0.51, 46.49)), st.sampled_from([1.0, 2.0, 3.0]))
def test_encode_then_decode_is_within_a_quarter_map_pixel(xy_map, sigma):
    codec = HeatmapCodec(width=48, height=64, stride=4.0, sigma=sigma)
    decoded = codec.decode(Outputs([codec.encode(xy_map * codec.stride)]))
    assert np.abs(decoded.xy - xy_map * codec.stride).max() <= 0.25 * codec.stride + 1e-4
    assert (decoded.score > 0.5).all()


@given(st.floats(0, 47), st.floats(0, 63))
def test_at_the_edge_within_half_a_map_pixel(x, y):
    xy = np.array([[[x, y]]]) * CODEC.stride
    decoded = CODEC.decode(Outputs([CODEC.encode(xy)]))
    assert np.abs(decoded.xy - xy).max() <= 0.5 * CODEC.stride + 1e-4


def _loop(heatmap):
    """Quarter offset for one map, pixel by pixel."""
    height, width = heatmap.shape
    y, x = divmod(int(heatmap.argmax()), width)
    place = np.array([x, y], float)
    if 0 < x < width - 1 and 0 < y < height - 1:
        place[0] += 0.25 * np.sign(heatmap[y, x + 1] - heatmap[y, x - 1])
        place[1] += 0.25 * np.sign(heatmap[y + 1, x] - heatmap[y - 1, x])
    return place, heatmap[y, x]


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)).flatmap(
        lambda shape: arrays(np.float32, shape, elements=st.sampled_from([-1.0, 0.0, 0.25, 0.5, 1.0]))
    )
)
def test_decoding_is_the_loop_on_any_map(heatmaps):
    xy, score = argmax_quarter(heatmaps)
    for b in range(heatmaps.shape[0]):
        for k in range(heatmaps.shape[1]):
            place, height = _loop(heatmaps[b, k])
            np.testing.assert_array_equal(xy[b, k], place)
            assert score[b, k] == height


def test_low_and_flat_maps_are_decoded_like_all_others():
    xy, score = argmax_quarter(np.full((1, 2, 8, 6), -3.0, np.float32))
    assert np.isfinite(xy).all() and (score == -3).all()


def test_encoding_is_a_gaussian_with_peak_one_and_zero_where_not_labelled():
    xy = np.array([[[40.0, 80.0], [np.nan, 3.0]]])
    target = CODEC.encode(xy, np.array([[True, False]]))
    assert target.shape == (1, 2, 64, 48) and target.dtype == np.float32
    assert target[0, 0, 20, 10] == 1 and not target[0, 1].any()
    expected = [[np.exp(-((x - 10) ** 2 + (y - 20) ** 2) / (2 * 2.0**2)) for x in range(48)] for y in range(64)]
    np.testing.assert_allclose(target[0, 0], expected, atol=1e-6)


@given(st.integers(0, 2**31))
def test_flip_twice_without_shift_is_the_identity(seed):
    heatmaps = np.random.default_rng(seed).normal(size=(2, 17, 5, 4)).astype(np.float32)
    once = flip_back(heatmaps, COCO_17.flip_index, shift=0)
    np.testing.assert_array_equal(flip_back(once, COCO_17.flip_index, shift=0), heatmaps)


def test_flip_back_brings_a_mirrored_crop_home():
    """Keypoints of a mirrored crop, encoded and flipped back, stand within the shift's residue of 1 crop pixel."""
    xy = np.random.default_rng(0).uniform(30, 150, (3, 17, 2))
    mirrored = xy.copy()
    mirrored[..., 0] = 191 - mirrored[..., 0]
    mirrored = mirrored[:, COCO_17.flip_index]
    back = flip_back(CODEC.encode(mirrored), COCO_17.flip_index)
    expected = xy.copy()
    expected[..., 0] += 1  # one map pixel is 4 crop pixels, the grids lie 3 apart
    np.testing.assert_allclose(back[..., 1:], CODEC.encode(expected)[..., 1:], atol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_broken_maps_do_not_stop_the_others(value):
    heatmaps = np.zeros((1, 2, 8, 6), np.float32)
    heatmaps[0, 0] = value
    heatmaps[0, 1, 4, 3] = 1
    xy, _ = argmax_quarter(heatmaps)
    np.testing.assert_array_equal(xy[0, 1], [3, 4])

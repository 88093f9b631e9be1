"""Heatmap codecs: errors of encoding and decoding, by hypothesis; conventions, flips, target weights."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import CODECS, DECODINGS, HeatmapCodec, flip_back
from trustpose.geometry.crops import affine_to_crop, grow_box, invert_affine, transform
from trustpose.skeletons import COCO_17

CODEC = HeatmapCodec(width=48, height=64, stride=4.0)


def _codec(name, sigma=2.0):
    decoding, convention = CODECS[name]
    return HeatmapCodec(48, 64, 4.0, sigma, decoding, convention)


def _places(low, high):
    """xy (2, 5, 2) in map pixels, `low` or more from the map's low edges and as far from its high ones."""
    unit = arrays(np.float64, (2, 5, 2), elements=st.floats(0, 1))
    return unit.map(lambda share: low + share * (np.array([47, 63]) - low + high))


@given(_places(0.51, -0.51), st.sampled_from([1.0, 2.0, 3.0]))
def test_quarter_offset_is_within_a_quarter_map_pixel(xy_map, sigma):
    codec = _codec("argmax-quarter", sigma)
    decoded = codec.decode(Outputs([codec.encode(xy_map * codec.stride)]))
    assert np.abs(decoded.xy - xy_map * codec.stride).max() <= 0.25 * codec.stride + 1e-4
    assert (decoded.score > 0.5).all()


@given(_places(0, 0))
def test_quarter_offset_at_the_edge_is_within_half_a_map_pixel(xy_map):
    decoded = CODEC.decode(Outputs([CODEC.encode(xy_map * 4)]))
    assert np.abs(decoded.xy - xy_map * 4).max() <= 0.5 * 4 + 1e-4


@given(_places(-0.4, 0.4), st.sampled_from(["dark", "udp"]), st.sampled_from([2.0, 3.0]))
def test_dark_and_udp_find_sub_pixel_places_anywhere_on_the_map(xy_map, name, sigma):
    """Within 0.05 pixels of the crop, which is 0.012 of the map."""
    codec = _codec(name, sigma)
    xy = xy_map * codec.strides
    assert np.abs(codec.decode(Outputs([codec.encode(xy)])).xy - xy).max() < 0.05


@given(_places(3, -3), st.sampled_from([1.0, 2.0, 3.0]))
def test_integral_finds_sub_pixel_places_inside_the_map(xy_map, sigma):
    codec = _codec("integral", sigma)
    xy = xy_map * codec.stride
    assert np.abs(codec.decode(Outputs([codec.encode(xy)])).xy - xy).max() < 0.05


@given(
    st.tuples(st.floats(-100, 2000), st.floats(-100, 2000), st.floats(20, 1500), st.floats(20, 1500)),
    st.sampled_from(["dark", "udp"]),
    st.integers(0, 2**31),
)
def test_image_to_maps_and_back(box, name, seed):
    """Image → crop → targets → places → image: within 0.05 crop pixels, by either convention."""
    codec = _codec(name)
    grown = grow_box(np.array([box[0], box[1], box[0] + box[2], box[1] + box[3]]), 1.25, 0.75)
    affine = affine_to_crop(grown, *codec.crop_extent(192, 256))
    xy_img = np.random.default_rng(seed).uniform(
        grown[:2] * 0.97 + grown[2:] * 0.03, grown[2:] * 0.97 + grown[:2] * 0.03, (17, 2)
    )
    decoded = codec.decode(Outputs([codec.encode(transform(affine, xy_img)[None])]))
    back = transform(invert_affine(affine), decoded.xy[0])
    assert np.abs(back - xy_img).max() < 0.05 * (grown[2] - grown[0]) / 191


def test_the_unbiased_convention_spans_crop_and_map_alike():
    """UDP, Eq. 3: unit lengths. The box's corners, the crop's outer pixels and the map's outer pixels are one."""
    udp = _codec("udp")
    assert udp.crop_extent(192, 256) == (191, 255) and CODEC.crop_extent(192, 256) == (192, 256)
    np.testing.assert_allclose(udp.strides, [191 / 47, 255 / 63])
    assert udp.flip_shift == 0 and CODEC.flip_shift == 1 and _codec("dark").flip_shift == 0.75
    assert MSPN.flip_shift == 0 and replace(MSPN, decoding="dark").flip_shift == -0.25


def test_encoding_is_a_gaussian_with_peak_one_and_zero_where_not_labelled():
    xy = np.array([[[40.0, 80.0], [np.nan, 3.0]]])
    target = CODEC.encode(xy, np.array([[True, False]]))
    assert target.shape == (1, 2, 64, 48) and target.dtype == np.float32
    assert target[0, 0, 20, 10] == 1 and not target[0, 1].any()
    expected = [[np.exp(-((x - 10) ** 2 + (y - 20) ** 2) / (2 * 2.0**2)) for x in range(48)] for y in range(64)]
    np.testing.assert_allclose(target[0, 0], expected, atol=1e-6)


# MSPN's targets about these places (x, y in crop pixels) with a ripple on top, and where MSPN's code
# (megvii-research/MSPN a84f750, `get_results`, 5 taps) and mmpose's (759b39c, `MegviiHeatmap.decode`) find them.
PLACES = [(3, 2), (10.5, 20.2), (95, 128), (96.9, 130.9), (187, 250), (100, 1), (1, 100), (190, 100), (100, 254)]
BY_MSPN = [(5, 2), (9, 22), (94, 131), (99, 130), (187, 250), (102, 5), (3, 102), (189, 102), (102, 251)]
SCORES_BY_MSPN = [1.258823, 1.409684, 1.465433, 1.566601, 1.354387, 1.072166, 1.382813, 1.502706, 1.259209]
BY_MMPOSE = {1: (9, 21), 2: (95, 131), 3: (99, 131), 4: (187, 251)}  # at the map's edge it forgets its half pixel
SCORES_BY_MMPOSE = [1.5, 1.409684, 1.465433, 1.566601, 1.384136, 1.442685, 1.382814, 1.502706, 1.416041]
MSPN = HeatmapCodec(48, 64, 4.0, 1.0, "second-highest", smoothing=5, offset=2.0, score_scale=1 / 255, score_offset=0.5)


def _mspn_targets():
    """(1, 9, 64, 48): 255 at pixel (⌊x / 4⌋, ⌊y / 4⌋), and OpenCV's Gaussian of five taps about it."""
    maps = np.zeros((len(PLACES), 64, 48), np.float32)
    for target, (x, y) in zip(maps, PLACES, strict=True):
        target[int(y / 4), int(x / 4)] = 1
        target[:] = cv2.GaussianBlur(target, (5, 5), 0)
        target *= 255 / target.max()
    return maps[None]


def test_mspns_maps_are_read_as_its_own_code_reads_them():
    """Exactly: it is the same arithmetic. Pure targets are symmetric: the last bit decides the direction of the quarter
    step."""
    y, x = np.mgrid[:64, :48]
    ripple = (30 * np.sin(0.9 * x + 1.7 * y)).astype(np.float32)
    decoded = MSPN.decode(Outputs([_mspn_targets() + ripple]))
    np.testing.assert_allclose(decoded.xy[0], BY_MSPN, atol=1e-9)
    np.testing.assert_allclose(decoded.score[0], SCORES_BY_MSPN, atol=1e-6)
    pure = MSPN.decode(Outputs([_mspn_targets()])).xy[0] - (4 * np.floor(np.array(PLACES) / 4) + 2)
    inside = [1, 2, 3]
    np.testing.assert_allclose(np.sort(np.abs(pure[inside])), [[0, 1]] * 3, atol=1e-9)


def test_mspns_maps_are_read_as_mmpose_reads_them():
    y, x = np.mgrid[:64, :48]
    ripple = (30 * np.sin(0.9 * x + 1.7 * y)).astype(np.float32)
    codec = replace(MSPN, decoding="argmax-quarter")
    decoded = codec.decode(Outputs([_mspn_targets() + ripple]))
    np.testing.assert_allclose(decoded.xy[0, list(BY_MMPOSE)], list(BY_MMPOSE.values()), atol=1e-9)
    np.testing.assert_allclose(decoded.score[0], SCORES_BY_MMPOSE, atol=1e-6)
    pure = codec.decode(Outputs([_mspn_targets()])).xy[0, 1:5]
    assert np.abs(pure - (4 * np.floor(np.array(PLACES[1:5]) / 4) + 2)).max() <= 1


@given(_places(4, -4), st.sampled_from(["dark", "integral", "argmax-quarter", "second-highest"]), st.floats(-3.9, 3.9))
def test_an_offset_moves_targets_and_places_alike(xy_map, name, offset):
    codec = replace(_codec(name), offset=offset)
    xy = xy_map * 4 + offset
    bound = {"argmax-quarter": 1.0, "second-highest": 2.0}.get(name, 0.05)
    decoded = codec.decode(Outputs([codec.encode(xy)]))
    assert np.abs(decoded.xy - xy).max() <= bound + 1e-4
    assert codec.weights(xy).all()


def test_udps_bumps_end_three_sigmas_from_the_nearest_pixel():
    target = _codec("udp").encode(np.array([[[10.4, 20.0]]]) * _codec("udp").strides)
    rows, columns = np.nonzero(target[0, 0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (14, 26, 4, 16)


def test_weights_leave_out_what_is_not_labelled_or_too_far_outside():
    xy_map = np.array([[[0, 0], [-6, 10], [-7, 10], [53, 63], [54, 63], [20, 70], [20, 20], [np.nan, 1]]], float)
    labelled = np.array([[True] * 6 + [False] * 2])
    weight = CODEC.weights(xy_map * 4, labelled)
    assert weight.dtype == np.float32 and weight.tolist() == [[1, 1, 0, 1, 0, 0, 0, 0]]
    assert CODEC.weights(xy_map * 4)[0, 6] == 1
    assert not CODEC.encode(xy_map * 4, labelled)[0, 6:].any()


@given(st.integers(0, 2**31))
def test_flip_twice_is_the_identity(seed):
    heatmaps = np.random.default_rng(seed).normal(size=(2, 17, 5, 4)).astype(np.float32)
    once = flip_back(heatmaps, COCO_17.flip_index, shift=0)
    np.testing.assert_array_equal(flip_back(once, COCO_17.flip_index, shift=0), heatmaps)


@given(
    arrays(np.float64, (2, 17, 2), elements=st.floats(0, 1)),
    st.sampled_from(["dark", "udp", "integral"]),
    st.sampled_from([0.0, 2.0, 3.5]),
)
def test_the_average_with_the_mirror_image_stays_where_it_is(share, name, offset):
    """Each convention's flip brings mirrored maps home: quarter's shift by one would be off by an eighth map pixel."""
    codec = replace(_codec(name), offset=0.0 if name == "udp" else offset)
    xy = (5 + share * np.array([37, 53])) * 4
    mirrored = xy.copy()
    mirrored[..., 0] = 191 - mirrored[..., 0]
    own, other = (Outputs([codec.encode(positions)]) for positions in (xy, mirrored[:, COCO_17.flip_index]))
    decoded = codec.decode(codec.average_flipped(own, other, COCO_17.flip_index))
    assert np.abs(decoded.xy - xy).max() < 0.05


@given(
    arrays(np.float64, (2, 17, 2), elements=st.floats(0.2, 0.8)),
    st.sampled_from(["dark", "udp"]),
    st.floats(0.85, 1.2),
)
def test_a_mirrored_crop_of_another_size_is_brought_home(share, name, zoom):
    """The middle of a crop is at half its extent, which the unbiased convention ends at the last pixel's centre."""
    codec = _codec(name)
    extent = np.array(codec.crop_extent(192, 256))
    xy = share * extent
    mirrored = (xy - extent / 2) / zoom + extent / 2
    mirrored[..., 0] = 191 - mirrored[..., 0]
    own, other = (Outputs([codec.encode(positions)]) for positions in (xy, mirrored[:, COCO_17.flip_index]))
    decoded = codec.decode(codec.average_flipped(own, other, COCO_17.flip_index, zoom))
    assert np.abs(decoded.xy - xy).max() < 0.25


def test_beyond_the_mirrored_crop_its_own_maps_stand_alone():
    own, other = (np.full((1, 17, 64, 48), value, np.float32) for value in (1.0, 0.0))
    (mean,) = CODEC.average_flipped(Outputs([own]), Outputs([other]), COCO_17.flip_index, 0.5).heatmaps
    assert mean.min() == 0.5 and (mean[..., :16, :] == 1).all() and (mean[..., 17:47, 13:35] == 0.5).all()


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


@pytest.mark.parametrize("decoding", DECODINGS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -1.0, 0.0])
def test_no_point_is_dropped_or_nan_and_scores_are_the_peaks(decoding, value):
    heatmaps = np.random.default_rng(0).normal(size=(3, 4, 64, 48)).astype(np.float32)
    heatmaps[1] = value
    heatmaps[0, 0] *= 1e-9
    decoded = HeatmapCodec(48, 64, 4.0, decoding=decoding).decode(Outputs([np.zeros_like(heatmaps), heatmaps]))
    assert decoded.xy.shape == (3, 4, 2) and np.isfinite(decoded.xy).all()
    np.testing.assert_array_equal(decoded.score, heatmaps.max(axis=(2, 3)))
    assert ((decoded.xy > -40) & (decoded.xy < np.array([192, 256]) + 40)).all()


def test_temperature_1_is_the_papers_softmax():
    logits = np.log(CODEC.encode(np.array([[[80.0, 100.0]]])) + 1e-12)
    decoded = HeatmapCodec(48, 64, 4.0, decoding="integral", temperature=1.0).decode(Outputs([logits]))
    np.testing.assert_allclose(decoded.xy, [[[80, 100]]], atol=1e-3)


@pytest.mark.parametrize("decoding", DECODINGS)
def test_no_people(decoding):
    decoded = HeatmapCodec(48, 64, 4.0, decoding=decoding).decode(Outputs([np.zeros((0, 17, 64, 48), np.float32)]))
    assert decoded.xy.shape == (0, 17, 2)

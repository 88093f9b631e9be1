"""SimCC: labels over bins, places read out of them, and the mirror image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trustpose.codecs import Outputs
from trustpose.codecs.simcc import SimCCCodec
from trustpose.skeletons import COCO_17

inside = st.floats(0, 191)


@given(arrays(np.float64, (2, 17, 2), elements=inside), st.sampled_from([1.0, 2.0, 3.0]), st.booleans())
def test_decode_gives_the_bin_that_encode_labels(xy, split, normalised):
    codec = SimCCCodec(192, 256, split, normalised=normalised)
    decoded = codec.decode(Outputs([], simcc=codec.encode(xy)))
    last = (np.array(codec.bins) - 1) / split
    np.testing.assert_allclose(decoded.xy, np.minimum(np.around(xy * split) / split, last), atol=1e-12)


@given(arrays(np.float64, (1, 17, 2), elements=st.floats(36, 155)))
def test_refinement_keeps_the_centre_of_a_gaussian(xy):
    codec = SimCCCodec(192, 256, subbin=True)
    decoded = codec.decode(Outputs([], simcc=codec.encode(xy)))
    np.testing.assert_allclose(decoded.xy * 2, np.around(xy * 2), atol=0.01)


def test_refinement_finds_a_centre_between_bins():
    bins = np.arange(384)
    centre = np.array([100.3, 200.45])
    columns = np.exp(-((bins - centre[:, None]) ** 2) / (2 * 4.9**2)).astype(np.float32)[None]  # (1, 2, 384)
    rows = np.tile(columns, (1, 1, 2))[..., :512]
    decoded = SimCCCodec(192, 256, sigma=(4.9, 4.9), subbin=True).decode(Outputs([], simcc=(columns, rows)))
    np.testing.assert_allclose(decoded.xy[0, :, 0] * 2, centre, atol=0.02)


def test_score_is_the_lower_maximum_and_every_keypoint_has_a_place():
    columns, rows = np.full((1, 2, 384), -5.0), np.full((1, 2, 512), -7.0)
    columns[0, 0, 10], rows[0, 0, 20] = 0.9, 0.4
    decoded = SimCCCodec(192, 256).decode(Outputs([], simcc=(columns, rows)))
    np.testing.assert_array_equal(decoded.score, [[0.4, -7.0]])
    np.testing.assert_array_equal(decoded.xy, [[[5.0, 10.0], [0.0, 0.0]]])


def test_keypoints_that_are_not_labelled_or_far_outside_weigh_nothing():
    xy = np.array([[[50.0, 60.0], [np.nan, np.nan], [-30.0, 50.0], [-5.0, 50.0], [50.0, 60.0]]])
    labelled = np.array([[True, False, True, True, False]])
    codec = SimCCCodec(192, 256)
    columns, rows = codec.encode(xy, labelled)
    np.testing.assert_array_equal(codec.weights(xy, labelled), [[1, 0, 0, 1, 0]])
    for labels in (columns, rows):
        np.testing.assert_array_equal(labels.any(axis=-1), [[True, False, False, True, False]])


def test_normalised_labels_sum_to_one():
    columns, rows = SimCCCodec(192, 256, normalised=True).encode(np.array([[[96.0, 128.0]]]))
    np.testing.assert_allclose([columns.sum(), rows.sum()], 1, atol=1e-6)


@pytest.mark.parametrize("split", [1.0, 2.0, 3.0])
def test_a_mirrored_crop_falls_on_its_own(split):
    rng = np.random.default_rng(0)
    codec = SimCCCodec(192, 256, split)
    xy = rng.integers(20, 170, (3, 17, 2)).astype(np.float64)
    flip = COCO_17.flip_index
    mirrored = xy[:, flip].copy()
    mirrored[..., 0] = 191 - mirrored[..., 0]
    outputs, other_outputs = Outputs([], simcc=codec.encode(xy)), Outputs([], simcc=codec.encode(mirrored))
    averaged = codec.average_flipped(outputs, other_outputs, flip)
    for mean, first in zip(averaged.simcc, outputs.simcc, strict=True):
        np.testing.assert_allclose(mean, first, atol=1e-3)
    np.testing.assert_allclose(codec.decode(averaged).xy, xy)


def test_outputs_without_logits_are_refused():
    with pytest.raises(ValueError, match="simcc"):
        SimCCCodec(192, 256).decode(Outputs([]))

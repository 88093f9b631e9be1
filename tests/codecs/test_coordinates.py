"""Coordinates in a network's own order and unit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trustpose.codecs import Outputs
from trustpose.codecs.coordinates import CoordinateCodec
from trustpose.skeletons import COCO_17


def test_order_and_unit():
    raw = np.array([[[0.5, 0.25, 0.9]]], np.float32)  # y, x, score
    decoded = CoordinateCodec(192, 256, ("y", "x", "score")).decode(Outputs([], coordinates=raw))
    np.testing.assert_allclose(decoded.xy, [[[48, 128]]])
    np.testing.assert_allclose(decoded.score, [[0.9]], rtol=1e-6)
    pixels = CoordinateCodec(192, 256, ("score", "x", "y"), normalised=False)
    decoded = pixels.decode(Outputs([], coordinates=np.array([[[0.9, 3.0, 4.0]]])))
    np.testing.assert_array_equal(decoded.xy, [[[3, 4]]])


@given(
    arrays(np.float64, (2, 17, 2), elements=st.floats(-50, 300)),
    st.permutations(["x", "y", "score"]),
    st.booleans(),
)
def test_encode_then_decode_is_the_identity(xy, order, normalised):
    codec = CoordinateCodec(192, 256, (order[0], order[1], order[2]), normalised)
    target = codec.encode(xy)
    assert target.dtype == np.float32
    decoded = codec.decode(Outputs([], coordinates=target))
    np.testing.assert_allclose(decoded.xy, xy, atol=1e-4)
    assert (decoded.score == 1).all()
    np.testing.assert_allclose(
        codec.flip_back(codec.flip_back(target, COCO_17.flip_index), COCO_17.flip_index), target, atol=1e-4
    )


def test_units_are_the_crops_sides_and_unlabelled_keypoints_are_zeros():
    """DeepPose, Eq. 1, but for its origin in the centre."""
    codec = CoordinateCodec(192, 256, ("y", "x", "score"))
    xy = np.array([[[96.0, 64.0], [np.nan, np.inf], [191.0, 255.0], [191.5, 0.0], [0.0, -0.1]]])
    labelled = np.array([[True, False, True, True, True]])
    target = codec.encode(xy, labelled)
    np.testing.assert_allclose(target[0, :2], [[0.25, 0.5, 1], [0, 0, 0]])
    weight = codec.weights(xy, labelled)
    assert weight.dtype == np.float32 and weight.tolist() == [[1, 0, 1, 0, 0]]
    assert codec.crop_extent(192, 256) == (192, 256)


@pytest.mark.parametrize("normalised", [True, False])
def test_flipped_average_of_a_mirror_image_is_the_pose_itself(normalised):
    codec = CoordinateCodec(192, 256, normalised=normalised)
    rng = np.random.default_rng(0)
    xy = rng.uniform(0, 191, (2, 17, 2))
    score = rng.uniform(0, 1, (2, 17, 1))
    mirrored = np.concatenate([191 - xy[..., :1], xy[..., 1:]], axis=2)[:, COCO_17.flip_index]
    unit = np.array([192, 256]) if normalised else 1
    outputs = Outputs([], coordinates=np.concatenate([xy / unit, score], axis=2))
    other_outputs = Outputs([], coordinates=np.concatenate([mirrored / unit, score[:, COCO_17.flip_index]], axis=2))
    decoded = codec.decode(codec.average_flipped(outputs, other_outputs, COCO_17.flip_index))
    np.testing.assert_allclose(decoded.xy, xy, atol=1e-9)
    np.testing.assert_allclose(decoded.score, score[..., 0])


def test_heatmaps_are_refused():
    with pytest.raises(ValueError, match="coordinates"):
        CoordinateCodec(1, 1).decode(Outputs([np.zeros((1, 1, 2, 2))]))

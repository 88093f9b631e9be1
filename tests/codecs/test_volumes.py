"""Volumes: errors of encoding and decoding, by hypothesis; mirror images, targets in torch, real poses."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import center_of_mass
from scipy.special import softmax

from trustpose.codecs import Outputs
from trustpose.codecs.volumes import VolumeCodec

SIDES = (12, 16, 10)  # width, height, depth
HALF_A_VOXEL = np.array([2.0, 2.0, 0.1]) + 1e-9  # of crops with stride 4, and of 2 m over 10 voxels
INTEGRAL = VolumeCodec(*SIDES, sigma=1.0)
ARGMAX = VolumeCodec(*SIDES, sigma=1.0, decoding="argmax")


def _keypoints(inside: float):
    """xyz (2, 3, 3) at least `inside` voxels within the volume."""
    unit = arrays(np.float64, (2, 3, 3), elements=st.floats(0, 1))
    return unit.map(lambda share: INTEGRAL.positions(inside + share * (np.array(SIDES) - 1 - 2 * inside)))


def _channels(volumes: np.ndarray) -> np.ndarray:
    return volumes.reshape(len(volumes), -1, *volumes.shape[3:])


@given(_keypoints(0))
def test_the_argmax_is_within_half_a_voxel(xyz):
    decoded = ARGMAX.decode_volumes(_channels(ARGMAX.encode(xyz)))
    assert (np.abs(decoded.xyz - xyz) <= HALF_A_VOXEL).all() and (decoded.score > 0.6).all()


@given(_keypoints(3))
def test_the_integral_is_within_a_hundredth_of_a_voxel(xyz):
    decoded = INTEGRAL.decode_volumes(_channels(INTEGRAL.encode(xyz)))
    assert (np.abs(decoded.xyz - xyz) <= HALF_A_VOXEL / 50).all()


@settings(max_examples=20)
@given(arrays(np.float64, (1, 2 * SIDES[2], *SIDES[1::-1]), elements=st.floats(-20, 20)), st.floats(0.5, 5))
def test_the_integral_is_the_mean_under_scipys_softmax(maps, temperature):
    codec = VolumeCodec(*SIDES, temperature=temperature)
    xyz = codec.decode_volumes(maps).xyz
    for keypoint, volume in enumerate(maps.reshape(2, *SIDES[::-1])):
        share = softmax(volume / temperature)
        np.testing.assert_allclose(codec.voxels(xyz)[0, keypoint], center_of_mass(share)[::-1], atol=1e-6)


def test_positions_are_those_of_the_papers_code():
    """Sun et al.: x / width − ½ and z / depth − ½ are shares of the crop and of 2 m about the root's depth."""
    codec = VolumeCodec(64, 64, 64)
    xyz = codec.positions(np.array([[0.0, 16.0, 32.0], [63.0, 0.0, 48.0]]))
    np.testing.assert_allclose(xyz, [[0, 64, 0], [252, 0, 0.5]])
    np.testing.assert_allclose(codec.voxels(xyz), [[0, 16, 32], [63, 0, 48]])


def test_unlabelled_keypoints_have_no_gaussian_and_far_ones_no_weight():
    xyz = np.stack(
        [INTEGRAL.positions(np.array([5.0, 5.0, 5.0])), [np.nan] * 3, INTEGRAL.positions(np.array([5.0, 5.0, 20.0]))]
    )
    labelled = np.array([[True, False, True]])
    target = INTEGRAL.encode(xyz[None], labelled)
    assert target.shape == (1, 3, 10, 16, 12) and target[0, 0].max() == 1 and not target[0, 1].any()
    np.testing.assert_array_equal(INTEGRAL.weights(xyz[None], labelled), [[1, 0, 0]])


def test_numbers_that_are_not_finite_still_give_positions():
    maps = np.full((1, 10, 16, 12), -np.inf)
    maps[0, 3, 2, 1] = 5.0
    xyz = VolumeCodec(*SIDES, temperature=1.0).decode_volumes(maps).xyz
    assert np.isfinite(xyz).all()
    maps[:] = np.nan
    for codec in (ARGMAX, INTEGRAL, VolumeCodec(*SIDES, temperature=1.0)):
        assert np.isfinite(codec.decode_volumes(maps).xyz).all()


@given(_keypoints(3.5))
def test_a_mirrored_crop_gives_the_same_keypoints(xyz):
    """Left and right are exchanged and x mirrored, depths stay: volumes of both crops average to the crop's own."""
    index = np.array([1, 0, 2])
    mirrored = xyz[:, index] * [-1, 1, 1] + [4 * SIDES[0] - 1, 0, 0]
    both = [Outputs([_channels(INTEGRAL.encode(keypoints))]) for keypoints in (xyz, mirrored)]
    averaged = INTEGRAL.average_flipped(*both, index)
    assert np.abs(INTEGRAL.decode_volumes(averaged.heatmaps[0]).xyz - xyz).max() < 0.2


def test_targets_and_losses_in_torch():
    torch = pytest.importorskip("torch", reason="the train extra is not installed")
    from trustpose.training.recipe import TrainOptions
    from trustpose.training.volume_losses import volume_terms

    random = np.random.default_rng(0)
    codec = VolumeCodec(*SIDES, temperature=1.0)
    xyz = codec.positions(random.uniform(0, 9, (2, 3, 3)))
    weights = np.array([[1.0, 1, 0], [1, 1, 1]], np.float32)
    batch = {"xyz": torch.from_numpy(xyz), "weights": torch.from_numpy(weights)}
    stages = [torch.from_numpy(random.normal(size=(2, 30, 16, 12))).requires_grad_() for _ in range(2)]
    people = torch.tensor(2)
    target = codec.encode(xyz)
    np.testing.assert_allclose(codec.encode(batch["xyz"]).numpy(), target, atol=1e-12)
    maps = [stage.detach().numpy().reshape(2, 3, *SIDES[::-1]) for stage in stages]
    squares = sum((((stage - target) ** 2).mean(axis=(2, 3, 4)) * weights**2).mean() for stage in maps)
    heatmap = volume_terms(stages, batch, people, codec, TrainOptions())["heatmap"]
    assert heatmap.item() == pytest.approx(0.5 * squares, rel=1e-5)
    distance = 0.0
    for stage in maps:
        for crop, keypoint in np.ndindex(2, 3):
            mean = np.array(center_of_mass(softmax(stage[crop, keypoint]))[::-1])
            away = np.abs(mean - codec.voxels(xyz[crop, keypoint])) / SIDES
            distance += away.sum() * weights[crop, keypoint] / 6
    options = TrainOptions(objective="integral")
    integral = volume_terms(stages, batch, people, codec, options)["integral"]
    assert integral.item() == pytest.approx(distance, rel=1e-5)
    last = volume_terms(stages, batch, people, codec, TrainOptions(objective="integral", supervised="last-stage"))
    assert last["integral"].item() < integral.item()
    integral.backward()
    assert all(stage.grad is not None and torch.isfinite(stage.grad).all() for stage in stages)

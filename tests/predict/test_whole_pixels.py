"""Crops of whole pixels on their way: from the spec to the network, and the places back."""

import numpy as np
import pytest

from tests.tiny_onnx import photo_of_people, write_network
from trustpose.geometry.crops import cut_whole_pixels, grow_box
from trustpose.models.runtime.backends import OnnxNetwork
from trustpose.models.runtime.sessions import to_tensor
from trustpose.models.spec import ModelSpec
from trustpose.predict.predictor import Predictor

# image pixels: a quarter map pixel, the dot's own offset (tiny_onnx), and what the rectangle is rounded by
BOUND = 1.25 + 1.875 + 1


class _Recorded(OnnxNetwork):
    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, threads=1)
        self.seen: list[np.ndarray] = []

    def with_trust(self, pixels, box=None, xy=None):
        self.seen.append(pixels)
        return super().with_trust(pixels, box, xy)


@pytest.mark.parametrize("flip", [False, True])
def test_they_reach_the_network_and_its_mirrored_run_as_they_are_cut(tmp_path, flip):
    photo, xy, boxes = photo_of_people(3)
    boxes = boxes + np.array([0.3, 0.4, 0.3, 0.4])
    network = write_network(tmp_path, crop={"padding": 1.0, "cutting": "whole-pixels"})
    runtime = _Recorded(ModelSpec.read(network))
    poses = Predictor(runtime, flip=flip)(photo, boxes)
    crops = np.stack([cut_whole_pixels(photo, box, 192, 256) for box in grow_box(boxes, 1.0, 0.75)])
    assert crops.dtype == np.float32 and len(runtime.seen) == 1 + flip
    np.testing.assert_array_equal(runtime.seen[0], crops)
    assert not flip or (runtime.seen[1] == crops[:, :, ::-1]).all()
    assert flip or np.abs(poses.xy - xy).max() < BOUND  # the colours have no left and right


def test_values_between_grey_levels_reach_the_network(tmp_path):
    runtime = OnnxNetwork(ModelSpec.read(write_network(tmp_path)))
    pixels = np.random.default_rng(0).integers(0, 255, (2, 256, 192, 3), dtype=np.uint8)
    whole, half, next_one = (
        to_tensor(one, runtime.spec.input) for one in (pixels, pixels.astype(np.float32) + 0.5, pixels + 1)
    )
    assert half.shape == whole.shape and half.dtype == whole.dtype and half.flags["C_CONTIGUOUS"]
    np.testing.assert_allclose(half, (whole + next_one) / 2, atol=1e-6)

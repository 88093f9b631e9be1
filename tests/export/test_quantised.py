"""8-bit convolutions: nearly the same numbers, integer weights but for the first and the last."""

from collections import Counter
from itertools import pairwise

import numpy as np
import onnx
import pytest
import torch

from tests.networks.random_weights import build_random
from trustpose.export.onnx import trace_onnx
from trustpose.export.quantised import quantised
from trustpose.models.runtime.sessions import run_tensors, session_of
from trustpose.networks.layers import ConvBN


class Small(torch.nn.Module):
    def __init__(self, layers=3):
        super().__init__()
        widths = [3, *[16] * layers, 5]
        self.layers = torch.nn.Sequential(*(ConvBN(a, b, 3) for a, b in pairwise(widths)))

    def forward(self, image):
        heatmaps = self.layers(image)
        return heatmaps, heatmaps.amax(dim=(2, 3)) @ torch.ones(5, 2)


def traced(network):
    return trace_onnx(network.eval(), {"image": torch.zeros(1, 3, 16, 16)}, ["heatmaps", "trust"])


def test_nearly_the_same_numbers(tmp_path):
    model = traced(build_random(Small))
    random = np.random.default_rng(0)
    images = random.normal(size=(24, 3, 16, 16)).astype(np.float32)
    made = quantised(model, ({"image": image[None]} for image in images))
    onnx.checker.check_model(made)
    kinds = Counter(tensor.data_type for tensor in made.graph.initializer if np.prod(tensor.dims) > 100)
    assert kinds == {onnx.TensorProto.INT8: 2, onnx.TensorProto.FLOAT: 2}
    for name in ("heatmaps", "trust"):
        first_run_tensor, second_run_tensor = (
            run_tensors(session_of(some.SerializeToString(), tmp_path), tmp_path, [name], {"image": images[:4]})[0]
            for some in (model, made)
        )
        assert (
            0 < np.abs(first_run_tensor - second_run_tensor).max()
            and np.abs(first_run_tensor - second_run_tensor).mean() < 0.03 * np.abs(first_run_tensor).mean()
        )


def test_too_small_a_network():
    with pytest.raises(ValueError, match="model: expected at least three convolutions before heatmaps, got 2"):
        quantised(traced(Small(layers=1)), [])

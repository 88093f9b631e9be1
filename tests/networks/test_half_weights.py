"""Weights stored in half the bytes: the numbers of a network whose weights were rounded."""

import copy

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn

from tests.networks.random_weights import randomise
from trustpose.export.onnx import trace_onnx, with_half_weights
from trustpose.networks.light_baseline import light_baseline


def run(model: onnx.ModelProto, image: np.ndarray) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": image})


class Heatmaps(nn.Module):
    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return (self.network(image).heatmaps[-1],)


@pytest.fixture(scope="module")
def traced() -> onnx.ModelProto:
    network = randomise(light_baseline())
    return trace_onnx(Heatmaps(network), {"image": torch.zeros(1, 3, 64, 64)}, ["heatmaps"])


def test_the_numbers_of_rounded_weights(traced):
    before, half = traced.SerializeToString(), with_half_weights(traced)
    assert traced.SerializeToString() == before
    onnx.checker.check_model(half, full_check=True)
    rounded = copy.deepcopy(traced)
    for tensor in rounded.graph.initializer:
        numbers = numpy_helper.to_array(tensor)
        if numbers.dtype == np.float32 and numbers.size >= 64:
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(numbers.astype(np.float16).astype(np.float32), name))
    image = np.random.default_rng(0).normal(size=(2, 3, 64, 64)).astype(np.float32)
    (got,), (expected,), (whole,) = (run(model, image) for model in (half, rounded, traced))
    np.testing.assert_allclose(got, expected, atol=1e-5 * np.abs(expected).max())
    assert np.abs(got - whole).max() > 1e-6 * np.abs(whole).max()  # it was rounded


def test_half_the_bytes(traced):
    whole, half = traced.ByteSize(), with_half_weights(traced).ByteSize()
    assert 0.5 < half / whole < 0.53
    data_types = {tensor.data_type for tensor in with_half_weights(traced, min_size=10**9).graph.initializer}
    assert onnx.TensorProto.FLOAT16 not in data_types


def test_what_float16_cannot_hold_stays_as_it_is():
    """65,504 is the largest number; a larger one would become infinite."""
    weights = np.full((8, 3, 2, 2), 1e5, np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["image", "w"], ["maps"])],
        "g",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, 3, 2, 2])],
        [helper.make_tensor_value_info("maps", onnx.TensorProto.FLOAT, [1, 8, 1, 1])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    image = np.full((1, 3, 2, 2), 0.5, np.float32)
    np.testing.assert_allclose(run(with_half_weights(model), image)[0], 6e5)

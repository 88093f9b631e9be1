"""Weights out of ONNX files: the same numbers as the file's own, and mismatches are reported in one line."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from trustpose.files import InputError
from trustpose.networks.onnx_weights import read_onnx_weights


def network(bias: bool = True) -> nn.Sequential:
    """Three kinds of layers, with other parts between them."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 4, 4, stride=2, padding=1, groups=4, bias=False),
        nn.Conv2d(4, 2, 1, bias=bias),
    ).eval()


def write(path, change=None, external: bool = False):
    """The same plan as an ONNX file with random weights; `change` alters the nodes and tensors."""
    random = np.random.default_rng(0)
    shapes = {"c1": (4, 3, 3, 3), "gamma": (4,), "beta": (4,), "mean": (4,), "var": (4,), "t": (4, 1, 4, 4)}
    tensors = {name: random.uniform(0.1, 1, shape).astype(np.float32) for name, shape in shapes.items()}
    tensors["c2"] = random.normal(size=(2, 4, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["data", "c1"], ["a"], "first", pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "gamma", "beta", "mean", "var"], ["b"], "norm", epsilon=1e-5),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("ConvTranspose", ["c", "t"], ["d"], "up", group=4, strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Conv", ["d", "c2"], ["maps"], "last"),
    ]
    if change is not None:
        change(nodes, tensors)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["B", 3, 8, 8])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["B", 2, 16, 16])],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save_model(model, path, save_as_external_data=external, location="weights.bin", size_threshold=0)
    return path


def run(path, image: np.ndarray) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: image})[0]


@pytest.mark.parametrize("bias", [True, False])
def test_the_same_numbers(tmp_path, bias):
    """A convolution without bias in the file is one with zeros in a network that has one."""
    path, module = write(tmp_path / "network.onnx"), network(bias)
    module.load_state_dict(read_onnx_weights(path, module))
    image = np.random.default_rng(1).normal(size=(2, 3, 8, 8)).astype(np.float32)
    with torch.no_grad():
        np.testing.assert_allclose(module(torch.from_numpy(image)), run(path, image), atol=1e-5)
    if bias:
        assert not module[-1].bias.any()


def test_a_bias_of_the_file_is_taken(tmp_path):
    def with_bias(nodes, tensors):
        tensors["b2"] = np.array([1.5, -2], np.float32)
        nodes[-1].input.append("b2")

    path = write(tmp_path / "network.onnx", with_bias)
    assert read_onnx_weights(path, network())["4.bias"].tolist() == [1.5, -2]
    with pytest.raises(InputError, match=r"network\.onnx: last: expected 1 tensors, as 4 has, got 2"):
        read_onnx_weights(path, network(bias=False))


def _replace(index, kind):
    def change(nodes, _):
        nodes[index].op_type = kind

    return change


def _drop(nodes, _):
    nodes.pop(1)


def _reshape(_, tensors):
    tensors["c2"] = tensors["c2"][:, :3]


def _compute(nodes, _):
    """A weight that is no tensor of the file but computed."""
    nodes.insert(0, helper.make_node("Identity", ["c1"], ["c1 again"]))
    nodes[1].input[1] = "c1 again"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_drop, "has 3 convolutions and batch norms, the network has 4"),
        (_replace(3, "Conv"), "up: expected ConvTranspose, as 3 is, got Conv"),
        (_reshape, r"last: expected shape \(2, 4, 1, 1\), as 4.weight has, got \(2, 3, 1, 1\)"),
        (_compute, "first: expected 1 tensors, as 0 has, got 0"),
    ],
)
def test_another_network_is_refused(tmp_path, change, message):
    path = write(tmp_path / "network.onnx", change)
    with pytest.raises(InputError, match=rf"network\.onnx: {message}$"):
        read_onnx_weights(path, network())


@pytest.mark.parametrize("content", [b"no network", b"\xff" * 50, b""])
def test_no_onnx_at_all(tmp_path, content):
    (tmp_path / "network.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"^\S+network\.onnx: (is not a readable ONNX|.*expected an ONNX)") as error:
        read_onnx_weights(tmp_path / "network.onnx", network())
    assert "\n" not in str(error.value)


def test_files_that_are_not_whole(tmp_path):
    with pytest.raises(InputError, match=r"^\S+none\.onnx: no such file"):
        read_onnx_weights(tmp_path / "none.onnx", network())
    path = write(tmp_path / "network.onnx", external=True)
    with pytest.raises(InputError, match=r"^\S+network\.onnx: keeps weights in another file"):
        read_onnx_weights(path, network())
    whole = write(tmp_path / "whole.onnx").read_bytes()
    (tmp_path / "half.onnx").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"^\S+half\.onnx: is not a readable ONNX file"):
        read_onnx_weights(tmp_path / "half.onnx", network())


def test_biases_that_the_graph_adds_and_weights_in_another_shape(tmp_path):
    """As graphs from OpenVINO have them: groups as a dimension of their own, biases as an addition."""
    random = np.random.default_rng(1)
    tensors = {"w": random.normal(size=(3, 1, 1, 3, 3)), "b": random.normal(size=(1, 3, 1, 1))}
    tensors |= {"v": random.normal(size=(2, 3, 1, 1)), "c": random.normal(size=(1, 1, 1, 1))}
    nodes = [
        helper.make_node("Reshape", ["w", "shape"], ["w4"]),
        helper.make_node("Conv", ["data", "w4"], ["a"], group=3),
        helper.make_node("Add", ["a", "b"], ["d"]),
        helper.make_node("Conv", ["d", "v"], ["e"]),
        helper.make_node("Add", ["c", "e"], ["maps"]),  # one number for all channels: no bias
    ]
    initializers = [numpy_helper.from_array(array.astype(np.float32), name) for name, array in tensors.items()]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("data", TensorProto.FLOAT, ["B", 3, 8, 8])],
        [helper.make_tensor_value_info("maps", TensorProto.FLOAT, ["B", 2, 6, 6])],
        [*initializers, numpy_helper.from_array(np.array([3, 1, 3, 3]), "shape")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save_model(model, tmp_path / "added.onnx")
    net = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3), nn.Conv2d(3, 2, 1, bias=False)).eval()
    net.load_state_dict(read_onnx_weights(tmp_path / "added.onnx", net))
    image = random.normal(size=(1, 3, 8, 8)).astype(np.float32)
    with torch.inference_mode():
        maps = net(torch.from_numpy(image)).numpy() + tensors["c"]
    np.testing.assert_allclose(maps, run(tmp_path / "added.onnx", image), atol=1e-5)

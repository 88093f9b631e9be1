"""DLA-34, Hourglass-104 and associative embedding's network: parts against other implementations, stages, sizes."""

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.networks.without_data import without_data
from trustpose.networks.associative_embedding import pose_ae
from trustpose.networks.bottom_up import BottomUpNetwork
from trustpose.networks.deep_layer_aggregation import DeformableAggregation, ModulatedDeformableConvolution
from trustpose.networks.hourglass_104 import hourglass_104
from trustpose.networks.zoo import build

# Millions of parameters of the authors' modules without their heads (xingyizhou/CenterNet 4c50fd3; princeton-vl/
# pose-ae-train 3c80a16, whose last layers here have 2 × 17 maps of the 68). Theirs of DLA-34 are 19.211: 0.042 belong
# to layers that its forward pass never uses.
AUTHORS = {"dla-34": 19.169, "hourglass-104": 187.700, "pose-ae-4": 138.833}


@pytest.mark.parametrize("name", AUTHORS)
def test_sizes_are_those_of_the_authors_networks(name):
    with without_data(), torch.no_grad():
        network = build(name).eval()
        outputs = network(torch.zeros(1, 3, 256, 192))
    is_head = ("head.", "heads.") if name != "pose-ae-4" else ("none",)
    counted = [weights.numel() for key, weights in network.named_parameters() if not key.startswith(is_head)]
    assert sum(counted) / 1e6 == pytest.approx(AUTHORS[name], abs=5e-4)
    assert {tuple(maps.shape) for maps in outputs.heatmaps} == {(1, 17, 64, 48)}
    assert outputs.features.shape == (1, network.feature_channels, 64, 48)


def deform_conv(layer: ModulatedDeformableConvolution, x: torch.Tensor) -> np.ndarray:
    """The same by ONNX's operator DeformConv."""
    node = helper.make_node("DeformConv", ["x", "w", "o", "b", "m"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    inputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in "xwobm"]
    graph = helper.make_graph([node], "g", inputs, [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    offset, logit = layer.offset(x).split([18, 9], dim=1)
    tensors = {"x": x, "w": layer.convolution.weight, "o": offset, "b": layer.convolution.bias, "m": logit.sigmoid()}
    session = onnxruntime.InferenceSession(model.SerializeToString())
    return session.run(None, {name: tensor.detach().numpy() for name, tensor in tensors.items()})[0]


@settings(deadline=None, max_examples=30)
@given(height=st.integers(1, 9), width=st.integers(1, 9), reach=st.floats(0, 6), seed=st.integers(0, 1000))
def test_deformable_convolution_is_onnxs(height, width, reach, seed):
    torch.manual_seed(seed)
    layer = ModulatedDeformableConvolution(3, 4)
    torch.nn.init.normal_(layer.offset.weight, std=0.1)
    torch.nn.init.normal_(layer.offset.bias, std=reach)
    x = torch.randn(2, 3, height, width)
    np.testing.assert_allclose(layer(x).detach().numpy(), deform_conv(layer, x), atol=2e-5)


def test_without_offsets_it_is_a_convolution_at_half_weight():
    layer, x = ModulatedDeformableConvolution(3, 4), torch.randn(1, 3, 6, 5)
    with torch.no_grad():
        layer.convolution.bias.zero_()
        torch.testing.assert_close(layer(x), torch.nn.functional.conv2d(x, layer.convolution.weight, padding=1) / 2)


def test_upsampling_begins_as_bilinear_interpolation():
    neck = DeformableAggregation()
    x = torch.rand(1, 64, 5, 6)
    for layer, scale in ((neck.passes[2].upsample[0], 2), (neck.last.upsample[1], 4)):
        expected = torch.nn.functional.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        inside = slice(scale, -scale)
        torch.testing.assert_close(layer(x)[..., inside, inside], expected[..., inside, inside])


def small(name: str) -> BottomUpNetwork:
    if name == "pose-ae":
        return BottomUpNetwork(pose_ae(3, 4, channels=16, increase=4), ["tags"])
    network = hourglass_104(4, channels=(8, 8, 12, 12, 12, 16))
    return BottomUpNetwork(network, ["centres", "fields"], 3, branch_style="convolution")


@pytest.mark.parametrize(("name", "stages"), [("pose-ae", 3), ("hourglass-104", 2)])
def test_each_stage_has_its_maps_and_the_last_ones_count(name, stages):
    torch.manual_seed(0)
    network, image = small(name).eval(), torch.randn(1, 3, 128, 64)
    maps, outputs = network.stage_maps(image), network(image)
    assert len(maps) == stages
    assert all(stage.keys() == {"heatmaps", *outputs.extra} for stage in maps)
    for kind, values in outputs.extra.items():
        assert torch.equal(maps[-1][kind], values)
        assert not torch.equal(maps[0][kind], values)
    sum(values.square().mean() for stage in maps for values in stage.values()).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name


def test_own_tags_take_no_branch_and_can_be_left_out():
    network = pose_ae(2, 4, channels=16, increase=4)
    assert not BottomUpNetwork(network, ["tags"]).branches
    assert set(BottomUpNetwork(network, ["fields"], 3)(torch.zeros(1, 3, 64, 64)).extra) == {"fields"}

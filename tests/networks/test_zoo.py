"""Networks of the zoo: shapes, parameters, gradients; invalid options."""

import pytest
import torch

from tests.networks.short import build_short
from tests.networks.without_data import without_data
from trustpose.networks.simple_baseline import simple_baseline
from trustpose.networks.zoo import build

# Millions of parameters as the papers print them, 17 keypoints. All of `benchmarks/networks.py` is beside more numbers.
PRINTED = {
    "simple-baseline-r50": 34.0,
    "simple-baseline-r101": 53.0,
    "simple-baseline-r152": 68.6,
    "hrnet-w32": 28.5,
    "hrnet-w48": 63.6,
}
# Of each family the smallest that has all of its parts: what takes a forward pass in memory is tried on these. The
# whole zoo goes through the same checks with `benchmarks/networks.py --export` and `--overfit`.
SMALLEST = (
    "simple-baseline-r50",
    "simple-baseline-r50-caffe",
    "hrnet-w32",
    "hourglass-2",
    "mspn-2",
    "efficientnet-b0",
    "efficientnet-b0-wide",
    "light-mobilenetv2-050",
    "light-efficientnet-lite0",
    "movenet-thunder",
    "movenet-multipose",
)
STAGES = {"hourglass": 1, "mspn": 4}  # heatmaps for each stack and stage


def _predictions(name: str) -> int:
    family, _, stages = name.partition("-")
    return STAGES[family] * int(stages) if family in STAGES else 1


@pytest.mark.parametrize("name", dict.fromkeys((*SMALLEST, *PRINTED)))
def test_shapes_and_parameters(name):
    with without_data(), torch.no_grad():
        network = build(name).eval()  # batch norm of training takes twice as long without data
        for height, width in ((256, 192), (384, 288)):
            outputs = network(torch.zeros(1, 3, height, width))
            expected = (1, 17, height // 4, width // 4)
            assert [tuple(maps.shape) for maps in outputs.heatmaps] == [expected] * _predictions(name)
            assert outputs.features.shape == (1, network.feature_channels, height // 4, width // 4)
    assert network.keypoints == 17
    if name in PRINTED:
        parameters = sum(parameter.numel() for parameter in network.parameters())
        assert parameters / 1e6 == pytest.approx(PRINTED[name], rel=0.01)


def test_caffes_resnets_halve_maps_in_the_first_convolution():
    with torch.device("meta"):
        plain, caffe = (build(f"simple-baseline-r50{style}") for style in ("", "-caffe"))
    assert {name: one.shape for name, one in plain.state_dict().items()} == {
        name: one.shape for name, one in caffe.state_dict().items()
    }
    for layer in (2, 3, 4):
        blocks = [network.get_submodule(f"backbone.features.layer{layer}.0") for network in (plain, caffe)]
        assert [(block.conv1.stride, block.conv2.stride) for block in blocks] == [((1, 1), (2, 2)), ((2, 2), (1, 1))]


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALLEST)
def test_every_parameter_has_a_finite_gradient(name):
    torch.manual_seed(0)
    network = build_short(name, keypoints=5)
    outputs = network(torch.randn(2, 3, 64, 64))
    assert outputs.heatmaps[-1].shape[1] == 5
    sum(maps.square().mean() for maps in outputs.heatmaps).backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.parametrize(
    ("backbone", "options", "channels"),
    [
        ("mobilenetv3_small_050", {}, 256),
        ("convnext_atto", {}, 256),
        ("vit_tiny_patch16_224", {"img_size": (256, 192)}, 256),  # stride 16: two transposed convolutions
    ],
)
def test_any_timm_backbone(backbone, options, channels):
    with torch.device("meta"):
        network = simple_baseline(backbone, keypoints=7, **options)
        outputs = network(torch.zeros(1, 3, 256, 192))
    assert outputs.heatmaps[0].shape == (1, 7, 64, 48)
    assert outputs.features.shape == (1, channels, 64, 48)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: build("hrnet-w99"), "name: expected one of simple-baseline-r50"),
        (lambda: simple_baseline("resnot50"), "backbone: expected the name of a timm network, got 'resnot50'"),
        (lambda: simple_baseline("swin_tiny_patch4_window7_224"), "channels last"),
        (lambda: build("hourglass-1", keypoints=0), "keypoints: expected 1 or more, got 0"),
    ],
)
def test_invalid_builds_are_reported(make, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        make()

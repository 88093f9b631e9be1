"""FastPose: shapes, where its parts stand, and the published network's number of parameters."""

import pytest
import torch
from torch import nn

from tests.networks.without_data import without_data
from trustpose.networks.fastpose import SqueezeExcitation, fastpose
from trustpose.networks.zoo import build

# Counted in github.com/MVIG-SJTU/AlphaPose at commit c60106d, alphapose.models.fastpose.FastPose with 50 layers and 17
# joints. With its random weights, moved tensor by tensor, both give the same heatmaps: docs/parity.md.
PUBLISHED_PARAMETERS = 40_577_745


def test_as_large_as_the_published_network():
    with torch.device("meta"):
        network = build("fastpose-r50")
    assert sum(parameter.numel() for parameter in network.parameters()) == PUBLISHED_PARAMETERS


def test_shapes_and_the_places_of_squeeze_and_excitation():
    with without_data(), torch.no_grad():
        network = build("fastpose-r50", 14).eval()
        outputs = network(torch.zeros(2, 3, 128, 96))
        assert [tuple(maps.shape) for maps in outputs.heatmaps] == [(2, 14, 32, 24)]
        assert outputs.features.shape == (2, network.feature_channels, 32, 24)
    names = [name for name, part in network.named_modules() if isinstance(part, SqueezeExcitation)]
    assert names == [f"backbone.features.layer{stage}.0.se" for stage in range(1, 5)]


def test_squeeze_and_excitation_takes_part():
    """With its last layer far below 0 a stage's first block adds nothing to the shortcut."""
    part = SqueezeExcitation(4)
    x = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    last = part.factors[3]
    assert isinstance(last, nn.Conv2d) and last.bias is not None
    nn.init.zeros_(last.weight)
    nn.init.constant_(last.bias, -50.0)
    assert part(x).abs().max() < 1e-9
    nn.init.zeros_(last.bias)
    torch.testing.assert_close(part(x), x / 2)


def test_other_backbones_are_refused():
    with (
        torch.device("meta"),
        pytest.raises(ValueError, match="expected a ResNet with bottleneck blocks, got 'resnet18'"),
    ):
        fastpose("resnet18")

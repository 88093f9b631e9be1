"""Parameters of the heads as the papers print them."""

import pytest
from torch import nn

from tests.networks.without_data import without_data
from trustpose.heads.network import attach
from trustpose.heads.oks_net import OKSNet
from trustpose.heads.visibility import VisibilityHead
from trustpose.networks.backbones import timm
from trustpose.networks.simple_baseline import deconvolutions
from trustpose.networks.zoo import build

ENCODED = (2048, 8, 6)  # ResNet-50's last map for crops of 256 × 192


def _millions(*modules: nn.Module) -> float:
    return sum(parameter.numel() for module in modules for parameter in module.parameters()) / 1e6


@pytest.fixture(autouse=True)
def _no_memory():
    with without_data():
        yield


@pytest.mark.parametrize(("height", "width", "printed"), [(256, 192, 2.7), (384, 288, 4.7)])
def test_oks_net_on_hrnet(height, width, printed):
    both = attach("oks-net", build("hrnet-w32"), height, width)
    assert both.head.shapes[0] == (32, height // 4, width // 4)
    assert round(_millions(both.head), 1) == printed


def test_oks_net_with_one_window_is_not_what_the_paper_counted():
    assert round(_millions(OKSNet(32, 96, 72, window=None)), 2) == 4.62
    assert [round(_millions(OKSNet(256, 64, 48, window=window)), 2) for window in (8, None)] == [5.86, 2.78]
    assert [round(_millions(OKSNet(256, 96, 72, window=window)), 2) for window in (8, None)] == [11.76, 4.75]


def _wide(size: int) -> list[nn.Module]:
    """EfficientNet as the paper's totals have it: widened to 2048 channels, ImageNet's unused classifier counted."""
    return [build(f"efficientnet-b{size}-wide"), timm.create_model(f"tf_efficientnet_b{size}").get_classifier()]


OTHER_NETWORKS = {
    55.6: lambda: _wide(0),
    95.5: lambda: _wide(6),
    104.6: lambda: [build("mspn-2"), deconvolutions(ENCODED[0], 3)],
}
OPTIONS = [{}, {"bottleneck": (1024, 64), "reduced": 128}]


@pytest.mark.parametrize("options", OPTIONS)
def test_metamodel_on_simple_baseline(options):
    both = attach("metamodel", build("simple-baseline-r50"), 256, 192, **options)
    assert both.head.shapes[0] == ENCODED
    assert round(_millions(both), 1) == 71.2


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("printed", OTHER_NETWORKS)
def test_metamodel_on_the_networks_that_the_other_totals_imply(printed, options):
    head = VisibilityHead(*ENCODED, **options)
    assert round(_millions(head, *OTHER_NETWORKS[printed]()), 1) == printed


def test_no_other_width_gives_all_four_totals():
    def fits(reduced: int) -> bool:
        head = _millions(VisibilityHead(*ENCODED, reduced=reduced))
        return all(round(head + base, 1) == printed for printed, base in bases.items())

    bases = {printed: _millions(*make()) for printed, make in OTHER_NETWORKS.items()}
    bases[71.2] = _millions(build("simple-baseline-r50"))
    assert [reduced for reduced in range(140, 156) if fits(reduced)] == [147]


# The first three are 55.6, 95.5 and 104.6 without what no layer reads: ImageNet's classifier, a second neck.
WITHOUT_UNUSED = {
    "efficientnet-b0-wide": 54.3,
    "efficientnet-b6-wide": 93.2,
    "mspn-2": 94.1,
    "efficientnet-b0": 25.3,
    "efficientnet-b6": 63.2,
}


@pytest.mark.parametrize(("name", "millions"), WITHOUT_UNUSED.items())
def test_metamodel_on_the_zoos_own_networks(name, millions):
    assert round(_millions(attach("metamodel", build(name), 256, 192)), 1) == millions

"""Small networks with weights that all matter, one for each way to reach a map, and crops for them."""

from functools import cache

import torch
from torch import nn

from tests.networks.random_weights import build_random
from tests.networks.short import build_short
from trustpose.heads.heads import TrustHead
from trustpose.heads.network import TrustNetwork, attach
from trustpose.networks.hourglass import hourglass
from trustpose.networks.layers import ConvBN, PoseNetwork, heatmap_head
from trustpose.networks.simple_baseline import simple_baseline

KEYPOINTS = 5


def tiny() -> PoseNetwork:
    """An encoder of stride 32 and its way back to stride 4 in one layer each."""
    encoder = nn.Sequential(ConvBN(3, 8, kernel=5, stride=4), ConvBN(8, 16, kernel=9, stride=8))
    neck = nn.Sequential(nn.ConvTranspose2d(16, 32, 8, stride=8), nn.BatchNorm2d(32), nn.ReLU())
    return PoseNetwork(encoder, neck, heatmap_head(32, KEYPOINTS))


NETWORKS = {
    "simple-baseline": lambda: simple_baseline("test_byobnet", KEYPOINTS),
    "hourglass-1": lambda: hourglass(1, KEYPOINTS),
    "mspn-2": lambda: build_short("mspn-2", KEYPOINTS),
}
TINY = {"tiny": tiny}


def crops(batch: int = 2, height: int = 64, width: int = 64, seed: int = 0) -> torch.Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(seed))


def network(name: str = "simple-baseline") -> nn.Module:
    """In evaluation. What differs between crops reaches the last layer: batch norm knows the statistics of eight."""
    random = build_random((NETWORKS | TINY)[name])
    norms = [layer for layer in random.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.num_batches_tracked.zero_()
        norm.momentum = 1.0
    with torch.no_grad():
        random.train()(crops(8, seed=99))
    for norm in norms:
        norm.momentum = 0.1
    return random.eval()


shared_network = cache(network)  # for tests that leave it as it is


def with_head(head: str, height: int = 64, width: int = 64, *, on: str = "simple-baseline", **options) -> TrustNetwork:
    """A new head, seeded, on the shared small network `on`, which is frozen; both in evaluation."""
    torch.manual_seed(0)
    shared_network(on).zero_grad(set_to_none=True)
    return attach(head, shared_network(on), height, width, **options).eval()


def boxes(head: TrustHead, batch: int) -> tuple[torch.Tensor, ...]:
    """(box,) for a head that reads people's boxes, () for others."""
    box = torch.rand(batch, 2, generator=torch.Generator().manual_seed(batch)) / 2 + 0.4
    return (box,) if head.reads_box else ()

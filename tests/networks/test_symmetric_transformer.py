"""The symmetric spatial transformer: inverse, what it moves where, and who learns from the parallel branch."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.training.tiny import tiny_network
from trustpose.codecs import Outputs
from trustpose.networks.symmetric_transformer import (
    SymmetricTransformer,
    frozen_branch,
    inverse_theta,
    localisation,
    theta_for_maps,
    warp_maps,
)


class Fixed(nn.Module):
    """The same θ for every crop."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor(theta, dtype=torch.float32))

    def forward(self, image):
        return self.theta.expand(len(image), 2, 3)


class Echo(nn.Module):
    """Its heatmaps are the image's channels at full size."""

    keypoints = feature_channels = 3

    def forward(self, image):
        return Outputs(heatmaps=[image], features=image)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_the_inverse_undoes_it(seed):
    theta = torch.from_numpy(np.random.default_rng(seed).normal(size=(5, 2, 3)))
    row = torch.tensor([[[0.0, 0, 1]]], dtype=theta.dtype).expand(5, 1, 3)
    usable = torch.linalg.det(theta[:, :, :2]).abs() >= 0.05
    both = torch.cat([inverse_theta(theta), row], dim=1) @ torch.cat([theta, row], dim=1)
    torch.testing.assert_close(both[usable], torch.eye(3, dtype=theta.dtype).expand(int(usable.sum()), 3, 3))
    identity = torch.eye(2, 3, dtype=theta.dtype)
    assert (inverse_theta(theta)[~usable] == identity).all()
    assert (inverse_theta(torch.zeros(1, 2, 3)) == torch.eye(2, 3)).all()


def test_a_peak_comes_back_to_its_place():
    """A crop in which the person is small and off centre: the network sees it twice as large, in the middle."""
    y, x = torch.meshgrid(torch.arange(65.0), torch.arange(49.0), indexing="ij")
    image = torch.exp(-((x - 33) ** 2 + (y - 20) ** 2) / 32).expand(2, 3, 65, 49)
    theta = [[0.5, 0.0, (33 - 24) / 24], [0.0, 0.5, (20 - 32) / 32]]
    seen = warp_maps(image, torch.tensor([theta, theta]))[0, 0]
    assert divmod(int(seen.argmax()), 49) == (32, 24)
    assert seen.sum().item() == pytest.approx(4 * image[0, 0].sum().item(), rel=0.02)  # twice as large
    with torch.no_grad():
        outputs = SymmetricTransformer(Echo(), Fixed(theta))(image)
    torch.testing.assert_close(outputs.heatmaps[0][:, :, 8:32, 24:42], image[:, :, 8:32, 24:42], atol=0.02, rtol=0)
    torch.testing.assert_close(outputs.features, outputs.heatmaps[0])


def test_affines_of_maps_are_those_of_their_crop():
    """A point of the map, of stride 4, goes where the crop's affine takes its place in the crop."""
    random = np.random.default_rng(0)
    theta = torch.from_numpy(random.normal(size=(3, 2, 3)))
    on_map = theta_for_maps(theta, (64, 48), (16, 12))
    position = torch.from_numpy(random.uniform(0, 10, (3, 2)))  # map pixels

    def moved_to(affine, xy, size):
        half = (torch.tensor([size[1], size[0]]) - 1) / 2
        unit = xy / half - 1
        return ((affine[:, :, :2] @ unit[:, :, None])[..., 0] + affine[:, :, 2] + 1) * half

    torch.testing.assert_close(moved_to(on_map, position, (16, 12)) * 4, moved_to(theta, position * 4, (64, 48)))


@pytest.mark.parametrize("name", ["own", "resnet18"])
def test_it_starts_as_the_plain_network(name):
    network = tiny_network().eval()
    image = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    symmetric = SymmetricTransformer(network, localisation(name, network)).eval()
    with torch.no_grad():
        found, plain = symmetric(image), network(image)
    torch.testing.assert_close(found.heatmaps[0], plain.heatmaps[0], atol=1e-4, rtol=1e-4)
    assert (symmetric.keypoints, symmetric.feature_channels) == (17, 8) and found.grids == plain.grids


def test_the_parallel_branch_teaches_the_stn_alone():
    symmetric = SymmetricTransformer(tiny_network(), Fixed([[0.9, 0.0, 0.1], [0.0, 0.9, 0.0]]))
    frozen = frozen_branch(symmetric.network)
    before = {name: value.clone() for name, value in frozen.state_dict().items()}
    image = torch.randn(2, 3, 64, 48, generator=torch.Generator().manual_seed(0))
    outputs, maps = symmetric.with_parallel(image, frozen)
    assert torch.equal(outputs.heatmaps[-1], symmetric(image).heatmaps[-1])
    maps[-1].square().mean().backward()
    assert symmetric.localisation.theta.grad.abs().max() > 0
    assert all(parameter.grad is None for parameter in symmetric.network.parameters())
    assert all(torch.equal(value, before[name]) for name, value in frozen.state_dict().items())
    symmetric(image).heatmaps[-1].square().mean().backward()
    assert all(parameter.grad is not None for parameter in symmetric.network.parameters())

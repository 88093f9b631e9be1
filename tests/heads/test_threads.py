"""Two batches at a time, as prediction runs them: each head reads its own batch's maps."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import torch
from torch import nn

from trustpose.heads.network import run
from trustpose.networks.layers import PoseNetwork, heatmap_head


class Waiting(nn.Module):
    """Gives its input once another thread has come as far."""

    def __init__(self):
        super().__init__()
        self.barrier = Barrier(2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.barrier.wait(10)
        return image


def test_maps_of_the_encoder_are_of_the_own_batch():
    network = PoseNetwork(Waiting(), nn.Identity(), heatmap_head(3, 2)).eval()
    images = [torch.full((1, 3, 4, 4), float(value)) for value in (1, 2)]
    with ThreadPoolExecutor(2) as threads:
        for _ in range(5):
            found = threads.map(lambda image: run(network, image, ("backbone",))[1][0], images)
            for image, maps in zip(images, found, strict=True):
                assert torch.equal(image, maps)

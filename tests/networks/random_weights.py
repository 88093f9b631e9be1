"""Weights and running statistics that all matter: a swapped or forgotten tensor changes the heatmaps."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


def build_random(make: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    """What `make` builds, with every tensor filled (see `fill`); no time is spent on its own initial weights.

    Buffers that are no part of the state are constants that `make` computes: a network that has any is built in full,
    because on the meta device, and so in memory that nobody wrote, they would be lost.
    """
    with torch.device("meta"):
        network = make()
    constants = {name for name, _ in network.named_buffers()} - network.state_dict().keys()
    return randomise(make() if constants else network.to_empty(device="cpu"), seed)


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every tensor of `network` (see `fill`). Returns it."""
    fill(network.state_dict(), seed)
    return network


def fill(tensors: Mapping[str, Tensor], seed: int = 0) -> None:
    """Fill tensors in place, in their order, so that features keep about their size from layer to layer."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in tensors.items():
            if name.endswith("num_batches_tracked"):
                tensor.zero_()
            elif name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif tensor.dim() == 1 and name.endswith("weight"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.6 + 0.4)
            elif tensor.dim() == 1:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
            else:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * tensor[0].numel() ** -0.5)

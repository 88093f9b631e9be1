"""Weights and running statistics that all matter: a swapped or forgotten tensor changes the heatmaps."""

import torch
from torch import nn


def randomise(network: nn.Module, seed: int = 0) -> nn.Module:
    """Fill every tensor of `network` so that features keep about their size from layer to layer. Returns it."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("num_batches_tracked"):
                continue
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif tensor.dim() == 1 and name.endswith("weight"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.6 + 0.4)
            elif tensor.dim() == 1:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
            else:
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * tensor[0].numel() ** -0.5)
    return network

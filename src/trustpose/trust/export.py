"""A network and its head as one ONNX graph, which fills the trust fields without torch."""

from pathlib import Path

import torch
from torch import Tensor, nn

from trustpose.networks.export import write_onnx
from trustpose.trust.network import TrustNetwork


def export_onnx(network: TrustNetwork, path: str | Path, height: int, width: int) -> None:
    """Write network and head for crops of height × width, any batch size, float32.

    Input "image" (B, 3, height, width); outputs "heatmaps" (B, K, h, w), the last stage's, then each field of `Trust`
    that the head fills, by its name. Batch norm is fixed as in evaluation; the network itself is left as it was.
    Raises InputError where `path` cannot be written.
    """
    was_training = {module: module.training for module in network.modules()}
    try:
        network.eval()
        with torch.no_grad():
            image = torch.zeros(1, 3, height, width, device=next(network.parameters()).device)
            names = ["heatmaps", *network(image)[1].filled()]
    finally:
        for module, training in was_training.items():
            module.training = training
    write_onnx(_Tensors(network), names, path, height, width)


class _Tensors(nn.Module):
    """Tensors instead of `Outputs` and `Trust`."""

    def __init__(self, network: TrustNetwork):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs, trust = self.network(image)
        return outputs.heatmaps[-1], *trust.filled().values()

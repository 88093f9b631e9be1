"""A network and its head as one ONNX graph, which fills the trust fields without torch."""

from pathlib import Path

import torch
from torch import Tensor, nn

from trustpose.export.onnx import evaluating, trace_onnx
from trustpose.files import atomic_write
from trustpose.trust.network import TrustNetwork

BOX = "box"  # the input for heads that read people's boxes


def export_onnx(network: TrustNetwork, path: str | Path, height: int, width: int) -> None:
    """Write network and head for crops of height × width, any batch size, float32.

    Input "image" (B, 3, height, width), and "box" (B, 2) where the head reads it; outputs "heatmaps" (B, K, h, w), the
    last stage's, then each field of `Trust` that the head fills, by its name. Batch norm is fixed as in evaluation; the
    network itself is left as it was. Raises InputError where `path` cannot be written.
    """
    device = next(network.parameters()).device
    inputs = {"image": torch.zeros(1, 3, height, width, device=device)}
    if network.head.reads_box:
        inputs[BOX] = torch.ones(1, 2, device=device)
    with evaluating(network), torch.no_grad():
        names = ["heatmaps", *network(*inputs.values())[1].filled()]
    model = trace_onnx(_Tensors(network), inputs, names)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


class _Tensors(nn.Module):
    """Tensors instead of `Outputs` and `Trust`."""

    def __init__(self, network: TrustNetwork):
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs, trust = self.network(*inputs)
        return outputs.heatmaps[-1], *trust.filled().values()

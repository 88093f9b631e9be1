"""Export a network and its head as one ONNX graph, which fills the trust fields without torch."""

from pathlib import Path

import torch
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.export.onnx import evaluation_mode, trace_onnx
from trustpose.files import atomic_write
from trustpose.trust.heads import Trust
from trustpose.trust.network import TrustNetwork

BOX = "box"  # input of heads that read people's boxes
XY = "xy"  # input of heads that accept positions to read at


def export_onnx(network: TrustNetwork, path: str | Path, height: int, width: int, *, reads_xy: bool = False) -> None:
    """Write network and head for crops of height × width, any batch size, float32.

    Input "image" (B, 3, height, width), and "box" (B, 2) if the head reads it; outputs "heatmaps" (B, K, h, w), the
    last stage's, or of a network of coordinates "coordinates" (B, K, 3), then each field of `Trust` that the head
    fills, by its name. `reads_xy`: a further input "xy" (B, K, 2) with positions to read at, in pixels of the
    heatmaps, NaN for the network's own peaks. Batch norm is fixed as in evaluation; the network itself is unchanged.
    Raises InputError if `path` cannot be written, ValueError if the head reads whole maps and cannot use positions.
    """
    check_reads_xy(network.head, reads_xy=reads_xy)
    device = next(network.parameters()).device
    inputs = {"image": torch.zeros(1, 3, height, width, device=device)}
    if network.head.reads_box:
        inputs[BOX] = torch.ones(1, 2, device=device)
    if reads_xy:
        inputs[XY] = torch.zeros(1, network.head.keypoints, 2, device=device)
    tensors = _Tensors(network, tuple(inputs))
    with evaluation_mode(network), torch.no_grad():
        outputs, trust = tensors.outputs_and_trust(*inputs.values())
        names = ["heatmaps" if coordinates_of(outputs) is None else "coordinates", *trust.filled()]
    model = trace_onnx(tensors, inputs, names)
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def check_reads_xy(head: nn.Module, *, reads_xy: bool) -> None:
    """Raise ValueError if positions are requested for a head that reads whole maps."""
    if reads_xy and not getattr(head, "reads_positions", False):
        raise ValueError(f"reads_xy: {type(head).__name__} reads maps as a whole, expected False")


class _Tensors(nn.Module):
    """Returns tensors instead of `Outputs` and `Trust`; `names` of the inputs in order, the image first."""

    def __init__(self, network: TrustNetwork, names: tuple[str, ...]):
        super().__init__()
        self.network = network
        self.names = names

    def outputs_and_trust(self, image: Tensor, *further: Tensor) -> tuple[Outputs, Trust]:

        return self.network(image, **dict(zip(self.names[1:], further, strict=True)))

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        outputs, trust = self.outputs_and_trust(*inputs)
        coordinates = coordinates_of(outputs)
        return outputs.heatmaps[-1] if coordinates is None else coordinates, *trust.filled().values()


def coordinates_of(outputs: Outputs) -> Tensor | None:
    """Return the coordinates of a network whose coordinates trust heads read, not its heatmaps
    (`trust.heads.estimates_of`); None for the others."""
    return None if outputs.tokens is None else outputs.coordinates

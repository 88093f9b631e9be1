"""A network and its head as one ONNX graph, which fills the trust fields without torch."""

import warnings
from io import BytesIO
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from trustpose.files import atomic_write
from trustpose.networks.export import OPSET
from trustpose.trust.network import TrustNetwork


def export_onnx(network: TrustNetwork, path: str | Path, height: int, width: int) -> None:
    """Write network and head for crops of height × width, any batch size, float32.

    Input "image" (B, 3, height, width); outputs "heatmaps" (B, K, h, w), the last stage's, then each field of `Trust`
    that the head fills, by its name. Batch norm is fixed as in evaluation; the network itself is left as it was.
    Raises InputError where `path` cannot be written.
    """
    was_training = {module: module.training for module in network.modules()}
    image = torch.zeros(1, 3, height, width, device=next(network.parameters()).device)
    tensors = _Tensors(network).eval()
    written = BytesIO()
    try:
        with torch.no_grad(), warnings.catch_warnings():
            shapes = [tuple(output.shape) for output in tensors(image)]
            names = ["heatmaps", *network(image)[1].filled()]
            warnings.simplefilter("ignore")  # the exporter that traces, for the reason given in networks/export.py
            torch.onnx.export(
                tensors,
                (image,),
                written,  # pyright: ignore[reportArgumentType]  # this exporter writes to files that are open, too
                input_names=["image"],
                output_names=names,
                opset_version=OPSET,
                dynamic_axes={name: {0: "batch"} for name in ["image", *names]},
                dynamo=False,
            )
    finally:
        for module, training in was_training.items():
            module.training = training
    model = onnx.load_from_string(written.getvalue())
    for output, shape in zip(model.graph.output, shapes, strict=True):
        for dimension, length in zip(output.type.tensor_type.shape.dim[1:], shape[1:], strict=True):
            dimension.dim_value = length
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


class _Tensors(nn.Module):
    """Tensors instead of `Outputs` and `Trust`."""

    def __init__(self, network: TrustNetwork):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs, trust = self.network(image)
        return outputs.heatmaps[-1], *trust.filled().values()

"""Export networks as ONNX files, which run without torch."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from trustpose.files import InputError, atomic_write
from trustpose.models.runtime.sessions import run_tensors, session_of
from trustpose.networks.bottom_up import map_values
from trustpose.networks.inference import for_inference
from trustpose.networks.multi_pose_net import PoseResidualNetwork

OPSET = 18
SIMCC_TENSORS = ("simcc_x", "simcc_y", "features", "tokens")
FIELD_TENSORS = ("heatmaps", "fields")
MAP_TENSORS = {  # by the kind of output
    "fields": FIELD_TENSORS,
    "tags": ("heatmaps", "tags"),
    "centres": ("centre", "sides", "joints", "heatmaps"),
    "boxed": ("centre", "sides", "heatmaps"),
    "composite-fields": ("intensity", "association"),
    "parts": ("parts", "refinements", "scales"),
    "disks": ("disks", "short", "middle"),
}


def export_onnx(
    network: nn.Module,
    path: str | Path,
    height: int,
    width: int,
    features: bool = False,
    *,
    free_size: int | None = None,
) -> None:
    """Write `network` for crops of height × width, any batch size, float32.

    Input "image" (B, 3, height, width); outputs "heatmaps" (B, K, h, w), the last stage's, and with `features`
    "features" (B, C, h, w). Batch norm is fixed as in evaluation; the network itself is unchanged. `free_size`: height
    and width may be any multiple of this many pixels, whole photos too. Raises InputError if `path` cannot be written,
    ValueError if sizes should be variable but the network's graph fixes them.
    """
    names = ["heatmaps", "features"][: 1 + features]
    write_onnx(_LastStage(network, features), names, path, height, width, free_size=free_size)


def export_coordinates(network: nn.Module, path: str | Path, height: int, width: int) -> None:
    """Write a network of coordinates for crops of height × width, any batch size, float32.

    Input "image" (B, 3, height, width); output "coordinates" (B, K, 3): x, y in units of the crop's sides, score.
    Raises InputError as above.
    """
    write_onnx(_Coordinates(network), ["coordinates"], path, height, width)


def export_simcc(network: nn.Module, path: str | Path, height: int, width: int) -> None:
    """Write a SimCC network for crops of height × width, any batch size, float32.

    Input "image" (B, 3, height, width); outputs `SIMCC_TENSORS`: logits over columns and rows, and the inputs of trust
    heads, the feature map (B, C, h, w) and the keypoint tokens (B, K, D). Raises InputError as above.
    """
    write_onnx(_SimCC(network), list(SIMCC_TENSORS), path, height, width)


def export_fields(
    network: nn.Module, path: str | Path, height: int, width: int, *, free_size: int | None = None
) -> None:
    """Write a network with part affinity fields for photos of height × width, float32.

    Input "image" (B, 3, height, width); outputs `FIELD_TENSORS` of the last stages: heatmaps (B, K, h, w), with the
    background's where the network has it, and fields (B, 2 L, h, w). `free_size`, errors: as above.
    """
    export_maps(network, "fields", path, height, width, free_size=free_size)


def export_maps(
    network: nn.Module, kind: str, path: str | Path, height: int, width: int, *, free_size: int | None = None
) -> None:
    """Write a network with maps of all people, of `kind` in `MAP_TENSORS`, for photos of height × width, float32.

    Input "image" (B, 3, height, width); the outputs have the names of `MAP_TENSORS`, as prediction reads them
    (`networks.bottom_up.map_values`).
    `free_size`, errors: as above.
    """
    write_onnx(_Maps(network, kind), list(MAP_TENSORS[kind]), path, height, width, free_size=free_size)


def export_regions(network: nn.Module, names: list[str], path: str | Path, height: int, width: int) -> None:
    """Write a module that returns a tuple of tensors, `names`, for photos "image" (B, 3, height, width) and boxes
    "boxes" (N, 5) in them, any B and N. Raises InputError as above."""
    device = next(network.parameters()).device
    image = torch.zeros(1, 3, height, width, device=device)
    boxes = torch.tensor([[0.0, 0, 0, width / 2, height / 2]], device=device)
    model = trace_onnx(network, {"image": image, "boxes": boxes}, names, lengths={"image": "photos"})
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def export_residual(network: PoseResidualNetwork, path: str | Path) -> None:
    """Write a pose residual network: "maps" to "probabilities", both (B, h, w, K), any B. Raises InputError as
    above."""
    grid = network.grid
    maps = torch.zeros(1, grid.height, grid.width, grid.keypoints)
    model = trace_onnx(_AsTuple(network), {"maps": maps}, ["probabilities"])
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def write_onnx(
    network: nn.Module, names: list[str], path: str | Path, height: int, width: int, *, free_size: int | None = None
) -> None:
    """Write a module that returns a tuple of tensors, `names`, for crops "image" (B, 3, height, width), any B.

    It is traced in evaluation mode and restored. For `free_size` and errors see `export_onnx`.
    """
    image = torch.zeros(1, 3, height, width, device=next(network.parameters()).device)
    model = trace_onnx(network, {"image": image}, names, is_free=free_size is not None)
    if free_size is not None:
        _check_free(network, model, torch.rand(2, 3, 2 * free_size, 3 * free_size, device=image.device))
    with atomic_write(path) as file:
        file.write(model.SerializeToString())


def trace_onnx(
    network: nn.Module,
    inputs: dict[str, Tensor],
    names: list[str],
    *,
    is_free: bool = False,
    lengths: Mapping[str, str] = MappingProxyType({}),
) -> onnx.ModelProto:
    """Return the ONNX graph of a module that returns a tuple of tensors, `names`, for `inputs` in this order, any
    batch.

    It is traced in evaluation mode, on these inputs, and restored; what is traced is `networks.inference`'s faster
    arrangement of it, with the same outputs up to float rounding. `is_free`: all are maps of variable height and width.
    `lengths`: a name for the batch of an input that is not as long as the others, as ONNX Runtime shares memory between
    tensors whose lengths have one name.
    """
    sizes = {2: "height", 3: "width"} if is_free else {}
    written = BytesIO()
    with evaluation_mode(network), torch.no_grad(), warnings.catch_warnings():
        shapes = [tuple(output.shape) for output in network(*inputs.values())]
        # The exporter that traces is the older one, and prints so. The newer one writes the same numbers but takes 6
        # to 20 times as long (HRNet-W32: half a minute and more), which is too slow for importing a checkpoint.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            for_inference(network),
            tuple(inputs.values()),
            written,  # type: ignore  # this exporter writes to files that are open, too
            input_names=list(inputs),
            output_names=names,
            opset_version=OPSET,
            dynamic_axes={name: {0: lengths.get(name, "batch")} | sizes for name in inputs}
            | {name: {0: "batch"} | {axis: f"map {side}" for axis, side in sizes.items()} for name in names},
            dynamo=False,
        )
    model = onnx.load_from_string(written.getvalue())
    for output, shape in zip(model.graph.output, shapes, strict=True):  # unknown if padding depends on the size
        for axis, (dimension, length) in enumerate(zip(output.type.tensor_type.shape.dim, shape, strict=True)):
            if axis and axis not in sizes:
                dimension.dim_value = length
    return model


def _check_free(network: nn.Module, model: onnx.ModelProto, image: Tensor) -> None:
    """Raise ValueError if the graph's result for an image of another size differs from the network's."""
    path, names = Path("network.onnx"), [output.name for output in model.graph.output]
    try:
        session = session_of(model.SerializeToString(), path)
        computed = run_tensors(session, path, names, {"image": image.cpu().numpy()})
    except InputError as error:
        raise ValueError(f"network: its graph is for one size of image ({error})") from None
    with evaluation_mode(network), torch.no_grad():
        expected = [output.cpu().numpy() for output in network(image)]
    for actual, reference in zip(computed, expected, strict=True):
        if actual.shape != reference.shape or np.abs(actual - reference).max() > 1e-3 * max(
            np.abs(reference).max(), 1e-6
        ):
            raise ValueError("network: its graph is for one size of image, at another it gives something else")


def with_half_weights(model: onnx.ModelProto, min_size: int = 64) -> onnx.ModelProto:
    """Return the same graph with its weights stored in half the bytes: float16, cast to float32 before use.

    Tensors with fewer than `min_size` numbers, or with larger ones than float16 supports, are unchanged. All
    computation is in float32, from the nearest float16 of each weight; runtimes cast once, when they load the file.
    """
    half = onnx.ModelProto()
    half.CopyFrom(model)
    graph, casts = half.graph, []
    for tensor in graph.initializer:
        numbers = numpy_helper.to_array(tensor)
        if numbers.dtype != np.float32 or numbers.size < min_size or np.abs(numbers).max() > np.finfo(np.float16).max:
            continue
        name = f"{tensor.name}_half"
        casts.append(helper.make_node("Cast", [name], [tensor.name], to=onnx.TensorProto.FLOAT))
        tensor.CopyFrom(numpy_helper.from_array(numbers.astype(np.float16), name))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return half


@contextmanager
def evaluation_mode(network: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode in the block, then restore the mode of each part."""
    was_training = {module: module.training for module in network.modules()}
    try:
        network.eval()
        yield
    finally:
        for module, training in was_training.items():
            module.training = training


class _LastStage(nn.Module):
    """Returns tensors instead of `Outputs`, only those exported; layers for the others are left out of the file."""

    def __init__(self, network: nn.Module, features: bool):
        super().__init__()
        self.network = network
        self.features = features

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(image)
        return (outputs.heatmaps[-1], outputs.features) if self.features else (outputs.heatmaps[-1],)


class _Coordinates(nn.Module):
    """Returns coordinates instead of `Outputs`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor]:
        return (self.network(image).coordinates,)


class _SimCC(nn.Module):
    """Returns tensors instead of `Outputs`."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(image)
        return *outputs.simcc, outputs.features, outputs.tokens


class _AsTuple(nn.Module):
    """Returns a tuple of one tensor."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> tuple[Tensor]:
        return (self.network(*inputs),)


class _Maps(nn.Module):
    """Returns the tensors of one kind instead of `Outputs`."""

    def __init__(self, network: nn.Module, kind: str):
        super().__init__()
        self.network = network
        self.names = MAP_TENSORS[kind]

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(image)
        maps = {"heatmaps": outputs.heatmaps[-1], **outputs.extra}
        return tuple(map_values(name, maps[name]) for name in self.names)

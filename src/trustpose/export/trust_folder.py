"""Write model folders with trust: network and trust head in one model.onnx.

Needs the `train` extra, but the base install runs the result. The folder also has model.json, the network's `ModelSpec`
with the field "trust", and model.safetensors: the head alone for a network given as ONNX file, network and head
("network.…", "head.…") for one of the zoo.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.export.inner_tensors import ESTIMATES, TOKENS, expose, sample_crops
from trustpose.export.model_folder import write_tensors
from trustpose.export.onnx import evaluation_mode, trace_onnx, with_half_weights
from trustpose.export.onnx_graphs import (
    chain_graphs,
    free_batch,
    opset_of,
    rename_outputs,
    upgrade_opset,
    with_prefix,
)
from trustpose.files import InputError, atomic_write, new_folder, write_json
from trustpose.heads.heads import Trust
from trustpose.heads.network import TrustNetwork
from trustpose.models.outputs.crops import CoordinateOutput
from trustpose.models.outputs.trust import TrustOutput
from trustpose.models.runtime.sessions import run_tensors, session_of, to_tensor
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, HeatmapOutput, ModelSpec, SimCCOutput
from trustpose.poses import Area, ErrorModel

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
    (`heads.heads.estimates_of`); None for the others."""
    return None if outputs.tokens is None else outputs.coordinates


HEAD_PREFIX = "head/"
TOLERANCE, HALF_TOLERANCE = (
    1e-4,
    2e-2,
)  # relative: float32 in another order; float16 weights
_SAMPLES = 3


@dataclass(frozen=True)
class Fitted:
    """The fields of a spec's "trust" besides the head's outputs, see `TrustOutput`, and its field "measured"."""

    head: str
    area: Area
    fitted_on: Mapping[str, float | int | str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, float | int | str] = field(default_factory=dict)
    flip: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    errors: ErrorModel | None = None
    errors_flip: ErrorModel | None = None


def save_trust_folder(
    out: str | Path,
    spec: ModelSpec,
    head: nn.Module,
    maps: Mapping[str, str],
    fitted: Fitted,
    *,
    is_half: bool = False,
    reads_xy: bool = False,
) -> ModelSpec:
    """Write an ONNX network with a head atomically as the new model folder `out`; return its spec.

    The folder holds the head's weights for training, not the network's, so its spec names no zoo network.

    head(map (B, C, h, w), …, heatmaps (B, K, h, w)) -> `Trust`; for a SimCC network all three of its
    `inner_tensors.ESTIMATES` instead of the heatmaps. `maps` are the tensors of the network's file that it reads before
    those, in its order, {"features": tensor, …}; {} for a head that reads heatmaps only (`inner_tensors.find_maps`
    finds them). Input and estimates stay the source's; the graph is compared with the source's and with the head in
    torch before the folder is written. `is_half` stores the head's weights as float16, the network's unchanged.
    `reads_xy`: see `export_onnx`. Raises InputError if `out` exists, a tensor does not exist, an operator
    cannot be converted to the head's opset, or the numbers differ; ValueError if positions are requested for a head
    that reads whole maps.
    """
    check_reads_xy(head, reads_xy=reads_xy)
    out = Path(out)
    network, estimates = expose(spec, maps), ESTIMATES[spec.output.kind]
    further = _further(head, reads_xy=reads_xy)
    head_graph, names = _head_graph(head, _shapes(network), estimates, further)
    opset = max(opset_of(network), opset_of(head_graph))
    if is_half:
        head_graph = with_half_weights(head_graph)
    model = chain_graphs(
        upgrade_opset(network, opset, spec.onnx),
        upgrade_opset(head_graph, opset, out / MODEL_ONNX),
        [*_kept(estimates), *names],
        further,
    )
    batch = network.graph.input[0].type.tensor_type.shape.dim[0]
    free_batch(model, batch.dim_value or "batch")
    _compare(model, network, head, spec, names, further, HALF_TOLERANCE if is_half else TOLERANCE)
    trust = _trust_output(names, fitted, head, maps, further)
    named = replace(_named(spec, out), network=None, trust=trust, measured=fitted.measured)
    return _write(out, lambda path: path.write_bytes(model.SerializeToString()), named, head)


def save_trust_network(
    out: str | Path, spec: ModelSpec, network: TrustNetwork, fitted: Fitted, *, reads_xy: bool = False
) -> ModelSpec:
    """Write a zoo network with its head atomically as the new model folder `out`; return its spec.

    `spec` is the network's: its input, skeleton, padding, licence and zoo name (`spec.network`). `reads_xy`: see
    `export_onnx`. Raises InputError if `out` exists or `spec` names no zoo network; ValueError if the
    network's heatmaps have another size, or positions are requested for a head that reads whole maps.
    """
    check_reads_xy(network.head, reads_xy=reads_xy)
    out = Path(out)
    output = spec.expect(HeatmapOutput, CoordinateOutput)
    if spec.network is None:
        raise InputError(f"{spec.onnx}: field 'network': expected a zoo network of heatmaps or coordinates")
    named = _named(spec, out)
    input_spec = named.input
    if (input_spec.name, input_spec.layout, input_spec.dtype) != ("image", "NCHW", "float32"):
        raise ValueError(f"spec.input: expected image, NCHW, float32, got {input_spec.name}, {input_spec.layout}")
    image = torch.zeros(1, 3, input_spec.height, input_spec.width, device=next(network.parameters()).device)
    boxes = (torch.ones(1, 2, device=image.device),) if network.head.reads_box else ()
    names = _filled(network, (image, *boxes))
    with evaluation_mode(network), torch.no_grad():
        outputs = network(image, *boxes)[0]
    if isinstance(output, CoordinateOutput) == (coordinates_of(outputs) is None):
        raise ValueError(f"spec.output: expected the kind that the network gives, got {output.kind}")
    if isinstance(output, HeatmapOutput):
        shape = tuple(outputs.heatmaps[-1].shape[1:])
        if shape != (output.keypoints, output.height, output.width):
            raise ValueError(f"spec.output: expected heatmaps {shape} as the network gives, got {output}")
    trust = _trust_output(names, fitted, network.head, {}, _further(network.head, reads_xy=reads_xy))
    named = replace(named, trust=trust, measured=fitted.measured)
    size = input_spec.height, input_spec.width
    return _write(out, lambda path: export_onnx(network, path, *size, reads_xy=reads_xy), named, network)


def _named(spec: ModelSpec, out: Path) -> ModelSpec:
    """Return the source's spec for the new folder's graph, with the usual size only, for which its head is built."""
    output = spec.expect(HeatmapOutput, SimCCOutput, CoordinateOutput)
    names = ["coordinates"] if isinstance(output, CoordinateOutput) else _kept(ESTIMATES[output.kind])
    renamed: dict[str, Any] = dict(zip(output.tensors, names, strict=True))
    fixed = replace(spec.input, multiple=None, longest=0)
    return replace(spec, onnx=out / MODEL_ONNX, input=fixed, output=replace(output, **renamed))


def _kept(estimates: tuple[str, ...]) -> list[str]:
    """Return the estimates that the joined graph still outputs: those that the codec reads."""
    return [name for name in estimates if name != TOKENS]


def _trust_output(
    names: list[str], fitted: Fitted, head: nn.Module, maps: Mapping[str, str], further: Sequence[str]
) -> TrustOutput:
    count = sum(parameter.numel() for parameter in head.parameters())
    outputs = {name: name for name in names}
    box, xy = (name if name in further else None for name in (BOX, XY))
    options = (outputs, fitted.head, fitted.area, count, fitted.fitted_on, fitted.options, maps, box, xy)
    return TrustOutput(*options, flip=fitted.flip, errors=fitted.errors, errors_flip=fitted.errors_flip)


def _further(head: nn.Module, *, reads_xy: bool) -> list[str]:
    """Return the graph's inputs besides the pixels, as a head reads them."""
    return [BOX] * bool(getattr(head, "reads_box", False)) + [XY] * reads_xy


def _write(out: Path, write_graph: Callable[[Path], Any], spec: ModelSpec, weights: nn.Module) -> ModelSpec:
    with new_folder(out) as folder:
        write_graph(folder / MODEL_ONNX)
        onnx.checker.check_model(str(folder / MODEL_ONNX))
        write_tensors(folder / MODEL_WEIGHTS, weights)
        write_json(folder / MODEL_JSON, spec.to_json())
        ModelSpec.read(folder)  # validate before publishing
    return ModelSpec.read(out)


def _shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a graph's outputs without the batch."""
    return {
        value.name: tuple(dimension.dim_value for dimension in value.type.tensor_type.shape.dim[1:])
        for value in model.graph.output
    }


def _head_graph(
    head: nn.Module, shapes: Mapping[str, tuple[int, ...]], estimates: tuple[str, ...], further: Sequence[str]
) -> tuple[onnx.ModelProto, list[str]]:
    """Return the head's graph, with the prefix "head/" for inner names, and the fields of `Trust` it fills, its
    outputs."""
    ordered = {name: shapes[name] for name in _in_order(shapes, estimates)}
    device = next((parameter.device for parameter in head.parameters()), torch.device("cpu"))
    inputs = {name: torch.zeros(1, *shape, device=device) for name, shape in ordered.items()}
    keypoints = shapes[estimates[0]][0]
    inputs |= {name: torch.ones(1, *{BOX: (2,), XY: (keypoints, 2)}[name], device=device) for name in further}
    alone = _HeadAlone(head, has_xy=XY in further)
    names = _filled(alone, tuple(inputs.values()))
    traced = trace_onnx(_HeadTensors(alone), inputs, names)
    graph = with_prefix(traced, HEAD_PREFIX)
    rename_outputs(graph, {name: HEAD_PREFIX + name for name in names}, _shapes(traced))
    return graph, names


def _in_order(names: Iterable[str], estimates: tuple[str, ...]) -> list[str]:
    """Sort names as a head reads them: maps, then estimates."""
    return [*(name for name in names if name not in estimates), *estimates]


def _filled(module: nn.Module, inputs: tuple[Tensor, ...]) -> list[str]:
    """Return the fields of `Trust` that a head, or a network with a head, fills."""
    with evaluation_mode(module), torch.no_grad():
        result = module(*inputs)
    return list((result[1] if isinstance(result, tuple) else result).filled())


def _compare(
    model: onnx.ModelProto,
    network: onnx.ModelProto,
    head: nn.Module,
    spec: ModelSpec,
    names: list[str],
    further: Sequence[str],
    tolerance: float,
) -> None:
    """Raise InputError if the joined graph's estimates differ from the network's, or its trust from the head's."""
    estimates = ESTIMATES[spec.output.kind]
    estimates_kept = _kept(estimates)
    blob = {spec.input.name: to_tensor(sample_crops(spec, _SAMPLES), spec.input)}
    batch = network.graph.input[0].type.tensor_type.shape.dim[0].dim_value
    if batch:
        blob = {name: np.resize(rows, (batch, *rows.shape[1:])) for name, rows in blob.items()}
    alone = session_of(network.SerializeToString(), spec.onnx)
    maps = dict(zip(_shapes(network), run_tensors(alone, spec.onnx, list(_shapes(network)), blob), strict=True))
    count = len(blob[spec.input.name])
    samples = _samples(count, _shapes(network)[estimates[0]])
    blob |= {name: samples[name] for name in further}
    outputs_of_graph = run_tensors(
        session_of(model.SerializeToString(), spec.onnx), spec.onnx, [*estimates_kept, *names], blob
    )
    ordered = [maps[name] for name in _in_order(maps, estimates)]
    ordered += [samples[name] for name in further]
    expected = [*(maps[name] for name in estimates_kept), *_in_torch(_HeadAlone(head, has_xy=XY in further), ordered)]
    for name, computed, reference in zip([*estimates_kept, *names], outputs_of_graph, expected, strict=True):
        limit = max(float(np.abs(reference).max()), 1e-6) * (TOLERANCE if name in estimates_kept else tolerance)
        difference = float(np.abs(computed - reference).max())
        if not difference <= limit:
            raise InputError(
                f"{spec.onnx}: with its head, {name} differs by {difference:.2g}, expected at most {limit:.2g}"
            )


def _samples(count: int, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    """Return boxes' fractions and positions for `count` crops, some positions NaN, for comparing two graphs."""
    positions = np.linspace(-1.0, shape[-1], 2 * count * shape[0], dtype=np.float32).reshape(count, shape[0], 2)
    positions[:, ::5] = np.nan
    return {BOX: np.linspace(0.3, 0.8, 2 * count, dtype=np.float32).reshape(-1, 2), XY: positions}


def _in_torch(head: nn.Module, maps: list[Float[np.ndarray, "B ..."]]) -> list[np.ndarray]:
    """Return the head's output in torch, each field that it fills."""
    device = next((parameter.device for parameter in head.parameters()), torch.device("cpu"))
    with evaluation_mode(head), torch.no_grad():
        trust = head(*(torch.from_numpy(array).to(device) for array in maps))
    return [value.cpu().numpy() for value in trust.filled().values()]


class _HeadAlone(nn.Module):
    """A head with positional arguments only: with `has_xy`, the last of its inputs holds the positions to read at."""

    def __init__(self, head: nn.Module, *, has_xy: bool):
        super().__init__()
        self.head = head
        self.has_xy = has_xy

    def forward(self, *inputs: Tensor) -> Any:
        return self.head(*inputs[:-1], xy=inputs[-1]) if self.has_xy else self.head(*inputs)


class _HeadTensors(nn.Module):
    """Returns tensors instead of `Trust`."""

    def __init__(self, head: nn.Module):
        super().__init__()
        self.head = head

    def forward(self, *maps: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.head(*maps).filled().values())

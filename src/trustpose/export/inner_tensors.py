"""Find the maps inside a network's ONNX file that trust heads read, and expose them as further outputs.

- "features" (B, C, h, w): the input of the last convolution, which computes the heatmaps.
- "backbone" (B, C, h, w): the encoder's output, the last map at the lowest resolution.

For a SimCC network both are the input of its last convolution. Besides the maps heads read the network's estimates
(`ESTIMATES`): heatmaps (B, K, h, w), or logits over columns (B, K, X) and rows (B, K, Y) and the keypoint tokens (B, K,
D) from which they are computed.

Maps must be channels first, (C, h, w); for a graph with another layout, name its tensors. Needs the `train` extra to
build a network with trust, but not to run one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from jaxtyping import UInt8
from onnx import helper

from trustpose.export.onnx_graphs import add_outputs, free_batch, load_graph, with_prefix
from trustpose.files import InputError
from trustpose.models.outputs.kinds import PHOTO_MAPS
from trustpose.models.runtime.sessions import run_tensors, session_of, to_tensor
from trustpose.models.spec import HeatmapOutput, ModelSpec, SimCCOutput

ESTIMATES = {"heatmaps": ("heatmaps",), "simcc": ("simcc_x", "simcc_y", "tokens")}  # by the output's kind
TOKENS = "tokens"
FEATURES = "trust_features"
PREFIX = "network/"
BATCH_TOLERANCE = 1e-4  # relative to the largest number: float32 sums in another order

_LAST_LAYERS, _LINEAR = ("Conv", "ConvTranspose"), ("MatMul", "Gemm")
_ACTIVATIONS = tuple("Relu LeakyRelu PRelu Clip Sigmoid HardSigmoid Tanh Elu Selu Softplus HardSwish Mish Gelu".split())
# operators allowed between the last layer and the heatmaps, or after a convolution, that do not change features
_SHAPING = "Identity Cast Transpose Reshape Squeeze Unsqueeze Dropout Resize Upsample".split()
_PASSED = (*_ACTIVATIONS, "BatchNormalization", *_SHAPING)
_SCALED = ("Add", "Sub", "Mul", "Div")  # allowed if one side is a constant
_SHOWN = 8  # candidates listed in an error


@dataclass(frozen=True)
class InnerTensor:
    """A tensor inside an ONNX graph: its name in the graph, and its shape without the batch."""

    name: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.name} ({' × '.join(map(str, self.shape))})"


def find_maps(
    spec: ModelSpec, names: Sequence[str] = ("features", "backbone"), *, named: Mapping[str, str] | None = None
) -> dict[str, InnerTensor]:
    """Find the maps `names` in the spec's ONNX file: {"features": InnerTensor, …}.

    `named` gives some of them, or maps of other names, by the tensor's name in the file. Raises InputError for a
    network without heatmaps, and, with candidates, if a map cannot be found or a named tensor is not (C, h, w).
    """
    graph = _Graph.of(spec)
    finders = {"features": graph.features, "backbone": graph.backbone}
    maps: dict[str, InnerTensor] = {}
    named = named or {}
    for name in [*names, *(name for name in named if name not in names)]:
        if name in named:
            maps[name] = graph.named(named[name])
        elif name in finders:
            maps[name] = finders[name]()
        else:
            raise InputError(f"map {name!r}: expected {' or '.join(finders)}, or the name of its tensor beside it")
    return maps


def expose(spec: ModelSpec, maps: Mapping[str, str]) -> onnx.ModelProto:
    """Return the spec's network with its `ESTIMATES` as outputs and one for each of `maps`: {"features": tensor, …}.

    Its input is unchanged; names inside start with "network/"; all outputs are float32. It takes any batch size if a
    batch of three gives the result of three batches of one, else the file's own. The opset is the file's. `maps` are
    names of tensors as from `find_maps`, of any number of dimensions. Raises InputError for a tensor that does not
    exist.
    """
    graph = _Graph.of(spec)
    names = {tensor.name for tensor in graph.tensors(*maps.values())}
    for tensor in maps.values():
        if tensor not in names:
            raise graph.missing(tensor, list(graph.shapes.values()))
    tensors = graph.estimates() | dict(maps)
    shapes = {name: graph.shapes[tensor].shape for name, tensor in tensors.items()}
    exposed = with_prefix(graph.model, PREFIX)
    add_outputs(exposed, {name: PREFIX + tensor for name, tensor in tensors.items()}, shapes)
    batch = graph.model.graph.input[0].type.tensor_type.shape.dim[0]
    free_batch(exposed)
    if batch.dim_value > 0 and not _takes_any_batch(exposed, spec, batch.dim_value):
        free_batch(exposed, batch.dim_value)
    return exposed


def with_features(spec: ModelSpec, tensor: str) -> onnx.ModelProto:
    """Return the network of a spec with maps of all people, unchanged but for one more output, `FEATURES`, float32:
    the tensor of that name, as from `find_maps`. Raises InputError if there is none, or the output is taken."""
    graph = _Graph.of(spec)
    channels = graph.named(tensor).shape[0]
    model = graph.model
    if FEATURES in graph.maker or FEATURES in [output.name for output in model.graph.output]:
        raise InputError(f"{spec.onnx}: has a tensor {FEATURES!r} already, the name of a trust head's")
    model.graph.node.append(helper.make_node("Cast", [tensor], [FEATURES], to=onnx.TensorProto.FLOAT))
    shape = ["batch", channels, "features height", "features width"]
    model.graph.output.append(helper.make_tensor_value_info(FEATURES, onnx.TensorProto.FLOAT, shape))
    return model


def sample_crops(spec: ModelSpec, count: int, seed: int = 0) -> UInt8[np.ndarray, "B H W 3"]:
    """Return noise crops, 0–255, coarse enough to reach deep layers, for comparing two graphs."""
    coarse = np.random.default_rng(seed).integers(0, 256, (count, spec.input.height, spec.input.width, 3))
    blocks = coarse[:, ::16, ::16].repeat(16, axis=1).repeat(16, axis=2)[:, : spec.input.height, : spec.input.width]
    return ((3 * blocks + coarse) // 4).astype(np.uint8)


def _takes_any_batch(model: onnx.ModelProto, spec: ModelSpec, size: int) -> bool:
    """Return whether all outputs of a batch of 3 × size equal those of three batches of the file's own size."""
    outputs = [value.name for value in model.graph.output]
    blob = to_tensor(sample_crops(spec, 3 * size), spec.input)
    session = session_of(model.SerializeToString(), spec.onnx)
    try:
        together = run_tensors(session, spec.onnx, outputs, {spec.input.name: blob})
    except InputError:  # the graph contains a fixed number of rows
        return False
    parts = [
        run_tensors(session, spec.onnx, outputs, {spec.input.name: blob[start : start + size]})
        for start in range(0, len(blob), size)
    ]
    for whole, *parts_alone in zip(together, *parts, strict=True):
        separate = np.concatenate(parts_alone)
        if whole.shape != separate.shape:
            return False
        if np.abs(whole - separate).max() > BATCH_TOLERANCE * max(np.abs(separate).max(), 1e-6):
            return False
    return True


class _Graph:
    """An ONNX graph with the producer of each tensor, and the tensors that lead to the heatmaps in order."""

    def __init__(self, spec: ModelSpec, model: onnx.ModelProto) -> None:
        self.spec = spec
        self.model = model
        outputs = [value.name for value in model.graph.output]
        output = spec.expect(HeatmapOutput, SimCCOutput, *PHOTO_MAPS)
        self.is_from_tokens = isinstance(output, SimCCOutput)
        named = [output.joint_tensor] if isinstance(output, PHOTO_MAPS) else output.tensors.values()
        self.finals = [name or outputs[0] for name in named]
        for name in self.finals:
            if name not in outputs:
                raise InputError(f"{spec.onnx}: its outputs are {', '.join(outputs)}; the spec says {name!r}")
        self.maker = {name: node for node in model.graph.node for name in node.output if name}
        self.computed = self._computed()
        before = set(self.finals)
        for node in reversed(model.graph.node):
            if before.intersection(node.output):
                before.update(name for name in node.input if name in self.computed)
        names_before = [name for node in model.graph.node for name in node.output if name in before]
        self.shapes: dict[str, InnerTensor] = {}
        self.order = self.tensors(*names_before)

    @classmethod
    def of(cls, spec: ModelSpec) -> "_Graph":
        spec.expect(HeatmapOutput, SimCCOutput, *PHOTO_MAPS)
        return cls(spec, load_graph(spec.onnx))

    def _computed(self) -> set[str]:
        """Tensors that depend on pixel values: not constants, and not shapes."""
        computed = {value.name for value in self.model.graph.input}
        for node in self.model.graph.node:
            if node.op_type not in ("Shape", "Size", "ConstantOfShape") and computed.intersection(node.input):
                computed.update(name for name in node.output if name)
        return computed

    def tensors(self, *names: str) -> list[InnerTensor]:
        """Return the existing tensors of these names, with shapes from running the network once on one batch."""
        new_names = [name for name in dict.fromkeys(names) if name in self.maker and name not in self.shapes]
        if new_names:
            model = onnx.ModelProto()
            model.CopyFrom(self.model)
            del model.graph.output[:], model.graph.value_info[:]
            model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in new_names)
            session = session_of(model.SerializeToString(), self.spec.onnx, optimise=False)
            count = session.get_inputs()[0].shape[0]
            blob = to_tensor(sample_crops(self.spec, count if isinstance(count, int) else 1), self.spec.input)
            arrays = run_tensors(session, self.spec.onnx, new_names, {self.spec.input.name: blob})
            for name, array in zip(new_names, arrays, strict=True):
                self.shapes[name] = InnerTensor(name, tuple(map(int, array.shape[1:])))
        return [self.shapes[name] for name in names if name in self.shapes]

    def named(self, tensor: str) -> InnerTensor:
        """Return the tensor of that name, for a head to read as a map."""
        tensors = self.tensors(tensor)
        if not tensors or len(tensors[0].shape) != 3:
            raise self.missing(tensor, self.order)
        return tensors[0]

    def missing(self, tensor: str, candidates: Sequence[InnerTensor]) -> InputError:
        shown = ", ".join(map(str, [candidate for candidate in candidates if len(candidate.shape) == 3][-_SHOWN:]))
        return InputError(f"{self.spec.onnx}: has no map {tensor!r} inside; the last ones are {shown}")

    def estimates(self) -> dict[str, str]:
        """Return the tensor of each name in `ESTIMATES`."""
        names = list(self.finals)
        if self.is_from_tokens:
            names.append(self._tokens())
        self.tensors(*names)
        return dict(zip(ESTIMATES[self.spec.output.kind], names, strict=True))

    def _tokens(self) -> str:
        """Return the input of the two layers that compute the logits."""
        token_names = set()
        for name in self.finals:
            node = self.maker.get(name)
            while node is not None and node.op_type in _PASSED:
                node = self.maker.get(node.input[0])
            token_names.add(node.input[0] if node is not None and node.op_type in _LINEAR else None)
        (token, *further_names) = token_names
        if token is None or further_names or len(self.tensors(token)[0].shape) != 2:
            raise InputError(f"{self.spec.onnx}: no single layer of keypoint tokens makes each of its logits")

        return token

    def _last_map(self) -> InnerTensor:
        """Return the input of a SimCC network's last convolution."""
        before = {tensor.name for tensor in self.order}
        for node in reversed(self.model.graph.node):
            if node.op_type in _LAST_LAYERS and before.intersection(node.output):
                return self.named(node.input[0])
        raise InputError(f"{self.spec.onnx}: no convolution leads to its logits; name the tensor to read as 'features'")

    def features(self) -> InnerTensor:
        """Return the input of the last layer, which computes the heatmaps."""
        if self.is_from_tokens:
            return self._last_map()
        (name,) = self.finals
        while (node := self.maker.get(name)) is not None:
            sources = [source for source in node.input if source in self.computed]
            if node.op_type in _LAST_LAYERS and node.input[0] in self.maker:
                return self.named(node.input[0])
            is_passed = node.op_type in (*_PASSED, *_SCALED, "Slice")  # a layer may give other maps beside the heatmaps
            if not is_passed or len(sources) != 1:
                break
            name = sources[0]
        output = self.shapes[self.finals[0]]
        same = [tensor for tensor in self.order if tensor.shape[1:] == output.shape[1:] and tensor != output]
        shown = ", ".join(map(str, same[-_SHOWN:])) or "none of the heatmaps' size"
        raise InputError(
            f"{self.spec.onnx}: no single convolution of an inner map makes the heatmaps; "
            f"name the tensor to read as 'features'; candidates: {shown}"
        )

    def backbone(self) -> InnerTensor:
        """Return the last map at the lowest resolution; a narrowing convolution with an activation there is the
        decoder's.

        SimplePose reduces 160 to 128 channels in this way before its deconvolutions; its encoder ends with the 160. 1 ×
        1 maps are channel weights, not maps.
        """
        if self.is_from_tokens:
            return self._last_map()
        maps = [tensor for tensor in self.order if len(tensor.shape) == 3 and tensor.shape[1] * tensor.shape[2] > 1]
        lowest = min((tensor.shape[1] * tensor.shape[2] for tensor in maps), default=0)
        output = self.shapes[self.finals[0]].shape
        low = [tensor for tensor in maps if tensor.shape[1] * tensor.shape[2] == lowest]
        if len(output) != 3 or not low or lowest >= output[1] * output[2]:
            shown = ", ".join(map(str, maps[-_SHOWN:])) or "none"
            raise InputError(
                f"{self.spec.onnx}: no map is smaller than the heatmaps, so the end of its encoder is unknown; "
                f"name the tensor to read as 'backbone'; candidates: {shown}"
            )
        end, name, is_active = low[-1], low[-1].name, False
        while (node := self.maker[name]).op_type in _PASSED and node.input[0] in self.maker:
            is_active |= node.op_type in _ACTIVATIONS
            name = node.input[0]
        before = self.shapes.get(node.input[0])
        is_narrower = before in low and before is not None and before.shape[0] > end.shape[0]
        return before if node.op_type == "Conv" and is_active and is_narrower and before is not None else end

"""Edit ONNX graphs: unique names, newer opsets, variable batch size, concatenation of two graphs.

Needs the `train` extra, unlike running the result.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto, compose, helper, version_converter

from trustpose.files import InputError, check_regular
from trustpose.models.runtime.sessions import first_line

Shapes = Mapping[str, Sequence[int]]  # shapes of outputs, without the batch
IR = 8  # opset 18's version; graphs older than 4 also list their weights as inputs


def load_graph(path: Path) -> onnx.ModelProto:
    """Load the graph of an ONNX file, without weights among its inputs. Raises InputError."""
    check_regular(path)
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:  # errors of protobuf, which have no public name, and of the checker
        raise InputError(f"{path}: is not a valid ONNX graph ({first_line(error)})") from None
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    model.ir_version = max(model.ir_version, IR)
    _without_spatial(model)
    return model


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators in a graph."""
    return max((opset.version for opset in model.opset_import if opset.domain in ("", "ai.onnx")), default=1)


def upgrade_opset(model: onnx.ModelProto, opset: int, path: Path) -> onnx.ModelProto:
    """Convert a graph to a newer opset; it is unchanged if it has that or a newer one.

    Raises InputError naming `path` if an operator cannot be converted.
    """
    if opset_of(model) >= opset:
        return model
    try:
        return version_converter.convert_version(model, opset)
    except (RuntimeError, version_converter.ConvertError, onnx.shape_inference.InferenceError) as error:
        problem = f"cannot be converted from opset {opset_of(model)} to {opset}"
        raise InputError(f"{path}: {problem} ({first_line(error)}); export it again in opset {opset}") from None


def _without_spatial(model: onnx.ModelProto) -> None:
    """Remove batch norm's old attribute `spatial`: 0 means statistics per location, which MXNet wrote by mistake.

    If they are per channel, (C,), both meanings are equal, and newer opsets support only this one; but onnxruntime runs
    0 only if it can merge the layer into a convolution, so not if the map before it is an output.
    """
    is_flat = {tensor.name: len(tensor.dims) == 1 for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization" and is_flat.get(node.input[1]):
            attributes = [attribute for attribute in node.attribute if attribute.name != "spatial"]
            del node.attribute[:]
            node.attribute.extend(attributes)


def with_prefix(model: onnx.ModelProto, prefix: str) -> onnx.ModelProto:
    """Return a copy with `prefix` before every inner name, so that it is unique; its inputs keep their names, and it
    has no outputs: `add_outputs` adds them."""
    copy = compose.add_prefix(model, prefix)
    inputs = [helper.make_node("Identity", [value.name], [prefix + value.name]) for value in model.graph.input]
    nodes = list(copy.graph.node)
    del copy.graph.node[:], copy.graph.output[:], copy.graph.value_info[:], copy.graph.input[:]
    copy.graph.node.extend([*inputs, *nodes])
    copy.graph.input.extend(model.graph.input)
    return copy


def add_outputs(model: onnx.ModelProto, tensors: Mapping[str, str], shapes: Shapes) -> None:
    """Add outputs, float32, in place: by name, their tensor and their shape without the batch."""
    for name, tensor in tensors.items():
        model.graph.node.append(helper.make_node("Cast", [tensor], [name], to=TensorProto.FLOAT))
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shapes[name]]))


def rename_outputs(model: onnx.ModelProto, tensors: Mapping[str, str], shapes: Shapes) -> None:
    """Add outputs for tensors that are already float32: they are renamed, and no node is added."""
    names = {tensor: name for name, tensor in tensors.items()}
    for node in model.graph.node:
        for listed in (node.input, node.output):
            listed[:] = [names.get(tensor, tensor) for tensor in listed]
    for name in tensors:
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shapes[name]]))


def free_batch(model: onnx.ModelProto, batch: int | str = "batch") -> None:
    """Declare any batch size, or a fixed one, in place; the nodes must support it."""
    for value in (*model.graph.input, *model.graph.output):
        first = value.type.tensor_type.shape.dim[0]
        if isinstance(batch, str):
            first.dim_param = batch
        else:
            first.dim_value = batch
    del model.graph.value_info[:]  # shapes that were inferred for the previous batch size


def chain_graphs(
    first: onnx.ModelProto, second: onnx.ModelProto, outputs: Sequence[str], inputs: Sequence[str] = ()
) -> onnx.ModelProto:
    """Return one graph: `second` reads outputs of `first` by its inputs' names; `outputs` are from either.

    `inputs` of `second` become inputs of the result, after those of `first`. Both come from `with_prefix`, with
    different prefixes, and share one opset. Raises ValueError if an input of `second` or a name in `outputs` is not an
    output, or the opsets differ.
    """
    available = {value.name: value for value in (*first.graph.output, *second.graph.output)}
    missing = [value.name for value in second.graph.input if value.name not in (*available, *inputs)]
    missing += [name for name in outputs if name not in available]
    if missing:
        raise ValueError(f"second: expected inputs and outputs among {', '.join(available)}, got {missing[0]!r}")
    opsets = {("" if opset.domain == "ai.onnx" else opset.domain): opset.version for opset in first.opset_import}
    for opset in second.opset_import:
        domain = "" if opset.domain == "ai.onnx" else opset.domain
        if opsets.setdefault(domain, opset.version) != opset.version:
            raise ValueError(f"second: expected opset {opsets[domain]} as the first has, got {opset.version}")
    graph = helper.make_graph(
        [*first.graph.node, *second.graph.node],
        "network and head",
        [*first.graph.input, *(value for value in second.graph.input if value.name in inputs)],
        [available[name] for name in outputs],
        [*first.graph.initializer, *second.graph.initializer],
        sparse_initializer=[*first.graph.sparse_initializer, *second.graph.sparse_initializer],
    )
    model = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in opsets.items()],
        functions=[*first.functions, *second.functions],
        ir_version=max(first.ir_version, second.ir_version),
    )
    return _without_dead_ends(model)


def _without_dead_ends(model: onnx.ModelProto) -> onnx.ModelProto:
    """Remove nodes and weights that no output depends on, in place."""
    needed = {value.name for value in model.graph.output}
    nodes = []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            nodes.append(node)
            needed.update(tensors_read_by(node))
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))
    weights = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    del model.graph.initializer[:]
    model.graph.initializer.extend(weights)
    return model


def tensors_read_by(node: onnx.NodeProto) -> list[str]:
    """Return the tensors that a node reads, including those in its branches and loops."""
    inside = [
        name
        for attribute in node.attribute
        for graph in (attribute.g, *attribute.graphs)
        for inner in graph.node
        for name in tensors_read_by(inner)
    ]
    return [name for name in (*node.input, *inside) if name]

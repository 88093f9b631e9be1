"""Read weights from an ONNX file into a network with the same layers in the same order."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trustpose.files import InputError, read_bytes

_OURS = {nn.Conv2d: "Conv", nn.ConvTranspose2d: "ConvTranspose", nn.BatchNorm2d: "BatchNormalization"}
_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")  # ONNX's inputs 1 to 4


def read_onnx_weights(path: str | Path, network: nn.Module) -> dict[str, Tensor]:
    """Return the state dict for `network.load_state_dict` from the convolutions and batch norms of an ONNX graph.

    The graph's nodes and the network's modules are compared in their own order, and must agree in kind and shape layer
    by layer: the network must define its layers in the order of execution, and the file must still contain its batch
    norms. Raises InputError, naming file and layer, if they do not agree.
    """
    layers = read_convolutions(Path(path))
    modules = [(name, kind) for name, module in network.named_modules() if (kind := _kind(module)) is not None]
    if len(layers) != len(modules):
        raise InputError(f"{path}: has {len(layers)} convolutions and batch norms, the network has {len(modules)}")
    state = dict(network.state_dict())
    for (name, expected), (kind, label, tensors) in zip(modules, layers, strict=True):
        if expected != kind:
            raise InputError(f"{path}: {label}: expected {expected}, as {name} is, got {kind}")
        names = _BATCH_NORM if kind == "BatchNormalization" else ("weight", "bias")
        targets = [f"{name}.{part}" for part in names if f"{name}.{part}" in state]
        if kind != "BatchNormalization" and (len(tensors), len(targets)) == (1, 2):
            tensors = [*tensors, torch.zeros_like(state[targets[1]])]  # a convolution without bias
        if len(targets) != len(tensors):
            raise InputError(f"{path}: {label}: expected {len(targets)} tensors, as {name} has, got {len(tensors)}")
        for target, tensor in zip(targets, tensors, strict=True):
            if tensor.shape != state[target].shape:
                shapes = f"{tuple(state[target].shape)}, as {target} has, got {tuple(tensor.shape)}"
                raise InputError(f"{path}: {label}: expected shape {shapes}")
            state[target] = tensor.to(state[target].dtype)
    return state


def _kind(module: nn.Module) -> str | None:
    return next((kind for layer, kind in _OURS.items() if isinstance(module, layer)), None)


def read_convolutions(path: Path) -> list[tuple[str, str, list[Tensor]]]:
    """Return kind, name and tensors of each convolution and batch norm, in the graph's order; float16 as stored.

    Raises InputError if the file is not an ONNX file with all of its weights.
    """
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import uses_external_data
    from onnx.numpy_helper import to_array

    content = read_bytes(path, "an ONNX file")
    try:
        graph = onnx.load_model_from_string(content).graph
        is_whole = not any(map(uses_external_data, graph.initializer))
        tensors = graph.initializer if is_whole else []
        weights = {tensor.name: torch.from_numpy(to_array(tensor).copy()) for tensor in tensors}
    except (DecodeError, ValueError, TypeError) as error:
        raise InputError(f"{path}: is not a readable ONNX file ({str(error).splitlines()[0][:120]})") from None
    if not is_whole:
        raise InputError(f"{path}: keeps weights in another file, expected one file with all of them")
    for node in graph.node:  # weights that are stored with fewer bits, or in another shape, than they are used in
        if node.op_type == "Cast" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
        if node.op_type == "Reshape" and node.input[0] in weights and node.input[1] in weights:
            stored, shape = weights[node.input[0]], weights[node.input[1]].flatten().tolist()
            if min(shape, default=0) > 0 and math.prod(shape) == stored.numel():
                weights[node.output[0]] = stored.reshape(shape)
    layers = []
    for node in graph.node:
        if node.op_type in _OURS.values():
            tensors = [weights[name] for name in node.input[1:] if name in weights]
            layers.append((node.op_type, node.name or node.output[0], tensors + _added(graph, node, tensors, weights)))
    return layers


def _added(graph: Any, node: Any, tensors: list[Tensor], weights: Mapping[str, Tensor]) -> list[Tensor]:
    """Return the bias of a convolution without one, if the graph adds a constant (1, C, 1, 1) to its output."""
    if node.op_type != "Conv" or len(tensors) != 1:
        return []
    readers = [reader for reader in graph.node if node.output[0] in reader.input]
    added = [weights[name] for reader in readers for name in reader.input if name in weights]
    is_bias = len(readers) == 1 and readers[0].op_type == "Add" and len(added) == 1
    return [added[0].flatten()] if is_bias and added[0].shape == (1, len(tensors[0]), 1, 1) else []

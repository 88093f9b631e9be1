"""Read weights from an ONNX file into a network with the same layers in the same order."""

from pathlib import Path

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
        wanted = [f"{name}.{part}" for part in names if f"{name}.{part}" in state]
        if kind != "BatchNormalization" and (len(tensors), len(wanted)) == (1, 2):
            tensors = [*tensors, torch.zeros_like(state[wanted[1]])]  # a convolution without bias
        if len(wanted) != len(tensors):
            raise InputError(f"{path}: {label}: expected {len(wanted)} tensors, as {name} has, got {len(tensors)}")
        for target, tensor in zip(wanted, tensors, strict=True):
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
    for node in graph.node:  # weights stored in a smaller type than the one used
        if node.op_type == "Cast" and node.input[0] in weights:
            weights[node.output[0]] = weights[node.input[0]]
    kinds = set(_OURS.values())
    return [
        (node.op_type, node.name or node.output[0], [weights[name] for name in node.input[1:] if name in weights])
        for node in graph.node
        if node.op_type in kinds
    ]

"""Public checkpoints: read them safely, tell whose they are, and give their tensors our names.

Nothing in a file is run: only tensors and plain values are unpickled. Strict: every tensor of the network has to come
from the file and every tensor of the file has to go somewhere, else InputError names it.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct, scalar
from torch import Tensor, nn

from trustpose.files import InputError
from trustpose.networks.tensor_names import COUNTER, FAMILIES, Family

_NESTED = ("state_dict", "best_state_dict", "model", "model_state_dict")  # where training loops put the tensors
_HEATMAP_LAYERS = (
    "head.weight",
    "stacks.0.head.weight",
    "stages.0.up.0.head.conv.weight",
)  # one in each of our networks
# What NumPy's arrays are pickled with; mmpose 1.x keeps a few beside the tensors. They hold no code.
_NUMPY = [np.ndarray, np.dtype, _reconstruct, scalar]


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a .pth/.pt/.pth.tar or .safetensors file by name, on the CPU.

    Training checkpoints that hold more than a state dict are opened, and DataParallel's "module." is taken off.
    Raises InputError where the file cannot be read, holds objects other than tensors and plain values, or no tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: " + ("is a directory, expected a checkpoint" if path.is_dir() else "no such file"))
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_pickle(path)
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    if not isinstance(content, Mapping) or not content or not all(isinstance(x, Tensor) for x in content.values()):
        raise InputError(f"{path}: holds no state dict, expected tensors by name")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def read_own_tensors(path: str | Path, module: nn.Module, name: str) -> dict[str, Tensor]:
    """The tensors of a file that has the module's own names, as `module.load_state_dict` wants them.

    Raises InputError as `read_tensors` does, and where a tensor is missing, unexpected or of another shape; `name` is
    what the module is called then.
    """
    got, wanted = read_tensors(path), module.state_dict()
    for tensor in [*wanted, *got]:
        expected, found = (str(list(some[tensor].shape)) if tensor in some else "none" for some in (wanted, got))
        if expected != found:
            raise InputError(f"{path}: tensor {tensor}: {name} has {expected}, the file {found}")
    return got


def recognise(state_dict: Mapping[str, Tensor]) -> str:
    """The family whose tensor names these are, one of `tensor_names.FAMILIES`.

    Raises InputError where they are nobody's that we know.
    """
    for family in FAMILIES.values():
        if family.tells(state_dict):
            return family.name
    some = ", ".join(list(state_dict)[:3])
    raise InputError(f"tensor names: expected those of {', '.join(FAMILIES)}, got {some}, …")


def count_keypoints(state_dict: Mapping[str, Tensor], family: str | None = None) -> int:
    """How many keypoints the network of this file has, K, so that one can be built to convert it to.

    Raises InputError where it has no heatmap layer (a classifier has none).
    """
    name = recognise(state_dict) if family is None else family
    for tensor_name, tensor in state_dict.items():
        if any(target in _HEATMAP_LAYERS for target in _family(name).targets(tensor_name)):
            return tensor.shape[0]
    raise InputError(f"tensor names: expected a layer that makes heatmaps, got none ({name})")


def convert(state_dict: Mapping[str, Tensor], network: nn.Module, family: str | None = None) -> dict[str, Tensor]:
    """The state dict for `network.load_state_dict`, from one with the names of `family` (default: as recognised).

    Where `family` is ImageNet's, only the backbone comes from the file: the classifier is left out, neck and head stay
    as they are in `network`. Raises InputError naming a tensor that is missing, unexpected or of another shape.
    """
    name = recognise(state_dict) if family is None else family
    ours: dict[str, Tensor] = network.state_dict()
    taken = _rename(state_dict, _family(name), ours)
    _refuse_missing(taken, _family(name), ours)
    return ours | taken


def _family(name: str) -> Family:
    if name not in FAMILIES:
        raise InputError(f"family: expected one of {', '.join(FAMILIES)}, got {name!r}")
    return FAMILIES[name]


def _rename(state_dict: Mapping[str, Tensor], family: Family, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
    taken: dict[str, Tensor] = {}
    for name, tensor in state_dict.items():
        targets = [target for target in family.targets(name) if target in ours]
        if not targets and family.drops(name):
            continue
        if not targets:
            raise InputError(f"{name}: unexpected tensor; the network has none that it could be ({family.name})")
        for target in targets:
            if tensor.shape != ours[target].shape:
                expected, got = tuple(ours[target].shape), tuple(tensor.shape)
                raise InputError(f"{name}: expected shape {expected}, as {target} has, got {got}")
            if target in taken:
                raise InputError(f"{name}: unexpected tensor; {target} has come from another already ({family.name})")
            taken[target] = tensor
    return taken


def _refuse_missing(taken: dict[str, Tensor], family: Family, ours: Mapping[str, Tensor]) -> None:
    """Counters that old files lack and biases that batch norm makes superfluous (as zeros) are filled in."""
    for name, tensor in ours.items():
        if name in taken or not family.gives(name):
            continue
        if name.endswith(COUNTER):
            continue
        if not family.has_biases and name.endswith(".conv.bias"):
            taken[name] = torch.zeros_like(tensor)
            continue
        raise InputError(f"{family.source_name(name)}: missing tensor; the network needs it for {name} ({family.name})")


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: is not a readable safetensors file ({error})") from None


def _read_pickle(path: Path) -> object:
    allowed = [*_NUMPY, *{type(np.dtype(kind)) for kind in "?bBhHiIlLqQefd"}]
    try:
        with torch.serialization.safe_globals(allowed):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        code = next((line.strip() for line in str(error).splitlines() if "GLOBAL" in line), None)
        if code is None:  # a web page saved in its place, say
            raise InputError(f"{path}: is not a readable checkpoint (not torch's format)") from None
        raise InputError(f"{path}: holds more than tensors and plain values, which is not opened ({code})") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = (str(error) or "it ends too early").splitlines()[0]
        raise InputError(f"{path}: is not a readable checkpoint ({reason})") from None

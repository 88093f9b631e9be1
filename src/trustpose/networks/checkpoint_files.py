"""Read checkpoint files safely: only tensors and plain values are unpickled, no code is run.

Error messages are always ours: torch's own advise users to unpickle untrusted files.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core.multiarray import _reconstruct, scalar
from torch import Tensor, nn

from trustpose.files import InputError, check_regular
from trustpose.networks.caffe import read_caffemodel


def check_archive(path: str | Path) -> bool:
    """Return whether the file is a complete zip, as torch has written since 1.6; False for its older format, or damage.

    torch stores tensors uncompressed. A zip with compressed entries, or with more bytes than the file has, is no valid
    checkpoint, and could take any amount of memory: raises InputError, as for a missing or irregular file.
    """
    check_regular(path)
    try:
        with zipfile.ZipFile(path) as file:
            parts = file.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return False
    is_stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
    if not is_stored or sum(part.file_size for part in parts) > Path(path).stat().st_size:
        raise InputError(f"{path}: is not a readable checkpoint (a compressed zip file; torch's are not)")
    return True


# keys under which training loops store the tensors, possibly nested
_NESTED = ("state_dict", "best_state_dict", "model", "model_state_dict", "net", "network", "params")
_DEPTH = 4
# The classes in pickles of NumPy's arrays, of NumPy 2 and 1; mmpose stores a few with the tensors. No code.
_NUMPY: list[Any] = [np.ndarray, np.dtype, _reconstruct, scalar]
_NUMPY += [(_reconstruct, "numpy.core.multiarray._reconstruct"), (scalar, "numpy.core.multiarray.scalar")]
_NUMPY += {type(np.dtype(kind)) for kind in "?bBhHiIlLqQefdSU"}
_NUMBERS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
_COUNTS = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64, torch.bool)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Return the tensors of a .pth/.pt/.pth.tar, .safetensors or .caffemodel file by name, on the CPU.

    Training checkpoints with more than a state dict are searched, and DataParallel's prefix "module." is removed.
    Raises InputError if the file cannot be read, holds objects other than tensors and plain values, or no tensors, or
    if a tensor holds NaN or infinity, naming it.
    """
    path = Path(path)
    if not path.is_file():
        kind = "is a directory" if path.is_dir() else "is not a regular file"
        raise InputError(f"{path}: " + (f"{kind}, expected a checkpoint" if path.exists() else "no such file"))
    reader = {".safetensors": _read_safetensors, ".caffemodel": read_caffemodel}.get(path.suffix, _read_pickle)
    content = reader(path)
    state_dict = _state_dict(content, _DEPTH)
    if state_dict is None:
        keys = ", ".join(str(key)[:40] for key in list(content)[:8]) if isinstance(content, Mapping) else ""
        got = (
            f"the keys {keys}" if keys else f"a {type(content).__name__}" if not isinstance(content, Mapping) else "{}"
        )
        raise InputError(f"{path}: expected tensors by name, or such a dict under {', '.join(_NESTED)}; got {got}")
    tensors = {str(name).removeprefix("module."): tensor for name, tensor in state_dict.items()}
    if len(tensors) < len(state_dict):
        raise InputError(f"{path}: some tensors are there twice, with and without 'module.'")
    for name, tensor in tensors.items():
        _check(path, name, tensor)
    return tensors


def read_own_tensors(path: str | Path, module: nn.Module, name: str) -> dict[str, Tensor]:
    """Return the tensors of a file with the module's own names, for `module.load_state_dict`.

    Raises InputError as `read_tensors` does, and if a tensor is missing, unexpected or of another shape; `name` is the
    module's name in the message.
    """
    tensors = read_tensors(path)
    expected = module.state_dict()
    for tensor in [*expected, *tensors]:
        expected_shape = str(list(expected[tensor].shape)) if tensor in expected else "none"
        file_shape = str(list(tensors[tensor].shape)) if tensor in tensors else "none"
        if expected_shape != file_shape:
            raise InputError(f"{path}: tensor {tensor}: {name} has {expected_shape}, the file {file_shape}")
    return tensors


def _state_dict(content: object, depth: int) -> Mapping[Any, Tensor] | None:
    """Return the first dict of tensors only, here or under one of the usual keys."""
    if not isinstance(content, Mapping) or not content or not depth:
        return None
    if all(isinstance(value, Tensor) for value in content.values()):
        return content
    nested = (_state_dict(content[key], depth - 1) for key in _NESTED if key in content)
    return next((state_dict for state_dict in nested if state_dict is not None), None)


def _check(path: Path, name: str, tensor: Tensor) -> None:
    """Raise InputError for a tensor that cannot be a weight."""
    if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.dtype not in _NUMBERS + _COUNTS:
        description = f"{tensor.dtype}, {tensor.layout}, {tensor.device.type}".replace("torch.", "")
        raise InputError(f"{path}: tensor {name}: expected plain numbers, got {description}")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise InputError(f"{path}: tensor {name}: has {tensor.numel()} numbers, more than the file holds")
    if tensor.dtype in _NUMBERS and not torch.isfinite(tensor).all():
        raise InputError(f"{path}: tensor {name}: holds NaN or infinity, expected finite numbers")


def _read_safetensors(path: Path) -> Mapping[str, Tensor]:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # its own errors, and KeyError for dtypes that torch lacks
        raise InputError(f"{path}: is not a readable safetensors file ({error})") from None


def _read_pickle(path: Path) -> object:
    check_archive(path)
    foreign = _foreign_zip(path)
    if foreign is not None:
        raise InputError(f"{path}: {foreign}")
    try:
        with torch.serialization.safe_globals(_NUMPY), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about its old formats
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:  # torch's unpickler may raise anything for a damaged file
        raise InputError(f"{path}: {_why(error)}") from None


def _foreign_zip(path: Path) -> str | None:
    """Return the kind of a zip file that is not a torch checkpoint, else None."""
    try:
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile):
        return None  # torch's older format, or damaged
    if any(part.filename.endswith("/constants.pkl") for part in parts):
        return "is a TorchScript archive, expected a state dict"
    return None


def _why(error: Exception) -> str:
    text = str(error)
    named = re.search(r"GLOBAL (\S+)|(?:class|function|type) (\S+)", text) if "GLOBAL" in text else None
    if isinstance(error, pickle.UnpicklingError) and named is not None:
        refused_object = (named[1] or named[2]).strip("'\"`.,")
        return f"holds more than tensors and plain values, which is not opened ({refused_object})"
    if "legacy .tar" in text:
        return "has the format of torch before 0.1.10, which cannot be opened safely"
    return "is not a readable checkpoint (cut short, damaged, or not torch's format)"

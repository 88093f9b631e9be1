"""Read arrays and structs of MATLAB and HDF5 files, without running anything that they hold."""

import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.formats.hdf5 import Node, hdf5_nodes

_DAMAGED = (zlib.error, ValueError, TypeError, LookupError, OSError, NotImplementedError, MemoryError)


def is_matlab(content: bytes) -> bool:
    """Return whether a file's content is one of MATLAB's older files."""
    return content.startswith(b"MATLAB 5.0")


def read_matlab(content: bytes, path: str | Path, *, structures: bool = False) -> dict[str, Any]:
    """Return the variables of a MATLAB file by name; with `structures`, structs are objects with attributes and
    dimensions of length 1 are left out. Raises InputError."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    options: dict[str, Any] = {"struct_as_record": False, "squeeze_me": True} if structures else {}
    try:
        return loadmat(io.BytesIO(content), **options)
    except (MatReadError, *_DAMAGED) as e:
        raise InputError(f"{path}: is not a readable MATLAB file ({e})") from None


def read_hdf5(
    content: bytes, path: str | Path, names: Sequence[str], *, records: bool = False
) -> dict[str, np.ndarray]:
    """Return those of the datasets that an HDF5 file has, by name: numbers or bytes; with `records` also rows of named
    numbers, and texts of any length, as objects. Raises InputError, also if h5py is not installed. Links are not
    followed."""
    nodes = _nodes(content, path)
    arrays: dict[str, np.ndarray] = {}
    for name in names:
        node = nodes.get(name)
        if node is None or node.kind == "link":
            continue
        values = node.values
        if values is None or (not records and values.dtype.kind not in "iufSb"):
            reason = node.reason if values is None else "expected numbers or texts"
            raise InputError(f"{path}: is not a readable HDF5 file ({name!r}: {reason})")
        arrays[name] = values
    return arrays


def hdf5_text(content: bytes, path: str | Path, group: str, name: str) -> str | None:
    """Return an attribute of a group of an HDF5 file, None if it has none of this name. Raises InputError."""
    node = _nodes(content, path).get(group)
    if node is None or name not in node.attributes:
        return None
    value = node.attributes[name]
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
        text.encode("utf-8")  # h5py keeps bytes that are not UTF-8 as surrogates
    except UnicodeError as error:
        raise InputError(f"{path}: attribute {name!r} of {group!r}: is not UTF-8 ({error})") from None
    return text


def _nodes(content: bytes, path: str | Path) -> dict[str, Node]:
    try:
        return hdf5_nodes(content)
    except ImportError as missing:
        raise InputError(not_installed(missing.name, "deeplabcut")) from None
    except ValueError as error:
        raise InputError(f"{path}: is not a readable HDF5 file ({error})") from None


def texts(names: np.ndarray) -> list[str]:
    """Return file names stored as bytes, or as rows of character codes."""
    if names.dtype.kind == "S":
        return [name.decode("utf-8", "replace") for name in names.ravel().tolist()]
    return ["".join(chr(int(code)) for code in row if code) for row in names]

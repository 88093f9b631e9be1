"""Read arrays from untrusted files: NPZ, MATLAB and HDF5, without running anything that they hold.

The headers of NPZ are checked before memory is allocated.

`numpy.load` trusts an array's header: one that claims 2⁵⁰ bytes, or a zip that expands to gigabytes, takes that much.
"""

import io
import math
import warnings
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.extras import not_installed
from trustpose.files import InputError, read_bytes
from trustpose.io.hdf5 import Node, hdf5_nodes
from trustpose.io.plain_pickle import read_plain_pickle

_KINDS = "biufU"  # booleans, numbers, texts; no complex numbers, dates, records or Python objects
_MOST_ARRAYS = 1000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: str | Path, most_bytes: int, expected: str = "an NPZ file") -> dict[str, np.ndarray]:
    """Return the arrays of an NPZ file by name, using at most `most_bytes` of memory in total; runs no code.

    Raises InputError, naming what was `expected`, if it is another kind of file, damaged, larger, or holds arrays of
    anything but booleans, real numbers and texts.
    """
    return _read(read_bytes(path, expected), path, most_bytes, expected, _array)


def read_npz_objects(content: bytes, path: str | Path, most_bytes: int, expected: str) -> dict[str, Any]:
    """Return what an NPZ file of this content holds, as `read_npz`, with arrays of objects as `read_plain_pickle` gives
    them: plain values and arrays of numbers."""
    return _read(content, path, most_bytes, expected, _array_or_objects)


def _read(
    content: bytes, path: str | Path, most_bytes: int, expected: str, parse: Callable[[bytes], Any]
) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            parts = file.infolist()
            _check_directory(parts, most_bytes)
            return {part.filename.removesuffix(".npy"): parse(file.read(part)) for part in parts}
    except Exception as error:  # errors of zipfile, zlib, numpy and Python's tokenizer have no common class
        reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
        raise InputError(f"{path}: is not {expected} ({reason})") from None


def _check_directory(parts: list[zipfile.ZipInfo], most_bytes: int) -> None:
    """Raise ValueError if the zip's directory exceeds the limits, or has entries that no NPZ file has."""
    if len(parts) > _MOST_ARRAYS or len({part.filename for part in parts}) < len(parts):
        raise ValueError(f"expected at most {_MOST_ARRAYS} arrays, each name once")
    total = sum(part.file_size for part in parts)
    if total > most_bytes:
        raise ValueError(f"its arrays take {total} bytes, expected at most {most_bytes}")
    for part in parts:
        if not part.filename.endswith(".npy") or part.compress_type not in _METHODS or part.flag_bits & 1:
            raise ValueError(f"{part.filename[:40]!r} is not an array")


def _array(content: bytes) -> np.ndarray:
    """Return the array of an NPY file. Raises ValueError if its header does not match the data."""
    shape, is_fortran, dtype, start = _header(content)
    size = len(content) - start
    if dtype.kind not in _KINDS or not dtype.itemsize or dtype.hasobject:
        raise ValueError(f"an array is of {str(dtype)[:40]}, expected numbers or texts")
    if any(length < 0 for length in shape) or math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"an array's header says {str(shape)[:40]} of {dtype}, but {size} bytes follow")
    array = np.frombuffer(content, dtype, offset=start).reshape(shape, order="F" if is_fortran else "C")
    return array.astype(dtype.newbyteorder("="))  # a copy, writable and in this machine's byte order


def _array_or_objects(content: bytes) -> Any:
    *_, dtype, start = _header(content)
    return read_plain_pickle(content[start:]) if dtype == np.dtype(object) else _array(content)


def _header(content: bytes) -> tuple[tuple[int, ...], bool, np.dtype, int]:
    """Return an NPY file's shape, whether it is in Fortran's order, its dtype, and where its data start."""
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    if version not in _HEADERS:
        raise ValueError(f"NPY version {version} is not known")
    with warnings.catch_warnings():  # numpy warns of headers that Python 2 wrote, which are equivalent
        warnings.simplefilter("ignore", UserWarning)
        shape, is_fortran, dtype = _HEADERS[version](file)
    return shape, is_fortran, dtype, file.tell()


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

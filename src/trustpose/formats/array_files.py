"""Read arrays and structs of MATLAB and HDF5 files, without running anything that they hold."""

import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.extras import not_installed
from trustpose.files import InputError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_DAMAGED = (zlib.error, ValueError, TypeError, LookupError, OSError, NotImplementedError, MemoryError)


def is_hdf5(content: bytes) -> bool:
    """Return whether a file's content is HDF5, which MATLAB 7.3 files are too."""
    return content.startswith(_HDF5) or content[512:520] == _HDF5


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
    numbers, and texts of any length, as objects. Raises InputError, also if h5py is not installed. Links to other files
    are not followed."""
    try:
        import h5py
    except ImportError as lacking:
        raise InputError(not_installed(lacking.name, "deeplabcut")) from None
    found: dict[str, np.ndarray] = {}
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            for name in names:
                if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                    continue
                dataset = file[name]
                if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external is not None:
                    raise ValueError(f"{name!r}: expected values in the file itself")
                if not _is_plain(dataset.dtype, records=records) or dataset.nbytes > 100 * len(content) + 2**20:
                    raise ValueError(f"{name!r}: expected numbers or texts")
                found[name] = dataset[()]
    except Exception as error:  # h5py may raise anything for a damaged file
        raise InputError(f"{path}: is not a readable HDF5 file ({' '.join(str(error).split())[:200]})") from None
    return found


def hdf5_text(content: bytes, path: str | Path, group: str, name: str) -> str | None:
    """Return an attribute of a group of an HDF5 file, None if it has none of this name. Raises InputError."""
    try:
        import h5py

        with h5py.File(io.BytesIO(content), "r") as file:
            if not isinstance(file.get(group, getlink=True), h5py.HardLink) or name not in file[group].attrs:
                return None
            value = file[group].attrs[name]
            text = value.decode("utf-8") if isinstance(value, bytes) else str(value)
            text.encode("utf-8")  # h5py keeps bytes that are not UTF-8 as surrogates
            return text
    except ImportError as lacking:
        raise InputError(not_installed(lacking.name, "deeplabcut")) from None
    except Exception as error:  # h5py may raise anything for a damaged file
        raise InputError(f"{path}: is not a readable HDF5 file ({' '.join(str(error).split())[:200]})") from None


def _is_plain(kind: np.dtype, *, records: bool) -> bool:
    """Return whether values are numbers or bytes; with `records`, rows of numbers or texts of any length too."""
    import h5py

    if kind.kind in "iufSb" or not records:
        return kind.kind in "iufSb"
    if kind.fields is not None:
        return all(field.kind in "iufb" for field, *_ in kind.fields.values())
    return h5py.check_string_dtype(kind) is not None


def texts(names: np.ndarray) -> list[str]:
    """Return file names stored as bytes, or as rows of character codes."""
    if names.dtype.kind == "S":
        return [name.decode("utf-8", "replace") for name in names.ravel().tolist()]
    return ["".join(chr(int(code)) for code in row if code) for row in names]

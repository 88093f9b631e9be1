"""Read the mirror images of chart coordinates from the authors' MATLAB file, which their licence keeps out of here."""

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from trustpose.codecs.surface import UVMirror
from trustpose.files import InputError, check_regular
from trustpose.skeletons.surface_parts import SURFACE_PARTS

_FIELDS = ("U_transforms", "V_transforms")
_SIDE = 256


def read_uv_mirror(path: str | Path) -> UVMirror:
    """Read how U and V change where a photo is mirrored.

    Args:
        path: `UV_symmetry_transforms.mat` of DensePose's UV data: cells `U_transforms` and `V_transforms` of 24 tables
            256 × 256, rows by V, columns by U.

    Raises:
        InputError: naming the file and the field.
    """
    check_regular(path)
    try:
        content = loadmat(path, variable_names=_FIELDS)
    except Exception as error:  # scipy raises many kinds for damaged files
        raise InputError(f"{path}: is not a MATLAB file that can be read ({str(error).splitlines()[0]})") from None
    tables = []
    for field in _FIELDS:
        if field not in content:
            raise InputError(f"{path}: field '{field}' is missing, expected cells of {len(SURFACE_PARTS)} tables")
        cells = content[field].ravel()
        is_table = [isinstance(cell, np.ndarray) and cell.shape == (_SIDE, _SIDE) for cell in cells]
        if len(cells) != len(SURFACE_PARTS) or not all(is_table):
            expected = f"{len(SURFACE_PARTS)} tables of {_SIDE} × {_SIDE}"
            raise InputError(f"{path}: field '{field}': expected {expected}, got {len(cells)} cells")
        table = np.stack([cell.astype(np.float32) for cell in cells])
        if not (np.isfinite(table).all() and table.min() >= 0 and table.max() <= 1):
            raise InputError(f"{path}: field '{field}': expected numbers from 0 to 1")
        tables.append(table)
    return UVMirror(*tables)

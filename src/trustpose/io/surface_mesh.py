"""Read the surface's mesh with its geodesic distances from the user's files: the licence of DensePose's own keeps them
out of here."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import loadmat

from trustpose.files import InputError, atomic_write, check_regular, read_bytes
from trustpose.geometry.surface_mesh import SurfaceMesh
from trustpose.io.plain_pickle import PickledArray, read_plain_pickle

_MESH, _ROWS, _DISTANCES = "SMPL_subdiv.mat", "SMPL_SUBDIV_TRANSFORM.mat", "Pdist_matrix.pkl"
_FIELDS = ("part", "uv", "row", "distances")


def read_surface_mesh(path: str | Path) -> SurfaceMesh:
    """Read a mesh.

    Args:
        path: a file that `write_surface_mesh` wrote, MESH.npz; or the folder of DensePose's evaluation data, with
            `SMPL_subdiv.mat`, `SMPL_SUBDIV_TRANSFORM.mat` and `Pdist_matrix.pkl` (several GB of memory while it is
            read; write it as NPZ once).

    Raises:
        InputError: naming the file and the field.
    """
    path = Path(path)
    if path.is_dir():
        return _read_folder(path)
    check_regular(path)
    try:
        with np.load(path, allow_pickle=False) as content:
            columns = {name: content[name] for name in _FIELDS if name in content}
    except Exception as error:  # numpy raises many kinds for damaged files
        raise InputError(f"{path}: is no NPZ file of a mesh ({str(error).splitlines()[0]})") from None
    for name in _FIELDS:
        if name not in columns:
            raise InputError(f"{path}: field '{name}' is missing, expected {', '.join(_FIELDS)}")
    return _mesh(path, columns)


def write_surface_mesh(path: str | Path, mesh: SurfaceMesh) -> None:
    """Write a mesh as NPZ. Raises InputError if it cannot be written."""
    with atomic_write(path) as file:
        np.savez(file, **{name: getattr(mesh, name) for name in _FIELDS})


def _mesh(path: Path, columns: dict[str, Any]) -> SurfaceMesh:
    for name, kinds in (("part", "iu"), ("uv", "f"), ("row", "iu"), ("distances", "f")):
        if columns[name].dtype.kind not in kinds or columns[name].ndim != (2 if name == "uv" else 1):
            raise InputError(f"{path}: field '{name}': expected numbers, got {columns[name].dtype}")
        if kinds == "f" and not np.isfinite(columns[name]).all():
            raise InputError(f"{path}: field '{name}': expected finite numbers")
    try:
        return SurfaceMesh(
            columns["part"].astype(np.int64),
            columns["uv"].astype(np.float64),
            columns["row"].astype(np.int64),
            columns["distances"],
        )
    except ValueError as error:
        field, _, message = str(error).partition(": ")
        raise InputError(f"{path}: field '{field}': {message}") from None


def _read_folder(folder: Path) -> SurfaceMesh:
    mesh = _matlab(folder / _MESH, ("Part_ID_subdiv", "U_subdiv", "V_subdiv"))
    rows = _matlab(folder / _ROWS, ("index",))["index"]
    content = read_bytes(folder / _DISTANCES, "a pickle")
    try:
        value = read_plain_pickle(content)
    except ValueError as error:
        raise InputError(f"{folder / _DISTANCES}: {error}") from None
    distances = value.get("Pdist_matrix") if isinstance(value, dict) else None
    if not isinstance(distances, PickledArray) or not isinstance(distances.values, np.ndarray):
        raise InputError(f"{folder / _DISTANCES}: field 'Pdist_matrix' is missing, expected an array of distances")
    columns = {
        "part": mesh["Part_ID_subdiv"].astype(np.int64),
        "uv": np.stack([mesh["U_subdiv"], mesh["V_subdiv"]], axis=1).astype(np.float64),
        "row": rows.astype(np.int64) - 1,
        "distances": distances.values.ravel(),
    }
    return _mesh(folder, columns)


def _matlab(path: Path, fields: tuple[str, ...]) -> dict[str, np.ndarray]:
    check_regular(path)
    try:
        content = loadmat(path, variable_names=fields)
    except Exception as error:  # scipy raises many kinds for damaged files
        raise InputError(f"{path}: is not a MATLAB file that can be read ({str(error).splitlines()[0]})") from None
    for field in fields:
        if field not in content:
            raise InputError(f"{path}: field '{field}' is missing, expected a column of numbers")
    return {field: np.asarray(content[field]).ravel() for field in fields}

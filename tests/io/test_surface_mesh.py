"""Meshes are read from our NPZ and from a folder in the layout of DensePose's evaluation data."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from tests.surface_cases import random_mesh
from trustpose.files import InputError
from trustpose.io.surface_mesh import read_surface_mesh, write_surface_mesh

_FIELDS = ("part", "uv", "row", "distances")


def _folder(folder: Path) -> Path:
    mesh = random_mesh()
    columns = {"Part_ID_subdiv": mesh.part[:, None], "U_subdiv": mesh.uv[:, :1], "V_subdiv": mesh.uv[:, 1:]}
    savemat(folder / "SMPL_subdiv.mat", columns)
    savemat(folder / "SMPL_SUBDIV_TRANSFORM.mat", {"index": mesh.row[:, None] + 1})
    (folder / "Pdist_matrix.pkl").write_bytes(pickle.dumps({"Pdist_matrix": mesh.distances[:, None]}, protocol=2))
    return folder


def test_both_layouts_give_the_same_mesh(tmp_path: Path) -> None:
    write_surface_mesh(tmp_path / "mesh.npz", random_mesh())
    for mesh in (read_surface_mesh(tmp_path / "mesh.npz"), read_surface_mesh(_folder(tmp_path))):
        for name in _FIELDS:
            np.testing.assert_array_equal(getattr(mesh, name), getattr(random_mesh(), name), name)


def test_errors_name_file_and_field(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"SMPL_subdiv.mat: no such file"):
        read_surface_mesh(tmp_path)
    folder = _folder(tmp_path)
    (folder / "Pdist_matrix.pkl").write_bytes(pickle.dumps({"distances": 3}))
    with pytest.raises(InputError, match=r"Pdist_matrix.pkl: field 'Pdist_matrix' is missing"):
        read_surface_mesh(folder)
    (folder / "Pdist_matrix.pkl").write_bytes(pickle.dumps(read_surface_mesh))
    with pytest.raises(InputError, match=r"Pdist_matrix.pkl: a pickle that does more than"):
        read_surface_mesh(folder)
    mesh = random_mesh()
    path = tmp_path / "mesh.npz"
    np.savez(path, part=mesh.part, uv=mesh.uv, row=mesh.row)
    with pytest.raises(InputError, match="field 'distances' is missing"):
        read_surface_mesh(path)
    np.savez(path, part=mesh.part, uv=mesh.uv, row=mesh.row, distances=mesh.distances[:5])
    with pytest.raises(InputError, match="field 'distances': expected those of 150 points, 11175, got 5"):
        read_surface_mesh(path)
    path.write_text("text")
    with pytest.raises(InputError, match="is no NPZ file"):
        read_surface_mesh(path)

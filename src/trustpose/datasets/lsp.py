"""Leeds Sports Pose, and its extension as a ground truth: fourteen joints, `joints.mat` beside `images/`.

Johnson and Everingham, Clustered Pose and Nonlinear Appearance Models for Human Pose Estimation, BMVC 2010. LSP's array
is 3 × 14 × 2000, its third row 1 where a joint is occluded; all joints are labelled, and the first 1,000 people are for
training. LSPET's is 14 × 3 × 10000, its third row 1 where a joint is labelled (`datasets.lspet`).
"""

from pathlib import Path

import numpy as np

from trustpose.datasets.label_files import check_positions, read_labels_of, truth_file
from trustpose.datasets.lspet import read_lspet
from trustpose.files import InputError
from trustpose.io.arrays import read_matlab
from trustpose.io.coco.truth import TruthFile
from trustpose.skeletons import LSP_14

METRICS = ("pck-torso", "pcp", "pcp-loose")


def is_extended(path: str | Path) -> bool:
    """Return whether a file `joints.mat` is LSPET's, by its shape. Raises InputError."""
    joints = read_matlab(read_labels_of(path, "LSPET"), path).get("joints")
    return joints is not None and joints.shape[:2] == (14, 3)


def read_lsp(path: str | Path) -> TruthFile:
    """Read `joints.mat` of either set, or the folder that holds it; the photos are im0001.jpg … or im00001.jpg ….

    Raises InputError, for a missing file with the place where it is published.
    """
    path = Path(path)
    path = path / "joints.mat" if path.is_dir() else path
    content = read_labels_of(path, "LSP")
    joints = read_matlab(content, path).get("joints")
    if joints is None or joints.ndim != 3 or joints.shape[:2] != (3, 14) or joints.dtype.kind not in "iuf":
        lspet = read_lspet(path)
        truth, names = lspet.truth, list(lspet.file_name.values())
        return truth_file(
            path, content, LSP_14, truth.xy, truth.v, names, box=truth.box, metrics=METRICS, has_visibility=False
        )
    joints = joints.transpose(2, 1, 0).astype(np.float64)  # (N, 14, 3)
    if not np.isin(joints[..., 2], (0, 1)).all():
        raise InputError(f"{path}: variable 'joints': expected 0 or 1 for occluded in the third row")
    check_positions(joints[..., :2], np.ones(joints.shape[:2], dtype=np.bool_), path, "joints")
    names = [f"im{number:04d}.jpg" for number in range(1, len(joints) + 1)]
    v = np.where(joints[..., 2] > 0, 1, 2)
    return truth_file(path, content, LSP_14, joints[..., :2], v, names, metrics=METRICS)

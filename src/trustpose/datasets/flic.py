"""Frames Labeled In Cinema: upper bodies from films, eleven joints.

Sapp & Taskar, MODEC: Multimodal Decomposable Models for Human Pose Estimation, CVPR 2013. Two layouts:

- the official `examples.mat`: the struct array `examples` with `filepath`, `coords` (2 × 29: of these points eleven are
  labelled, the others NaN), `imgdims`, `istrain` and `istest`;
- `train.h5`, `valid.h5` of the stacked hourglass's code: `part` (N × 11 × 2) and `imgname`. `normalize` there is the
  other diagonal of the torso than DeepPose's (`metrics.localisation`) and is not used.

A joint is labelled or not; visible and occluded are not told apart. There are no boxes: `boxes_of_joints`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from trustpose.datasets.label_files import check_positions, read_labels_of, truth_file
from trustpose.files import InputError
from trustpose.io.arrays import read_hdf5, read_matlab, texts
from trustpose.io.coco.truth import TruthFile
from trustpose.io.hdf5 import is_hdf5
from trustpose.skeletons import FLIC_11

METRICS = ("fck", "pdj", "pcp")
_PLACES = (0, 1, 2, 3, 4, 5, 6, 9, 12, 13, 16)  # of the 29: arms, hips, eyes, nose, in the order of FLIC_11
_JOINTS = len(FLIC_11)


def read_flic(path: str | Path) -> TruthFile:
    """Read one of both layouts, with all of its people. Raises InputError, for a missing file with its source."""
    content = read_labels_of(path, "FLIC")
    if is_hdf5(content):
        arrays = read_hdf5(content, path, ("part", "imgname"))
        xy, names = _arrays(arrays, path)
        sizes = None
    else:
        xy, names, sizes = _of_matlab(read_matlab(content, path, structures=True).get("examples"), path)
    labelled = np.asarray(np.isfinite(xy).all(axis=2))
    check_positions(xy, labelled, path, "coords")
    xy = np.where(labelled[..., None], xy, 0.0)
    v = np.where(labelled, 2, 0)
    return truth_file(path, content, FLIC_11, xy, v, names, metrics=METRICS, sizes=sizes, has_visibility=False)


def _arrays(arrays: dict[str, np.ndarray], path: str | Path) -> tuple[np.ndarray, list[str]]:
    part, names = arrays.get("part"), arrays.get("imgname")
    if part is None or part.ndim != 3 or part.shape[1:] != (_JOINTS, 2) or part.dtype.kind not in "iuf":
        got = "nothing" if part is None else part.shape
        raise InputError(f"{path}: dataset 'part': expected N × {_JOINTS} × 2 numbers of FLIC, got {got}")
    if names is None or len(names) != len(part):
        raise InputError(f"{path}: dataset 'imgname': expected the photos' names of {len(part)} people")
    return part.astype(np.float64), texts(names)


def _of_matlab(examples: Any, path: str | Path) -> tuple[np.ndarray, list[str], np.ndarray]:
    if examples is None:
        raise InputError(f"{path}: variable 'examples' is missing, expected FLIC's annotations")
    people = list(np.atleast_1d(examples))
    xy, sizes = np.zeros((len(people), _JOINTS, 2)), np.zeros((len(people), 2), dtype=np.int64)
    for row, person in enumerate(people):
        coords = np.asarray(getattr(person, "coords", ()))
        if coords.ndim != 2 or coords.shape[0] != 2 or coords.shape[1] <= _PLACES[-1] or coords.dtype.kind not in "iuf":
            raise InputError(f"{path}: example {row}: field 'coords': expected 2 × 29 numbers, got {coords.shape}")
        xy[row] = coords[:, _PLACES].T
        height_width = np.asarray(getattr(person, "imgdims", (0, 0))).ravel()
        sizes[row] = height_width[1], height_width[0]
        if not isinstance(getattr(person, "filepath", None), str):
            raise InputError(f"{path}: example {row}: field 'filepath': expected the photo's name")
    return xy, [person.filepath for person in people], sizes

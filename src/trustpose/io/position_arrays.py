"""Read predictions that are an array without names: `preds`, N × K × 2, in the order of a ground truth's people.

So the stacked hourglass's code (HDF5) and pytorch-pose (MATLAB) write their predictions on MPII. Positions are in the
ground truth's frame, which may count pixels from 1; there are no scores.
"""

from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.io.arrays import is_matlab, read_hdf5, read_matlab
from trustpose.io.coco.truth import TruthFile
from trustpose.io.hdf5 import is_hdf5
from trustpose.poses import Poses

NAME = "preds"


def fits(content: bytes, path: str | Path) -> bool:
    """Return whether a file has a variable of this name."""
    if is_hdf5(content):
        return NAME in read_hdf5(content, path, (NAME,))
    return is_matlab(content) and NAME in read_matlab(content, path)


def read(content: bytes, path: str | Path, truth: TruthFile | None) -> Poses:
    """Return the poses of all people of `truth`, with their image ids, annotation ids and boxes, and scores of 1.

    Raises InputError without a ground truth, or for another number of people or joints.
    """
    if truth is None:
        raise InputError(f"{path}: holds positions in the order of a ground truth's people: give it with --gt")
    arrays = read_hdf5(content, path, (NAME,)) if is_hdf5(content) else read_matlab(content, path)
    array, people = np.asarray(arrays[NAME]), truth.truth
    expected = people.xy.shape
    if array.shape == expected[::-1]:  # MATLAB's order, 2 × K × N
        array = array.transpose(2, 1, 0)
    if array.shape != expected or array.dtype.kind not in "iuf":
        sides, got = (" × ".join(map(str, shape)) for shape in (expected, array.shape))
        raise InputError(f"{path}: variable '{NAME}': expected {sides} numbers as {truth.path} has people, got {got}")
    xy = array.astype(np.float64) - truth.first_pixel
    is_missing = np.asarray(~np.isfinite(xy).all(axis=2))
    return Poses(
        xy=np.where(is_missing[..., None], 0.0, xy),
        score=np.where(is_missing, 0.0, 1.0),
        missing=is_missing if is_missing.any() else None,
        pose_score=np.ones(len(xy)),
        box=people.box,
        image_id=people.image_id,
        annotation_id=people.annotation_id,
        skeleton=people.skeleton,
    )

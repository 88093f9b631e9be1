"""Packed COCO labels: everybody's keypoints in one NPZ file, without photos. For pose priors and simulation.

Columns: image_id (N,), bbox_cxcywh_norm (N, 4) and kpts_norm (N, 17, 3) (x, y, v) in units of the photo's size, wh
(N, 2) that size (0 where unknown), area (N,) the segment's in square pixels (NaN where unknown).
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError
from trustpose.formats.npz import read_npz
from trustpose.poses import Truth
from trustpose.skeletons import COCO_17

BOX_SHARE = 0.53  # segment area / box area, the usual stand-in where there is no segment
_LARGEST = {"image_id": 2.0**53, "bbox_cxcywh_norm": 1e6, "kpts_norm": 1e6, "wh": 1e6}
_MOST_BYTES = 2_000_000_000  # train2017 takes 0.1 GB
_COLUMNS = {"image_id": (), "bbox_cxcywh_norm": (4,), "kpts_norm": (17, 3), "wh": (2,), "area": ()}


@dataclass(frozen=True, eq=False)
class PackedLabels:
    """People in photo pixels, their photos' sizes (N, 2), and how many were left out because that size is unknown."""

    truth: Truth
    photo_size: Int[np.ndarray, "N 2"]
    left_out: int


def read_packed_labels(path: str | Path) -> PackedLabels:
    """Read packed labels as `Truth` in pixels.

    The photo's shape is needed to make angles and lengths of x and y, so people of photos of unknown size are left out.
    `area` is the segment's, else 0.53 × the box's, as `area_source` says; `annotation_id` is the row in the file.
    Raises InputError.
    """
    columns = _read_columns(path)
    for name, most in _LARGEST.items():
        if not (np.abs(columns[name], dtype=np.float64) <= most).all():
            raise InputError(f"{path}: column '{name}': expected finite numbers of at most {most:g}")
    size = columns["wh"].astype(np.int64)
    rows = np.flatnonzero((size > 0).all(axis=1))
    size = size[rows]
    keypoints = columns["kpts_norm"][rows].astype(np.float64)
    if not np.isin(keypoints[..., 2], (0, 1, 2)).all():
        raise InputError(f"{path}: column 'kpts_norm': expected v in 0, 1, 2")
    box = columns["bbox_cxcywh_norm"][rows].astype(np.float64)
    middle, extent = box[:, :2] * size, box[:, 2:] * size  # (N, 2) photo pixels
    area = columns["area"][rows].astype(np.float64)
    is_segment = np.isfinite(area)
    truth = Truth(
        xy=keypoints[..., :2] * size[:, None],
        v=keypoints[..., 2].astype(np.int64),
        area=np.where(is_segment, area, BOX_SHARE * extent.prod(axis=1)),
        area_source=np.where(is_segment, "segment", "box*0.53").astype(object),
        box=np.concatenate([middle - extent / 2, middle + extent / 2], axis=1),
        image_id=columns["image_id"][rows].astype(np.int64),
        annotation_id=rows,
        skeleton=COCO_17,
    )
    return PackedLabels(truth, size, len(columns["wh"]) - len(rows))


def _read_columns(path: str | Path) -> dict[str, np.ndarray]:
    arrays = read_npz(path, _MOST_BYTES, "an NPZ file of packed labels")
    columns = {name: arrays[name] for name in _COLUMNS if name in arrays}
    for name, shape in _COLUMNS.items():
        if name not in columns:
            raise InputError(f"{path}: column '{name}' is missing, expected packed COCO labels")
        count = len(columns["image_id"]) if columns["image_id"].ndim else -1
        if columns[name].shape != (count, *shape) or columns[name].dtype.kind not in "iuf":
            raise InputError(f"{path}: column '{name}': expected numbers (N, *{shape}), got {columns[name].shape}")
    return columns

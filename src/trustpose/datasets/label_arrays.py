"""COCO's keypoint labels as arrays without photos, for what is learnt from labels alone.

An NPZ file with `image_id` (N,), `bbox_cxcywh_norm` (N, 4) and `kpts_norm` (N, K, 3), x, y and v, in shares of the
photo's width and height, and `wh` (N, 2), these in pixels, 0 where they are not known.
"""

import hashlib
from pathlib import Path

import numpy as np

from trustpose.datasets.label_files import BOX_SHARE
from trustpose.files import InputError, read_bytes, shown
from trustpose.images import Images
from trustpose.io.arrays import read_npz
from trustpose.io.coco.truth import TruthFile
from trustpose.poses import Truth
from trustpose.skeletons import COCO_17

_MOST_BYTES = 2 << 30
_USUAL = (640, 480)  # COCO's usual size, for photos whose size is not known
_SHAPES = {"image_id": (), "bbox_cxcywh_norm": (4,), "kpts_norm": (len(COCO_17), 3), "wh": (2,)}


def read_label_arrays(path: str | Path) -> TruthFile:
    """Read the people of such a file, in pixels; a photo whose size is not known counts as 640 × 480.

    `area` is 0.53 × the box's. Raises InputError.
    """
    arrays = read_npz(path, _MOST_BYTES, "an NPZ file of COCO's keypoint labels")
    count = len(arrays.get("image_id", ()))
    for name, shape in _SHAPES.items():
        got = None if name not in arrays else arrays[name].shape
        if got != (count, *shape) or not count or arrays[name].dtype.kind not in "iuf":
            raise InputError(f"{path}: array '{name}': expected {('N', *shape)} numbers, got {got}")
    size = arrays["wh"].astype(np.float64)
    is_known = np.asarray((size > 0).all(axis=1))
    size = np.where(is_known[:, None], size, _USUAL)
    keypoints, box = arrays["kpts_norm"].astype(np.float64), arrays["bbox_cxcywh_norm"].astype(np.float64)
    if not (np.isfinite(keypoints).all() and np.isfinite(box).all()):
        raise InputError(f"{path}: array 'kpts_norm' or 'bbox_cxcywh_norm': expected finite numbers")
    v = keypoints[..., 2].astype(np.int64)
    xy = np.where((v > 0)[..., None], keypoints[..., :2] * size[:, None], 0.0)
    half = box[:, 2:] / 2
    xyxy = np.concatenate([box[:, :2] - half, box[:, :2] + half], axis=1) * np.tile(size, 2)
    ids = arrays["image_id"].astype(np.int64)
    try:
        truth = Truth(
            xy=xy,
            v=v,
            area=BOX_SHARE * (xyxy[:, 2:] - xyxy[:, :2]).prod(axis=1),
            area_source=np.full(count, "box*0.53", dtype=object),
            box=xyxy,
            image_id=ids,
            annotation_id=np.arange(1, count + 1),
            skeleton=COCO_17,
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    image_id, first = np.unique(ids, return_index=True)
    width, height = size[first].astype(np.int64).T
    return TruthFile(
        truth=truth,
        images=Images(image_id, None, width, height),
        skeleton=COCO_17,
        keypoint_names=COCO_17.keypoints,
        category_id=1,
        category_ids=(1,),
        path=shown(path),
        sha256=hashlib.sha256(read_bytes(path, "labels")).hexdigest(),
        notes=(f"{(~is_known).sum():,} people are on photos of unknown size, which count as 640 × 480",),
    )

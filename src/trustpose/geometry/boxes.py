"""Boxes as xyxy in image pixels, and how much two of them overlap."""

import numpy as np
from jaxtyping import Float

from trustpose.poses import box_size


def xywh_to_xyxy(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 4"]:
    """COCO's (x, y, width, height) as (x0, y0, x1, y1)."""
    return np.concatenate([box[..., :2], box[..., :2] + box[..., 2:]], axis=-1)


def xyxy_to_xywh(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 4"]:
    """(x0, y0, x1, y1) as COCO's (x, y, width, height), exactly as a file gave it; see `poses.box_size`."""
    return np.concatenate([box[..., :2], box_size(box)], axis=-1)


def pairwise_iou(a: Float[np.ndarray, "N 4"], b: Float[np.ndarray, "M 4"]) -> Float[np.ndarray, "N M"]:
    """Intersection over union (N, M) of every box with every other, 0 where both are empty."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])  # (N, M, 2)
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    intersection = np.clip(high - low, 0, None).prod(axis=-1)  # (N, M)
    area_a = np.clip(a[:, 2:] - a[:, :2], 0, None).prod(axis=-1)
    area_b = np.clip(b[:, 2:] - b[:, :2], 0, None).prod(axis=-1)
    union = area_a[:, None] + area_b[None] - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)

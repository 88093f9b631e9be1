"""Boxes as xyxy in image pixels: conversion from and to COCO's xywh, and overlap."""

import numpy as np
from jaxtyping import Float

from trustpose.poses import box_size


def xywh_to_xyxy(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 4"]:
    """Convert COCO's (x, y, width, height) to (x0, y0, x1, y1)."""
    return np.concatenate([box[..., :2], box[..., :2] + box[..., 2:]], axis=-1)


def xyxy_to_xywh(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 4"]:
    """Convert (x0, y0, x1, y1) to COCO's (x, y, width, height), exactly as in the file; see `poses.box_size`."""
    return np.concatenate([box[..., :2], box_size(box)], axis=-1)


def paired_iou(a: Float[np.ndarray, "*#N 4"], b: Float[np.ndarray, "*#N 4"]) -> Float[np.ndarray, "*_"]:
    """Compute intersection over union (…) of corresponding xyxy boxes, leading shapes broadcast; 0 if both are
    empty."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    intersection = np.clip(high - low, 0, None).prod(axis=-1)
    union = _area(a) + _area(b) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def paired_overlap(a: Float[np.ndarray, "*#N 4"], b: Float[np.ndarray, "*#N 4"]) -> Float[np.ndarray, "*_"]:
    """Compute the share (…) of each xyxy box a inside the corresponding box b; 0 if a is empty."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    inside, whole = np.clip(high - low, 0, None).prod(axis=-1), _area(a)
    return np.divide(inside, whole, out=np.zeros_like(inside), where=whole > 0)


def _area(box: np.ndarray) -> np.ndarray:
    return np.clip(box[..., 2:] - box[..., :2], 0, None).prod(axis=-1)

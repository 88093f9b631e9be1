"""Columns of one camera's poses that multi-view code needs: positions, sizes, weights."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from trustpose.names import expected_one_of
from trustpose.poses import Poses


def missing_of(view: Poses) -> Bool[np.ndarray, "N K"]:
    """Return which joints have no position."""
    blank = ~np.isfinite(view.xy).all(axis=2)
    return np.asarray(blank if view.missing is None else blank | view.missing)


def positions_of(view: Poses) -> Float[np.ndarray, "N K 2"]:
    """Return image pixels, NaN for a joint without a position."""
    return np.where(missing_of(view)[..., None], np.nan, view.xy).astype(np.float64)


def sizes_of(view: Poses) -> Float[np.ndarray, " N"]:
    """Return the people's sizes, image pixels: the square root of the area of the keypoints' boxes, 1 or more."""
    box = replace(view, missing=missing_of(view)).keypoint_box()
    return np.sqrt(np.maximum(np.nan_to_num(np.prod(box[:, 2:] - box[:, :2], axis=1)), 1.0))


def weights_of(view: Poses, weight: str, index: int) -> Float[np.ndarray, "N K"]:
    """Return the weights of the joints of view number `index`, 0 for those without a position: "trust", "scores" or
    "none".

    Raises ValueError if the poses lack that field.
    """
    columns = {"trust": view.quality, "scores": view.score, "none": np.ones(view.xy.shape[:2])}
    if weight not in columns:
        raise ValueError(f"weight: {expected_one_of(('auto', *columns), weight)}")
    column = columns[weight]
    if column is None:
        lacks = "expected OPKS (quality)" if weight == "trust" else "scores"
        raise ValueError(
            f"view {index}: the poses have no {lacks}; weight by {'scores' if weight == 'trust' else 'none'}"
        )
    return np.where(missing_of(view), 0.0, np.maximum(np.nan_to_num(column.astype(np.float64)), 0.0))

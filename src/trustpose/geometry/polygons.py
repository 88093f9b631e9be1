"""Points in polygons."""

import numpy as np
from jaxtyping import Bool, Float


def in_polygon(xy: Float[np.ndarray, "N 2"], polygon: Float[np.ndarray, "P 2"]) -> Bool[np.ndarray, " N"]:
    """Return which points are inside a polygon of P corners, by the even-odd rule; those on its edges are not, nor is
    NaN."""
    inside, on_edge = np.zeros(len(xy), bool), np.zeros(len(xy), bool)
    for one, other in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along, off = other - one, xy - one
        side = along[0] * off[:, 1] - along[1] * off[:, 0]  # 0 on the edge's line
        spans = (one[1] > xy[:, 1]) != (other[1] > xy[:, 1])
        inside ^= spans & ((side > 0) == (along[1] > 0))
        on_edge |= (side == 0) & ((xy >= np.minimum(one, other)) & (xy <= np.maximum(one, other))).all(axis=1)
    return inside & ~on_edge & np.isfinite(xy).all(axis=1)

"""Points in polygons."""

import numpy as np
from jaxtyping import Bool, Float


def in_polygon(xy: Float[np.ndarray, "N 2"], polygon: Float[np.ndarray, "P 2"]) -> Bool[np.ndarray, " N"]:
    """Return which points are inside a polygon of P corners, by the even-odd rule; those on its edges are not, nor is
    NaN."""
    inside, on_edge = np.zeros(len(xy), bool), np.zeros(len(xy), bool)
    for start, end in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        along, off = end - start, xy - start
        side = along[0] * off[:, 1] - along[1] * off[:, 0]  # 0 on the edge's line
        spans = (start[1] > xy[:, 1]) != (end[1] > xy[:, 1])
        inside ^= spans & ((side > 0) == (along[1] > 0))
        on_edge |= (side == 0) & ((xy >= np.minimum(start, end)) & (xy <= np.maximum(start, end))).all(axis=1)
    return inside & ~on_edge & np.isfinite(xy).all(axis=1)

"""Non-maximum suppression for estimators that output every candidate of a photo."""

import numpy as np
from jaxtyping import Float, Int

from trustpose.geometry.boxes import paired_iou

MOST_PEOPLE = 300


def separate(
    box: Float[np.ndarray, "N 4"], score: Float[np.ndarray, " N"], most_overlap: float
) -> Int[np.ndarray, " M"]:
    """Return the candidates kept by greedy non-maximum suppression on xyxy boxes, best score first.

    A candidate is dropped if its IoU with a better kept one is above `most_overlap`. At most `MOST_PEOPLE` are kept.
    """
    order = np.argsort(-score, kind="stable")
    selected = []
    while len(order) and len(selected) < MOST_PEOPLE:
        best, order = order[0], order[1:]
        selected.append(best)
        order = order[paired_iou(box[best : best + 1], box[order]) <= most_overlap]
    return np.array(selected, dtype=np.int64)

"""Decode people of a whole photo from a single-stage network: one row per person with keypoints and box."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

BOX = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, eq=False)
class DetectedPeople:
    """N people in input pixels: xy (N, K, 2), their scores (N, K), boxes xyxy (N, 4) and the people's scores (N,).

    box: None from methods that find joints only. missing (N, K): joints that were not found, at 0, 0 with score 0; None
    if all were.
    """

    xy: Float[np.ndarray, "N K 2"]
    score: Float[np.ndarray, "N K"]
    box: Float[np.ndarray, "N 4"] | None
    person_score: Float[np.ndarray, " N"]
    missing: Bool[np.ndarray, "N K"] | None = None


@dataclass(frozen=True)
class PeopleCodec:
    """Rows (N, 3 × K + 5): each keypoint in `order`, then the person's box and score in `box_order`.

    Positions are 0–1 across the input if `normalised`, else input pixels. Every person is kept, however low its score.
    """

    keypoints: int
    order: tuple[str, str, str]
    box_order: tuple[str, str, str, str, str]
    normalised: bool

    def decode(self, rows: Float[np.ndarray, "N columns"], width: int, height: int) -> DetectedPeople:
        """Return the people of an input of width × height pixels."""
        rows = rows.astype(np.float64)
        keypoints = rows[:, :-5].reshape(-1, self.keypoints, 3)
        x, y, score = (keypoints[..., self.order.index(name)] for name in ("x", "y", "score"))
        corners = [rows[:, self.box_order.index(name) - 5] for name in BOX]
        unit = (width, height) if self.normalised else (1, 1)
        xy = np.stack([x, y], axis=-1) * unit
        box = (np.stack(corners, axis=-1).reshape(-1, 2, 2) * unit).reshape(-1, 4)
        return DetectedPeople(xy, score, box, rows[:, self.box_order.index("score") - 5])

"""`SurfaceMesh`: points on the body's surface with the distances between them along it.

Estimated and labelled points of the surface are taken to the nearest vertex of their chart, and compared by the
distance along the surface. Source: the evaluation of the COCO DensePose task, with its constants.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

MEAN_DISTANCES: Float[np.ndarray, " 9"] = np.array(
    [0, 0.351, 0.107, 0.126, 0.237, 0.173, 0.142, 0.128, 0.150], dtype=np.float64
)
"""κ of the 2019 evaluation: the mean distance along the surface, in metres, between points of each of eight parts,
torso, hand, foot, upper leg, lower leg, upper arm, lower arm and head."""
COARSE_PARTS: Int[np.ndarray, " 25"] = np.array(
    [0, 1, 1, 2, 2, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7, 8, 8]
)
"""Which of these each of the 24 charts belongs to."""
PAPER_SCALE = 0.255  # κ of the paper, for all parts


@dataclass(frozen=True, eq=False)
class SurfaceMesh:
    """V vertices of a body's surface.

    Attributes:
        part: (V,) 1 to 24.
        uv: (V, 2) on the part's chart, 0–1.
        row: (V,) which of D points, between which distances are known, stands for the vertex, from 0.
        distances: (D (D − 1) / 2,) along the surface, metres, between points i > j at i (i − 1) / 2 + j.

    Raises:
        ValueError: if a shape or value is wrong.
    """

    part: Int[np.ndarray, " V"]
    uv: Float[np.ndarray, "V 2"]
    row: Int[np.ndarray, " V"]
    distances: Float[np.ndarray, " T"]

    def __post_init__(self) -> None:
        count = len(self.part)
        if not count or self.part.min() < 1 or self.part.max() > 24:
            raise ValueError("part: expected numbers from 1 to 24")
        if self.uv.shape != (count, 2) or self.row.shape != (count,):
            raise ValueError(f"uv, row: expected {count} of each, got {self.uv.shape}, {self.row.shape}")
        points = int(self.row.max()) + 1
        if self.row.min() < 0 or len(self.distances) < points * (points - 1) // 2:
            expected = f"those of {points} points, {points * (points - 1) // 2}"
            raise ValueError(f"distances: expected {expected}, got {len(self.distances)}")

    @cached_property
    def _charts(self) -> dict[int, tuple[Int[np.ndarray, " n"], KDTree]]:
        charts = {number: np.flatnonzero(self.part == number) for number in np.unique(self.part).tolist()}
        return {number: (rows, KDTree(self.uv[rows])) for number, rows in charts.items()}

    def nearest(self, part: Int[np.ndarray, " P"], uv: Float[np.ndarray, "P 2"]) -> Int[np.ndarray, " P"]:
        """Return the vertex of the same part that is nearest to each point on its chart; -1 for the background and for
        parts without vertices."""
        vertex = np.full(len(part), -1)
        for number, (rows, tree) in self._charts.items():
            of_part = np.flatnonzero(part == number)
            if len(of_part):
                vertex[of_part] = rows[tree.query(uv[of_part])[1]]
        return vertex

    def distance(self, first: Int[np.ndarray, " P"], second: Int[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
        """Return the distance along the surface between vertices, metres; infinite where one is -1."""
        a, b = self.row[first], self.row[second]
        high, low = np.maximum(a, b).astype(np.int64), np.minimum(a, b)
        index = np.where(high > low, high * (high - 1) // 2 + low, 0)
        distance = np.where(high > low, self.distances[index], 0.0)
        return np.where((first < 0) | (second < 0), np.inf, distance)

    def similarity(
        self,
        part: Int[np.ndarray, " P"],
        uv: Float[np.ndarray, "P 2"],
        true_part: Int[np.ndarray, " P"],
        true_uv: Float[np.ndarray, "P 2"],
        scale: float | None = None,
    ) -> Float[np.ndarray, " P"]:
        """Return exp(−d² / 2 κ²) of estimated points, 0–1: 0 for an estimate of background, NaN for a labelled point on
        no part.

        scale: κ in metres for all parts, such as the paper's; None: `MEAN_DISTANCES` of the labelled point's part.
        """
        true_vertex = self.nearest(true_part, true_uv)
        distance = self.distance(self.nearest(part, uv), true_vertex)
        kappa = MEAN_DISTANCES[COARSE_PARTS[self.part[true_vertex]]] if scale is None else scale
        return np.where(true_vertex < 0, np.nan, np.exp(-(distance**2) / (2 * kappa**2)))

"""Part maps: DeepCut's dense part detector, a score map of each part, with the way from each cell to its part.

Pishchulin et al., DeepCut: Joint Subset Partition and Labeling for Multi Person Pose Estimation, CVPR 2016, the dense
CNN: every cell near a joint is a positive of that part, so that several parts may share a cell, and gives the offset
from itself to the joint ("location refinement"). The paper brings people to one size; here they keep theirs, "near" is
a share of it, and one more map, ours, gives the size, in units of which the pairwise terms are.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.codecs.fields import cells_about
from trustpose.geometry.crops import Grid

REACH = 0.07
"""How far from a joint a cell is one of its part, in units of √(box's area): about the paper's 15 pixels of people who
are 340 pixels high."""
MIN_SCORE, MAX_PER_PART = 0.2, 30


class PartMaps(NamedTuple):
    """Maps of one photo: part (K, h, w), probabilities; refinement (K, 2, h, w), from the cell to the joint, and scale
    (h, w), √(area of the person's box), both in input pixels."""

    part: Float[np.ndarray, "K h w"]
    refinement: Float[np.ndarray, "K 2 h w"]
    scale: Float[np.ndarray, "h w"]


class PartCandidates(NamedTuple):
    """D part candidates of a photo: xy (D, 2) and scale (D,) in input pixels, score (D,), joint (D,)."""

    xy: Float[np.ndarray, "D 2"]
    score: Float[np.ndarray, " D"]
    joint: Int[np.ndarray, " D"]
    scale: Float[np.ndarray, " D"]


@dataclass(frozen=True)
class PartCodec:
    """Maps with cells at `grid` of the input. reach: see `REACH`; a joint has its nearest cells whatever it is."""

    grid: Grid
    reach: float = REACH

    def radius(self, scale: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
        """Return how far from a joint its cells lie, input pixels."""
        return np.maximum(self.reach * scale, self.grid.stride[0])

    def encode(
        self,
        xy: Float[np.ndarray, "P K 2"],
        labelled: Bool[np.ndarray, "P K"],
        scale: Float[np.ndarray, " P"],
        width: int,
        height: int,
    ) -> PartMaps:
        """Return the maps of one photo's P people on width × height cells, float32; all 0 far from labelled joints.

        Where joints of several people share a cell, it has the nearest's; its scale is that of the person with the
        nearest joint of any part. xy and scale: input pixels.
        """
        count = xy.shape[1]
        part = np.zeros((count, height, width), np.float32)
        refinement = np.zeros((count, 2, height, width), np.float32)
        scales = np.zeros((height, width), np.float32)
        person, joint = np.nonzero(labelled)
        joints = xy[person, joint]
        radius = self.radius(scale[person])
        middle = self.grid.cells(joints)
        which, cell = cells_about(middle, middle, float(radius.max(initial=0)) / self.grid.stride[0], width, height)
        vector = joints[which] - self.grid.positions(cell.astype(np.float64))
        distance = np.linalg.norm(vector, axis=1)
        is_near = distance <= radius[which]
        which, cell, vector, distance = which[is_near], cell[is_near], vector[is_near], distance[is_near]
        last_is_nearest = np.argsort(-distance, kind="stable")
        which, (x, y), vector = which[last_is_nearest], cell[last_is_nearest].T, vector[last_is_nearest]
        part[joint[which], y, x] = 1
        refinement[joint[which], :, y, x] = vector
        scales[y, x] = scale[person[which]]
        return PartMaps(part, refinement, scales)

    def candidates(
        self, maps: PartMaps, *, min_score: float = MIN_SCORE, max_per_part: int = MAX_PER_PART
    ) -> PartCandidates:
        """Return the positions that cells of at least `min_score` point to, the best first; of those within one radius
        of a better one of the same part only that one. At most `max_per_part` of each part."""
        joint, y, x = np.nonzero(maps.part >= min_score)
        score, scale = maps.part[joint, y, x].astype(np.float64), maps.scale[y, x].astype(np.float64)
        cells = np.stack([x, y], axis=1).astype(np.float64)
        xy = self.grid.positions(cells) + maps.refinement[joint, :, y, x]
        radius, kept = self.radius(scale), [np.zeros(0, np.int64)]
        for part in np.unique(joint):
            rows = np.flatnonzero(joint == part)
            rows = rows[np.argsort(-score[rows], kind="stable")]
            for _ in range(max_per_part):
                if not len(rows):
                    break
                best = rows[0]
                kept.append(rows[:1])
                rows = rows[np.linalg.norm(xy[rows] - xy[best], axis=1) > radius[best]]
        rows = np.concatenate(kept)
        rows = rows[np.argsort(-score[rows], kind="stable")]
        return PartCandidates(xy[rows], score[rows], joint[rows], scale[rows])

"""Composite fields: where each joint is, and which two joints belong together, as vectors with a learnt spread.

Source: Kreiss, Bertoni, Alahi, PifPaf: Composite Fields for Human Pose Estimation, CVPR 2019. The intensity field has
five maps of each joint, p = (c, x, y, b, σ): the confidence that the joint is near, the vector to it, the spread of
that vector's error, and the joint's size. The association field has seven maps of each limb, a = (c, x₁, y₁, b₁, x₂,
y₂, b₂): the confidence that the limb passes, and the vectors to both of its ends with their spreads. Equation 1 adds
up the intensity field to a map of high resolution. Written from the paper; the authors' program was only run.

What the paper leaves open is chosen here, and said beside it: how far the fields reach, and how votes are scaled.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.codecs.fields import cells_about
from trustpose.geometry.crops import Grid

INTENSITY, ASSOCIATION = 5, 7  # maps of a joint, and of a limb
REACH = 2.0  # cells: a joint is learnt in the 4 × 4 cells around it
MIN_CONFIDENCE = 0.1  # of a cell that votes, and of an association that is used
_TRUNCATED = 3.0  # widths of a vote's Gaussian
_SMALLEST = 1.0  # pixels of the map of high resolution: the least width of a vote's Gaussian


class Votes(NamedTuple):
    """The N cells of an intensity field that vote: joint (N,), xy (N, 2) and size σ (N,) in input pixels,
    confidence (N,)."""

    joint: Int[np.ndarray, " N"]
    xy: Float[np.ndarray, "N 2"]
    size: Float[np.ndarray, " N"]
    confidence: Float[np.ndarray, " N"]


class Association(NamedTuple):
    """The M cells of a limb's association field: confidence (M,), both ends (M, 2, 2) and their spreads (M, 2) in input
    pixels."""

    confidence: Float[np.ndarray, " M"]
    ends: Float[np.ndarray, "M 2 2"]
    spread: Float[np.ndarray, "M 2"]


@dataclass(frozen=True)
class CompositeCodec:
    """Composite fields with cells at `grid` of the input; vectors, spreads and sizes in cells, vectors from the cell.

    limbs: pairs of joints. reach: cells from a joint, across and down, in which it is learnt; width: cells from a limb
    in which it is learnt. The paper states neither; 2 and 1.5 give every joint 16 cells and every limb a band of three.
    """

    limbs: tuple[tuple[int, int], ...]
    grid: Grid
    reach: float = REACH
    width: float = 1.5

    def encode(
        self,
        xy: Float[np.ndarray, "P K 2"],
        labelled: Bool[np.ndarray, "P K"],
        size: Float[np.ndarray, "P K"],
        width: int,
        height: int,
    ) -> tuple[Float[np.ndarray, "K 5 h w"], Float[np.ndarray, "L 7 h w"]]:
        """Return the fields of one photo's P people on width × height cells, float32; both 0 far from everybody.

        Where several people's joints or limbs reach a cell it has those of the nearest joint: of a limb, the nearest of
        either end determines the person, as in the paper (section 3.3). Spreads, which are learnt without a target, are
        one cell.

        Args:
            xy: joints in input pixels; those that are not labelled may be NaN.
            labelled: which joints count; limbs need both ends.
            size: each joint's σ in input pixels (`joint_sizes`).
            width: of the fields, cells.
            height: of the fields, cells.
        """
        cells = self.grid.cells(xy)
        stride = self.grid.stride[0]
        intensity = np.zeros((xy.shape[1], INTENSITY, height, width), np.float32)
        person, joint = np.nonzero(labelled)
        middle = cells[person, joint]
        which, cell = cells_about(middle, middle, self.reach, width, height)
        vector = middle[which] - cell
        last_is_nearest = np.argsort(-np.linalg.norm(vector, axis=1), kind="stable")
        which, cell, vector = which[last_is_nearest], cell[last_is_nearest], vector[last_is_nearest]
        values = np.column_stack(
            [np.ones(len(which)), vector, np.ones(len(which)), size[person, joint][which] / stride]
        )
        intensity[joint[which], :, cell[:, 1], cell[:, 0]] = values
        return intensity, self._associations(cells, labelled, width, height)

    def _associations(
        self, cells: Float[np.ndarray, "P K 2"], labelled: Bool[np.ndarray, "P K"], width: int, height: int
    ) -> Float[np.ndarray, "L 7 h w"]:
        association = np.zeros((len(self.limbs), ASSOCIATION, height, width), np.float32)
        ends = np.array(self.limbs, np.int64).reshape(-1, 2)
        person, limb = np.nonzero(labelled[:, ends].all(axis=2))
        low, high = (cells[person, ends[limb, end]] for end in (0, 1))
        which, cell = cells_about(low, high, self.width, width, height)
        low, high = low[which], high[which]
        along = high - low
        length = np.maximum((along**2).sum(axis=1), 1e-12)
        share = np.clip(((cell - low) * along).sum(axis=1) / length, 0, 1)
        is_near = np.linalg.norm(low + share[:, None] * along - cell, axis=1) <= self.width
        which, cell, low, high = which[is_near], cell[is_near], low[is_near], high[is_near]
        to_nearer = np.minimum(np.linalg.norm(low - cell, axis=1), np.linalg.norm(high - cell, axis=1))
        order = np.argsort(-to_nearer, kind="stable")
        which, cell, low, high = which[order], cell[order], low[order], high[order]
        certain = np.ones(len(which))
        values = np.column_stack([certain, low - cell, certain, high - cell, certain])
        association[limb[which], :, cell[:, 1], cell[:, 0]] = values
        return association

    def votes(self, intensity: Float[np.ndarray, "K 5 h w"], min_confidence: float = MIN_CONFIDENCE) -> Votes:
        """Return the cells of an intensity field with at least `min_confidence`, by joint."""
        joint, row, column = np.nonzero(intensity[:, 0] >= min_confidence)
        confidence, x, y, _, size = intensity[joint, :, row, column].astype(np.float64).T
        xy = self.grid.positions(np.stack([column + x, row + y], axis=1))
        return Votes(joint, xy, size * self.grid.stride[0], confidence)

    def associations(
        self, association: Float[np.ndarray, "L 7 h w"], min_confidence: float = MIN_CONFIDENCE
    ) -> list[Association]:
        """Return the cells of each limb's association field with at least `min_confidence`."""
        limbs = []
        for maps in association:
            row, column = np.nonzero(maps[0] >= min_confidence)
            confidence, x1, y1, spread1, x2, y2, spread2 = maps[:, row, column].astype(np.float64)
            ends = np.stack([np.stack([column + x1, row + y1], 1), np.stack([column + x2, row + y2], 1)], axis=1)
            spread = np.stack([spread1, spread2], axis=1) * self.grid.stride[0]
            limbs.append(Association(confidence, self.grid.positions(ends), spread))
        return limbs

    def accumulate(self, votes: Votes, keypoints: int, width: int, height: int) -> Float[np.ndarray, "K H W"]:
        """Return the confidence of each joint in every input pixel, float32, 0–1: equation 1, f(x, y) = Σ c N(x, y).

        N is a Gaussian of height 1 about the position that a cell votes for, as wide as the joint's size. The sum is
        divided by the number of cells in which a joint is learnt, so that a perfect field is 1 at its joint, and cut
        off at 1; the paper prints no normalisation. Votes for positions outside the input are left out.
        """
        confidence = np.zeros((keypoints, height, width), np.float32)
        widths = np.maximum(votes.size, _SMALLEST)
        shares = votes.confidence / (2 * self.reach) ** 2
        first = np.ceil(votes.xy - _TRUNCATED * widths[:, None]).clip(0, (width, height)).astype(np.int64)
        last = np.floor(votes.xy + _TRUNCATED * widths[:, None]).clip(-1, (width - 1, height - 1)).astype(np.int64) + 1
        spans = zip(votes.joint.tolist(), votes.xy.tolist(), widths.tolist(), shares.tolist(), strict=True)
        for (joint, (x, y), sigma, share), (x0, y0), (x1, y1) in zip(spans, first.tolist(), last.tolist(), strict=True):
            across = np.exp(-((np.arange(x0, x1) - x) ** 2) / (2 * sigma**2))
            down = np.exp(-((np.arange(y0, y1) - y) ** 2) / (2 * sigma**2)) * share
            confidence[joint, y0:y1, x0:x1] += down[:, None] * across
        return np.minimum(confidence, 1.0, out=confidence)


def joint_sizes(area: Float[np.ndarray, " P"], sigmas: Float[np.ndarray, " K"]) -> Float[np.ndarray, "P K"]:
    """Return each joint's size σ in pixels: the root of its person's area, times the deviation σₖ of human labelling in
    OKS. The paper calls σ a joint's size and does not say how it follows from the labels."""
    return np.sqrt(area)[:, None] * sigmas[None]

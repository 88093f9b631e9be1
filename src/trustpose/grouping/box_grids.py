"""Keypoints in a person's box as maps of a fixed size, as the pose residual network reads and gives them.

Kocabas, Karagoz, Akbas, MultiPoseNet, ECCV 2018, section 3.3. A box, whatever its size, becomes `height` × `width`
cells. Each keypoint in the box or near it, whoever's it is, becomes a small Gaussian in its joint's map. The target has
a wider Gaussian at the keypoints of the box's own person only. The number of cells, the Gaussians and the margin are
those of the authors' code (salihkaragoz/pose-residual-network-pytorch).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.json_records import Count, within

Sigma = Annotated[float, within(0.1, 64)]


@dataclass(frozen=True)
class BoxGrid:
    """Maps (height, width, keypoints) of a box.

    margin: keypoints outside the box by less than this share of its side are read, too, in the nearest cell.
    input_sigma, target_sigma: of the Gaussians, cells.
    """

    keypoints: Count = 17
    height: Count = 56
    width: Count = 36
    margin: Annotated[float, within(0, 10)] = 0.21
    input_sigma: Sigma = 1.0
    target_sigma: Sigma = 2.0

    def near(self, xy: Float[np.ndarray, "*#N 2"], box: Float[np.ndarray, "*#N 4"]) -> Bool[np.ndarray, " *N"]:
        """Return which keypoints are in the box xyxy or its margin."""
        size = self.margin * (box[..., 2:] - box[..., :2])
        return np.asarray(((xy > box[..., :2] - size) & (xy < box[..., 2:] + size)).all(axis=-1))

    def cells(self, xy: Float[np.ndarray, "*#N 2"], box: Float[np.ndarray, "*#N 4"]) -> Int[np.ndarray, "*N 2"]:
        """Return the column and row of keypoints in a box xyxy; for those outside, of the nearest cell."""
        size = np.maximum(box[..., 2:] - box[..., :2], 1e-9)
        grid = np.array([self.width, self.height])
        position = np.floor((xy - box[..., :2]) / size * grid)
        return np.clip(position, 0, grid - 1).astype(np.int64)

    def inputs(
        self, cells: Sequence[Int[np.ndarray, "N 2"]], joint: Sequence[Int[np.ndarray, " N"]]
    ) -> Float[np.ndarray, "B h w K"]:
        """Return what the network reads of B boxes: the cells (column, row) and joints of the keypoints near each."""
        return self._gaussians(cells, joint, *self._input_blur)

    def targets(
        self, cells: Sequence[Int[np.ndarray, "N 2"]], joint: Sequence[Int[np.ndarray, " N"]]
    ) -> Float[np.ndarray, "B h w K"]:
        """Return what the network shall give for B boxes: the same for the keypoints of each box's own person."""
        return self._gaussians(cells, joint, *self._target_blur)

    @cached_property
    def _input_blur(self) -> tuple[np.ndarray, np.ndarray]:
        """The Gaussian's weights along rows and columns; at the edge the last cell goes on, as in the authors' code."""
        return _blur(self.height, self.input_sigma, "nearest"), _blur(self.width, self.input_sigma, "nearest")

    @cached_property
    def _target_blur(self) -> tuple[np.ndarray, np.ndarray]:
        """The same for targets, where there is nothing beyond the edge."""
        return _blur(self.height, self.target_sigma, "constant"), _blur(self.width, self.target_sigma, "constant")

    def _gaussians(
        self,
        cells: Sequence[np.ndarray],
        joint: Sequence[np.ndarray],
        down: Float[np.ndarray, "h h"],
        across: Float[np.ndarray, "w w"],
    ) -> Float[np.ndarray, "B h w K"]:
        """Return one Gaussian for each occupied cell of a joint's map, summed where they overlap."""
        maps = np.zeros((len(cells), self.keypoints, self.height, self.width), np.float32)
        box = np.repeat(np.arange(len(cells)), [len(box_cells) for box_cells in cells])
        column, row = np.concatenate([np.zeros((0, 2), np.int64), *cells]).T
        maps[box, np.concatenate([np.zeros(0, np.int64), *joint]), row, column] = 1
        return np.ascontiguousarray((down @ maps @ across.T).transpose(0, 2, 3, 1))


def _blur(cells: int, sigma: float, edge: str) -> Float[np.ndarray, "n n"]:
    """Return the matrix that convolves a line of cells with a Gaussian."""
    from scipy.ndimage import gaussian_filter1d

    return gaussian_filter1d(np.eye(cells), sigma, axis=0, mode=edge).astype(np.float32)

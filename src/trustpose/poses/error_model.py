"""What held-out people say of expected errors: corrections of the discs of `ExpectedError`, by joint and quality.

The mixture of `geometry.expected_error` says with which probability u a keypoint's error is at most what it is. Were it
right, u would be uniform, and its depth −log(1 − u), half of the squared distance of a single Gaussian in units of its
standard deviation, exponential. An `ErrorModel` stores how depths were distributed for keypoints on people that nothing
was fitted to, in cells of one group of joints and one range of quality: the depth that a share p of them stays below.
The disc of share p is then the mixture's disc of that depth (split conformal prediction with the depth as the score;
the cells make it Mondrian).

Guarantee: the depth for p in a cell with n keypoints is the ⌈(n + 1) p⌉-th smallest, so a further keypoint of that
cell, exchangeable with these n, lies within its disc with a probability of at least p, whatever the errors'
distribution, on average over all fits and keypoints of the cell. It is no statement about one person, pose or photo;
nor about people unlike the fitted ones. Keypoints of one person go together, so that with several of them in a cell the
finite-sample term is approximate. Sources: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005 (split
conformal and Mondrian prediction); Chernozhukov, Wüthrich, Zhu, Distributional conformal prediction, PNAS 2021 (u).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float, Int

VERSION = 1
DEEPEST = 1e4  # of a stored depth: 140 standard deviations
_FIELDS = {"version", "shares", "joints", "quality", "depths", "people", "keypoints", "fitted_on"}


@dataclass(frozen=True)
class ErrorModel:
    """The depths of the discs of several shares, in cells of joints and quality.

    shares (P,): ascending, between 0 and 1. joints: the names of each group's joints. quality: of each group, the
    ascending borders between its ranges of expected OPKS (given that the keypoint is labelled); b borders make b + 1
    cells. depths: of each group and cell, the depth (P,) in the mixture of the disc that holds each share; beyond the
    last share depths go on as in the mixture. people, keypoints: how many it was fitted on; fitted_on: which. A joint
    of no group keeps the mixture's own discs. Raises ValueError naming the field that is wrong.
    """

    shares: tuple[float, ...]
    joints: tuple[tuple[str, ...], ...]
    quality: tuple[tuple[float, ...], ...]
    depths: tuple[tuple[tuple[float, ...], ...], ...]
    people: int
    keypoints: int
    fitted_on: str = ""

    def __post_init__(self) -> None:
        if not self.shares or not _is_ascending((0.0, *self.shares, 1.0)):
            raise ValueError("errors.shares: expected ascending numbers between 0 and 1")
        names = [name for group in self.joints for name in group]
        if len(set(names)) < len(names):
            raise ValueError("errors.joints: expected each joint in one group")
        if not len(self.joints) == len(self.quality) == len(self.depths):
            raise ValueError("errors: expected joints, quality and depths of the same number of groups")
        for borders, cells in zip(self.quality, self.depths, strict=True):
            if not _is_ascending(borders):
                raise ValueError("errors.quality: expected ascending borders of each group")
            if len(cells) != len(borders) + 1 or any(len(depth) != len(self.shares) for depth in cells):
                raise ValueError("errors.depths: expected a number for each share in each cell of each group")
            if not all(_is_rising((0.0, *depth, DEEPEST)) for depth in cells):
                raise ValueError(f"errors.depths: expected numbers from 0 to {DEEPEST:g} that never fall")

    @cached_property
    def _curves(self) -> tuple[Float[np.ndarray, " Q"], Float[np.ndarray, "C Q"]]:
        """The mixture's own depth of each share, from 0 to one beyond the last, and the depth instead, in each cell;
        the last cell is that of joints of no group."""
        mixture_depth = np.array([0.0, *(-np.log1p(-np.array(self.shares)))])
        cells = [(0.0, *depth) for group in self.depths for depth in group] + [mixture_depth]
        table = np.array(cells)
        return np.append(mixture_depth, mixture_depth[-1] + 1e6), np.column_stack([table, table[:, -1] + 1e6])

    def cells(self, quality: Float[np.ndarray, "*N K"], names: Sequence[str]) -> Int[np.ndarray, "*N K"]:
        """Return the cell of each keypoint, from its expected OPKS if labelled (…, K) and its joint's name."""
        first = np.cumsum([0, *(len(group) for group in self.depths)])
        cell = np.full(quality.shape, first[-1], np.int32)
        for group, joints in enumerate(self.joints):
            columns = [index for index, name in enumerate(names) if name in joints]
            ranges = np.searchsorted(self.quality[group], np.nan_to_num(quality[..., columns]), side="right")
            cell[..., columns] = first[group] + ranges
        return cell

    def depth(self, share: float, cell: Int[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
        """Return the depth in the mixture of the disc that holds this share, for keypoints of these cells."""
        mixture_depth, table = self._curves
        return np.array([np.interp(-np.log1p(-share), mixture_depth, row) for row in table])[cell]

    def own_depth(self, depth: Float[np.ndarray, "*N K"], cell: Int[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
        """Return −log(1 − share) of the share of errors that discs of these depths hold: the inverse of `depth`."""
        mixture_depth, table = self._curves
        held = np.full(depth.shape, np.nan)
        for number in np.unique(cell).tolist():
            rows = cell == number
            held[rows] = np.interp(depth[rows], table[number], mixture_depth)
        return held

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `of_json` reads."""
        groups = {"joints": self.joints, "quality": self.quality, "depths": self.depths}
        counts = {"people": self.people, "keypoints": self.keypoints, "fitted_on": self.fitted_on}
        return {"version": VERSION, "shares": self.shares, **groups, **counts}

    @classmethod
    def of_json(cls, value: Any) -> "ErrorModel":
        """Read `to_json`'s value. Raises ValueError naming what is wrong."""
        if not isinstance(value, Mapping) or value.get("version") != VERSION:
            number = value.get("version") if isinstance(value, Mapping) else None
            raise ValueError(f"errors.version: expected {VERSION}, got {str(number)[:40]!r}")
        if unknown := sorted(set(value) ^ _FIELDS):
            raise ValueError(f"errors.{unknown[0]}: is missing or unknown")
        try:
            return cls(
                shares=tuple(map(float, value["shares"])),
                joints=tuple(tuple(map(str, group)) for group in value["joints"]),
                quality=tuple(tuple(map(float, group)) for group in value["quality"]),
                depths=tuple(tuple(tuple(map(float, cell)) for cell in group) for group in value["depths"]),
                people=int(value["people"]),
                keypoints=int(value["keypoints"]),
                fitted_on=str(value["fitted_on"]),
            )
        except (TypeError, OverflowError) as error:
            raise ValueError(f"errors: {error}") from None


def _is_ascending(numbers: Sequence[float]) -> bool:
    return all(low < high for low, high in pairwise(numbers)) and not np.isnan(numbers).any()


def _is_rising(numbers: Sequence[float]) -> bool:
    return all(low <= high for low, high in pairwise(numbers)) and not np.isnan(numbers).any()

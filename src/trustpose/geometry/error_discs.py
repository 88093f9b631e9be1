"""Fit an `ErrorModel`: the depths that discs need to hold their share of held-out keypoints, by joint and quality."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.expected_error import area_of_person, error_of, quality_if_labelled
from trustpose.poses import ErrorModel, ExpectedError, Poses, Truth
from trustpose.poses.error_model import DEEPEST
from trustpose.skeletons import Skeleton

SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99)
CELL = 400  # keypoints of a cell at least
MAX_CELLS = 6  # ranges of quality of a group of joints
MIN_KEYPOINTS = 100  # keypoints of a group, below which it keeps the mixture's own discs
_DECIMALS = 4


@dataclass(frozen=True, eq=False)
class LabelledErrors:
    """L labelled keypoints: the mixture's error (L,), their distance to the label in the same unit, their expected OPKS
    if labelled, the joint's number and the person's."""

    error: ExpectedError
    distance: Float[np.ndarray, " L"]
    quality: Float[np.ndarray, " L"]
    joint: Int[np.ndarray, " L"]
    person: Int[np.ndarray, " L"]

    def __len__(self) -> int:
        return len(self.distance)

    def __getitem__(self, rows: np.ndarray) -> "LabelledErrors":
        """Return some of the keypoints."""
        return LabelledErrors(
            self.error[rows], self.distance[rows], self.quality[rows], self.joint[rows], self.person[rows]
        )

    @classmethod
    def of(
        cls,
        quality: Float[np.ndarray, "N K"],
        distance: Float[np.ndarray, "N K"],
        area: Float[np.ndarray, " N"],
        sigmas: Float[np.ndarray, " K"],
        labelled: Bool[np.ndarray, "N K"],
    ) -> "LabelledErrors":
        """Collect the labelled keypoints of N people that have a quality and an area, in pixels and square pixels.

        quality: expected OPKS if labelled; area: that of `expected_error.area_of_person`.
        """
        error = error_of(quality, sigmas, area)
        counted = labelled & np.isfinite(error.std) & (error.std > 0) & np.isfinite(distance)
        person, joint = np.nonzero(counted)
        plain = ExpectedError(error.std[counted], error.gross[counted], error.gross_std[counted])
        return cls(plain, distance[counted], quality[counted], joint, person)

    @classmethod
    def of_poses(
        cls, poses: Poses, truth: Truth, person: Int[np.ndarray, " N"], sigmas: Float[np.ndarray, " K"]
    ) -> "LabelledErrors":
        """Collect those of N poses with `quality`, matched to the rows `person` of a truth (-1: unmatched)."""
        rows = np.flatnonzero(person >= 0)
        poses, matched = poses[rows], person[rows]
        quality = quality_if_labelled(poses)
        if quality is None:
            raise ValueError("poses.quality: expected the quality of held-out poses, got None")
        offset = poses.xy.astype(np.float64) - truth.xy[matched]
        distance = np.hypot(offset[..., 0], offset[..., 1])
        return cls.of(quality, distance, area_of_person(poses), sigmas, truth.v[matched] > 0)


def fit_error_model(
    errors: LabelledErrors,
    skeleton: Skeleton,
    fitted_on: str = "",
    *,
    cell: int = CELL,
    max_cells: int = MAX_CELLS,
    by_joint: bool = True,
) -> ErrorModel | None:
    """Return the depths of held-out keypoints, left and right joints together; None if there are too few.

    A group's ranges of quality hold the same number of keypoints, `cell` or more, and are at most `max_cells`.
    Without `by_joint` all joints are one group.
    """
    kind = np.minimum(skeleton.flip_index, np.arange(len(skeleton))) if by_joint else np.zeros(len(skeleton), int)
    depth = errors.error.depth_within(errors.distance)
    joints, quality, depths = [], [], []
    for group in np.unique(kind):
        rows = np.flatnonzero(np.isin(errors.joint, np.flatnonzero(kind == group)))
        if len(rows) < MIN_KEYPOINTS:
            continue
        borders = _borders(errors.quality[rows], max(1, min(max_cells, len(rows) // cell)))
        range_of_quality = np.searchsorted(borders, errors.quality[rows], side="right")
        joints.append(tuple(name for name, of in zip(skeleton.names, kind, strict=True) if of == group))
        quality.append(borders)
        depths.append(tuple(_depths(depth[rows[range_of_quality == number]]) for number in range(len(borders) + 1)))
    if not joints:
        return None
    people = len(np.unique(errors.person))
    return ErrorModel(SHARES, tuple(joints), tuple(quality), tuple(depths), people, len(errors), fitted_on)


def _borders(quality: np.ndarray, cells: int) -> tuple[float, ...]:
    inner = np.quantile(quality, np.arange(1, cells) / cells, method="higher").round(_DECIMALS)
    return tuple(np.unique(inner[inner > quality.min()]).tolist())


def _depths(depth: np.ndarray) -> tuple[float, ...]:
    """Return the ⌈(n + 1) p⌉-th smallest depth for each share p, at most the deepest that a model holds."""
    rank = np.ceil((len(depth) + 1) * np.array(SHARES) - 1e-9).astype(int)
    ordered = np.append(np.sort(depth), np.inf)[np.minimum(rank, len(depth) + 1) - 1]
    return tuple(np.minimum(np.ceil(ordered * 10**_DECIMALS) / 10**_DECIMALS, DEEPEST).tolist())

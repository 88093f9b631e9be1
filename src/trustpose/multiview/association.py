"""Association: which detections of several cameras at one moment are the same person.

A person of the group is a skeleton in the world, and its members are at most one detection of each view, all of which
agree with its reprojection: so the groups are cycle-consistent by construction. New people come from pairs of
detections: each pair is triangulated, the pair that most views agree with wins, and its members are taken. Known
people, from the moment before, are matched first. In each view, people are matched to detections by one optimal
assignment (Hungarian).

*Agreement* of a detection with a skeleton in the world is the trust-weighted mean over joints of exp(−r² / 2t²), r the
reprojection error in ideal pixels and t a tenth of the person's size there (√ of the area of the keypoints' box): OKS
between reprojection and detection with one constant for all joints. For two detections it falls with the distance of
each joint from the other's epipolar line.

Ideas from: Dong et al. 2019 (cycle consistency), Zhang et al. 2020 (time and views in one association), Chen et al.
2020 (matching to the skeletons before). None of their code was used.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from trustpose.geometry.cameras import Cameras
from trustpose.multiview.triangulation import solve_linear, to_plane

AGREEMENT = 0.3  # below it a detection does not show the person: on average, joints 1.5 tolerances off
TOLERANCE = 0.1  # of the person's size in the image
NEW = 0.5  # of a pair of views that begins a person: the only evidence is the distance from epipolar lines
_ROUNDS = 3
_NEAREST = 1e-6


@dataclass(frozen=True, eq=False)
class Detections:
    """D people that the cameras see at one moment: `view` (D,), `row` (D,) of that view's poses, `ideal` (D, K, 2)
    ideal pixels, `weight` (D, K), 0 for a joint that is not seen, and `tolerance` (D,) in pixels."""

    view: Int[np.ndarray, " D"]
    row: Int[np.ndarray, " D"]
    ideal: Float[np.ndarray, "D K 2"]
    weight: Float[np.ndarray, "D K"]
    tolerance: Float[np.ndarray, " D"]

    def __len__(self) -> int:
        return len(self.view)


class Rig:
    """The cameras, as arrays for the few points of one moment."""

    def __init__(self, cameras: Cameras) -> None:
        self.cameras = cameras
        self.projection = cameras.projections()  # (V, 3, 4)

    def reproject(self, xyz: Float[np.ndarray, "P K 3"]) -> Float[np.ndarray, "V P K 2"]:
        """Return ideal pixels in all views; NaN behind a camera."""
        rotated = np.einsum("vij,pkj->vpki", self.projection[:, :, :3], xyz) + self.projection[:, None, None, :, 3]
        depth = rotated[..., 2:]
        with np.errstate(invalid="ignore"):
            return rotated[..., :2] / np.where(depth > _NEAREST, depth, np.nan)

    def triangulate(self, detections: Detections, members: Int[np.ndarray, "P V"]) -> Float[np.ndarray, "P K 3"]:
        """Return the skeletons of groups, `members` being detections or -1, by weighted linear triangulation."""
        people, views = members.shape
        k = detections.ideal.shape[1]
        is_member = members >= 0
        ideal = detections.ideal[members]  # (P, V, K, 2)
        weight = np.where(is_member[..., None], detections.weight[members], 0.0)  # (P, V, K)
        seen = weight.transpose(1, 0, 2).reshape(views, -1)
        pixels = np.nan_to_num(ideal).transpose(1, 0, 2, 3).reshape(views, -1, 2)
        plane = np.stack(
            [to_plane(camera, view_pixels) for camera, view_pixels in zip(self.cameras, pixels, strict=True)]
        )
        xyz = solve_linear(plane, seen, self.cameras)
        xyz[(seen > 0).sum(axis=0) < 2] = np.nan
        return xyz.reshape(people, k, 3)


def agreements(rig: Rig, detections: Detections, xyz: Float[np.ndarray, "P K 3"]) -> Float[np.ndarray, "P D"]:
    """Return the agreement (P, D), 0–1, of every detection with every skeleton; joints that one of both lacks do not
    count, and 0 without a common joint."""
    seen = rig.reproject(xyz)[detections.view]  # (D, P, K, 2)
    squared = ((seen - detections.ideal[:, None]) ** 2).sum(axis=3) / detections.tolerance[:, None, None] ** 2
    weight = np.where(np.isfinite(squared), detections.weight[:, None], 0.0)
    close = np.where(weight > 0, np.exp(-np.nan_to_num(squared) / 2), 0.0)
    total = weight.sum(axis=2)
    common = (weight > 0).sum(axis=2) >= min(3, detections.ideal.shape[1])
    mean = (close * weight).sum(axis=2) / np.where(total > 0, total, 1.0)
    return np.where(common, mean, 0.0).T


def associate(
    rig: Rig, detections: Detections, skeletons: Float[np.ndarray, "P K 3"], min_agreement: float = AGREEMENT
) -> Int[np.ndarray, "Q V"]:
    """Return the detections of each person in each view (Q, V), -1 for none: first the P known people in their order,
    some of whom no camera may see, then the new ones.

    skeletons: the known people's joints in metres, NaN where unknown. A new person is seen by two views or more.
    """
    views = len(rig.cameras)
    members = _assign(rig, detections, skeletons, min_agreement)
    for _ in range(_ROUNDS):
        members = _drop_disagreeing(rig, detections, members, skeletons, min_agreement)
        free = np.setdiff1d(np.arange(len(detections)), members)
        new = _new_people(rig, detections, free, min_agreement)
        if not len(new):
            break
        together = np.concatenate([members, new]) if len(members) else new
        skeletons = _skeletons(rig, detections, together, skeletons)
        again = _assign(rig, detections, skeletons, min_agreement)
        is_kept = (again >= 0).sum(axis=1) >= 2
        is_kept[: len(members)] = True
        if (again == together).all():
            members = together
            break
        members, skeletons = again[is_kept], skeletons[is_kept]
    return members.reshape(-1, views)


def _assign(rig: Rig, detections: Detections, xyz: np.ndarray, min_agreement: float) -> Int[np.ndarray, "P V"]:
    """Return in every view the optimal assignment of detections to skeletons."""
    members = np.full((len(xyz), len(rig.cameras)), -1)
    if not len(xyz) or not len(detections):
        return members
    agreement = agreements(rig, detections, xyz)
    for view in range(len(rig.cameras)):
        in_view = np.flatnonzero(detections.view == view)
        gain = np.where(agreement[:, in_view] >= min_agreement, agreement[:, in_view], 0.0)
        for person, column in zip(*linear_sum_assignment(-gain), strict=True):
            if gain[person, column] > 0:
                members[person, view] = in_view[column]
    return members


def _skeletons(
    rig: Rig, detections: Detections, members: np.ndarray, skeletons: np.ndarray
) -> Float[np.ndarray, "P K 3"]:
    """Return the groups' skeletons; the known one's joints where the group gives none."""
    xyz = rig.triangulate(detections, members)
    before = skeletons[: len(xyz)]
    xyz[: len(before)] = np.where(np.isfinite(xyz[: len(before)]), xyz[: len(before)], before)
    return xyz


def _drop_disagreeing(
    rig: Rig, detections: Detections, members: np.ndarray, skeletons: np.ndarray, min_agreement: float
) -> Int[np.ndarray, "P V"]:
    """Return the groups less the members that do not agree with the skeleton of the others."""
    members = members.copy()
    if not len(detections) or not len(members):
        return members
    for _ in range(members.shape[1] - 2):
        is_member = members >= 0
        agreement = agreements(rig, detections, _skeletons(rig, detections, members, skeletons))
        its = np.where(is_member, np.take_along_axis(agreement, np.maximum(members, 0), axis=1), np.inf)
        worst = its.argmin(axis=1)
        out = (its.min(axis=1) < min_agreement) & (is_member.sum(axis=1) > 2)
        if not out.any():
            break
        members[out, worst[out]] = -1
    return members


def _new_people(rig: Rig, detections: Detections, free: np.ndarray, min_agreement: float) -> Int[np.ndarray, "Q V"]:
    """Return groups of detections that are not assigned yet, the best supported pair of views first."""
    views, groups = len(rig.cameras), []
    pairs = [(a, b) for a, b in combinations(free.tolist(), 2) if detections.view[a] != detections.view[b]]
    if not pairs:
        return np.zeros((0, views), dtype=np.int64)
    members = np.full((len(pairs), views), -1)
    first, second = np.array(pairs).T
    members[np.arange(len(pairs)), detections.view[first]] = first
    members[np.arange(len(pairs)), detections.view[second]] = second
    agreement = agreements(rig, detections, rig.triangulate(detections, members))  # (pairs, D)
    both = np.minimum(agreement[np.arange(len(pairs)), first], agreement[np.arange(len(pairs)), second])
    possible, is_taken = both >= NEW, np.zeros(len(detections), np.bool_)
    is_taken[np.setdiff1d(np.arange(len(detections)), free)] = True
    while possible.any():
        best = np.full((len(pairs), views), 0.0)
        which = np.full((len(pairs), views), -1)
        for view in range(views):
            in_view = np.flatnonzero((detections.view == view) & ~is_taken)
            if len(in_view):
                which[:, view] = in_view[agreement[:, in_view].argmax(axis=1)]
                best[:, view] = agreement[:, in_view].max(axis=1)
        which, best = np.where(best >= min_agreement, which, -1), np.where(best >= min_agreement, best, 0.0)
        winner = int(np.where(possible, best.sum(axis=1), -1).argmax())
        group = np.where(members[winner] >= 0, members[winner], which[winner])
        groups.append(group)
        is_taken[group[group >= 0]] = True
        possible &= ~(is_taken[first] | is_taken[second])
    return np.array(groups, dtype=np.int64).reshape(-1, views)

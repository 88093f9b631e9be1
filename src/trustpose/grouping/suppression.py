"""Suppress duplicate poses of one person: OKS-NMS, soft-NMS and pose NMS between the poses of a photo.

A detector gives some people several boxes, and the network then predicts several poses for them. OKS-NMS keeps the best
of overlapping poses (code of SimpleBaseline and HRNet, leoxiaobin/deep-high-resolution-net.pytorch, `lib/nms/nms.py`);
soft-NMS keeps all and lowers the scores of those that overlap with a better one (Bodla et al., "Soft-NMS", ICCV 2017,
figure 2; OKS instead of IoU as in OKS-Net, section IV-C). Pose NMS is AlphaPose's (`pose_nms`). None changes the
estimator's scores: they return the rows to keep and the scores to rank by.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.files import InputError
from trustpose.geometry.crops import grow_box
from trustpose.geometry.oks import oks_between
from trustpose.grouping.pose_nms import (
    ALPHAPOSE,
    ALPHAPOSE_THRESHOLD,
    PoseDistance,
    merge,
    pose_similarity,
    read_distance,
)
from trustpose.names import expected_one_of
from trustpose.poses import Poses, box_size
from trustpose.skeletons import Skeleton

PoseArea = Literal["crop", "box", "keypoints"]
POSE_AREAS: tuple[PoseArea, ...] = get_args(PoseArea)
Method = Literal["none", "oks-nms", "soft-oks-nms", "soft-oks-nms-linear", "pose-nms"]
METHODS: tuple[Method, ...] = get_args(Method)
DROPPING_METHODS = ("oks-nms", "pose-nms")
SOFT_METHODS = ("soft-oks-nms", "soft-oks-nms-linear")  # which lower scores and keep all poses
THRESHOLD = 0.9  # HRNet's OKS_THRE, for both of its methods
_TRUST = ("quality", "visibility", "pose_quality", "presence")
POSE_THRESHOLD = 0.5  # of pose-nms, with `PoseDistance()`: https://trustpose.github.io/trustpose/suppression.html
PADDING, ASPECT = 1.25, 3 / 4  # of HRNet's and SimpleBaseline's crops
_PAIRS = 2**14  # pairs of poses at a time, over photos with the same number of poses

Suppress = Callable[[Poses, Float[np.ndarray, " N"]], "Suppressed"]
Overlap = Float[np.ndarray, "*I n n"]


@dataclass(frozen=True)
class Suppression:
    """A method with its threshold and the area for OKS, as in `suppress`. Raises ValueError as it does."""

    method: Method
    threshold: float = THRESHOLD
    area: PoseArea = "crop"

    def __post_init__(self) -> None:
        check_threshold(self.method, self.threshold)
        check_area(self.area)


@dataclass(frozen=True, eq=False)
class Suppressed:
    """keep (N,): the poses that are kept, of N. score (N,): the score to rank each by, never higher than before.
    instead (N,): the row of the kept pose for which each was dropped; its own for those that are kept."""

    keep: Bool[np.ndarray, " N"]
    score: Float[np.ndarray, " N"]
    instead: Int[np.ndarray, " N"]


def suppress(
    poses: Poses,
    score: Float[np.ndarray, " N"],
    *,
    method: Method,
    threshold: float,
    sigmas: Float[np.ndarray, " K"],
    area: PoseArea,
    in_vis_threshold: float | None = None,
    distance: PoseDistance | None = None,
) -> Suppressed:
    """Suppress poses that overlap with a better one of their image, best by `score` (N,) first, the earlier row in
    ties. Images are independent; those with the same number of poses are processed together.

    method "oks-nms" drops poses whose OKS with a kept one is above `threshold`; "soft-oks-nms" multiplies their scores
    by exp(−OKS² / threshold), "soft-oks-nms-linear" by 1 − OKS if OKS reaches `threshold`, and both keep all rows;
    "pose-nms" drops poses whose similarity to a kept one is above `threshold` (`pose_nms.pose_similarity`, by
    `distance` and in the boxes that `area` names); "none" changes nothing. area: see `pose_area`. Keypoints missing in
    either pose are not compared; with in_vis_threshold, only those with a higher score in both are. Raises ValueError
    if a number is out of range or a required column is None.
    """
    check_threshold(method, threshold)
    if score.shape != (len(poses),) or not np.isfinite(score).all():
        raise ValueError(f"score: expected {len(poses)} finite numbers, one per pose")
    row = np.arange(len(poses))
    instead, ranked = row.copy(), score.astype(np.float64)
    if method == "none" or not len(poses):
        return Suppressed(instead == row, ranked, instead)
    if poses.image_id is None:
        raise ValueError("suppress: Poses.image_id is None, it is unknown which poses are of one photo")
    if len(sigmas) != poses.keypoint_count:
        raise ValueError(f"sigmas: expected {poses.keypoint_count} numbers, one per keypoint, got {len(sigmas)}")
    counted = _counted(poses, in_vis_threshold)
    overlap_between = _overlap_of(poses, sigmas, area, (distance or PoseDistance()) if method == "pose-nms" else None)
    for rows in _photos_of_one_size(poses.image_id):  # (I, n)
        overlap = overlap_between(rows, None if counted is None else counted[rows])
        if method in DROPPING_METHODS:
            instead[rows] = np.take_along_axis(rows, kept_instead(overlap, ranked[rows], threshold), axis=-1)
        else:
            decay = linear_decay if method == "soft-oks-nms-linear" else gaussian_decay
            ranked[rows] = soft_nms(overlap, ranked[rows], lambda value, decay=decay: decay(value, threshold))
    return Suppressed(instead == row, ranked, instead)


def merge_dropped(poses: Poses, suppressed: Suppressed, area: str) -> Poses:
    """Return all poses, with the keypoints of dropped ones merged into those of the kept ones (`pose_nms.merge`).

    area: as of `suppress`. Raises ValueError for poses with trust, which is that of other positions, and without
    keypoint scores.
    """
    trust = [name for name in _TRUST if getattr(poses, name) is not None]
    if trust:
        raise ValueError(f"merge: the poses have {trust[0]}, which is of positions before merging; merge first")
    if poses.score is None:
        raise ValueError("merge needs the keypoints' scores, Poses.score is None")
    size, counted = _pose_size(poses, area), _counted(poses, None)
    xy, score = merge(poses.xy.astype(np.float64), poses.score, suppressed.instead, size, counted)
    return replace(poses, xy=xy, score=score)


def _counted(poses: Poses, in_vis_threshold: float | None) -> Bool[np.ndarray, "N K"] | None:
    """Return which keypoints are compared, None for all."""
    counted = None
    if in_vis_threshold is not None:
        if poses.score is None:
            raise ValueError("in_vis_threshold needs the keypoints' scores, Poses.score is None")
        counted = poses.score > in_vis_threshold
    if poses.missing is not None:
        counted = ~poses.missing if counted is None else counted & ~poses.missing
    return counted


def _overlap_of(
    poses: Poses, sigmas: Float[np.ndarray, " K"], area: PoseArea, distance: PoseDistance | None
) -> Callable[[Int[np.ndarray, "I n"], Bool[np.ndarray, "I n K"] | None], Overlap]:
    """Return a function from rows of photos (I, n), and the counted keypoints, to overlaps (I, n, n): OKS, or with
    `distance` the similarity of pose NMS."""
    size = _pose_size(poses, area)
    if distance is None:
        return lambda rows, counted: oks_between(poses.xy[rows], size[rows].prod(axis=-1), sigmas, counted)
    score = poses.score
    if score is None:
        raise ValueError("pose-nms needs the keypoints' scores, Poses.score is None")
    xy = poses.xy.astype(np.float64)
    return lambda rows, counted: pose_similarity(xy[rows], score[rows], size[rows], distance, counted)


def default_threshold(method: str | None, distance: PoseDistance | None = None) -> float:
    """Return a method's threshold if the user gives none; AlphaPose's own with its own distance."""
    if method == "pose-nms":
        return ALPHAPOSE_THRESHOLD if distance == ALPHAPOSE else POSE_THRESHOLD
    return THRESHOLD


def distance_of(method: str | None, distance: PoseDistance | str | None) -> PoseDistance | None:
    """Return the distance of "pose-nms", read from a text if it is one (`read_distance`).

    Raises ValueError for another text, and for a distance with another method.
    """
    if distance is not None and method != "pose-nms":
        raise ValueError(f"distance: is for pose-nms, expected none with {method}")
    return read_distance(distance) if isinstance(distance, str) else distance


def suppressor(
    method: str,
    threshold: float | None,
    area: str,
    skeleton: Skeleton,
    in_vis_threshold: float | None = None,
    distance: PoseDistance | str | None = None,
) -> Suppress:
    """Return `suppress` for poses of one skeleton, with the given options bound; threshold None: the method's default.

    Raises InputError for an unknown name, a threshold out of range, a distance that is none (`distance_of`) or a
    skeleton without sigmas; the returned function raises it for poses that lack required fields.
    """
    try:
        pose_distance = distance_of(method, distance)
        threshold = default_threshold(method, pose_distance) if threshold is None else threshold
        check_threshold(method, threshold)
        check_area(area)
        sigmas = skeleton.sigmas
    except ValueError as error:
        raise InputError(f"suppression: {error}") from None
    options: dict[str, Any] = {"method": method, "threshold": threshold, "area": area, "distance": pose_distance}

    def apply(poses: Poses, score: Float[np.ndarray, " N"]) -> Suppressed:
        try:
            return suppress(poses, score, sigmas=sigmas, in_vis_threshold=in_vis_threshold, **options)
        except ValueError as error:
            raise InputError(f"suppression: {error}") from None

    return apply


def suppress_poses(poses: Poses, apply: Suppress) -> Poses:
    """Return the remaining poses, with their new ranking score as `suppressed_score`."""
    if not len(poses):
        return replace(poses, suppressed_score=np.zeros(0))  # so that it can be joined to others
    result = apply(poses, poses.ranking_score)
    ranked = replace(poses, suppressed_score=result.score)
    return ranked if result.keep.all() else ranked[result.keep]  # the usual case copies nothing


def check_threshold(method: str, threshold: float) -> None:
    """Raise ValueError for an unknown method, or a threshold outside its range."""
    if method not in METHODS:
        raise ValueError(f"method: {expected_one_of(METHODS, method)}")
    if method == "soft-oks-nms" and not 0 < threshold < np.inf:
        raise ValueError(f"threshold: {method} expects a number above 0, got {threshold:g}")
    if method in ("oks-nms", "soft-oks-nms-linear", "pose-nms") and not 0 <= threshold <= 1:
        kind = "a similarity" if method == "pose-nms" else "an OKS"
        raise ValueError(f"threshold: {method} expects {kind} from 0 to 1, got {threshold:g}")


def pose_area(poses: Poses, convention: PoseArea) -> Float[np.ndarray, " N"]:
    """Return the area (N,) of each pose in square pixels, by a named convention.

    "crop" is the box extended to 3:4 and then enlarged by 1.25, as in HRNet and SimpleBaseline, whose threshold of 0.9
    refers to it; "box" is the box itself; "keypoints" the box around all keypoints, for poses without another (without
    missing and NaN ones; 0 if none remains). Raises ValueError for another name, or if a pose has no box.
    """
    return _pose_size(poses, convention).prod(axis=1)


def _pose_size(poses: Poses, convention: str) -> Float[np.ndarray, "N 2"]:
    """Return width and height (N, 2) of each pose's box, as `pose_area` has it."""
    check_area(convention)
    if convention == "keypoints":
        xy = poses.xy.astype(np.float64)
        is_position = np.isfinite(xy) & (True if poses.missing is None else ~poses.missing[..., None])
        extent = np.max(xy, axis=1, where=is_position, initial=-np.inf) - np.min(
            xy, axis=1, where=is_position, initial=np.inf
        )
        has_any = np.asarray(is_position.any(axis=(1, 2)))
        return np.where(has_any[:, None], np.maximum(extent, 0), 0.0)
    if poses.box is None:
        raise ValueError(f"area {convention!r} needs the poses' boxes; use area 'keypoints' without boxes")
    missing = ~np.isfinite(poses.box).all(axis=1)
    if missing.any():
        raise ValueError(
            f"area {convention!r} needs the poses' boxes, {missing.sum()} of {len(poses)} poses have none; "
            "use area 'keypoints'"
        )
    box = grow_box(poses.box, PADDING, ASPECT) if convention == "crop" else poses.box.astype(np.float64)
    return np.maximum(box_size(box), 0)


def check_area(convention: str) -> None:
    """Raise ValueError for an unknown area."""
    if convention not in POSE_AREAS:
        raise ValueError(f"area: {expected_one_of(POSE_AREAS, convention)}")


def greedy_nms(overlap: Overlap, score: Float[np.ndarray, "*I n"], threshold: float) -> Bool[np.ndarray, "*I n"]:
    """Return which of n candidates are kept: the best, then the best of those whose overlap with kept ones is at most
    `threshold`, and so on; the earlier in ties. Leading axes are processed together."""
    return kept_instead(overlap, score, threshold) == np.arange(score.shape[-1])


def kept_instead(overlap: Overlap, score: Float[np.ndarray, "*I n"], threshold: float) -> Int[np.ndarray, "*I n"]:
    """Return for each of n candidates the best kept one that it overlaps with, in `greedy_nms`; its own index if it is
    kept."""
    order = np.argsort(-score, axis=-1, kind="stable")
    near = np.take_along_axis(overlap > threshold, order[..., None], axis=-2)
    near = np.take_along_axis(near, order[..., None, :], axis=-1)  # (…, n, n), the best first
    rank = np.arange(score.shape[-1])
    best = np.broadcast_to(rank, score.shape).copy()  # ranks of the kept ones
    for kept in rank[:-1]:
        later = best[..., kept + 1 :]
        is_dropped = near[..., kept, kept + 1 :] & (best[..., kept, None] == kept) & (later == rank[kept + 1 :])
        later[is_dropped] = kept
    instead = np.empty_like(best)
    np.put_along_axis(instead, order, np.take_along_axis(order, best, axis=-1), axis=-1)
    return instead


def soft_nms(
    overlap: Overlap, score: Float[np.ndarray, "*I n"], decay: Callable[[Overlap], Overlap]
) -> Float[np.ndarray, "*I n"]:
    """Return scores after the n candidates were selected one by one, best first, the earlier in ties; each selected one
    multiplies the scores of the remaining ones by `decay` of its overlap with them (0–1).

    Scores of 0 or less stay unchanged. Bodla et al. 2017, figure 2.
    """
    score, is_remaining = score.astype(np.float64), np.ones(score.shape, dtype=bool)
    share = np.where(score[..., None, :] > 0, decay(overlap), 1.0)  # (…, n, n): factor of the remaining by the selected
    for _ in range(score.shape[-1] - 1):
        best = np.where(is_remaining, score, -np.inf).argmax(axis=-1)[..., None]  # (…, 1)
        np.put_along_axis(is_remaining, best, False, axis=-1)
        lowered = score * np.take_along_axis(share, best[..., None], axis=-2)[..., 0, :]  # (…, n)
        score = np.where(is_remaining, lowered, score)
    return score


def linear_decay(overlap: Overlap, threshold: float) -> Overlap:
    """Return 1 − overlap from `threshold` on, else 1. Bodla et al. 2017, section 3."""
    return np.where(overlap >= threshold, 1 - overlap, 1.0)


def gaussian_decay(overlap: Overlap, width: float) -> Overlap:
    """Return exp(−overlap² / width). Bodla et al. 2017, section 3, whose σ is `width`."""
    return np.exp(-(overlap**2) / width)


def _photos_of_one_size(image_id: Int[np.ndarray, " N"]) -> Iterator[Int[np.ndarray, "I n"]]:
    """Yield rows (I, n) of I photos with n poses each, in blocks of bounded size; within a photo in row order."""
    order = np.argsort(image_id, kind="stable")
    _, first, count = np.unique(image_id[order], return_index=True, return_counts=True)
    for n in np.unique(count):
        starts = first[count == n]
        step = max(1, _PAIRS // int(n) ** 2)
        for start in range(0, len(starts), step):
            yield order[starts[start : start + step, None] + np.arange(n)]

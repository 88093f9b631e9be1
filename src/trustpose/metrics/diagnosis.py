"""Classify each keypoint of a pose: good, jitter, inversion, swap or miss.

Source: Ronchi & Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", ICCV 2017, section 3.1,
and its public code coco-analyze, whose counts it reproduces. `diagnosis_impact.py` computes what the errors cost.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from trustpose.geometry.oks import opks
from trustpose.metrics.average_precision import MAX_DETECTIONS, evaluate
from trustpose.metrics.matching import Pairs, pair_oks, same_image_pairs
from trustpose.poses import Area, Poses, Truth

GOOD_OPKS = 0.85  # at or above: within the spread of human labels
NEAR_OPKS = 0.5  # at or above: near that joint; below for every joint: near none
LOCALISATION_OKS = 0.1  # a pose is diagnosed against its match at this OKS threshold
AREA_RANGE = (32.0**2, 1e5**2)  # square pixels; coco-analyze's "all" (COCO's own starts at 0)

CorrectionRule = Literal["coco-analyze", "exact"]
_BLOCK = 512  # poses at a time: their similarities stay in the processor's cache


class KeypointError(IntEnum):
    """The result for one predicted keypoint."""

    UNMATCHED = 0  # the pose has no match
    UNLABELLED = 1  # the person has no label for this joint
    GOOD = 2  # on its joint: OPKS >= 0.85
    JITTER = 3  # near its joint: 0.5 <= OPKS < 0.85
    INVERSION = 4  # near the mirrored joint (left for right) of the same person
    SWAP = 5  # near the same or the mirrored joint of another person
    MISS = 6  # near none of these, or missing


DIAGNOSED = (KeypointError.GOOD, KeypointError.JITTER, KeypointError.INVERSION, KeypointError.SWAP, KeypointError.MISS)
ERRORS = DIAGNOSED[1:]


@dataclass(frozen=True)
class Diagnosis:
    """The error of every keypoint of N poses, and its position if that error were corrected.

    `match` (N,) is the row of the person matched at OKS 0.1, or -1. `kind` (N, K) holds `KeypointError` values.
    `similarity` (N, K) is the highest OPKS with any of the joints compared (0 if not diagnosed). `xy` (N, K, 2) is the
    prediction, `corrected_xy` the same with every error corrected; image pixels.
    """

    match: Int[np.ndarray, " N"]
    kind: Int[np.ndarray, "N K"]
    similarity: Float[np.ndarray, "N K"]
    xy: Float[np.ndarray, "N K 2"]
    corrected_xy: Float[np.ndarray, "N K 2"]
    area_range: tuple[float, float]
    max_detections: int

    def counts(self) -> dict[str, int]:
        """Count the labelled keypoints of matched poses that are good, jitter, inversion, swap, miss."""
        return {name: int(column.sum()) for name, column in self.counts_per_keypoint().items()}

    def counts_per_keypoint(self) -> dict[str, Int[np.ndarray, " K"]]:
        """Return these counts for each of the K keypoints."""
        return {kind.name.lower(): np.count_nonzero(self.kind == kind, axis=0) for kind in DIAGNOSED}

    def corrected(self, kinds: Iterable[KeypointError]) -> Float[np.ndarray, "N K 2"]:
        """Return the prediction with only errors of these kinds corrected. (N, K, 2), image pixels."""
        return np.where(np.isin(self.kind, list(kinds))[..., None], self.corrected_xy, self.xy)


def diagnose(
    poses: Poses,
    truth: Truth,
    score: Float[np.ndarray, " N"],
    *,
    sigmas: Float[np.ndarray, " K"],
    flip_index: Int[np.ndarray, " K"],
    area: Area,
    area_range: tuple[float, float] = AREA_RANGE,
    max_detections: int = MAX_DETECTIONS,
    correction: CorrectionRule = "coco-analyze",
    pairs: Pairs | None = None,
) -> Diagnosis:
    """Classify every keypoint of every pose with a match in COCO's matching at OKS 0.1.

    Poses choose in the order of `score` (N,), at most `max_detections` per image. People outside `area_range` are
    matched only by poses without a match inside, and are diagnosed too, as in coco-analyze. `flip_index` (K,) is the
    skeleton's. A keypoint is near a joint if its OPKS there (with that person's area and the keypoint's own sigma) is
    >= 0.5; a missing keypoint is near none, even at (0, 0). If several are near, the highest decides; ties prefer its
    own joint, then another person's, then the mirrored one. `correction`: see `corrected_positions`. `pairs`: the
    result of `pair_oks` for the same poses, truth, sigmas and area, if known. Raises ValueError if flip_index or sigmas
    do not match K, or image_id or the area is None.
    """
    if sorted(flip_index) != list(range(poses.keypoint_count)):
        raise ValueError(f"flip_index: expected a permutation of 0..{poses.keypoint_count - 1}, got {flip_index}")
    if pairs is None:
        pairs = pair_oks(poses, truth, sigmas=sigmas, area=area)
    evaluation = evaluate(
        poses,
        truth,
        score,
        sigmas=sigmas,
        area=area,
        oks_thresholds=np.array([LOCALISATION_OKS]),
        area_ranges={"diagnosed": area_range},
        max_detections=max_detections,
        pairs=pairs,
    )
    match = np.full(len(poses), -1)
    match[evaluation.order] = evaluation.match[0, :, 0]
    scale = truth.area_of_all(area)
    kind, similarity = _classify(poses, truth, match, pairs, scale, sigmas, flip_index)
    xy = poses.xy.astype(np.float64, copy=False)
    corrected_xy = corrected_positions(xy, truth.xy, kind, similarity, match, scale, sigmas, correction)
    return Diagnosis(match, kind, similarity, xy, corrected_xy, area_range, max_detections)


def keypoint_errors(
    poses: Poses,
    truth: Truth,
    match: Int[np.ndarray, " N"],
    *,
    sigmas: Float[np.ndarray, " K"],
    flip_index: Int[np.ndarray, " K"],
    area: Area,
) -> Int[np.ndarray, "N K"]:
    """Return the `KeypointError` (N, K) of every pose with respect to the truth row `match` (N,) given for it, -1 for
    none, instead of COCO's match: also of a pose that lies entirely on another person. Keypoints are near a joint as in
    `diagnose`. A person of another image counts as none. Raises ValueError if image_id or the area is None."""
    if poses.image_id is None or truth.image_id is None:
        raise ValueError("keypoint_errors: image_id is needed in both poses and truth, one of them is None")
    match_in_image = np.where((match >= 0) & (truth.image_id[match] == poses.image_id), match, -1)
    pose, person = same_image_pairs(poses.image_id, truth.image_id)
    pairs = Pairs(pose, person, np.zeros(len(pose)))
    return _classify(poses, truth, match_in_image, pairs, truth.area_of_all(area), sigmas, flip_index)[0]


def _classify(
    poses: Poses,
    truth: Truth,
    match: Int[np.ndarray, " N"],
    pairs: Pairs,
    scale: Float[np.ndarray, " M"],
    sigmas: Float[np.ndarray, " K"],
    flip_index: Int[np.ndarray, " K"],
) -> tuple[Int[np.ndarray, "N K"], Float[np.ndarray, "N K"]]:
    """Return kind and highest similarity (N, K), from all pairs of pose and person in one image, in pose order."""
    assert truth.num_keypoints is not None
    kind = np.full(poses.xy.shape[:2], KeypointError.UNMATCHED, dtype=np.int8)
    kind[match >= 0] = KeypointError.UNLABELLED
    similarity = np.zeros(kind.shape)
    rows = np.flatnonzero(match >= 0)  # (S,)
    rows = rows[truth.num_keypoints[match[rows]] > 0]
    for start in range(0, len(rows), _BLOCK):
        block = rows[start : start + _BLOCK]
        part = slice(*np.searchsorted(pairs.pose, [block[0], block[-1] + 1]))
        pose, person = pairs.pose[part], pairs.person[part]
        of_block = np.isin(pose, block)
        kind[block], similarity[block] = _classify_pairs(
            poses, truth, match, pose[of_block], person[of_block], scale, sigmas, flip_index
        )
    return kind, similarity


def _classify_pairs(
    poses: Poses,
    truth: Truth,
    match: Int[np.ndarray, " N"],
    pose: Int[np.ndarray, " P"],
    person: Int[np.ndarray, " P"],
    scale: Float[np.ndarray, " M"],
    sigmas: Float[np.ndarray, " K"],
    flip_index: Int[np.ndarray, " K"],
) -> tuple[Int[np.ndarray, "S K"], Float[np.ndarray, "S K"]]:
    """Return kind and highest similarity (S, K) for the S poses of the pairs; each pose with all people in its
    image."""
    first = np.flatnonzero(np.r_[True, pose[1:] != pose[:-1]])
    pose_xy, true_xy = poses.xy[pose].astype(np.float64, copy=False), truth.xy[person]
    v, size = truth.v[person], scale[person]
    direct = opks(pose_xy, true_xy, v, size, sigmas)  # (P, K)
    mirrored = opks(pose_xy, true_xy[:, flip_index], v[:, flip_index], size, sigmas)
    if poses.missing is not None:
        direct[poses.missing[pose]] = mirrored[poses.missing[pose]] = 0.0  # near no joint, whatever its position
    is_match = person == match[pose]  # one pair per pose
    own_direct, own_mirrored = direct[is_match], mirrored[is_match]  # (S, K)
    direct[is_match] = mirrored[is_match] = -1.0  # only other people remain
    others_direct = np.maximum.reduceat(direct, first)
    others_mirrored = np.maximum.reduceat(mirrored, first)
    best = np.maximum.reduce([own_direct, own_mirrored, others_direct, others_mirrored])

    near = best >= NEAR_OPKS
    on_own = near & (own_direct == best)
    on_mirrored = near & ~on_own & (own_mirrored == best) & (others_direct < best)
    on_others = near & ~on_own & ~on_mirrored
    kind = np.full(best.shape, KeypointError.MISS)
    kind[on_own] = np.where(best[on_own] >= GOOD_OPKS, KeypointError.GOOD, KeypointError.JITTER)
    kind[on_mirrored] = KeypointError.INVERSION
    kind[on_others] = KeypointError.SWAP
    unlabelled = truth.v[person[is_match]] == 0
    kind[unlabelled] = KeypointError.UNLABELLED
    return kind, np.where(unlabelled, 0.0, best)


def corrected_positions(
    xy: Float[np.ndarray, "N K 2"],
    truth_xy: Float[np.ndarray, "M K 2"],
    kind: Int[np.ndarray, "N K"],
    similarity: Float[np.ndarray, "N K"],
    match: Int[np.ndarray, " N"],
    area: Float[np.ndarray, " M"],
    sigmas: Float[np.ndarray, " K"],
    rule: CorrectionRule = "coco-analyze",
) -> Float[np.ndarray, "N K 2"]:
    """Return the position of each keypoint without its error, image pixels; good and undiagnosed ones stay.

    A corrected keypoint is placed to the right of its label, at a distance that depends on the error: a jitter at OPKS
    0.85, a miss at 0.5, an inversion or swap at the OPKS that it has with the joint it is near. "exact" uses the
    distance with this OPKS. "coco-analyze" uses half of it, because that code converts OPKS to pixels with σ where OKS
    has k = 2σ; OPKS becomes the fourth root: 0.96 for a jitter, 0.84 for a miss. Raises ValueError for another rule.
    """
    if rule not in ("coco-analyze", "exact"):
        raise ValueError(f"correction: expected 'coco-analyze' or 'exact', got {rule!r}")
    target = np.where(kind == KeypointError.JITTER, GOOD_OPKS, np.where(kind == KeypointError.MISS, NEAR_OPKS, 1.0))
    displaced = (kind == KeypointError.INVERSION) | (kind == KeypointError.SWAP)
    target[displaced] = similarity[displaced]
    row, keypoint = np.nonzero(np.isin(kind, ERRORS))
    person = match[row]
    spread = sigmas[keypoint] if rule == "coco-analyze" else 2 * sigmas[keypoint]
    corrected = xy.copy()
    corrected[row, keypoint] = truth_xy[person, keypoint]
    corrected[row, keypoint, 0] += np.sqrt(-np.log(target[row, keypoint]) * 2 * area[person] * spread**2)
    return corrected

"""Error diagnosis: kinds of keypoint errors, and scores that rank a worse pose first.

Source: Ronchi & Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation", ICCV 2017, section 3.1,
and its public code coco-analyze, whose counts it reproduces. `diagnosis_impact.py` computes what the errors cost.

Scoring errors are poses ranked below worse poses of the same person. Source: Ronchi & Perona, ICCV 2017, section 3.2,
and coco-analyze; its soft non-maximum suppression is Bodla et al., "Soft-NMS", ICCV 2017, with OKS between poses
instead of box overlap.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.oks import opks
from trustpose.metrics.average_precision import MAX_DETECTIONS, evaluate
from trustpose.metrics.matching import Pairs, best_in_image, pair_oks, same_image_pairs
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
    pose_area: Float[np.ndarray, " N"] | None = None,
) -> Diagnosis:
    """Classify every keypoint of every pose with a match in COCO's matching at OKS 0.1.

    Poses choose in the order of `score` (N,), at most `max_detections` per image. People outside `area_range` are
    matched only by poses without a match inside, and are diagnosed too, as in coco-analyze. `flip_index` (K,) is the
    skeleton's. A keypoint is near a joint if its OPKS there (with that person's area and the keypoint's own sigma) is
    >= 0.5; a missing keypoint is near none, even at (0, 0). If several are near, the highest decides; ties prefer its
    own joint, then another person's, then the mirrored one. `correction`: see `corrected_positions`. `pairs`: the
    result of `pair_oks` for the same poses, truth, sigmas and area, if known; `pose_area` (N,): that of
    `area_of_poses`, if known. Raises ValueError if flip_index or sigmas do not match K, or image_id or the area is
    None.
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
        pose_area=pose_area,
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
    opks_direct = opks(pose_xy, true_xy, v, size, sigmas)  # (P, K)
    opks_mirrored = opks(pose_xy, true_xy[:, flip_index], v[:, flip_index], size, sigmas)
    if poses.missing is not None:
        opks_direct[poses.missing[pose]] = opks_mirrored[poses.missing[pose]] = (
            0.0  # near no joint, whatever its position
        )
    is_match = person == match[pose]  # one pair per pose
    own_direct, own_mirrored = opks_direct[is_match], opks_mirrored[is_match]  # (S, K)
    opks_direct[is_match] = opks_mirrored[is_match] = -1.0  # only other people remain
    others_direct = np.maximum.reduceat(opks_direct, first)
    others_mirrored = np.maximum.reduceat(opks_mirrored, first)
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


COMPETING_OKS = 0.5  # poses at or above compete for a person
NEAR_OKS = 0.1  # poses above are near a person
_SUPPRESSION_WIDTH = 0.5  # soft-NMS's σ: a neighbour's score is multiplied by exp(−OKS² / σ)
_OKS_BLOCK = 4096  # pairs of poses at a time


@dataclass(frozen=True)
class ScoreDiagnosis:
    """Scoring errors of N poses and M people.

    `max_oks` (N,) is the highest OKS with any person that counts, `optimal_score` (N,) the same after soft-NMS; NaN for
    poses beyond the best `max_detections` of their image. `misranked` (M,) marks people whose best pose is outranked by
    another pose within OKS 0.5; `misranked_after` (M,) the same under the optimal score. `reordered_images` of `images`
    (those with poses) have poses whose order the optimal score changes. Of the people whom several poses are near
    (above OKS 0.1), `closest` (P,) is each one's pose of highest OKS, and `others` (Q,) are the rest; a pose near two
    is there twice.
    """

    max_oks: Float[np.ndarray, " N"]
    optimal_score: Float[np.ndarray, " N"]
    misranked: Bool[np.ndarray, " M"]
    misranked_after: Bool[np.ndarray, " M"]
    reordered_images: int
    images: int
    closest: Int[np.ndarray, " P"]
    others: Int[np.ndarray, " Q"]


def diagnose_scores(
    poses: Poses,
    truth: Truth,
    score: Float[np.ndarray, " N"],
    *,
    sigmas: Float[np.ndarray, " K"],
    area: Area,
    area_range: tuple[float, float] = AREA_RANGE,
    max_detections: int = MAX_DETECTIONS,
) -> ScoreDiagnosis:
    """Find scoring errors of poses with uncorrected keypoints, ranked by `score` (N,).

    People count unless they are crowds, have no keypoints or lie outside `area_range`. Raises ValueError if image_id,
    the area or, for people without keypoints, the box is missing.
    """
    pairs = pair_oks(poses, truth, sigmas=sigmas, area=area)
    assert poses.image_id is not None
    rows = best_in_image(poses.image_id, score, max_detections)
    pairs = _among(pairs, rows, counted_people(truth, area, area_range))
    image_id = poses.image_id[rows]
    max_oks, optimal = np.full(len(poses), np.nan), np.full(len(poses), np.nan)
    max_oks[rows] = highest_oks(pairs, len(poses))[rows]
    optimal[rows] = optimal_score(poses[rows], max_oks[rows], sigmas)
    rises = (np.diff(optimal[rows]) > 0) & (image_id[1:] == image_id[:-1])
    # ties in the optimal score keep their order, as in a stable sort
    position, position_after = np.full(len(poses), len(poses)), np.full(len(poses), len(poses))
    position[rows] = np.arange(len(rows))
    position_after[rows[np.lexsort((-optimal[rows], image_id))]] = np.arange(len(rows))
    return ScoreDiagnosis(
        max_oks=max_oks,
        optimal_score=optimal,
        misranked=misranked_people(pairs, position, truth),
        misranked_after=misranked_people(pairs, position_after, truth),
        reordered_images=len(np.unique(image_id[1:][rises])),
        images=len(np.unique(image_id)),
        **dict(zip(("closest", "others"), near_poses(pairs, position), strict=True)),
    )


def counted_people(truth: Truth, area: Area, area_range: tuple[float, float]) -> Bool[np.ndarray, " M"]:
    """Return the people who count in COCO evaluation: with keypoints, no crowds, with an area within the range."""
    size = truth.area_of_all(area)
    assert truth.iscrowd is not None and truth.num_keypoints is not None
    return (size >= area_range[0]) & (size <= area_range[1]) & ~truth.iscrowd & (truth.num_keypoints > 0)


def highest_oks(pairs: Pairs, count: int) -> Float[np.ndarray, " N"]:
    """Return the highest OKS of each of `count` poses over its pairs, 0 without any."""
    highest = np.zeros(count)
    np.maximum.at(highest, pairs.pose, pairs.oks)
    return highest


def optimal_score(
    poses: Poses, max_oks: Float[np.ndarray, " N"], sigmas: Float[np.ndarray, " K"]
) -> Float[np.ndarray, " N"]:
    """Return each pose's highest OKS, lowered by soft-NMS so that duplicates rank below the better pose. (N,), 0–1.

    In each image the pose with the highest score is selected, and the scores of the rest are multiplied by exp(−OKS² /
    0.5) with their OKS to it (over the keypoints found in both, with the mean area of the two poses' keypoint boxes);
    this is repeated. Images with the same number of poses are processed together. Raises ValueError if image_id is
    None.
    """
    if poses.image_id is None:
        raise ValueError("optimal_score: image_id is needed in poses, it is None")
    by_image = np.argsort(poses.image_id, kind="stable")
    _, first, count = np.unique(poses.image_id[by_image], return_index=True, return_counts=True)
    missing = np.zeros(poses.xy.shape[:2], dtype=bool) if poses.missing is None else poses.missing
    low_x, low_y, high_x, high_y = np.nan_to_num(poses.keypoint_box()).T
    area = (high_x - low_x) * (high_y - low_y)
    result = max_oks.astype(np.float64)
    for n in np.unique(count[count > 1]):
        starts = first[count == n]
        step = max(1, _OKS_BLOCK // int(n) ** 2)
        for start in range(0, len(starts), step):
            rows = by_image[starts[start : start + step, None] + np.arange(n)]  # (I, n)
            result[rows] = _suppress(result[rows], _oks_between(poses.xy[rows], ~missing[rows], area[rows], sigmas))
    return result


def _oks_between(
    xy: Float[np.ndarray, "I n K 2"],
    has_position: Bool[np.ndarray, "I n K"],
    area: Float[np.ndarray, "I n"],
    sigmas: Float[np.ndarray, " K"],
) -> Float[np.ndarray, "I n n"]:
    """Return OKS between all poses of an image, over the keypoints found in both; 0 without any."""
    both = has_position[:, :, None] & has_position[:, None]  # (I, n, n, K)
    terms = opks(xy[:, :, None], xy[:, None], both, 0.5 * (area[:, :, None] + area[:, None]), sigmas)
    return terms.sum(axis=-1) / np.maximum(np.count_nonzero(both, axis=-1), 1)


def _suppress(score: Float[np.ndarray, "I n"], oks: Float[np.ndarray, "I n n"]) -> Float[np.ndarray, "I n"]:
    """Apply soft-NMS: return scores after all n poses of each image were selected in turn."""
    images = np.arange(len(score))
    is_unselected = np.ones(score.shape, dtype=bool)
    kept_share = np.exp(-(oks**2) / _SUPPRESSION_WIDTH)  # (I, n, n)
    for _ in range(score.shape[1] - 1):
        best = np.where(is_unselected, score, -np.inf).argmax(axis=1)  # (I,)
        is_unselected[images, best] = False
        score = np.where(is_unselected, score * kept_share[images, best], score)
    return score


def misranked_people(pairs: Pairs, position: Int[np.ndarray, " N"], truth: Truth) -> Bool[np.ndarray, " M"]:
    """Return the people (M,) for whom the best ranked of the poses within OKS 0.5 is not the one with the highest OKS.

    `position` (N,) orders the poses of an image, best first. In each image, people choose in descending order of their
    highest OKS; each uses up its best pose, and the first without a free pose ends the image (as in coco-analyze).
    """
    misranked = np.zeros(len(truth), dtype=bool)
    pairs = pairs.at_least(COMPETING_OKS)
    assert truth.image_id is not None
    closest = np.zeros(len(truth))
    np.maximum.at(closest, pairs.person, pairs.oks)
    people = np.unique(pairs.person)
    people = people[np.lexsort((-closest[people], truth.image_id[people]))]
    image = truth.image_id[people]
    turn = np.zeros(len(truth), dtype=np.int64)
    turn[people] = np.arange(len(people)) - np.searchsorted(image, image, side="left")

    used = np.zeros(len(position), dtype=bool)
    open_images = np.unique(image)
    by_choice = np.lexsort((position[pairs.pose], -pairs.oks, pairs.person))
    pose, person = pairs.pose[by_choice], pairs.person[by_choice]
    for round_number in range(int(turn.max(initial=-1)) + 1):
        rows = np.flatnonzero(
            (turn[person] == round_number) & ~used[pose] & np.isin(truth.image_id[person], open_images)
        )
        people_in_turn, first = np.unique(person[rows], return_index=True)
        chosen = pose[rows[first]]  # of highest OKS
        best_position = np.full(len(truth), len(position))
        np.minimum.at(best_position, person[rows], position[pose[rows]])
        misranked[people_in_turn] = best_position[people_in_turn] < position[chosen]
        used[chosen] = True
        open_images = truth.image_id[people_in_turn]
    return misranked


def near_poses(pairs: Pairs, position: Int[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " Q"]]:
    """Return `ScoreDiagnosis.closest` and `others`; of equal OKS, the pose that `position` (N,) has first is
    closest."""
    near = np.flatnonzero(pairs.oks > NEAR_OKS)
    near = near[np.lexsort((position[pairs.pose[near]], -pairs.oks[near], pairs.person[near]))]
    _, first, count = np.unique(pairs.person[near], return_index=True, return_counts=True)
    is_contested = np.repeat(count > 1, count)
    is_first = np.isin(np.arange(len(near)), first)
    return pairs.pose[near[is_first & is_contested]], pairs.pose[near[~is_first]]


def _among(pairs: Pairs, rows: Int[np.ndarray, " D"], counted: Bool[np.ndarray, " M"]) -> Pairs:
    """Return the pairs of these poses with people that count."""
    keep = np.isin(pairs.pose, rows) & counted[pairs.person]
    return Pairs(pairs.pose[keep], pairs.person[keep], pairs.oks[keep])

"""Find scoring errors: poses ranked below worse poses of the same person; and compute the optimal score.

Source: Ronchi & Perona, ICCV 2017, section 3.2, and coco-analyze; its soft non-maximum suppression is Bodla et al.,
"Soft-NMS", ICCV 2017, with OKS between poses instead of box overlap.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.oks import opks
from trustpose.metrics.average_precision import MAX_DETECTIONS
from trustpose.metrics.diagnosis import AREA_RANGE
from trustpose.metrics.matching import Pairs, best_in_image, pair_oks
from trustpose.poses import Area, Poses, Truth

COMPETING_OKS = 0.5  # poses at or above compete for a person
NEAR_OKS = 0.1  # poses above are near a person
_SUPPRESSION_WIDTH = 0.5  # soft-NMS's σ: a neighbour's score is multiplied by exp(−OKS² / σ)
_BLOCK = 4096  # pairs of poses at a time


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
    rows = best_in_image(poses.image_id, score, max_detections)[0]
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
        step = max(1, _BLOCK // int(n) ** 2)
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

"""Match predicted poses with labelled people: as COCO's evaluation does, and one to one, best first."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.oks import oks as object_keypoint_similarity
from trustpose.geometry.oks import opks
from trustpose.poses import MISSING_ID, Area, Poses, Truth, check_same_skeleton

_ROWS = 2**16  # poses at a time: all their pairs are listed before distant ones are dropped
_CHUNK = 4096  # pairs at a time: their coordinates and similarities fit into the processor's cache


@dataclass(frozen=True)
class Pairs:
    """Poses and people of the same image with their OKS: row of the poses, row of the truth, OKS (0–1), each (P,)."""

    pose: Int[np.ndarray, " P"]
    person: Int[np.ndarray, " P"]
    oks: Float[np.ndarray, " P"]

    def at_least(self, minimum: float) -> "Pairs":
        """Return the pairs whose OKS reaches `minimum`."""
        keep = self.oks >= minimum
        return Pairs(self.pose[keep], self.person[keep], self.oks[keep])


def pair_oks(
    poses: Poses,
    truth: Truth,
    *,
    sigmas: Float[np.ndarray, " K"],
    area: Area,
    rows: Int[np.ndarray, " R"] | None = None,
    minimum: float = 0.0,
) -> Pairs:
    """Compute OKS of every pose (or of those in `rows`) with every person of its image; return pairs that reach
    `minimum`.

    Pairs are in the order of the poses, then of the people. People without labelled keypoints are compared with their
    doubled box, as in pycocotools. Raises ValueError if an image_id, the area or the box is missing or K differs.
    """
    _check(poses, truth, sigmas)
    rows = np.arange(len(poses)) if rows is None else rows
    assert poses.image_id is not None and truth.image_id is not None
    by_image = np.argsort(truth.image_id, kind="stable")
    image = truth.image_id[by_image]
    scale = truth.area_of_all(area)
    labelled = truth.v > 0
    count = np.count_nonzero(labelled, axis=1)
    reach = _reach(truth, labelled, scale, sigmas, minimum) if minimum > 0 else None
    pairs = [Pairs(rows[:0], by_image[:0], np.zeros(0))]
    for first in range(0, len(rows), _ROWS):
        block = rows[first : first + _ROWS]
        pose, person = same_image_pairs(poses.image_id[block], image)
        person = by_image[person]
        if reach is not None:
            near = _near_enough(poses[block], pose, person, *reach)
            pose, person = pose[near], person[near]
        pose = block[pose]
        for start in range(0, len(pose), _CHUNK):
            part = slice(start, start + _CHUNK)
            pairs.append(_oks_of_pairs(poses, truth, pose[part], person[part], labelled, count, scale, sigmas, minimum))
    return Pairs(*(np.concatenate([getattr(part, name) for part in pairs]) for name in ("pose", "person", "oks")))


def _check(poses: Poses, truth: Truth, sigmas: np.ndarray) -> None:
    if poses.image_id is None or truth.image_id is None:
        raise ValueError("matching needs image_id in both poses and truth, one of them is None")
    if not poses.keypoint_count == truth.keypoint_count == len(sigmas):
        raise ValueError(
            f"keypoints: poses have {poses.keypoint_count}, truth {truth.keypoint_count}, sigmas {len(sigmas)}; "
            "expected the same number"
        )


def same_image_pairs(
    pose_image: Int[np.ndarray, " N"], person_image: Int[np.ndarray, " M"]
) -> tuple[Int[np.ndarray, " P"], Int[np.ndarray, " P"]]:
    """Return rows (P,) of poses and (P,) of people that share an image id: poses in order, people in order within
    each."""
    by_image = np.argsort(person_image, kind="stable")
    sorted_image = person_image[by_image]
    first = np.searchsorted(sorted_image, pose_image, side="left")  # (N,)
    count = np.searchsorted(sorted_image, pose_image, side="right") - first
    pose = np.repeat(np.arange(len(pose_image)), count)  # (P,)
    start_of_run = np.repeat(np.cumsum(count) - count, count)
    person = by_image[np.repeat(first, count) + np.arange(len(pose)) - start_of_run]
    return pose, person


def _reach(
    truth: Truth, labelled: np.ndarray, scale: np.ndarray, sigmas: np.ndarray, minimum: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the low and high corners (M, 2) that a pose's keypoints' box must touch for an OKS of `minimum`.

    OKS is a mean, so at least one labelled keypoint must reach it, within k·√(−2 ln(minimum)·area) of its truth. A pose
    whose keypoints' box is further from the person's than that, for the largest k, cannot.
    """
    reach = 2 * np.max(sigmas) * np.sqrt(-2 * np.log(min(minimum, 1.0)) * scale) * (1 + 1e-6) + 1e-3  # (M,) pixels
    by_keypoint, is_labelled = np.ascontiguousarray(truth.xy.swapaxes(0, 1)), labelled.T[..., None]  # (K, M, 2)
    low = np.where(is_labelled, by_keypoint, np.inf).min(axis=0) - reach[:, None]  # (M, 2)
    high = np.where(is_labelled, by_keypoint, -np.inf).max(axis=0) + reach[:, None]
    unlabelled = ~labelled.any(axis=1)
    low[unlabelled], high[unlabelled] = -np.inf, np.inf  # compared with their box instead
    return low, high


def _near_enough(poses: Poses, pose: np.ndarray, person: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return which pairs (P,) are within reach. Most pairs of a crowd are not."""
    mine = replace(poses, missing=None).keypoint_box()  # OKS uses missing keypoints too, at their written position
    near = np.ones(len(pose), dtype=bool)
    for axis in (0, 1):
        near &= mine[:, axis][pose] <= high[:, axis][person]
        near &= mine[:, axis + 2][pose] >= low[:, axis][person]
    return near


def _oks_of_pairs(
    poses: Poses,
    truth: Truth,
    pose: np.ndarray,
    person: np.ndarray,
    labelled: np.ndarray,
    count: np.ndarray,
    scale: np.ndarray,
    sigmas: np.ndarray,
    minimum: float,
) -> Pairs:
    """Return the pairs whose OKS reaches `minimum`, in their order; OKS is summed over labelled keypoints only.

    pycocotools drops the unlabelled terms before it sums. Summing the same terms with zeros between them can differ in
    the last bit, which decides between two people whose OKS is mathematically equal.
    """
    xy = poses.xy[pose].astype(np.float64, copy=False)  # (P, K, 2)
    terms = opks(xy, truth.xy[person], truth.v[person], scale[person], sigmas)  # (P, K)
    counts = count[person]  # (P,)
    keep = np.flatnonzero((np.einsum("pk->p", terms) >= (minimum - 1e-9) * counts) | (counts == 0))
    pose, person, terms, counts = pose[keep], person[keep], terms[keep], counts[keep]
    similarity = np.empty(len(pose))
    for n in np.flatnonzero(np.bincount(counts)):
        rows = np.flatnonzero(counts == n)
        people = person[rows]
        if n == 0:
            if truth.box is None:
                raise ValueError("a person without labelled keypoints needs Truth.box, which is None")
            similarity[rows] = object_keypoint_similarity(
                xy[keep[rows]], truth.xy[people], truth.v[people], scale[people], sigmas, box=truth.box[people]
            )
            continue
        compact = terms[rows][labelled[people]].reshape(len(rows), n)  # (P_n, n)
        similarity[rows] = compact.sum(axis=1) / n
    return Pairs(pose, person, similarity).at_least(minimum)


def best_in_image(
    image_id: Int[np.ndarray, " N"], score: Float[np.ndarray, " N"], max_per_image: int
) -> tuple[Int[np.ndarray, " D"], Int[np.ndarray, " N"]]:
    """Return rows (D,) of the `max_per_image` best poses of every image: by image id, then by descending score, then in
    their order; and every row's rank by score within its image (N,), -1 beyond `max_per_image`."""
    order = np.lexsort((-score, image_id))
    image = image_id[order]
    position = np.arange(len(order)) - np.searchsorted(image, image, side="left")
    rank = np.full(len(order), -1)
    rank[order[position < max_per_image]] = position[position < max_per_image]
    return order[position < max_per_image], rank


def match_greedily(
    pairs: Pairs,
    rank: Int[np.ndarray, " N"],
    *,
    person_ignored: Bool[np.ndarray, "A M"],
    iscrowd: Bool[np.ndarray, " M"],
    thresholds: Float[np.ndarray, " T"],
) -> Int[np.ndarray, "A N T"]:
    """COCO's greedy matching: return, for every area range and OKS threshold, the truth row of each pose, or -1.

    Poses choose in the order of `rank` (N,), their rank by score within their image (-1: not evaluated). Each takes the
    free person with the highest OKS at or above the threshold, people that count before ignored ones, the later row in
    ties; crowds stay free. Source: pycocotools `COCOeval.evaluateImg`.

    All images are processed together: poses of equal rank are in different images and do not interact.
    """
    areas, people = person_ignored.shape
    steps = np.minimum(thresholds, 1 - 1e-10)  # (T,)
    pairs = pairs.at_least(float(steps.min())) if len(steps) else pairs
    pairs = _only(pairs, rank[pairs.pose] >= 0)
    match = np.full((areas * len(rank), len(steps)), -1, dtype=np.int32)  # rows: area range × pose
    is_taken = np.zeros((areas * people, len(steps)), dtype=bool)  # rows: area range × person

    area = np.repeat(np.arange(areas), len(pairs.pose))  # (A·P,)
    pose, person, oks = (np.tile(column, areas) for column in (pairs.pose, pairs.person, pairs.oks))
    chooser, chosen = area * len(rank) + pose, area * people + person
    # each pose's candidates in order of preference; then the rounds: by rank of the pose, then by preference
    order = np.lexsort((-person, -oks, person_ignored[area, person], chooser))
    chooser, chosen, person, oks = chooser[order], chosen[order], person[order], oks[order]
    first = np.flatnonzero(np.r_[True, chooser[1:] != chooser[:-1]]) if len(chooser) else np.zeros(0, dtype=int)
    preference = np.arange(len(chooser)) - np.repeat(first, np.diff(np.r_[first, len(chooser)]))
    width = int(preference.max(initial=0)) + 1
    turn = rank[chooser % max(len(rank), 1)] * width + preference
    by_turn = np.argsort(turn, kind="stable")
    reach = oks[:, None] >= steps  # (A·P, T)
    for rows in np.split(by_turn, np.flatnonzero(np.diff(turn[by_turn])) + 1):
        free = ~is_taken[chosen[rows]] | iscrowd[person[rows], None]
        takes = free & reach[rows] & (match[chooser[rows]] < 0)  # (rows, T)
        match[chooser[rows]] = np.where(takes, person[rows, None], match[chooser[rows]])
        is_taken[chosen[rows]] |= takes
    return match.reshape(areas, len(rank), len(steps))


def _only(pairs: Pairs, keep: np.ndarray) -> Pairs:
    return Pairs(pairs.pose[keep], pairs.person[keep], pairs.oks[keep])


MINIMUM_IOU = 0.1  # minimum box overlap for a match
_MAJORITY = 0.5  # share of a pose's keypoints that must lie in a person's box


def pair_with_people(poses: Poses, truth: Truth, minimum_iou: float = MINIMUM_IOU) -> Int[np.ndarray, " N"]:
    """Return the matched truth row of each pose (N,), or -1.

    A pose with an `annotation_id` belongs to that person. The others are matched greedily by box IoU within their
    image, highest first, one-to-one, without crowds, down to `minimum_iou`. A pose without a box uses that of its
    keypoints, missing ones left out. If keypoints are missing, that box can be much smaller than the person's (a face
    alone): such a pose, if unmatched, is then matched to an unmatched person whose box contains most of its other
    keypoints, the largest share first. Unlike matching by OKS this keeps a bad pose with its person, so that it counts
    in a correlation. Raises ValueError if image_id or, for matching by box, Truth.box is None, and if both skeletons
    are known and differ.
    """
    check_same_skeleton(poses, truth)
    if poses.image_id is None or truth.image_id is None:
        raise ValueError("pair_with_people: image_id is needed in both poses and truth, one of them is None")
    person = np.full(len(poses), -1)
    if poses.annotation_id is not None and truth.annotation_id is not None and len(truth):
        order = np.argsort(truth.annotation_id, kind="stable")
        ids = truth.annotation_id[order]
        rank = np.minimum(np.searchsorted(ids, poses.annotation_id), len(ids) - 1)
        named = (ids[rank] == poses.annotation_id) & (poses.annotation_id != MISSING_ID)
        person[named] = order[rank[named]]
    if (person >= 0).all():
        return person
    if truth.box is None:
        raise ValueError("pair_with_people: poses without annotation_id are matched by Truth.box, which is None")
    box = poses.person_box()
    pose, people = _left_over(poses, truth, person)
    iou = paired_iou(box[pose], truth.box[people])
    near = np.flatnonzero(iou >= minimum_iou)
    first = near[np.lexsort((people[near], pose[near], -iou[near]))]
    take_best_first(pose[first], people[first], person)
    if poses.missing is not None:
        pose, people = _left_over(poses, truth, person)
        has_box = np.zeros(len(poses), dtype=bool) if poses.box is None else ~np.isnan(poses.box).any(axis=1)
        partial = (np.any(poses.missing, axis=1) & ~has_box)[pose]
        pose, people = pose[partial], people[partial]
        share, iou = _share_inside(poses, pose, truth.box[people]), paired_iou(box[pose], truth.box[people])
        near = np.flatnonzero(share > _MAJORITY)
        first = near[np.lexsort((people[near], pose[near], -iou[near], -share[near]))]
        take_best_first(pose[first], people[first], person)
    return person


def unpaired_on_people(poses: Poses, truth: Truth, person: Int[np.ndarray, " N"]) -> Bool[np.ndarray, " N"]:
    """Return the unmatched poses (N,) with most of their keypoints, missing ones left out, in the box of a labelled
    person, no crowd, who is unmatched too.

    `person` is the result of `pair_with_people`. Such a pose has a wrong box, or one distorted by joints written to
    another placeholder than (0, 0). Raises ValueError if image_id or Truth.box is None.
    """
    if truth.box is None:
        raise ValueError("unpaired_on_people: Truth.box is needed, it is None")
    pose, people = _left_over(poses, truth, person)
    labelled = np.any(truth.v > 0, axis=1)[people]
    pose, people = pose[labelled], people[labelled]
    is_on_person = np.zeros(len(poses), dtype=bool)
    is_on_person[pose[_share_inside(poses, pose, truth.box[people]) > _MAJORITY]] = True
    return is_on_person


def _left_over(poses: Poses, truth: Truth, person: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pairs (P,) within an image of unmatched poses and unmatched people, without crowds."""
    if poses.image_id is None or truth.image_id is None:
        raise ValueError("matching needs image_id in both poses and truth, one of them is None")
    is_free = np.ones(len(truth), dtype=bool) if truth.iscrowd is None else ~truth.iscrowd
    is_free[person[person >= 0]] = False
    open_pose, open_person = np.flatnonzero(person < 0), np.flatnonzero(is_free)
    pose, people = same_image_pairs(poses.image_id[open_pose], truth.image_id[open_person])
    return open_pose[pose], open_person[people]


def _share_inside(poses: Poses, pose: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the share (P,) of each pose's keypoints, missing ones left out, inside its pair's box; 0 without any."""
    has_position = np.ones(poses.xy.shape[:2], dtype=bool) if poses.missing is None else ~poses.missing
    inside = np.zeros(len(pose), dtype=np.int64)
    for k in range(poses.keypoint_count):  # one by one: a crowd has many pairs
        xy = poses.xy[pose, k]
        inside += has_position[pose, k] & (xy >= box[:, :2]).all(axis=1) & (xy <= box[:, 2:]).all(axis=1)
    return inside / np.maximum(has_position.sum(axis=1), 1)[pose]


def take_best_first(pose: np.ndarray, people: np.ndarray, person: np.ndarray) -> None:
    """Assign pairs, sorted best first, greedily and one-to-one, into `person`.

    A pair that comes first for both its pose and its person is one that sequential greedy matching would take, so all
    such pairs are taken at once, until none is left.
    """
    while len(pose):
        first_of_pose, first_of_person = np.zeros(len(pose), dtype=bool), np.zeros(len(pose), dtype=bool)
        first_of_pose[np.unique(pose, return_index=True)[1]] = True
        first_of_person[np.unique(people, return_index=True)[1]] = True
        is_best = first_of_pose & first_of_person
        person[pose[is_best]] = people[is_best]
        is_free = ~np.isin(pose, pose[is_best]) & ~np.isin(people, people[is_best])
        pose, people = pose[is_free], people[is_free]

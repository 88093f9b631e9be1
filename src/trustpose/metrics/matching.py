"""Match predicted poses with labelled people: as COCO's evaluation does, and one to one, best first."""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Integer

from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.oks import oks as object_keypoint_similarity
from trustpose.geometry.oks import similarity_at
from trustpose.poses import MISSING_ID, Area, Poses, Truth, check_same_skeleton, extent

_ROWS = 2**16  # poses at a time: all their pairs are listed before distant ones are dropped
_TERMS = 2**16  # of pairs at a time: their coordinates and similarities fit into the processor's cache


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
    labels = _Labels.of(truth, area, sigmas)
    reach = labels.reach(minimum) if minimum > 0 else None
    pairs = [Pairs(rows[:0], by_image[:0], np.zeros(0))]
    for first in range(0, len(rows), _ROWS):
        block = rows[first : first + _ROWS]
        pose, person = same_image_pairs(poses.image_id[block], image)
        person = by_image[person]
        xy = poses.xy[block].astype(np.float64, copy=False)  # missing keypoints too, at their written position
        if reach is not None:
            pose, person = _near(extent(xy), reach, pose, person)
        similarity = labels.oks(xy, pose, person)
        pairs.append(Pairs(block[pose], person, similarity).at_least(minimum))
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


@dataclass(frozen=True)
class _Labels:
    """What OKS needs of M people: which keypoints are labelled (M, K), how many (M,), x and y (M, K) each, areas."""

    truth: Truth
    labelled: Bool[np.ndarray, "M K"]
    count: Int[np.ndarray, " M"]
    x: Float[np.ndarray, "M K"]
    y: Float[np.ndarray, "M K"]
    scale: Float[np.ndarray, " M"]
    sigmas: Float[np.ndarray, " K"]

    @classmethod
    def of(cls, truth: Truth, area: Area, sigmas: Float[np.ndarray, " K"]) -> "_Labels":
        labelled, (x, y) = truth.v > 0, _apart(truth.xy)
        return cls(truth, labelled, np.count_nonzero(labelled, axis=1), x, y, truth.area_of_all(area), sigmas)

    def reach(self, minimum: float) -> Float[np.ndarray, "4 M"]:
        """Return the box x0, y0, x1, y1 that a pose's keypoints' box must touch for an OKS of `minimum`.

        OKS is a mean, so at least one labelled keypoint must reach it, within k·√(−2 ln(minimum)·area) of its truth. A
        pose whose keypoints' box is further from the person's than that, for the largest k, cannot.
        """
        distance = 2 * np.max(self.sigmas) * np.sqrt(-2 * np.log(min(minimum, 1.0)) * self.scale) * (1 + 1e-6) + 1e-3
        labelled = np.ascontiguousarray(self.labelled.T)
        by_keypoint = [np.ascontiguousarray(axis.T) for axis in (self.x, self.y)]  # reduces ten times faster
        low = [np.where(labelled, axis, np.inf).min(axis=0) - distance for axis in by_keypoint]
        high = [np.where(labelled, axis, -np.inf).max(axis=0) + distance for axis in by_keypoint]
        box = np.stack([*low, *high])
        box[:, self.count == 0] = [[-np.inf], [-np.inf], [np.inf], [np.inf]]  # compared with their box instead
        return box

    def oks(
        self, xy: Float[np.ndarray, "N K 2"], pose: Int[np.ndarray, " P"], person: Int[np.ndarray, " P"]
    ) -> Float[np.ndarray, " P"]:
        """Return the OKS of pairs of a pose and a person, summed over labelled keypoints only.

        pycocotools drops the unlabelled terms before it sums. Summing the same terms with zeros between them can differ
        in the last bit, which decides between two people whose OKS is mathematically equal.
        """
        x, y = _apart(xy)
        similarity, keypoints = np.empty(len(pose)), xy.shape[1]
        count = self.count[person].astype(np.min_scalar_type(keypoints))  # small numbers are sorted by their digits
        step = max(1, _TERMS // max(keypoints, 1))
        for start in range(0, len(pose), step):
            pairs = slice(start, start + step)
            mine, theirs = pose[pairs], person[pairs]
            dx = np.take(x, mine, axis=0) - np.take(self.x, theirs, axis=0)  # (p, K)
            dy = np.take(y, mine, axis=0) - np.take(self.y, theirs, axis=0)
            terms = similarity_at(dx, dy, self.scale[theirs], self.sigmas)
            order = np.argsort(count[pairs], kind="stable")
            is_labelled = np.take(self.labelled, theirs[order], axis=0)
            labelled_terms = np.compress(is_labelled.ravel(), np.take(terms, order, axis=0).ravel())
            similarity[start + order] = _means_of_runs(labelled_terms, count[pairs][order])
        without = np.flatnonzero(count == 0)
        if len(without):
            similarity[without] = self._oks_to_box(xy[pose[without]], person[without])
        return similarity

    def _oks_to_box(self, xy: np.ndarray, person: np.ndarray) -> np.ndarray:
        truth = self.truth
        if truth.box is None:
            raise ValueError("a person without labelled keypoints needs Truth.box, which is None")
        of_people = truth.xy[person], truth.v[person], self.scale[person]
        return object_keypoint_similarity(xy, *of_people, self.sigmas, box=truth.box[person])


def _apart(xy: Float[np.ndarray, "N K 2"]) -> tuple[Float[np.ndarray, "N K"], Float[np.ndarray, "N K"]]:
    """Return x and y; numpy is slow where they alternate."""
    return np.ascontiguousarray(xy[..., 0]), np.ascontiguousarray(xy[..., 1])


def _means_of_runs(values: Float[np.ndarray, " V"], length: Integer[np.ndarray, " R"]) -> Float[np.ndarray, " R"]:
    """Return the means of runs of values, one after the other; the lengths ascend. NaN for runs without values."""
    means, first = np.full(len(length), np.nan), 0
    starts = np.flatnonzero(np.diff(length)) + 1
    for start, end in zip([0, *starts], [*starts, len(length)], strict=True):
        n = int(length[start])
        last = first + (end - start) * n
        if n:
            means[start:end] = values[first:last].reshape(-1, n).sum(axis=1) / n
        first = last
    return means


def _near(
    box: Float[np.ndarray, "4 N"],
    reach: Float[np.ndarray, "4 M"],
    pose: Int[np.ndarray, " P"],
    person: Int[np.ndarray, " P"],
) -> tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"]]:
    """Return the pairs whose boxes touch. Most pairs of a crowd do not."""
    for axis in (0, 1):
        near = np.take(box[axis], pose) <= np.take(reach[axis + 2], person)
        near &= np.take(box[axis + 2], pose) >= np.take(reach[axis], person)
        pose, person = pose[near], person[near]
    return pose, person


def ranked(
    image_id: Int[np.ndarray, " N"], score: Float[np.ndarray, " N"], max_per_image: int
) -> tuple[Int[np.ndarray, " D"], Int[np.ndarray, " D"], Int[np.ndarray, " N"]]:
    """Return the rows of the `max_per_image` best poses of every image, (D,) each, in two orders, and ranks.

    First by descending score, then by image id, then in their order; second by image id, then by descending score,
    then in their order; and every row's rank by score within its image (N,), -1 beyond `max_per_image`.
    """
    by_id = np.argsort(image_id, kind="stable")
    sorted_id = image_id[by_id]
    number = np.empty(len(image_id), np.int64)  # of the image, in the order of ids
    number[by_id] = np.cumsum(np.diff(sorted_id, prepend=sorted_id[:1]) != 0)
    number = number.astype(np.min_scalar_type(len(image_id)))  # small numbers are sorted by their digits
    by_score = by_id[np.argsort(-score[by_id], kind="stable")]
    by_image = by_score[np.argsort(number[by_score], kind="stable")]
    ordered = number[by_image]
    position = np.arange(len(ordered)) - np.searchsorted(ordered, ordered, side="left")
    rank = np.full(len(ordered), -1)
    best = position < max_per_image
    rank[by_image[best]] = position[best]
    return by_score[rank[by_score] >= 0], by_image[best], rank


def best_in_image(
    image_id: Int[np.ndarray, " N"], score: Float[np.ndarray, " N"], max_per_image: int
) -> Int[np.ndarray, " D"]:
    """Return rows (D,) of the `max_per_image` best poses of every image: by image id, then by descending score, then in
    their order."""
    return ranked(image_id, score, max_per_image)[1]


@dataclass(frozen=True)
class Matches:
    """Pairs (E,) of rows of poses and people that COCO's matching joins, in the order of the poses, and `matched`: in
    which area ranges and at which thresholds. A pose has at most one person in each of them, but several in all."""

    pose: Int[np.ndarray, " E"]
    person: Int[np.ndarray, " E"]
    matched: Bool[np.ndarray, "E A T"]

    def any_of(self, flags: Bool[np.ndarray, "E A T"], poses: int) -> Bool[np.ndarray, "N A T"]:
        """Return for each of N `poses` where one of its pairs has a flag."""
        table = np.zeros((poses, *flags.shape[1:]), np.bool_)
        number = _numbers_in_runs(self.pose)
        for pair in range(int(number.max(initial=-1)) + 1):
            rows = np.flatnonzero(number == pair)
            table[self.pose[rows]] |= flags[rows]
        return table

    def person_of(self, poses: int) -> Int[np.ndarray, "N A T"]:
        """Return the person of each of N `poses`, -1 for none."""
        person = np.full((poses, *self.matched.shape[1:]), -1, np.int32)
        pair, area, step = np.nonzero(self.matched)
        person[self.pose[pair], area, step] = self.person[pair]
        return person


def match_greedily(
    pairs: Pairs,
    rank: Int[np.ndarray, " N"],
    *,
    person_ignored: Bool[np.ndarray, "A M"],
    iscrowd: Bool[np.ndarray, " M"],
    thresholds: Float[np.ndarray, " T"],
) -> Matches:
    """COCO's greedy matching, for every area range and OKS threshold at once.

    Poses choose in the order of `rank` (N,), their rank by score within their image (-1: not evaluated). Each takes the
    free person with the highest OKS at or above the threshold, people that count before ignored ones, the later row in
    ties; crowds stay free. Source: pycocotools `COCOeval.evaluateImg`.

    All images are processed together: poses of equal rank are in different images and do not interact. A pair's area
    ranges and thresholds are the bits of a few words.
    """
    steps = np.minimum(thresholds, 1 - 1e-10)  # (T,)
    keep = rank[pairs.pose] >= 0
    if len(steps):
        keep &= pairs.oks >= steps.min()
    order = np.flatnonzero(keep)
    order = order[np.lexsort((-pairs.person[order], -pairs.oks[order], pairs.pose[order]))]  # a pose's best first
    pose, person, oks = pairs.pose[order], pairs.person[order], pairs.oks[order]
    reached = (oks[:, None] >= steps)[:, None]  # (P, 1, T)
    ignored = person_ignored.T[person][:, :, None]  # (P, A, 1)
    wishes = _packed(reached & ~ignored), _packed(reached & ignored)  # (P, W) each

    preference = _numbers_in_runs(pose)
    width = int(preference.max(initial=0)) + 1
    turn = 2 * rank[pose] * width + preference  # first all people that count; `width` turns later the ignored ones
    turns = np.concatenate([turn, turn + width])
    by_turn = np.argsort(turns.astype(np.min_scalar_type(int(turns.max(initial=0)))), kind="stable")
    wish = np.concatenate(wishes)[by_turn]
    pair = by_turn % max(len(pose), 1)
    chooser, chosen = pose[pair], person[pair]
    holds = np.where(iscrowd[chosen], 0, ~np.uint64(0))[:, None]  # a crowd can be taken again
    has_person, occupied = (
        np.zeros((len(rank), wish.shape[1]), np.uint64),
        np.zeros((len(iscrowd), wish.shape[1]), np.uint64),
    )
    ends = np.append(np.flatnonzero(np.diff(turns[by_turn])) + 1, len(wish)).tolist()
    for start, end in zip([0, *ends], ends, strict=False):
        who, whom = chooser[start:end], chosen[start:end]
        takes = wish[start:end]
        takes &= ~(has_person[who] | occupied[whom])
        has_person[who] |= takes
        occupied[whom] |= takes & holds[start:end]
    granted = np.empty_like(wish)
    granted[by_turn] = wish
    granted = granted[: len(pose)] | granted[len(pose) :]
    joined = np.flatnonzero(granted.any(axis=1))
    matched = np.unpackbits(granted[joined].view(np.uint8), axis=1, count=len(person_ignored) * len(steps))
    return Matches(
        pose[joined], person[joined], matched.view(np.bool_).reshape(len(joined), len(person_ignored), len(steps))
    )


def _numbers_in_runs(values: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """Return how many equal values stand directly before each."""
    first = np.flatnonzero(np.diff(values, prepend=-1))
    return np.arange(len(values)) - np.repeat(first, np.diff(first, append=len(values)))


def _packed(flags: Bool[np.ndarray, "P A T"]) -> np.ndarray:
    """Return flags as the bits of words (P, W)."""
    octets = np.packbits(flags.reshape(len(flags), math.prod(flags.shape[1:])), axis=1)
    words = np.zeros((len(flags), max(1, -(-octets.shape[1] // 8)) * 8), np.uint8)
    words[:, : octets.shape[1]] = octets
    return words.view(np.uint64)


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

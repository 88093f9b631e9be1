"""Average precision as COCO computes it: of poses by OKS and of boxes by IoU, with its draws of photos."""

from dataclasses import asdict, dataclass, replace
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from trustpose.geometry.boxes import paired_iou, paired_overlap
from trustpose.metrics.bootstrap import replicate_sums
from trustpose.metrics.matching import Pairs, best_in_image, match_greedily, pair_oks, same_image_pairs
from trustpose.poses import Area, Poses, Truth, box_size

OKS_THRESHOLDS: Float[np.ndarray, " T"] = np.linspace(0.5, 0.95, 10)
RECALL_THRESHOLDS: Float[np.ndarray, " R"] = np.linspace(0.0, 1.0, 101)
AREA_RANGES: dict[str, tuple[float, float]] = {  # square pixels, both ends included
    "all": (0.0, 1e5**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e5**2),
}
MAX_DETECTIONS = 20


@dataclass(frozen=True)
class AveragePrecision:
    """The ten numbers of COCO keypoint evaluation, each 0–1, or -1 if no person counts (as pycocotools prints).

    Attributes:
        AP, AP50, AP75: average precision: mean over OKS thresholds .5 to .95, at .5, at .75.
        APm, APl: AP of medium (32² to 96² square pixels) and of large people.
        AR, AR50, AR75, ARm, ARl: average recall, in the same way.
    """

    AP: float
    AP50: float
    AP75: float
    APm: float
    APl: float
    AR: float
    AR50: float
    AR75: float
    ARm: float
    ARl: float

    def as_dict(self) -> dict[str, float | None]:
        """Return the numbers by name; None if no person counts."""
        return {name: None if value == -1 else value for name, value in asdict(self).items()}


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The full result of COCO evaluation: D evaluated poses, best score first; A area ranges; T OKS thresholds.

    `order` (D,) holds rows of the poses; `match` (A, D, T) rows of the truth or -1. `pose_ignored` (A, D, T) and
    `person_ignored` (A, M) mark what counts neither as right nor wrong. `true_positive` (A, D, T) is a match that
    counts.
    """

    order: Int[np.ndarray, " D"]
    match: Int[np.ndarray, "A D T"]
    true_positive: Bool[np.ndarray, "A D T"]
    pose_ignored: Bool[np.ndarray, "A D T"]
    person_ignored: Bool[np.ndarray, "A M"]
    oks_thresholds: Float[np.ndarray, " T"]
    area_names: tuple[str, ...]

    @cached_property
    def _precision_recall(self) -> tuple[Float[np.ndarray, "A T R"], Float[np.ndarray, "A T"]]:
        return precision_recall(self.true_positive, self.pose_ignored, np.count_nonzero(~self.person_ignored, axis=1))

    @property
    def precision(self) -> Float[np.ndarray, "A T R"]:
        """Precision interpolated at the recall thresholds, -1 if no person counts."""
        return self._precision_recall[0]

    @property
    def recall(self) -> Float[np.ndarray, "A T"]:
        """The highest recall reached, -1 if no person counts."""
        return self._precision_recall[1]

    def average_precision(self) -> float:
        """Return AP, 0–1, over the OKS thresholds in the first area range; -1 if no person counts."""
        return mean_of_counted(self.precision[0])

    def summary(self) -> AveragePrecision:
        """Return the ten COCO numbers. Raises ValueError if other ranges or thresholds were evaluated."""
        if self.area_names != tuple(AREA_RANGES) or not np.array_equal(self.oks_thresholds, OKS_THRESHOLDS):
            raise ValueError("summary: expected COCO's area ranges and OKS thresholds")
        return summary_of(self.precision, self.recall)


def summary_of(precision: Float[np.ndarray, "3 T R"], recall: Float[np.ndarray, "3 T"]) -> AveragePrecision:
    """Return the ten COCO numbers from interpolated precision and recall at COCO's area ranges and OKS thresholds."""
    everything, medium, large = range(3)
    half, three_quarters = 0, 5  # 0.50 and 0.75 in OKS_THRESHOLDS
    return AveragePrecision(
        AP=mean_of_counted(precision[everything]),
        AP50=mean_of_counted(precision[everything, half]),
        AP75=mean_of_counted(precision[everything, three_quarters]),
        APm=mean_of_counted(precision[medium]),
        APl=mean_of_counted(precision[large]),
        AR=mean_of_counted(recall[everything]),
        AR50=mean_of_counted(recall[everything, [half]]),
        AR75=mean_of_counted(recall[everything, [three_quarters]]),
        ARm=mean_of_counted(recall[medium]),
        ARl=mean_of_counted(recall[large]),
    )


def evaluate(
    poses: Poses,
    truth: Truth,
    score: Float[np.ndarray, " N"],
    *,
    sigmas: Float[np.ndarray, " K"],
    area: Area,
    oks_thresholds: Float[np.ndarray, " T"] = OKS_THRESHOLDS,
    area_ranges: dict[str, tuple[float, float]] = AREA_RANGES,
    max_detections: int = MAX_DETECTIONS,
    ignore: Bool[np.ndarray, "*A M"] | None = None,
    pairs: Pairs | None = None,
    pose_area: Float[np.ndarray, " N"] | None = None,
) -> Evaluation:
    """Run COCO keypoint evaluation of poses ranked by `score` (N,) against labelled people; see `Evaluation`.

    People are ignored if they are crowds, have `num_keypoints` 0, are marked in `ignore`, (M,) or for each area range
    (A, M), or lie outside an area range. A pose is ignored if it matches an ignored person, or is unmatched and its box
    (without one, its keypoints' box) lies outside. OKS and the area ranges use the `area` convention ("box*0.53" is
    xtcocotools' use_area=False). `pairs` of an earlier call with the same poses, truth, sigmas and area avoids
    computing OKS again; `pose_area` (N,) is the result of `area_of_poses`, if known. Poses in images without people
    count as false positives. Raises ValueError if a required column is None.

    Source: pycocotools 2.0 `COCOeval`, including that a person with annotation id 0 is matched but never counted.
    """
    if poses.image_id is None or truth.image_id is None:
        raise ValueError("evaluate: image_id is needed in both poses and truth, one of them is None")
    by_image, rank = best_in_image(poses.image_id, score, max_detections)
    if pairs is None:
        lowest_threshold = float(np.min(oks_thresholds)) if len(oks_thresholds) else 0.0
        pairs = pair_oks(
            poses, truth, sigmas=sigmas, area=area, rows=by_image, minimum=min(lowest_threshold, 1 - 1e-10)
        )
    ranges = np.array(list(area_ranges.values())).reshape(-1, 2)  # (A, 2)
    person_ignored = _outside(truth.area_of_all(area), ranges)  # (A, M)
    assert truth.iscrowd is not None and truth.num_keypoints is not None
    person_ignored |= truth.iscrowd | (truth.num_keypoints == 0) | (False if ignore is None else ignore)
    match = match_greedily(pairs, rank, person_ignored=person_ignored, iscrowd=truth.iscrowd, thresholds=oks_thresholds)

    order = by_image[np.argsort(-score[by_image], kind="stable")]  # (D,) ties: by image id, then in order
    match = match[:, order]  # (A, D, T)
    pose_area = area_of_poses(poses) if pose_area is None else pose_area
    pose_outside = _outside(pose_area[order], ranges)[:, :, None]  # (A, D, 1)
    took = match >= 0
    counts, taken_ignored = took.copy(), took.copy()
    for a in range(len(ranges)):  # one range at a time: numpy's look-ups need eight bytes per index
        person = match[a][took[a]]
        taken_ignored[a][took[a]] = person_ignored[a, person]
        if truth.annotation_id is not None:
            counts[a][took[a]] = truth.annotation_id[person] != 0
    pose_ignored = taken_ignored | (~counts & pose_outside)
    true_positive = counts & ~pose_ignored
    return Evaluation(
        order=order,
        match=match,
        true_positive=true_positive,
        pose_ignored=pose_ignored,
        person_ignored=person_ignored,
        oks_thresholds=np.asarray(oks_thresholds),
        area_names=tuple(area_ranges),
    )


def area_of_poses(poses: Poses) -> Float[np.ndarray, " N"]:
    """Return the area (N,) that decides whether an unmatched pose lies in a range: its box's, as in pycocotools'
    `loadRes`; without a box, that of all its keypoints, including missing ones at (0, 0)."""
    area = np.full(len(poses), np.nan) if poses.box is None else box_size(poses.box).prod(axis=1).astype(np.float64)
    without = np.isnan(area)
    if without.any():
        low_x, low_y, high_x, high_y = replace(poses, missing=None)[without].keypoint_box().T
        area[without] = (high_x - low_x) * (high_y - low_y)
    return area


def _outside(area: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Return whether each area lies outside each range. (A, n)"""
    return (area < ranges[:, :1]) | (area > ranges[:, 1:])


def precision_recall(
    true_positive: Bool[np.ndarray, "A D T"],
    pose_ignored: Bool[np.ndarray, "A D T"],
    person_count: Int[np.ndarray, " A"],
) -> tuple[Float[np.ndarray, "A T R"], Float[np.ndarray, "A T"]]:
    """Compute interpolated precision and highest recall, both 0–1, of D poses (or boxes) by descending score; -1 if no
    person counts. A area ranges, T thresholds, R recall thresholds. Source: pycocotools 2.0 `COCOeval.accumulate`.
    """
    areas, _, steps = true_positive.shape
    curves = PrecisionRecall(np.repeat(person_count, steps))
    curves.add(*(np.moveaxis(flags, 1, 0).reshape(-1, areas * steps) for flags in (true_positive, pose_ignored)))
    return curves.precision().reshape(areas, steps, -1), curves.recall().reshape(areas, steps)


class PrecisionRecall:
    """`precision_recall` of C curves, such as area ranges × thresholds, over blocks of poses, the best scores first.

    Precision only rises at true positives, so that the highest from each recall threshold to the next is all that the
    interpolated curve needs, whatever the number of poses. `people` (C,) are those that count.
    """

    def __init__(self, people: Int[np.ndarray, " C"]) -> None:
        self._people = people
        self._needed = [_needed(int(count)) for count in people]  # hits before the one that reaches each threshold
        self._hits, self._tried = np.zeros((2, len(people)), np.int64)
        self._highest = np.zeros((len(people), len(RECALL_THRESHOLDS)))

    def add(self, true_positive: Bool[np.ndarray, "D C"], pose_ignored: Bool[np.ndarray, "D C"]) -> None:
        """Count the next D poses by descending score."""
        for curve in np.flatnonzero(self._people > 0):
            hits = np.flatnonzero(true_positive[:, curve])
            running = np.cumsum(~pose_ignored[:, curve], dtype=np.int64)
            hits_so_far = self._hits[curve] + np.arange(1, len(hits) + 1, dtype=np.int64)
            share = hits_so_far / (self._tried[curve] + running[hits] + np.spacing(1))
            reached = np.searchsorted(self._needed[curve], hits_so_far - 1, side="right") - 1
            np.maximum.at(self._highest[curve], reached, share)
            self._hits[curve] += len(hits)
            self._tried[curve] += running[-1] if len(running) else 0

    def precision(self) -> Float[np.ndarray, "C R"]:
        """Return precision interpolated at the recall thresholds; -1 if no person counts."""
        envelope = np.maximum.accumulate(self._highest[:, ::-1], axis=1)[:, ::-1]
        return np.where(self._people[:, None] > 0, envelope, -1.0)

    def recall(self) -> Float[np.ndarray, " C"]:
        """Return the highest recall; -1 if no person counts."""
        return np.where(self._people > 0, self._hits / np.maximum(self._people, 1), -1.0)


def _needed(people: int) -> Int[np.ndarray, " R"]:
    """Return after how many true positives the next one reaches each recall threshold, in floating point."""
    near = np.maximum(np.ceil(RECALL_THRESHOLDS * people).astype(np.int64)[:, None] + np.arange(-3, 3), 0)
    reaches = (near + 1) / max(people, 1) >= RECALL_THRESHOLDS[:, None]
    return near[np.arange(len(near)), reaches.argmax(axis=1)]


def mean_of_counted(values: np.ndarray) -> float:
    """Return the mean over counted entries, -1 if there are none."""
    counted = values[values > -1]
    return float(counted.mean()) if counted.size else -1.0


_AT_ONCE = 1 << 22  # poses of several draws: their numbers take some tens of megabytes
_FEW = 1 << 13  # poses, of which all are looked at one by one
_MULTIPLIED = 1 << 20  # numbers of a matrix
_DETAIL = 1 << 18  # poses of groups that are looked at one by one


class PrecisionRecallDraws:
    """`average_precision.PrecisionRecall` of C curves in b draws, over blocks of poses, the best scores first.

    `people` (b, C) are those that count in each draw; a draw without any has no curve. Most poses are only summed:
    matrix products give how many of each group of poses are right and how many are tried in every draw and curve.
    From these sums follow the lowest and the highest precision that a group can reach, and only the groups that can
    hold the highest precision between two recall thresholds are looked at pose by pose. `poses` is about how many
    there are in all blocks, which decides on the size of a group.
    """

    def __init__(self, people: Float[np.ndarray, "b C"], poses: int) -> None:
        self._people = people
        group = 1 << int(np.clip(np.round(np.log2(max(poses, 1)) / 2) - 3, 3, 9))  # about √poses / 8
        self._group = group if poses > _FEW else max(1, poses)
        self._needed = [_needed_in_draws(column) for column in people.T]
        self._hits, self._tried = np.zeros((2, *people.shape), np.int64)
        self._highest = np.zeros((*people.shape, len(RECALL_THRESHOLDS)))

    def add(
        self,
        counts: Int[np.ndarray, "b I"],
        image: Int[np.ndarray, " D"],
        true_positive: Bool[np.ndarray, "D C"],
        pose_ignored: Bool[np.ndarray, "D C"],
    ) -> None:
        """Count the next D poses by descending score; `image` (D,) is a pose's, 0..I−1, in the draws `counts`."""
        if not len(image):
            return
        groups, curves = -(-len(image) // self._group), true_positive.shape[1]
        image = np.append(image, np.zeros(groups * self._group - len(image), image.dtype))  # which no curve counts
        flags = np.zeros((2 * curves, len(image)), np.bool_)  # right, and counted
        flags[:curves, : len(true_positive)] = true_positive.T
        np.logical_not(pose_ignored.T, out=flags[curves:, : len(pose_ignored)])
        flags = flags.reshape(2 * curves, groups, self._group)
        for start in range(0, len(counts), max(1, _AT_ONCE // len(image))):
            draws = slice(start, start + max(1, _AT_ONCE // len(image)))
            weight = np.take(counts[draws], image, axis=1).reshape(-1, groups, self._group)  # (b, n, g)
            sums = _sums_of_groups(weight, flags)
            for curve in np.flatnonzero((self._people[draws] > 0).any(axis=0)).tolist():
                self._add(draws, curve, weight, flags[curve::curves], sums[curve::curves])

    def _add(self, draws: slice, curve: int, weight: np.ndarray, flags: np.ndarray, sums: np.ndarray) -> None:
        """Count groups of poses for one curve: `flags` (2, n, g) are the right and the counted ones, `sums` (2, b, n)
        their numbers in each draw, by the poses' `weight` (b, n, g)."""
        right, counted = sums
        hits, tried = (
            _running(numbers[draws, curve], of_groups)
            for numbers, of_groups in zip((self._hits, self._tried), sums, strict=True)
        )  # (b, 1 + n), before the first group and after each
        lowest = hits[:, 1:] / np.maximum(tried[:, 1:], 1)
        possible = hits[:, 1:] / np.maximum(tried[:, :-1] + right, 1)  # if all that are right came first
        is_open = right < counted  # otherwise the last pose has the highest precision
        needed = self._needed[curve][draws]  # (b, R)
        reached, last = _first_at_least(hits, needed), len(flags[0])
        highest = np.maximum(self._highest[draws, curve], _highest_between(np.where(is_open, 0.0, lowest), reached))

        def of_groups(draw: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            """Return how many are right up to each pose of groups (m, g), and the precision."""
            of_pose = weight[draw, group]
            hits_so_far, tried_so_far = (
                _running(before[draw, group], of_pose * flag[group])[:, 1:]
                for before, flag in zip((hits, tried), flags, strict=True)
            )
            return hits_so_far, hits_so_far / np.maximum(tried_so_far, 1)

        # first the groups in which thresholds are reached: the highest precision is mostly there
        draw, threshold = np.nonzero((reached > 0) & (reached <= last))
        chosen = is_open[draw, reached[draw, threshold] - 1]
        draw, threshold = draw[chosen], threshold[chosen]
        row, number = np.unique(draw * last + reached[draw, threshold] - 1, return_inverse=True)
        at_once = max(1, _DETAIL // self._group)
        for start in range(0, len(row), at_once):
            part = slice(*np.searchsorted(number, [start, start + at_once]))
            hits_so_far, share = of_groups(*np.divmod(row[start : start + at_once], last))
            best = _highest_after(hits_so_far, share, number[part] - start, needed[draw[part], threshold[part]])
            highest[draw[part], threshold[part]] = np.maximum(highest[draw[part], threshold[part]], best)
        # then those up to the next threshold that can have a higher one
        bound = np.maximum(highest, _highest_between(lowest, reached))
        bound = np.maximum.accumulate(bound[:, ::-1], axis=1)[:, ::-1]
        count = np.diff(np.minimum(reached, last), axis=1, append=last)  # (b, R), of groups
        is_open &= possible >= np.repeat(bound.ravel(), count.ravel()).reshape(possible.shape)
        row = np.flatnonzero(is_open)
        threshold = np.searchsorted(np.cumsum(count), row, side="right") % count.shape[1]
        for start in range(0, len(row), at_once):
            draw, group = np.divmod(row[start : start + at_once], last)
            np.maximum.at(highest, (draw, threshold[start : start + at_once]), of_groups(draw, group)[1].max(axis=1))
        self._highest[draws, curve] = highest
        self._hits[draws, curve], self._tried[draws, curve] = hits[:, -1], tried[:, -1]

    def precision(self) -> Float[np.ndarray, "b C"]:
        """Return the mean of interpolated precision over the recall thresholds; NaN where no person counts."""
        best = np.maximum.accumulate(np.ascontiguousarray(self._highest[..., ::-1]), axis=2)
        return np.where(self._people > 0, best.mean(axis=2), np.nan)

    def recall(self) -> Float[np.ndarray, "b C"]:
        """Return the highest recall; NaN where no person counts."""
        share = np.divide(self._hits, self._people, out=np.zeros(self._people.shape), where=self._people > 0)
        return np.where(self._people > 0, share, np.nan)


def _sums_of_groups(weight: Int[np.ndarray, "b n g"], flags: Bool[np.ndarray, "c n g"]) -> Int[np.ndarray, "c b n"]:
    """Return how many poses of each group have a flag, by weight: exact in float32, as a group has few poses."""
    sums = np.empty((len(flags), len(weight), flags.shape[1]), np.int32)
    step = max(1, _MULTIPLIED // (flags.shape[2] * max(len(flags), len(weight))))
    for start in range(0, flags.shape[1], step):
        groups = slice(start, start + step)
        of_draws, of_flags = (part[:, groups].astype(np.float32) for part in (weight, flags))
        sums[:, :, groups] = np.matmul(of_draws.transpose(1, 0, 2), of_flags.transpose(1, 2, 0)).transpose(2, 1, 0)
    return sums


def _running(before: Int[np.ndarray, " n"], numbers: Real[np.ndarray, "n g"]) -> Int[np.ndarray, "n 1+g"]:
    """Return the numbers before each row, and after each of its numbers."""
    sums = np.empty((len(numbers), numbers.shape[1] + 1), np.int32)
    sums[:, 0], sums[:, 1:] = before, numbers
    return np.cumsum(sums, axis=1, dtype=np.int32, out=sums)


def _first_at_least(values: Int[np.ndarray, "b n"], limits: Int[np.ndarray, "b R"]) -> Int[np.ndarray, "b R"]:
    """Return the first of the ascending values of each draw that reaches each limit, n if none does."""
    # one search in all draws: the numbers of each lie above those of the draw before
    draw = np.arange(len(values))[:, None]
    offset = draw * (2 + max(int(values[:, -1].max()), int(limits.max())))
    first = np.searchsorted((values + offset).ravel(), (limits + offset).ravel(), side="left")
    return first.reshape(limits.shape) - draw * values.shape[1]


def _highest_between(values: Float[np.ndarray, "b n"], reached: Int[np.ndarray, "b R"]) -> Float[np.ndarray, "b R"]:
    """Return the highest value from the group in which each threshold is reached up to that of the next threshold.
    `reached` counts groups from 1, and is 0 for thresholds that were reached before."""
    padded = np.zeros((len(values), values.shape[1] + 2))
    padded[:, 1:-1] = values
    first = reached + np.arange(len(values))[:, None] * padded.shape[1]
    return np.maximum.reduceat(padded.ravel(), first.ravel()).reshape(first.shape)


def _highest_after(
    hits: Int[np.ndarray, "m g"],
    share: Float[np.ndarray, "m g"],
    row: Int[np.ndarray, " t"],
    limit: Int[np.ndarray, " t"],
) -> Float[np.ndarray, " t"]:
    """Return the highest share from where the hits of a row reach a limit, up to where they reach the next; rows and
    limits ascend, and each limit is reached."""
    offset = np.arange(len(hits)) * (2 + int(hits.max(initial=0)))
    first = np.searchsorted((hits + offset[:, None]).ravel(), limit + offset[row], side="left")
    starts = np.concatenate([np.arange(len(hits)) * hits.shape[1], first])
    order = np.argsort(starts, kind="stable")
    best = np.empty(len(starts))
    best[order] = np.maximum.reduceat(share.ravel(), starts[order])
    return best[len(hits) :]


def _needed_in_draws(people: Float[np.ndarray, " b"]) -> Int[np.ndarray, "b R"]:
    """Return the fewest true positives with which each recall threshold is reached, divided as COCO divides."""
    everyone = np.maximum(people, 1)[:, None]
    fewest = np.ceil(RECALL_THRESHOLDS * everyone)
    fewest -= (fewest - 1) / everyone >= RECALL_THRESHOLDS
    fewest += fewest / everyone < RECALL_THRESHOLDS
    return fewest.astype(np.int64)


def average_precision_replicates(
    evaluation: Evaluation,
    counts: Int[np.ndarray, "B I"],
    pose_image: Int[np.ndarray, " N"],
    person_image: Int[np.ndarray, " M"],
    area_names: tuple[str, ...] = tuple(AREA_RANGES),
) -> dict[str, Float[np.ndarray, " B"]]:
    """Compute the COCO numbers of the named area ranges in every draw, each (B,), NaN where no person counts.

    `counts`: how often each of I images is drawn (`bootstrap.resample_counts`). `pose_image` (N,) and
    `person_image` (M,) give the image, 0..I−1, of every pose and person of the evaluation. An image drawn twice counts
    its poses and people twice, at the same score. Matching happens within an image, so it does not change. Raises
    ValueError for an evaluation with other ranges or thresholds than COCO's.
    """
    evaluation.summary()  # raises for other ranges and thresholds
    chosen, steps = [evaluation.area_names.index(name) for name in area_names], len(evaluation.oks_thresholds)
    counted = [np.bincount(person_image[~evaluation.person_ignored[a]], minlength=counts.shape[1]) for a in chosen]
    people = replicate_sums(counts, np.array(counted).T)  # (B, areas)
    draws = PrecisionRecallDraws(np.repeat(people, steps, axis=1), len(evaluation.order))
    flags = (np.moveaxis(flag[chosen], 1, 0) for flag in (evaluation.true_positive, evaluation.pose_ignored))
    draws.add(counts, pose_image[evaluation.order], *(flag.reshape(len(flag), -1) for flag in flags))
    return numbers_of_draws(draws, area_names)


def numbers_of_draws(draws: PrecisionRecallDraws, area_names: tuple[str, ...]) -> dict[str, Float[np.ndarray, " b"]]:
    """Return the COCO numbers of curves of area ranges × OKS thresholds, each (b,)."""
    values = draws.precision(), draws.recall()
    shape = (len(values[0]), len(area_names), values[0].shape[1] // len(area_names))
    precision, recall = (
        np.ascontiguousarray(np.moveaxis(curve.reshape(shape), 0, 2)) for curve in values
    )  # (areas, T, b)
    numbers = {}
    for a, area in enumerate(area_names):
        suffix = {"all": "", "medium": "m", "large": "l"}[area]
        for name, values in (("AP", precision[a]), ("AR", recall[a])):
            numbers[f"{name}{suffix}"] = values.mean(axis=0)
            if area == "all":
                numbers[f"{name}50"], numbers[f"{name}75"] = values[0], values[5]
    return numbers


IOU_THRESHOLDS: Float[np.ndarray, " T"] = np.linspace(0.5, 0.95, 10)
MAX_BOXES = 100


@dataclass(frozen=True)
class BoxPrecision:
    """AP over IoU 0.50:0.95, at 0.50 and at 0.75; AR over the same, and recall at 0.50, with at most 100 boxes per
    image."""

    AP: float
    AP50: float
    AP75: float
    AR: float
    recall50: float


def box_average_precision(
    box: Float[np.ndarray, "N 4"],
    score: Float[np.ndarray, " N"],
    image_id: Int[np.ndarray, " N"],
    true_box: Float[np.ndarray, "M 4"],
    true_image_id: Int[np.ndarray, " M"],
    iscrowd: Bool[np.ndarray, " M"] | None = None,
) -> BoxPrecision:
    """Evaluate detected boxes xyxy against labelled ones, each with its image. Crowds are ignored; NaN without labels.

    Source: pycocotools 2.0 `COCOeval` with iouType "bbox", area "all"; the overlap with a crowd is the share of the
    detected box inside it.
    """
    crowd = np.zeros(len(true_box), dtype=np.bool_) if iscrowd is None else iscrowd
    detected, labelled = same_image_pairs(image_id, true_image_id)
    iou = paired_iou(box[detected], true_box[labelled])
    inside = paired_overlap(box[detected], true_box[labelled])
    pairs = Pairs(detected, labelled, np.where(crowd[labelled], inside, iou))
    best, rank = best_in_image(image_id, score, MAX_BOXES)
    ignored = crowd[None]  # (1, M)
    (match,) = match_greedily(pairs, rank, person_ignored=ignored, iscrowd=crowd, thresholds=IOU_THRESHOLDS)
    order = best[np.argsort(-score[best], kind="stable")]
    match = match[order]  # (D, T)
    taken_ignored = np.append(crowd, False)[match] & (match >= 0)
    count = int(np.count_nonzero(~crowd))
    if not count:
        return BoxPrecision(*[float("nan")] * 5)
    precision, recall = precision_recall(((match >= 0) & ~taken_ignored)[None], taken_ignored[None], np.array([count]))
    return BoxPrecision(
        AP=float(precision[0].mean()),
        AP50=float(precision[0, 0].mean()),
        AP75=float(precision[0, 5].mean()),
        AR=float(recall[0].mean()),
        recall50=float(recall[0, 0]),
    )

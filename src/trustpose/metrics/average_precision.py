"""Average precision as COCO computes it: of poses by OKS and of boxes by IoU."""

from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.boxes import paired_iou, paired_overlap
from trustpose.metrics.matching import Matches, Pairs, match_greedily, pair_oks, ranked, same_image_pairs
from trustpose.poses import Area, Poses, Truth, box_size, extent

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

    `order` (D,) holds rows of the poses, `matches` whom they matched. `pose_ignored` (A, D, T) and `person_ignored`
    (A, M) mark what counts neither as right nor wrong. `true_positive` (A, D, T) is a match that counts.
    """

    order: Int[np.ndarray, " D"]
    matches: Matches
    true_positive: Bool[np.ndarray, "A D T"]
    pose_ignored: Bool[np.ndarray, "A D T"]
    person_ignored: Bool[np.ndarray, "A M"]
    oks_thresholds: Float[np.ndarray, " T"]
    area_names: tuple[str, ...]

    @property
    def match(self) -> Int[np.ndarray, "A D T"]:
        """Rows of the truth, -1 for none."""
        poses = int(self.order.max(initial=-1)) + 1
        return np.moveaxis(self.matches.person_of(poses)[self.order], 0, 1)

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
    order, by_image, rank = ranked(poses.image_id, score, max_detections)  # (D,) each, and (N,)
    if pairs is None:
        lowest_threshold = float(np.min(oks_thresholds)) if len(oks_thresholds) else 0.0
        pairs = pair_oks(
            poses, truth, sigmas=sigmas, area=area, rows=by_image, minimum=min(lowest_threshold, 1 - 1e-10)
        )
    ranges = np.array(list(area_ranges.values())).reshape(-1, 2)  # (A, 2)
    person_ignored = _outside(truth.area_of_all(area), ranges)  # (A, M)
    assert truth.iscrowd is not None and truth.num_keypoints is not None
    person_ignored |= truth.iscrowd | (truth.num_keypoints == 0) | (False if ignore is None else ignore)
    matches = match_greedily(
        pairs, rank, person_ignored=person_ignored, iscrowd=truth.iscrowd, thresholds=oks_thresholds
    )
    matched, person = matches.matched, matches.person  # (E, A, T), (E,)
    counts = matched if truth.annotation_id is None else matched & (truth.annotation_id[person] != 0)[:, None, None]
    ignored = person_ignored.T[person][:, :, None]  # (E, A, 1)
    counts, matched_ignored = (matches.any_of(flags, len(poses))[order] for flags in (counts, matched & ignored))
    pose_area = area_of_poses(poses) if pose_area is None else pose_area
    pose_ignored = matched_ignored | (~counts & _outside(pose_area[order], ranges).T[:, :, None])  # (D, A, T)
    return Evaluation(
        order=order,
        matches=matches,
        true_positive=np.moveaxis(counts & ~pose_ignored, 0, 1),
        pose_ignored=np.moveaxis(pose_ignored, 0, 1),
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
        low_x, low_y, high_x, high_y = extent(poses.xy if without.all() else poses.xy[without])
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
        needed = {int(count): _needed(int(count)) for count in np.unique(people)}
        self._needed = [needed[int(count)] for count in people]  # hits before the one that reaches each threshold
        self._hits, self._tried = np.zeros((2, len(people)), np.int64)
        self._highest = np.zeros((len(people), len(RECALL_THRESHOLDS)))

    def add(self, true_positive: Bool[np.ndarray, "D C"], pose_ignored: Bool[np.ndarray, "D C"]) -> None:
        """Count the next D poses by descending score."""
        flags = zip(np.ascontiguousarray(true_positive.T), np.ascontiguousarray(pose_ignored.T), strict=True)
        for curve, (right, ignored) in enumerate(flags):
            if not len(right) or not self._people[curve]:
                continue
            before, hits = self._hits[curve], np.flatnonzero(right)
            running = np.cumsum(~ignored, dtype=np.int64)
            precision = np.zeros(len(hits) + 1)  # 0 where thresholds begin that are not reached
            hits_so_far = before + np.arange(1, len(hits) + 1, dtype=np.int64)
            np.divide(hits_so_far, self._tried[curve] + running[hits] + np.spacing(1), out=precision[:-1])
            # from where a threshold is reached up to the next: one that is not, or was before, has a later precision
            first = np.clip(self._needed[curve] - before, 0, len(hits))
            np.maximum(self._highest[curve], np.maximum.reduceat(precision, first), out=self._highest[curve])
            self._hits[curve] += len(hits)
            self._tried[curve] += running[-1]

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
    order, _, rank = ranked(image_id, score, MAX_BOXES)
    matches = match_greedily(pairs, rank, person_ignored=crowd[None], iscrowd=crowd, thresholds=IOU_THRESHOLDS)
    is_crowd = crowd[matches.person][:, None, None]
    hits, matched_ignored = (
        np.moveaxis(matches.any_of(matches.matched & flags, len(box))[order], 0, 1) for flags in (~is_crowd, is_crowd)
    )  # (1, D, T)
    count = int(np.count_nonzero(~crowd))
    if not count:
        return BoxPrecision(*[float("nan")] * 5)
    precision, recall = precision_recall(hits, matched_ignored, np.array([count]))
    return BoxPrecision(
        AP=float(precision[0].mean()),
        AP50=float(precision[0, 0].mean()),
        AP75=float(precision[0, 5].mean()),
        AR=float(recall[0].mean()),
        recall50=float(recall[0, 0]),
    )

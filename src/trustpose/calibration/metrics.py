"""Trust evaluated on labelled people: the targets of each result, OKS, OPKS and visibility, and numbers with
intervals over photos.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from msgspec import Meta

from trustpose.geometry.boxes import paired_overlap
from trustpose.geometry.oks import oks, opks
from trustpose.json_records import described
from trustpose.metrics import bootstrap, reliability
from trustpose.metrics.matching import pair_with_people, same_image_pairs
from trustpose.metrics.reliability import average_opks_pearson, pearson
from trustpose.poses import Area, Poses, Truth

_ON_IGNORED = 0.5  # share of a result's box inside that of a person whom COCO evaluation ignores


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of the poses `rows` (n,), columns last: OKS (n,), OPKS and COCO's v (K, n).

    `unmatched` (n,) marks unmatched results, `missing` (K, n) keypoints that the estimator did not place.
    """

    rows: Int[np.ndarray, " n"]
    oks: Float[np.ndarray, " n"]
    opks: Float[np.ndarray, "K n"]
    v: Int[np.ndarray, "K n"]
    unmatched: Bool[np.ndarray, " n"]
    missing: Bool[np.ndarray, "K n"]

    def of(self, index: np.ndarray) -> "Targets":
        """Return the rows selected by an index or mask over n."""
        keypoints = (self.opks[:, index], self.v[:, index])
        return Targets(self.rows[index], self.oks[index], *keypoints, self.unmatched[index], self.missing[:, index])


def find_targets(poses: Poses, truth: Truth, sigmas: Float[np.ndarray, " K"], area: Area) -> Targets:
    """Compute targets of every result that has any, matched to people as in an audit (`metrics.matching`).

    An unmatched result, a false positive or a duplicate, has OKS 0 and no labelled keypoint, as in average precision.
    As COCO evaluation ignores them, results on people without labelled keypoints are left out, and unmatched results
    with half or more of their box in the box of such a person or of a crowd. The OPKS of a missing keypoint is that of
    its written position, as in COCO evaluation.
    """
    missing = np.zeros(poses.xy.shape[:2], dtype=bool) if poses.missing is None else poses.missing
    if not len(truth):  # nobody to be matched to
        count, none = len(poses), np.zeros((poses.xy.shape[1], len(poses)))
        return Targets(
            np.arange(count), np.zeros(count), none, none.astype(np.int64), np.ones(count, np.bool_), missing.T
        )
    person = pair_with_people(poses, truth)
    has_labels = np.any(truth.v > 0, axis=1)
    has_target = np.where(person >= 0, has_labels[person], ~_on_ignored(poses, truth, ~has_labels | _crowd(truth)))
    rows = np.flatnonzero(has_target)
    unmatched = person[rows] < 0
    person_row = np.where(unmatched, 0, person[rows])
    v = np.where(unmatched[:, None], 0, truth.v[person_row])  # (n, K)
    measured = (poses.xy[rows].astype(np.float64), truth.xy[person_row], v, truth.area_of_all(area)[person_row], sigmas)
    with np.errstate(over="ignore"):  # a keypoint at 1e300 overflows to infinity, and its OPKS is 0
        similarity = np.nan_to_num(oks(*measured), nan=0.0)
        of_keypoints = opks(*measured)
    of_keypoints, v, missing = (np.ascontiguousarray(column.T) for column in (of_keypoints, v, missing[rows]))
    return Targets(rows, similarity, of_keypoints, v, unmatched, missing)


def _crowd(truth: Truth) -> np.ndarray:
    return np.zeros(len(truth), dtype=bool) if truth.iscrowd is None else truth.iscrowd


def _on_ignored(poses: Poses, truth: Truth, ignored: np.ndarray) -> np.ndarray:
    """Return which poses (N,) have half or more of their box in that of an ignored person."""
    is_on_ignored = np.zeros(len(poses), dtype=bool)
    people = np.flatnonzero(ignored)
    if truth.box is None or not len(people) or poses.image_id is None or truth.image_id is None:
        return is_on_ignored
    box = poses.person_box()
    pose, person = same_image_pairs(poses.image_id, truth.image_id[people])
    is_on_ignored[pose[paired_overlap(box[pose], truth.box[people[person]]) >= _ON_IGNORED]] = True
    return is_on_ignored


Value = tuple[float, float, float] | None  # a number with its 95 % interval; None if undefined
PlainValue = Annotated[list[float], Meta(min_length=3, max_length=3), described("a number and its interval")] | None
"""A `Value` as it is stored."""


def plain_values(values: Mapping[str, Value]) -> dict[str, PlainValue]:
    """Return numbers with their intervals as JSON values."""
    return {name: None if value is None else [float(number) for number in value] for name, value in values.items()}


def expect_names(record: Any, names: Sequence[str]) -> None:
    """Raise ValueError if a value in the fields `before`, `after` or `change` of a record has another name."""
    for field in ("before", "after", "change"):
        unknown = next((name for name in getattr(record, field) if name not in names), None)
        if unknown is not None:
            raise ValueError(f"{field}.{unknown}: is unknown, expected one of {', '.join(names)}")


@dataclass(frozen=True, eq=False)
class Drawn:
    """A number, and its value in each draw of photos (B,)."""

    value: float
    draws: Float[np.ndarray, " B"]

    def with_interval(self) -> Value:
        """Return the number and its 95 % interval; None if it is NaN."""
        return None if np.isnan(self.value) else (self.value, *bootstrap.interval(self.draws))

    def above(self, baseline: "Drawn") -> Value:
        """Return the difference from another number of the same draws, with the interval of the paired differences."""
        return Drawn(self.value - baseline.value, self.draws - baseline.draws).with_interval()


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of n people: keypoint scores or expected OPKS (n, K), pose scores or expected OKS (n,)."""

    keypoint: Float[np.ndarray, "n K"]
    pose: Float[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class Sample:
    """The people to evaluate: targets, the image 0..I−1 of each (n,), and the draws of images (B, I)."""

    targets: Targets
    image: Int[np.ndarray, " n"]
    counts: Int[np.ndarray, "B I"]

    @classmethod
    def of(cls, targets: Targets, image_id: Int[np.ndarray, " n"], draws: int, seed: int) -> "Sample":
        """Use all people of `targets`, with `draws` resamplings of their photos."""
        images, image = np.unique(image_id, return_inverse=True)
        return cls(targets, image, bootstrap.resample_counts(len(images), draws, seed))


def with_intervals(numbers: "Mapping[str, Drawn | None]") -> dict[str, Value]:
    """Return numbers with their 95 % intervals."""
    return {name: None if number is None else number.with_interval() for name, number in numbers.items()}


def evaluate_scores(scores: Scores, sample: Sample) -> dict[str, Drawn | None]:
    """Compute the audit's numbers, by name, over the whole sample, including unmatched results (OKS and OPKS 0).

    ECE and Brier score are None for scores outside 0–1.
    """
    oks, opks = sample.targets.oks, sample.targets.opks.T
    counts, image = sample.counts, sample.image
    flat, flat_opks, flat_image = scores.keypoint.ravel(), opks.ravel(), np.repeat(image, opks.shape[1])
    mean, mean_opks = scores.keypoint.mean(axis=1), opks.mean(axis=1)
    numbers: dict[str, Drawn | None] = {
        "pose.pearson": Drawn(pearson(scores.pose, oks), bootstrap.pearson_replicates(counts, scores.pose, oks, image)),
        "keypoint.pearson": Drawn(
            pearson(flat, flat_opks), bootstrap.pearson_replicates(counts, flat, flat_opks, flat_image)
        ),
        "keypoint.pearson_pose_mean": Drawn(
            average_opks_pearson(scores.keypoint, opks), bootstrap.pearson_replicates(counts, mean, mean_opks, image)
        ),
    }
    for name, score, target, image_of_row in (
        ("pose", scores.pose, oks, image),
        ("keypoint", flat, flat_opks, flat_image),
    ):
        unit = reliability.scale_to_unit(score)
        if unit is None:
            numbers |= {f"{name}.ece": None, f"{name}.brier": None}
            continue
        numbers[f"{name}.ece"] = Drawn(
            reliability.expected_calibration_error(unit, target),
            bootstrap.ece_replicates(counts, unit, target, image_of_row),
        )
        numbers[f"{name}.brier"] = Drawn(
            reliability.brier_score(unit, target), bootstrap.brier_replicates(counts, unit, target, image_of_row)
        )
    return numbers


def differences(before: dict[str, Drawn | None], after: dict[str, Drawn | None]) -> dict[str, Value]:
    """Return each number of `after` minus that of `before`, in the same draws; None if one of them is."""
    pairs = {name: (before[name], number) for name, number in after.items()}
    return {name: None if old is None or new is None else new.above(old) for name, (old, new) in pairs.items()}


@dataclass(frozen=True, eq=False)
class Explained:
    """The explained share of the variance of OKS and of OPKS, their mean, and its draws (B,): 1 for the truth itself, 0
    for the best constant. A proper score, like the squared error in it."""

    pose: float
    keypoint: float
    mean: float
    draws: Float[np.ndarray, " B"]


def explained(scores: Scores, sample: Sample) -> Explained:
    """Compute the criterion of `--method auto`."""
    oks, opks = sample.targets.oks, sample.targets.opks.T
    images = sample.counts.shape[1]
    parts, draws = [], []
    for score, target in ((scores.pose[:, None], oks[:, None]), (scores.keypoint, opks)):
        squared = ((score - target) ** 2).sum(axis=1), ((target - target.mean()) ** 2).sum(axis=1)  # (n,) each
        sums = bootstrap.sums_by_group(np.stack(squared, axis=1), sample.image, images)  # (I, 2)
        parts.append(float(_share(sums.sum(axis=0, keepdims=True))[0]))
        draws.append(_share(bootstrap.replicate_sums(sample.counts, sums)))
    pose, keypoint = parts
    return Explained(pose, keypoint, (pose + keypoint) / 2, (draws[0] + draws[1]) / 2)


def _share(sums: np.ndarray) -> np.ndarray:
    """Return 1 − error / variance (B,) from sums (B, 2); 0 without variance."""
    error, variance = sums[..., 0], sums[..., 1]
    return 1 - np.divide(error, variance, out=np.ones_like(error), where=variance > 0)

"""The sections of an audit on average precision: all people, each category, crowding, other scores, and tables
of papers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.comparison import comparable
from trustpose.evaluation.draws import Curves, Findings, Resampling
from trustpose.evaluation.record import Audit
from trustpose.evaluation.section_records import (
    CategoryPrecision,
    CrowdLevel,
    KeypointPrecision,
    Number,
    OcclusionBenchmark,
    ThresholdPrecision,
)
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile
from trustpose.metrics.average_precision import (
    AREA_RANGES,
    OKS_THRESHOLDS,
    AveragePrecision,
    Evaluation,
    evaluate,
    mean_of_counted,
    summary_of,
)
from trustpose.metrics.bootstrap import DRAWS, interval
from trustpose.metrics.localisation import (
    THRESHOLDS,
    KeypointAveragePrecision,
    hit_levels,
    precision_of_counts,
    predicted_keypoints,
    table_groups,
)
from trustpose.poses import Area, Poses, Truth, Visibility

CROWD_LEVELS = {"easy": (-np.inf, 0.2), "medium": (0.2, 0.8), "hard": (0.8, np.inf)}  # crowd index from, and below
OCCLUSION_BENCHMARKS = {"0-5": (1, 5), "6-10": (6, 10), "11-15": (11, 15), "16-17": (16, 10**6)}


class ScorePrecision:
    """AP and AR of poses ranked by one score: within each category, as in COCO, and the means over categories."""

    def __init__(self) -> None:
        self._curves: dict[str, Curves] = {}
        self._people: dict[str, int] = {}

    def add(self, batch: Batch, score: Float[np.ndarray, " N"]) -> None:
        """Count a batch of whole photos by a score (N,)."""
        for group in batch.groups:
            options: dict[str, Any] = {"sigmas": batch.sigmas, "area": batch.area}
            curves = self._curves.setdefault(group.name, Curves(len(AREA_RANGES)))
            self._people[group.name] = self._people.get(group.name, 0) + len(group.people)
            if len(group.poses) == len(batch.poses) and len(group.people) == len(batch.truth):
                options |= {"pairs": batch.pairs, "pose_area": batch.pose_area}
            poses, people, group_score = batch.poses[group.poses], batch.truth[group.people], score[group.poses]
            evaluation = evaluate(poses, people, group_score, **options)
            curves.add(batch, [evaluation], group_score, group.poses, group.people)

    def categories(self) -> list[str]:
        """Return the names of the categories that have people, all if none has."""
        return [name for name, people in self._people.items() if people] or list(self._people)

    def precision_recall(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return interpolated precision (3, T, R) and recall (3, T) of each category."""
        return {name: self._curves[name].precision_recall() for name in self.categories()}

    def mean(self) -> AveragePrecision:
        """Return the ten numbers, means over categories."""
        return mean_summary([summary_of(*curves) for curves in self.precision_recall().values()])

    def draws(self, resampling: Resampling, ranges: Sequence[str]) -> dict[str, Float[np.ndarray, " B"]]:
        """Return the means over categories of COCO's numbers in area ranges, in every draw of photos, (B,) by name; NaN
        where no person counts."""
        groups = [list(AREA_RANGES).index(name) for name in ranges]
        draws = [self._curves[name].draws(resampling, ranges, groups) for name in self.categories()]
        if len(draws) == 1:
            return draws[0]
        means = {}
        for name in draws[0]:
            values = np.stack([numbers[name] for numbers in draws])  # (categories, B)
            is_defined = ~np.isnan(values)
            count = is_defined.sum(axis=0)
            total = np.where(is_defined, values, 0.0).sum(axis=0)
            means[name] = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
        return means


def mean_summary(summaries: Sequence[AveragePrecision]) -> AveragePrecision:
    """Return the mean of the categories' ten numbers, each over those with people that count, as in pycocotools."""
    if len(summaries) == 1:
        return summaries[0]
    means = {}
    for field in fields(AveragePrecision):
        values = [value for summary in summaries if (value := getattr(summary, field.name)) != -1]
        means[field.name] = float(np.mean(values)) if values else -1.0
    return AveragePrecision(**means)


class Precision:
    """The ten numbers by score and by the true OKS, with intervals of both and of their difference."""

    def __init__(self) -> None:
        self._by_score, self._by_oks = ScorePrecision(), ScorePrecision()
        self._counted: dict[str, int] = {}

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        self._by_score.add(batch, batch.score)
        self._by_oks.add(batch, batch.oracle_score)
        people = batch.truth
        assert people.num_keypoints is not None and people.iscrowd is not None
        counts = (people.num_keypoints > 0) & ~people.iscrowd
        for group in batch.groups:
            self._counted[group.name] = self._counted.get(group.name, 0) + int(counts[group.people].sum())

    def result(
        self, findings: Findings
    ) -> tuple[AveragePrecision, AveragePrecision, Number, dict[str, CategoryPrecision]]:
        """Return ap, oracle_ap, headroom and the numbers of each category, none for a single, unnamed one."""
        curves = self._by_score.precision_recall(), self._by_oks.precision_recall()
        by_score, by_oks = (
            {name: summary_of(*curve) for name, curve in curves_of_group.items()} for curves_of_group in curves
        )
        ap, oracle_ap = mean_summary(list(by_score.values())), mean_summary(list(by_oks.values()))
        draws = self._by_score.draws(findings.resampling, tuple(AREA_RANGES))
        # headroom needs only AP, and draws take the time
        oracle_draws = self._by_oks.draws(findings.resampling, ("all",))
        for name, values in draws.items():
            findings.interval(f"ap.{name}", values)
        for name, values in oracle_draws.items():
            findings.interval(f"oracle_ap.{name}", values)
        findings.interval("headroom", oracle_draws["AP"] - draws["AP"])
        categories = {
            name: CategoryPrecision(**summary.as_dict(), oracle_AP=by_oks[name].as_dict()["AP"], n=self._counted[name])
            for name, summary in by_score.items()
            if name
        }
        return ap, oracle_ap, None if ap.AP == -1 else oracle_ap.AP - ap.AP, categories

    def thresholds(self) -> dict[str, ThresholdPrecision]:
        """Return AP at each of COCO's ten OKS thresholds, "AP50" to "AP95"; the mean over categories, if several."""
        by_score, by_oks = (
            _at_thresholds([precision for precision, _ in ranked.precision_recall().values()])
            for ranked in (self._by_score, self._by_oks)
        )
        return {
            f"AP{round(100 * threshold)}": ThresholdPrecision(_defined(by_score[step]), _defined(by_oks[step]))
            for step, threshold in enumerate(OKS_THRESHOLDS)
        }


def _at_thresholds(precisions: list[Float[np.ndarray, "3 T R"]]) -> Float[np.ndarray, " T"]:
    values = np.array([[mean_of_counted(row) for row in precision[0]] for precision in precisions])
    counted = (values >= 0).all(axis=1)
    return values[counted].mean(axis=0) if counted.any() else np.full(values.shape[1], np.nan)


class Occlusion:
    """AP on people with few to many labelled keypoints (groups of coco-analyze), ignoring everyone else."""

    def __init__(self) -> None:
        self._by_score, self._by_oks = (Curves(len(OCCLUSION_BENCHMARKS)) for _ in range(2))
        self._count = dict.fromkeys(OCCLUSION_BENCHMARKS, 0)

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        assert batch.truth.iscrowd is not None
        groups = occlusion_groups(batch.truth)
        for curves, score in ((self._by_score, batch.score), (self._by_oks, batch.oracle_score)):
            curves.add(batch, [evaluate_inside(batch, score, groups)], score)
        for name, inside in groups.items():
            self._count[name] += int((inside & ~batch.truth.iscrowd).sum())

    def result(self) -> tuple[dict[str, OcclusionBenchmark], dict[str, tuple[np.ndarray, np.ndarray]]]:
        """Return AP of each group, and its precision (R,) at OKS 0.75 by both scores where it has people."""
        by_score, by_oks = (curves.precision_recall()[0] for curves in (self._by_score, self._by_oks))
        benchmarks, precision_75 = {}, {}
        for group, (name, count) in enumerate(self._count.items()):
            ap, oracle_ap = (_counted(mean_of_counted(values[group])) for values in (by_score, by_oks))
            benchmarks[name] = OcclusionBenchmark(ap, oracle_ap, count)
            if ap is not None:
                precision_75[name] = by_score[group, 5], by_oks[group, 5]
        return benchmarks, precision_75


def occlusion_groups(truth: Truth) -> dict[str, Bool[np.ndarray, " M"]]:
    """Return which people (M,) are in each group, by name."""
    count = truth.num_keypoints
    assert count is not None
    return {name: (count >= low) & (count <= high) for name, (low, high) in OCCLUSION_BENCHMARKS.items()}


def evaluate_inside(
    batch: Batch, score: Float[np.ndarray, " N"], groups: Mapping[str, Bool[np.ndarray, " M"]]
) -> Evaluation:
    """Run COCO evaluation of the people (M,) of each group alone, by a score (N,), whatever their areas."""
    return evaluate(
        batch.poses,
        batch.truth,
        score,
        sigmas=batch.sigmas,
        area=batch.area,
        area_ranges=dict.fromkeys(groups, AREA_RANGES["all"]),
        pairs=batch.pairs,
        ignore=~np.stack(list(groups.values())),
        pose_area=batch.pose_area,
    )


class Crowding:
    """AP on the photos of each of CrowdPose's levels alone; empty without crowd indices.

    Source: CrowdPose's own evaluation (Jeff-sjtu/CrowdPose, crowdposetools), which uses the limits 0.2 and 0.8 where
    the paper gives 0.1 and 0.8; published numbers come from the code.
    """

    def __init__(self) -> None:
        self._curves = Curves(1 + len(CROWD_LEVELS))
        self._photos, self._without = 0, 0
        self._has_levels = False

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        images = batch.file.images
        if images.crowd_index is None:
            return
        self._has_levels = True
        index = images.crowd_index[np.argsort(images.id)]  # (i,) as `Batch` numbers them
        self._photos += len(index)
        self._without += int(np.isnan(index).sum())
        evaluation = evaluate_inside(batch, batch.score, {"all": np.ones(len(batch.truth), bool)})
        within = [(index >= low) & (index < below) for low, below in CROWD_LEVELS.values()]
        self._curves.add(batch, [evaluation], batch.score, within=within)

    def result(self, findings: Findings) -> dict[str, CrowdLevel]:
        """Return the AP of each level."""
        if not self._has_levels:
            return {}
        if self._without:
            findings.notes.append(
                f"crowd.*: {self._without} of {self._photos} photos have no crowdIndex and belong to no level"
            )
        precision, _ = self._curves.precision_recall()
        levels = {}
        for group, name in enumerate(CROWD_LEVELS, start=1):
            draws = self._curves.draws(findings.resampling, ("all",), (group,))
            findings.interval(f"crowd.{name}.AP", draws["AP"])
            people = int(self._curves.people()[group])
            levels[name] = CrowdLevel(_counted(mean_of_counted(precision[group])), people)
        return levels


def _counted(value: float) -> Number:
    return None if value == -1 else value


def _defined(value: float) -> Number:
    return None if np.isnan(value) else float(value)


TABLES = ("thresholds", "scoring-errors", "non-0")


def parse_tables(texts: Sequence[str]) -> dict[str, float | None]:
    """Return the tables of texts NAME or non-0@SCORE, comma-separated or apart, with their scores. Raises
    InputError."""
    parsed: dict[str, float | None] = {}
    for text in (name.strip() for names in texts for name in names.split(",")):
        name, _, limit = text.partition("@")
        if name not in TABLES or (limit and name != "non-0"):
            raise InputError(f"--table: expected {', '.join(TABLES)} or non-0@SCORE, got {text[:40]!r}")
        try:
            parsed[name] = float(limit) if limit else None
        except ValueError:
            raise InputError(f"--table {text[:40]}: expected a number after @") from None
    return parsed


class KeypointsNotAbsent:
    """mAPK of each group of joints and its mean over keypoints, of the poses whose person has labels: with all
    keypoints, and without those that the estimator takes for absent.

    Keypoints with a score below `score_threshold` count as not predicted either way.
    """

    def __init__(self, score_threshold: float | None, keypoints: int) -> None:
        self._score_threshold = score_threshold
        self._labelled = np.zeros(keypoints, np.int64)
        self._all, self._not_absent = np.zeros(
            (2, 2, keypoints), np.int64
        )  # thresholds reached, and predicted keypoints
        self._has_visibility = False

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        scores, labelled = batch.poses.score, batch.labelled
        if scores is None and self._score_threshold is not None:
            raise InputError("--table non-0@SCORE: the keypoints have no scores")
        score = None if scores is None or self._score_threshold is None else scores[batch.rows]
        level = hit_levels(batch.opks, labelled)
        self._labelled += labelled.sum(axis=0)
        absent = _absent(batch)
        for counts, without in ((self._all, None), (self._not_absent, absent)):
            predicted = predicted_keypoints(labelled.shape, score, without, self._score_threshold)
            counts += np.stack([(level * predicted).sum(axis=0), predicted.sum(axis=0)])
        self._has_visibility |= absent is not None

    def result(self, truth: TruthFile, findings: Findings) -> dict[str, KeypointPrecision]:
        """Return the table by group of joints, with a note if the poses have no visibility."""
        if not self._has_visibility:
            findings.notes.append("tables.non-0: null without the poses' visibility")
        all_counts, not_absent = (
            precision_of_counts(level, self._labelled, predicted, len(THRESHOLDS))
            for level, predicted in (self._all, self._not_absent)
        )
        names, skeleton = truth.keypoint_names, truth.skeleton
        groups = {name: (k,) for k, name in enumerate(names)} if skeleton is None else table_groups(skeleton)
        return {
            name: KeypointPrecision(
                *_means(all_counts, joints), *_means(not_absent if self._has_visibility else None, joints)
            )
            for name, joints in {**groups, "mean": tuple(range(len(names)))}.items()
        }


def _absent(batch: Batch) -> Bool[np.ndarray, "n K"] | None:
    """Return which keypoints (n, K) the estimator takes for absent: by its labels, else as the likeliest class."""
    poses = batch.poses
    if poses.visibility_label is not None:
        return np.asarray(poses.visibility_label[batch.rows] == Visibility.ABSENT)
    if poses.visibility is None:
        return None
    return np.asarray(poses.visibility[batch.rows].argmax(axis=2) == Visibility.ABSENT)


def _means(table: KeypointAveragePrecision | None, joints: Sequence[int]) -> tuple[Number, Number]:
    """Return the means of AP and AR over these joints, without those that have none."""
    if table is None:
        return None, None
    columns = [column[list(joints)] for column in (table.AP, table.AR)]
    ap, ar = (float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else None for values in columns)
    return ap, ar


@dataclass(frozen=True)
class Rescoring:
    """AP of the same poses by their own score, by a better one, and by the true OKS.

    `gain` is `better` − `own`; `closed` is the gain as a share of the headroom, `oracle` − `own`; None without
    headroom. `intervals` has the 95 % intervals of "gain" and "closed" from paired draws of images for all three
    scores; NaN if no draw has headroom.
    """

    own: float
    better: float
    oracle: float
    gain: float
    closed: float | None
    intervals: dict[str, tuple[float, float]]


def rescoring(
    truth: TruthFile,
    poses: Poses,
    original: Float[np.ndarray, " N"],
    better: Float[np.ndarray, " N"],
    *,
    category_id: Int[np.ndarray, " N"] | None = None,
    sigmas: Float[np.ndarray, " L"] | None = None,
    area: Area = "file",
    draws: int = DRAWS,
    seed: int = 0,
) -> Rescoring:
    """Compare the ranking of the same N poses by `original` (N,) and by `better` (N,), with 1000 draws of images (0:
    none).

    If the ground truth was read with all its categories, `category_id` is that of each pose, and each AP is the mean
    over categories. With the same seed, the draws and `sigmas` are those of an `audit`. Raises InputError if there are
    no sigmas or no person counts.
    """
    if category_id is None:
        if truth.categories is not None:
            raise ValueError("category_id: expected one per pose, as the ground truth has several")
        category_id = np.full(len(poses), truth.category_id)
    batch = Batch(truth, ResultsFile(poses, original, category_id, "", ""), sigmas=truth.sigmas(sigmas), area=area)
    resampling = Resampling(batch.image_id, draws, seed)
    ap, ap_draws = [], []
    for score in (original, better, batch.oracle_score):
        precision = ScorePrecision()
        precision.add(batch, score)
        ap.append(precision.mean().AP)
        ap_draws.append(precision.draws(resampling, ("all",))["AP"])
    if -1 in ap:
        raise InputError(f"{truth.path}: no person counts for AP")
    return _worth((ap[0], ap[1], ap[2]), (ap_draws[0], ap_draws[1], ap_draws[2]))


def rescoring_of(before: Audit, after: Audit) -> Rescoring:
    """Compute a `Rescoring` from two audits of the same poses with different scores, on their common draws.

    Raises ValueError if the poses or the draws differ, or no person counts for AP.
    """
    original, better, oracle = before.number("ap.AP"), after.number("ap.AP"), before.number("oracle_ap.AP")
    if original is None or better is None or oracle is None:
        raise ValueError("rescoring_of: expected audits with AP, no person counts for it")
    if not same_poses(before, after):
        raise ValueError("rescoring_of: expected two audits of the same poses")
    draws, other_draws = before.details.draws, after.details.draws
    if not comparable((before, after)) or draws.seed != other_draws.seed:
        raise ValueError("rescoring_of: expected audits of the same people in the same draws")
    return _worth(
        (original, better, oracle), (draws.values["ap.AP"], other_draws.values["ap.AP"], draws.values["oracle_ap.AP"])
    )


def same_poses(first: Audit, second: Audit) -> bool:
    """Return whether two audits have the same poses in the same order, whatever their scores."""
    a, b = first.details.poses, second.details.poses
    assert a.image_id is not None and b.image_id is not None
    return np.array_equal(a.xy, b.xy) and np.array_equal(a.image_id, b.image_id)


def _worth(ap: tuple[float, float, float], draws: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Rescoring:
    """Build a `Rescoring` from AP by own, better and oracle scores, and their draws, each (B,)."""
    gain, headroom = ap[1] - ap[0], ap[2] - ap[0]
    intervals: dict[str, tuple[float, float]] = {}
    if len(draws[0]):
        gains, room = draws[1] - draws[0], draws[2] - draws[0]
        shares = np.divide(gains, room, out=np.full_like(gains, np.nan), where=room > 0)
        intervals = {"gain": interval(gains), "closed": interval(shares)}
    return Rescoring(*ap, gain=gain, closed=gain / headroom if headroom > 0 else None, intervals=intervals)

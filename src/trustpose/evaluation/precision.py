"""The sections of an audit on average precision: all people, each category, few to many keypoints, crowding levels."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.curves import Curves
from trustpose.evaluation.record import CategoryPrecision, CrowdLevel, Number, OcclusionBenchmark, ThresholdPrecision
from trustpose.evaluation.resampling import Findings, Resampling
from trustpose.metrics.average_precision import (
    AREA_RANGES,
    OKS_THRESHOLDS,
    AveragePrecision,
    Evaluation,
    evaluate,
    mean_of_counted,
    summary_of,
)
from trustpose.poses import Truth

CROWD_LEVELS = {"easy": (-np.inf, 0.2), "medium": (0.2, 0.8), "hard": (0.8, np.inf)}  # crowd index from, and below
OCCLUSION_BENCHMARKS = {"0-5": (1, 5), "6-10": (6, 10), "11-15": (11, 15), "16-17": (16, 10**6)}
_ALL = {"all": AREA_RANGES["all"]}


class ScorePrecision:
    """AP and AR of poses ranked by one score: within each category, as in COCO, and the means over categories."""

    def __init__(self) -> None:
        self._curves: dict[str, Curves] = {}
        self._people: dict[str, int] = {}

    def add(self, batch: Batch, score: Float[np.ndarray, " N"]) -> None:
        """Count a batch of whole photos by a score (N,)."""
        options: dict[str, Any] = {"sigmas": batch.sigmas, "area": batch.area}
        for group in batch.groups:
            curves = self._curves.setdefault(group.name, Curves(len(AREA_RANGES)))
            self._people[group.name] = self._people.get(group.name, 0) + len(group.people)
            if len(group.poses) == len(batch.poses) and len(group.people) == len(batch.truth):
                options["pairs"] = batch.pairs
            else:
                options.pop("pairs", None)
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
            curves.add(batch, [evaluate_inside(batch, score, inside) for inside in groups.values()], score)
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


def evaluate_inside(batch: Batch, score: Float[np.ndarray, " N"], inside: Bool[np.ndarray, " M"]) -> Evaluation:
    """Run COCO evaluation of the people `inside` (M,) alone, by a score (N,), in the area range "all"."""
    return evaluate(
        batch.poses,
        batch.truth,
        score,
        sigmas=batch.sigmas,
        area=batch.area,
        area_ranges=_ALL,
        pairs=batch.pairs,
        ignore=~inside,
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
        evaluation = evaluate_inside(batch, batch.score, np.ones(len(batch.truth), bool))
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

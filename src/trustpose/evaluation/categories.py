"""Ground truths with several categories, evaluated as in COCO: within each category, AP is the mean over categories."""

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.evaluation.paired_results import PairedResults, measure
from trustpose.evaluation.record import CategoryPrecision
from trustpose.formats.coco import ResultsFile, TruthFile
from trustpose.formats.coco.together import separate_categories
from trustpose.metrics.average_precision import AveragePrecision, Evaluation, evaluate
from trustpose.metrics.average_precision_bootstrap import average_precision_replicates
from trustpose.poses import Area


@dataclass(frozen=True, eq=False)
class Group:
    """The results and people of one category, as rows of a `PairedResults`; `name` is "" if there is only one."""

    name: str
    poses: Int[np.ndarray, " n"]
    people: Int[np.ndarray, " m"]


def measure_by_category(
    truth: TruthFile,
    results: ResultsFile,
    *,
    sigmas: Float[np.ndarray, " K"],
    area: Area,
    replicates: int,
    seed: int,
    pose_score: Float[np.ndarray, " N"] | None = None,
) -> tuple[PairedResults, list[Group]]:
    """Run `measure`, per category if the ground truth was read with all of them; also return the category groups.
    `pose_score` (N,) is compared with OKS; None: the score that ranks.

    In the `PairedResults` of several categories, `image_id` of poses and people numbers pairs of photo and category, so
    that computations per photo keep to one category; draws resample photos.
    """
    poses, people, ids = separate_categories(truth, results)
    pose_score = results.score if pose_score is None else pose_score
    options: dict[str, Any] = {"sigmas": sigmas, "area": area, "replicates": replicates, "seed": seed}
    measured = measure(poses, people, results.score, ids, pose_score=pose_score, **options)
    if truth.categories is None:
        return measured, [Group("", np.arange(len(poses)), np.arange(len(people)))]
    assert results.poses.image_id is not None and truth.truth.image_id is not None
    images = np.sort(truth.images.id)
    measured = replace(
        measured,
        pose_image=np.searchsorted(images, results.poses.image_id),
        person_image=np.searchsorted(images, truth.truth.image_id),
        image_ids=images,
    )
    of_poses, of_people = results.category_id, truth.categories.of_row
    groups = [
        Group(name, np.flatnonzero(of_poses == category), np.flatnonzero(of_people == category))
        for category, name in truth.categories.names.items()
    ]
    return measured, [one for one in groups if len(one.people)] or groups


def evaluate_groups(measured: PairedResults, groups: list[Group], score: Float[np.ndarray, " N"]) -> list[Evaluation]:
    """Run COCO evaluation of each group by a score (N,)."""
    options = {"sigmas": measured.sigmas, "area": measured.area}
    if len(groups) == 1 and len(groups[0].poses) == len(measured.poses):
        return [evaluate(measured.poses, measured.truth, score, pairs=measured.pairs, **options)]  # type: ignore[arg-type]
    return [
        evaluate(measured.poses[one.poses], measured.truth[one.people], score[one.poses], **options)  # type: ignore[arg-type]
        for one in groups
    ]


def mean_summary(summaries: list[AveragePrecision]) -> AveragePrecision:
    """Return the mean of the groups' ten numbers, each over the groups with people that count, as in pycocotools."""
    if len(summaries) == 1:
        return summaries[0]
    means = {}
    for field in fields(AveragePrecision):
        values = [value for one in summaries if (value := getattr(one, field.name)) != -1]
        means[field.name] = float(np.mean(values)) if values else -1.0
    return AveragePrecision(**means)


def mean_draws(
    measured: PairedResults, groups: list[Group], evaluations: list[Evaluation], ranges: tuple[str, ...]
) -> dict[str, Float[np.ndarray, " B"]]:
    """Return the mean in every draw of photos, (B,) by name; NaN where no person counts."""
    draws = [
        average_precision_replicates(
            evaluation, measured.counts, measured.pose_image[one.poses], measured.person_image[one.people], ranges
        )
        for one, evaluation in zip(groups, evaluations, strict=True)
    ]
    if len(draws) == 1:
        return draws[0]
    means = {}
    for name in draws[0]:
        values = np.stack([one[name] for one in draws])  # (groups, B)
        known = ~np.isnan(values)
        count = known.sum(axis=0)
        total = np.where(known, values, 0.0).sum(axis=0)
        means[name] = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0)
    return means


def category_precisions(
    measured: PairedResults, groups: list[Group], own: list[AveragePrecision], oracle: list[AveragePrecision]
) -> dict[str, CategoryPrecision]:
    """Return each category's ten numbers, AP by the true OKS and the number of people that count; empty for a single,
    unnamed category."""
    people = measured.truth
    assert people.num_keypoints is not None and people.iscrowd is not None
    counts = (people.num_keypoints > 0) & ~people.iscrowd
    return {
        group.name: CategoryPrecision(
            **summary.as_dict(), oracle_AP=ideal.as_dict()["AP"], n=int(counts[group.people].sum())
        )
        for group, summary, ideal in zip(groups, own, oracle, strict=True)
        if group.name
    }

"""Fitting a calibrator: every method in turn on folds of photos, the better one on all, its numbers out of fold."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np
from jaxtyping import Float

from trustpose.calibration.calibrator import PART, Calibrator
from trustpose.calibration.card import Card, FittedOn
from trustpose.calibration.chances import Chances, Recalibration
from trustpose.calibration.choice import Choice, choose
from trustpose.calibration.domain import Domain
from trustpose.calibration.features import People, Source, pose_features, read_people
from trustpose.calibration.numbers import Said, Sample, Value, explained, numbers
from trustpose.calibration.score_maps import IsotonicMaps, LogisticMaps
from trustpose.calibration.targets import Targets, find_targets
from trustpose.calibration.trees import Trees
from trustpose.data.coco import ResultsFile, TruthFile, read_results, read_truth
from trustpose.data.folds import fold_of
from trustpose.files import InputError
from trustpose.metrics.bootstrap import REPLICATES
from trustpose.poses import AREAS, Area, Poses
from trustpose.skeletons import Skeleton

METHODS = ("temperature", "platt", "isotonic", "trees")  # from simple to complex
Model = Trees | LogisticMaps | IsotonicMaps
Tick = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How to fit. `sigmas` (K,) replace the skeleton's; `replicates` draws of photos give the intervals."""

    method: str = "auto"
    area: str = "segment"
    folds: int = 5
    seed: int = 0
    estimator: str | None = None
    category: str | int | None = None
    sigmas: Float[np.ndarray, " K"] | None = None
    replicates: int = REPLICATES

    def steps(self) -> int:
        """How often `tick` of `fit` is called."""
        return (len(METHODS) if self.method == "auto" else 1) * self.folds + 1


@dataclass(frozen=True, eq=False)
class Fit:
    """The calibrator, and the results that it was fitted on with trust that is out of fold: each photo's by a model
    that saw no result of its fold."""

    calibrator: Calibrator
    out_of_fold: Poses


@dataclass(frozen=True, eq=False)
class Task:
    """What all methods are fitted to: the people of all results, targets of those that have any, the fold of each
    result (N,), and the sample that numbers are over."""

    people: People
    targets: Targets
    fold: np.ndarray
    sample: Sample
    seed: int
    folds: int


def fit(
    ground_truth: str | Path | TruthFile,
    results: str | Path | ResultsFile,
    options: Options = Options(),
    tick: Tick = lambda _: None,
) -> Fit:
    """Fit a calibrator to COCO results and ground truth. Raises InputError where they, or the options, do not do.

    Photos are divided into folds by the SHA-256 of their id, so people of one photo are never on both sides. Each
    method is fitted on all folds but one and asked about that one; what it says there is what it is judged by, what
    `Recalibration` is learnt from, and, corrected in the same way across folds, what the card's numbers are of. Then
    the method is fitted on everybody. `tick` hears the name of each step before it.
    """
    truth, results = _read(ground_truth, results, options)
    skeleton = _skeleton(truth, options)
    source = Source.of(results.poses)
    source.check(results.poses)
    task = _task(truth, results, skeleton, source, options)
    wanted = METHODS if options.method == "auto" else (options.method,)
    said: dict[str, Chances] = {}
    skipped: dict[str, str] = {}
    for method in wanted:
        try:
            said[method] = _out_of_fold(method, task, tick)
        except InputError as error:
            if options.method != "auto" or method == "trees":
                raise
            skipped[method] = str(error)
    corrected = {method: _recalibrated_across(method, chances, task) for method, chances in said.items()}
    worth = {method: explained(_said(chances, task), task.sample) for method, chances in corrected.items()}
    choice = choose(worth, asked=options.method != "auto")
    tick(f"{choice.method}, all folds")
    calibrator = Calibrator(
        model=_fit_model(choice.method, task.people, task.targets, options.seed),
        recalibration=_recalibration(choice.method, said[choice.method], task.targets),
        domain=_domain(task),
        card=_card(truth, results, skeleton, source, options, task, choice, corrected[choice.method], skipped),
        image_ids=np.unique(cast(np.ndarray, results.poses.image_id)[task.targets.rows]),
    )
    return Fit(calibrator, with_trust(results.poses, corrected[choice.method]))


def with_trust(poses: Poses, chances: Chances) -> Poses:
    """The N poses with what N chances say of them."""
    quality, pose = chances.quality.astype(np.float64), chances.pose.astype(np.float64)
    return replace(poses, quality=quality, visibility=chances.visibility, pose_quality=pose)


def _read(
    ground_truth: str | Path | TruthFile, results: str | Path | ResultsFile, options: Options
) -> tuple[TruthFile, ResultsFile]:
    if options.method not in ("auto", *METHODS):
        raise InputError(f"method: expected auto or one of {', '.join(METHODS)}, got {options.method!r}")
    if options.area not in AREAS:
        raise InputError(f"area: expected one of {', '.join(AREAS)}, got {options.area!r}")
    if options.folds < 2:
        raise InputError(f"folds: expected 2 or more, got {options.folds}")
    if options.replicates < 1:
        raise InputError(f"replicates: expected 1 or more, got {options.replicates}")
    truth = ground_truth if isinstance(ground_truth, TruthFile) else read_truth(ground_truth, options.category)
    if not isinstance(results, ResultsFile):
        results = read_results(results, truth=truth)
    for name, column in (("bbox", truth.truth.box), ("area", truth.truth.area)):
        if column is None and (name == "bbox" or options.area == "segment"):
            raise InputError(f"{truth.path}: field '{name}' is missing in every annotation")
    return truth, results


def _skeleton(truth: TruthFile, options: Options) -> Skeleton:
    """The ground truth's skeleton with the sigmas to measure OKS with."""
    known, names = truth.skeleton, truth.keypoint_names
    sigmas = options.sigmas
    if sigmas is None:
        if known is None or not known.has_sigmas:
            raise InputError(
                f"{truth.path}: field 'categories': no published sigmas for these {len(names)} keypoints, expected "
                "COCO's or CrowdPose's, or sigmas of your own"
            )
        sigmas = known.sigmas
    if len(sigmas) != len(names) or not (np.isfinite(sigmas) & (sigmas > 0)).all():
        raise InputError(f"sigmas: expected {len(names)} numbers above 0, got {np.asarray(sigmas).tolist()}")
    edges = () if known is None else known.edges
    name = "of the ground truth" if known is None else known.name
    return Skeleton(name, names, edges, "given at fitting", tuple(map(float, sigmas)))


def _task(truth: TruthFile, results: ResultsFile, skeleton: Skeleton, source: Source, options: Options) -> Task:
    poses = results.poses
    targets = find_targets(poses, truth.truth, skeleton.sigmas, cast(Area, options.area))
    if not (targets.v > 0).any():
        raise InputError(f"{results.path}: no result is about a labelled person of {truth.path}")
    assert poses.image_id is not None
    fold = fold_of(poses.image_id, options.folds)
    used = fold[targets.rows[~targets.unmatched]]
    if len(np.unique(used)) < options.folds:
        photos = len(np.unique(poses.image_id[targets.rows]))
        raise InputError(f"{results.path}: {photos} photos with labelled people are too few for {options.folds} folds")
    sample = Sample.of(targets, poses.image_id[targets.rows], options.replicates, options.seed)
    return Task(read_people(poses, skeleton, source), targets, fold, sample, options.seed, options.folds)


def _fit_model(method: str, people: People, targets: Targets, seed: int) -> Model:
    if method == "trees":
        return Trees.fit(people, targets, seed)
    if method == "isotonic":
        return IsotonicMaps.fit(people, targets)
    return LogisticMaps.fit("platt" if method == "platt" else "temperature", people, targets)


def _out_of_fold(method: str, task: Task, tick: Tick) -> Chances:
    """What models that never saw a photo's fold say of all N results."""
    found = Chances.empty(*task.people.score.shape)
    target_fold = task.fold[task.targets.rows]
    for fold in range(task.folds):
        tick(f"{method}, fold {fold + 1} of {task.folds}")
        model = _fit_model(method, task.people, task.targets.of(target_fold != fold), task.seed)
        rows = np.flatnonzero(task.fold == fold)
        for start in range(0, len(rows), PART):
            part = rows[start : start + PART]
            found.put(part, model(task.people.rows(part)))
    return found


def _recalibration(method: str, chances: Chances, targets: Targets) -> Recalibration | None:
    """Trees are corrected by what they said out of fold; curves are calibrations already."""
    return Recalibration.fit(chances.of(targets.rows), targets) if method == "trees" else None


def _recalibrated_across(method: str, chances: Chances, task: Task) -> Chances:
    """Each fold corrected by what was learnt on the other folds."""
    if method != "trees":
        return chances
    found = Chances.empty(*task.people.score.shape)
    target_fold = task.fold[task.targets.rows]
    for fold in range(task.folds):
        correction = _recalibration(method, chances, task.targets.of(target_fold != fold))
        assert correction is not None
        rows = np.flatnonzero(task.fold == fold)
        found.put(rows, correction(chances.of(rows)))
    return found


def _said(chances: Chances, task: Task) -> Said:
    measured = chances.of(task.targets.rows)
    return Said(measured.quality.astype(np.float64), measured.pose.astype(np.float64))


def _domain(task: Task) -> Domain:
    people = task.people.rows(task.targets.rows)
    return Domain.of(pose_features(people), people.score, task.seed)


def _card(
    truth: TruthFile,
    results: ResultsFile,
    skeleton: Skeleton,
    source: Source,
    options: Options,
    task: Task,
    choice: Choice,
    chances: Chances,
    skipped: dict[str, str],
) -> Card:
    rows, score = task.targets.rows, results.poses.score
    assert score is not None
    printed = Said(score[rows].astype(np.float64), results.score[rows].astype(np.float64))
    return Card(
        method=choice.method,
        why=choice.why,
        keypoints=skeleton.keypoints,
        edges=skeleton.edges,
        sigmas=tuple(skeleton.sigmas.tolist()),
        area=options.area,
        folds=options.folds,
        seed=options.seed,
        estimator=options.estimator,
        source=source,
        score_range=(float(score[rows].min()), float(score[rows].max())),
        truth=FittedOn(Path(truth.path).name, truth.sha256, int((~task.targets.unmatched).sum())),
        results=FittedOn(Path(results.path).name, results.sha256, len(rows)),
        unmatched=int(task.targets.unmatched.sum()),
        before=_plain(numbers(printed, task.sample)),
        after=_plain(numbers(_said(chances, task), task.sample)),
        explained=_plain(choice.shares),
        skipped=skipped,
        version=version("trustpose"),
    )


def _plain(found: dict[str, Value]) -> dict[str, list[float] | None]:
    return {name: None if value is None else [float(one) for one in value] for name, value in found.items()}

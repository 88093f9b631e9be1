"""Fit a calibrator: cross-fit every method on folds of photos, fit the best on all, report out-of-fold numbers.

A calibrator is fitted to at most `max_results` results: all those of photos that are drawn by their ids. Trees read
at most 300,000 keypoints and 100,000 poses, so that more results only make the numbers' intervals narrower, and take
memory. Which photos are drawn depends on the ids and the number of results alone, so that all layouts of the same
rows have the same people.
"""

from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import cast

import numpy as np

from trustpose.calibration.accuracy import fit_accuracy
from trustpose.calibration.card import CalibratorParts, Card, FittedOn
from trustpose.calibration.decisions import GOALS, Decision, Goal, decide
from trustpose.calibration.features import FeatureInputs, pose_features, read_people
from trustpose.calibration.measure_errors import fit_measure_errors
from trustpose.calibration.metrics import (
    Sample,
    differences,
    evaluate_scores,
    explained,
    find_targets,
    plain_values,
    with_intervals,
)
from trustpose.calibration.opinions import OpinionCard, Second, Seconds, has_trust, read_opinion, seconds_of
from trustpose.calibration.options import MAX_RESULTS, FitOptions
from trustpose.calibration.presence import PresenceModel, fit_presence
from trustpose.calibration.score_maps import Probabilities
from trustpose.calibration.selection import (
    METHODS,
    Choice,
    ProgressCallback,
    Task,
    Trial,
    choose,
    choose_opinions,
    fit_model,
    out_of_fold,
    recalibrated_across,
    recalibration,
)
from trustpose.calibration.shift import Domain, OpinionDomain
from trustpose.datasets.ground_truth import TruthSource, open_ground_truth, truth_file_of
from trustpose.files import InputError
from trustpose.geometry.expected_error import LabelledErrors, fit_error_model
from trustpose.images import draw_number, fold_of
from trustpose.io.coco.labels import LABELLED, TERNARY
from trustpose.io.coco.results import ResultsFile, image_ids, joined_files, of_photos, separate_categories
from trustpose.io.coco.truth import TruthFile
from trustpose.io.pose_stream import common_ids, open_poses, paired_batches
from trustpose.io.read_poses import results_file_of
from trustpose.metrics.matching import pair_with_people
from trustpose.names import expected_one_of
from trustpose.poses import Area, ErrorModel, Poses
from trustpose.poses.accuracy_errors import AccuracyErrors
from trustpose.skeletons import Skeleton, difference, parse_sigmas


def files_to_fit(
    ground_truth: str | Path | TruthFile,
    results: str | Path,
    max_results: int | None = MAX_RESULTS,
    *,
    category: str | int | None = None,
    skeleton: Skeleton | None = None,
    common: bool = False,
) -> tuple[TruthFile, ResultsFile]:
    """Read a ground truth and results of any layout; where there are more than `max_results` results, those of some
    photos, drawn by their ids. Of Parquet no more than twice as many are ever in memory.

    Raises InputError, and DiskError if rows that must be sorted have no space for temporary files.
    """
    truth = open_ground_truth(ground_truth, category, skeleton)
    stream = open_poses(results, truth, common=common)
    drawn = DrawnPhotos(max_results)
    for pair in paired_batches(truth, stream, common_ids(truth, [stream]) if common else None):
        drawn.add(*pair)
    return drawn.files(stream.path)


def limited(truth: TruthFile, results: ResultsFile, max_results: int) -> tuple[TruthFile, ResultsFile]:
    """Return the files themselves, or their drawn photos where there are more than `max_results` results."""
    drawn = DrawnPhotos(max_results)
    drawn.add(truth, results)
    return drawn.files(results.path)


def _drawn_seconds(seconds: tuple[Second, ...], results: ResultsFile, drawn: ResultsFile) -> tuple[Second, ...]:
    """Return second opinions on all results as those on the drawn ones, those of whole photos in their order."""
    is_drawn = np.isin(image_ids(results), image_ids(drawn))
    return tuple(second if second.row is None else replace(second, row=second.row[is_drawn]) for second in seconds)


class DrawnPhotos:
    """Collects whole photos with at most `max_results` results: which, depends on their ids alone."""

    def __init__(self, max_results: int | None) -> None:
        if max_results is not None and max_results < 1:
            raise InputError(f"max_results: expected at least 1 result, got {max_results}")
        self._max_results, self._limit = max_results, np.uint64(2**64 - 1)
        self._pieces: list[tuple[TruthFile, ResultsFile]] = []
        self._results, self._drawn_results = 0, 0

    def add(self, truth: TruthFile, results: ResultsFile) -> None:
        """Add whole photos."""
        self._results += len(results.poses)
        self._pieces.append(self._drawn(truth, results))
        self._drawn_results += len(self._pieces[-1][1].poses)
        if self._max_results is not None and self._drawn_results > 2 * self._max_results:
            self._draw()

    def _drawn(self, truth: TruthFile, results: ResultsFile) -> tuple[TruthFile, ResultsFile]:
        ids = truth.images.id
        inside = draw_number(ids) < self._limit
        return (truth, results) if inside.all() else of_photos(truth, results, ids[inside])[:2]

    def _draw(self) -> None:
        if self._max_results is None or self._drawn_results <= self._max_results:
            return
        numbers = np.concatenate([draw_number(image_ids(results)) for _, results in self._pieces])
        self._limit = np.partition(numbers, self._max_results)[self._max_results]
        self._pieces = [self._drawn(*pair) for pair in self._pieces]
        self._drawn_results = sum(len(results.poses) for _, results in self._pieces)

    def files(self, path: str) -> tuple[TruthFile, ResultsFile]:
        """Return the drawn photos, with a note if not all are. Raises InputError if none is."""
        self._draw()
        if not self._drawn_results:
            raise InputError(f"{path}: no photo was drawn, expected a higher --max-results")
        truth, results = joined_files(self._pieces)
        if self._drawn_results == self._results:
            return truth, results
        note = (
            f"fitted on {self._drawn_results:,} of {self._results:,} results, from photos sampled by their ids "
            "(--max-results)"
        )
        return replace(truth, notes=(*truth.notes, note)), results


DEFAULT = FitOptions()


@dataclass(frozen=True, eq=False)
class Fit:
    """The calibrator's parts, and its results with out-of-fold trust: each photo's from a model that was fitted without
    its fold."""

    parts: CalibratorParts
    out_of_fold: Poses


def fit(
    ground_truth: TruthSource,
    results: Poses | ResultsFile | str | Path,
    options: FitOptions = DEFAULT,
    tick: ProgressCallback = lambda _: None,
    second: Seconds = None,
) -> Fit:
    """Fit a calibrator to COCO results and ground truth. Raises InputError for invalid files or options.

    `second` are other networks' poses of the same people (`second.Seconds`); those that do not help are left out
    (`opinion_choice`).

    Photos are divided into folds by the SHA-256 of their id, so people of one photo are always in the same fold. Each
    method is fitted on all folds but one and predicts the held-out fold. These predictions select the method, fit the
    `Recalibration`, and, corrected in the same way across folds, give the card's numbers. Finally the method is fitted
    on all people. `tick` is called with the name of each step before it.
    """
    truth, results = _read(ground_truth, results, options)
    truth, drawn_results = limited(truth, results, options.max_results)
    seconds = _drawn_seconds(seconds_of(second, truth), results, drawn_results)
    results = drawn_results
    task = prepare(truth, results, options, seconds)
    predictions, skipped = _cross_fit(task, tick)
    corrected = {
        method: recalibrated_across(method, probabilities, task) for method, probabilities in predictions.items()
    }
    worth = {
        method: explained(task.scores_of(probabilities), task.sample) for method, probabilities in corrected.items()
    }
    cards: tuple[OpinionCard, ...] = ()
    if seconds:
        without = Trial((), predictions["trees"], corrected["trees"], worth["trees"])
        best, cards = choose_opinions(task, seconds, without, tick)
        predictions["trees"], corrected["trees"], worth["trees"] = best.plain, best.corrected, best.worth
        task = task.with_opinions(best.opinions)
    choice = choose(worth, is_requested=options.method != "auto")
    if choice.method != "trees":  # curves read a keypoint's own score alone
        task, cards = task.with_opinions(()), tuple(replace(card, kept=False) for card in cards)
    plain, probabilities = predictions[choice.method], corrected[choice.method]
    del predictions, corrected  # those of the other methods
    corrected_poses = with_trust(task.results.poses, probabilities)
    corrected_poses, presence, no_presence = _with_presence(task, corrected_poses)
    decision = None
    if options.goal is not None:
        assert corrected_poses.visibility is not None
        goal = cast(Goal, options.goal)
        decision, label = decide(goal, corrected_poses.visibility, task.fold, task.targets.rows, task.sample)
        corrected_poses = replace(corrected_poses, visibility_label=label)
    tick(f"{choice.method}, all folds")
    parts = CalibratorParts(
        model=fit_model(choice.method, task.people, task.targets, options.seed),
        recalibration=recalibration(choice.method, plain, task.targets),
        domain=_domain(task),
        card=replace(
            _card(task, choice, probabilities, skipped, decision),
            opinions=cards,
            presence=presence,
            no_presence=no_presence,
        ),
        image_ids=_image_ids(task),
        opinions=tuple(OpinionDomain.of(opinion.rows(task.targets.rows)) for opinion in task.people.opinions),
        errors=_errors(task, corrected_poses),
    )
    return Fit(parts, corrected_poses)


def _cross_fit(task: Task, tick: ProgressCallback) -> tuple[dict[str, Probabilities], dict[str, str]]:
    """Return the out-of-fold predictions of each method, and the reasons of those that cannot be fitted."""
    method, predictions, skipped = task.options.method, dict[str, Probabilities](), dict[str, str]()
    for name in METHODS if method == "auto" else (method,):
        try:
            predictions[name] = out_of_fold(name, task, tick)
        except InputError as error:
            if method != "auto" or name == "trees":
                raise
            skipped[name] = str(error)
    return predictions, skipped


def _errors(task: Task, out_of_fold: Poses) -> ErrorModel | None:
    """Return which discs of expected errors held for people that the out-of-fold trust was not fitted on."""
    poses, labelled, _ = separate_categories(task.truth, replace(task.results, poses=out_of_fold))
    person = pair_with_people(poses, labelled)
    errors = LabelledErrors.of_poses(poses, labelled, person, task.skeleton.sigmas)
    model = fit_error_model(errors, task.skeleton, f"people of {Path(task.truth.path).name}, out of fold")
    return model and replace(
        model,
        measures=fit_measure_errors(poses, labelled, person, task.skeleton),
        accuracy=_accuracy(task, out_of_fold),
    )


def _accuracy(task: Task, out_of_fold: Poses) -> AccuracyErrors | None:
    """Return how OKS lay around what the out-of-fold trust expected of the matched people."""
    targets, truth = task.targets, task.truth.truth
    assert truth.image_id is not None and out_of_fold.image_id is not None
    is_labelled = (truth.v > 0).any(axis=1) & np.isin(truth.image_id, out_of_fold.image_id)
    recall = min(1.0, len(targets.rows) / max(1, int(is_labelled.sum())))
    people = out_of_fold[targets.rows]
    return fit_accuracy(people, targets.oks, targets.opks.T, targets.v.T, task.skeleton, recall=round(recall, 4))


def _image_ids(task: Task) -> np.ndarray:
    """Return the photos used for fitting, to recognise them; none if their ids are texts, numbered per file."""
    if not task.truth.image_texts.are_numbers:
        return np.zeros(0, np.int64)
    return np.unique(cast(np.ndarray, task.results.poses.image_id)[task.targets.rows])


def with_trust(poses: Poses, probabilities: Probabilities) -> Poses:
    """Return the N poses with trust from N probabilities, without labels."""
    quality, pose = probabilities.quality.astype(np.float64), probabilities.pose.astype(np.float64)
    visibility = probabilities.visibility
    return replace(poses, quality=quality, visibility=visibility, pose_quality=pose, visibility_label=None)


def _with_presence(task: Task, poses: Poses) -> tuple[Poses, PresenceModel | None, str]:
    """Return the poses with out-of-fold presence, and its model; or unchanged, None, and why it was not learnt."""
    named = replace(poses, skeleton=task.skeleton, presence=None)
    try:
        model, presence = fit_presence(
            named, task.truth, task.fold, "box score" if task.source.box_score else "pose score"
        )
    except ValueError as error:
        return replace(poses, presence=None), None, str(error)
    return replace(poses, presence=presence), model, ""


def _read(
    ground_truth: TruthSource, results: Poses | ResultsFile | str | Path, options: FitOptions
) -> tuple[TruthFile, ResultsFile]:
    if options.method not in ("auto", *METHODS):
        raise InputError(f"method: {expected_one_of(('auto', *METHODS), options.method)}")
    if options.goal not in (None, *GOALS):
        raise InputError(f"goal: {expected_one_of(GOALS, options.goal)}")
    if options.folds < 2:
        raise InputError(f"folds: expected 2 or more, got {options.folds}")
    if options.draws < 1:
        raise InputError(f"draws: expected 1 or more, got {options.draws}")
    truth = truth_file_of(ground_truth, category=options.category, skeleton=options.skeleton)
    results = results_file_of(results, truth)
    if differ := difference(results.poses.skeleton, truth.truth.skeleton):
        raise InputError(f"{results.path} and {truth.path} have different skeletons, {differ}")
    return truth, results


def _skeleton(truth: TruthFile, options: FitOptions) -> Skeleton:
    """Return the ground truth's skeleton with the sigmas for OKS."""
    sigmas = parse_sigmas(options.sigmas) if isinstance(options.sigmas, str) else options.sigmas
    skeleton, names, sigmas = truth.skeleton, truth.keypoint_names, truth.sigmas(sigmas)
    edges = () if skeleton is None else skeleton.edges
    name = "of the ground truth" if skeleton is None else skeleton.name
    return Skeleton(name, names, edges, "given at fitting", tuple(map(float, sigmas)))


def prepare(truth: TruthFile, results: ResultsFile, options: FitOptions, seconds: tuple[Second, ...] = ()) -> Task:
    """Prepare normalised poses, targets, folds and second opinions of results. Raises InputError if there is too little
    data."""
    if seconds and options.method not in ("auto", "trees"):
        raise InputError(f"method: {options.method} reads no second opinion, expected auto or trees")
    options = replace(options, area=truth.area_convention(options.area))
    skeleton, poses = _skeleton(truth, options), results.poses
    source = FeatureInputs.of(poses)
    source.check(poses)
    separated_poses, separated_truth, _ = separate_categories(truth, results)
    targets = find_targets(separated_poses, separated_truth, skeleton.sigmas, cast(Area, options.area))
    if not (targets.v > 0).any():
        raise InputError(f"{results.path}: no result matches a labelled person of {truth.path}")
    assert poses.image_id is not None
    fold = fold_of(poses.image_id, options.folds)
    unmatched = int(targets.unmatched.sum())
    targets = targets.of(np.flatnonzero(~targets.unmatched))  # trust is given a person; presence is learnt apart
    if len(np.unique(fold[targets.rows])) < options.folds:
        photos = len(np.unique(poses.image_id[targets.rows]))
        raise InputError(f"{results.path}: {photos} photos with labelled people are too few for {options.folds} folds")
    people = read_people(poses, skeleton, source)
    sample = Sample.of(targets, poses.image_id[targets.rows], options.draws, options.seed)
    opinions = tuple(read_opinion(poses, people.size, second, skeleton, trust=has_trust(second)) for second in seconds)
    for second, opinion in zip(seconds, opinions, strict=True):
        if not opinion.has_person[targets.rows].any():
            raise InputError(f"{second.label}: has none of the people of {results.path}")
    return Task(truth, results, skeleton, source, options, people, targets, fold, sample, opinions, unmatched)


def _domain(task: Task) -> Domain:
    """Return the domain of all results, as those of another file are compared, matched or not."""
    people = task.people
    return Domain.of(pose_features(people), people.score_of_present(), task.options.seed)


def _card(
    task: Task, choice: Choice, probabilities: Probabilities, skipped: dict[str, str], decision: Decision | None
) -> Card:
    truth, results, options, targets = task.truth, task.results, task.options, task.targets
    printed = task.printed_scores()
    before, after = evaluate_scores(printed, task.sample), evaluate_scores(task.scores_of(probabilities), task.sample)
    values = [with_intervals(both) for both in (before, after)]
    return Card(
        method=choice.method,
        why=choice.why,
        keypoints=task.skeleton.keypoints,
        edges=task.skeleton.edges,
        sigmas=tuple(task.skeleton.sigmas.tolist()),
        area=cast(Area, options.area),
        folds=options.folds,
        seed=options.seed,
        estimator=options.estimator,
        source=task.source,
        score_range=(float(printed.keypoint.min()), float(printed.keypoint.max())),
        truth=FittedOn(Path(truth.path).name, truth.sha256, len(targets.rows)),
        results=FittedOn(Path(results.path).name, results.sha256, len(targets.rows)),
        unmatched=task.unmatched,
        before=plain_values(values[0]),
        after=plain_values(values[1]),
        change=plain_values(differences(before, after)),
        explained=plain_values(choice.shares),
        skipped=skipped,
        decision=decision,
        visibility=TERNARY if truth.has_visibility else LABELLED,
        version=version("trustpose"),
    )

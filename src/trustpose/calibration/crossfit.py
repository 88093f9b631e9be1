"""Cross-fitting: predict each fold with models that were fitted on the other folds."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from trustpose.calibration.features import PART, FeatureInputs, NormalisedPoses
from trustpose.calibration.metrics import Sample, Scores
from trustpose.calibration.opinions import Opinion
from trustpose.calibration.options import FitOptions
from trustpose.calibration.probabilities import Probabilities, Recalibration
from trustpose.calibration.score_maps import IsotonicMaps, LogisticMaps
from trustpose.calibration.targets import Targets
from trustpose.calibration.trees import Trees
from trustpose.formats.coco import ResultsFile, TruthFile
from trustpose.skeletons import Skeleton

METHODS = ("temperature", "platt", "isotonic", "trees")  # from simple to complex
Model = Trees | LogisticMaps | IsotonicMaps
ProgressCallback = Callable[[str], None]


def fit_steps(options: FitOptions, opinions: int = 0) -> int:
    """Return how often `fit` calls `tick` at most, with second opinions to choose from."""
    tried = opinions * (opinions + 1) // 2
    return ((len(METHODS) if options.method == "auto" else 1) + tried) * options.folds + 1


@dataclass(frozen=True, eq=False)
class Task:
    """The common input of all methods: the files, the people of all N results, targets of those that have any, the fold
    of each result (N,), the sample for the numbers, the second opinions to choose from, and how many results matched no
    person: they teach presence alone."""

    truth: TruthFile
    results: ResultsFile
    skeleton: Skeleton
    source: FeatureInputs
    options: FitOptions
    people: NormalisedPoses
    targets: Targets
    fold: Int[np.ndarray, " N"]
    sample: Sample
    opinions: tuple[Opinion, ...] = ()
    unmatched: int = 0

    def scores_of(self, probabilities: Probabilities) -> Scores:
        """Return the scores from N probabilities for the people of the targets."""
        measured = probabilities.of(self.targets.rows)
        return Scores(measured.quality.astype(np.float64), measured.pose.astype(np.float64))

    def with_opinions(self, numbers: tuple[int, ...]) -> "Task":
        """Return the task whose people have these of the second opinions, by number."""
        return replace(self, people=replace(self.people, opinions=tuple(self.opinions[number] for number in numbers)))

    def printed_scores(self) -> Scores:
        """Return the estimator's own scores for these people."""
        score, rows = self.results.poses.score, self.targets.rows
        assert score is not None
        return Scores(score[rows].astype(np.float64), self.results.score[rows].astype(np.float64))


def fit_model(method: str, people: NormalisedPoses, targets: Targets, seed: int) -> Model:
    """Fit a method to the people of `targets`. Raises InputError if that is impossible."""
    if method == "trees":
        return Trees.fit(people, targets, seed)
    if method == "isotonic":
        return IsotonicMaps.fit(people, targets)
    return LogisticMaps.fit("platt" if method == "platt" else "temperature", people, targets)


def out_of_fold(method: str, task: Task, tick: ProgressCallback, label: str | None = None) -> Probabilities:
    """Predict all N results with models that were fitted without their photo's fold. `label`: what `tick` is told."""
    probabilities = Probabilities.empty(*task.people.score.shape)
    target_fold = task.fold[task.targets.rows]
    for fold in range(task.options.folds):
        tick(f"{label or method}, fold {fold + 1} of {task.options.folds}")
        model = fit_model(method, task.people, task.targets.of(target_fold != fold), task.options.seed)
        rows = np.flatnonzero(task.fold == fold)
        for start in range(0, len(rows), PART):
            part = rows[start : start + PART]
            probabilities.put(part, model(task.people.rows(part)))
    return probabilities


def recalibration(method: str, probabilities: Probabilities, targets: Targets) -> Recalibration | None:
    """Fit a correction of trees on their out-of-fold predictions; None for curves, which are calibrated already."""
    return Recalibration.fit(probabilities.of(targets.rows), targets) if method == "trees" else None


def recalibrated_across(method: str, probabilities: Probabilities, task: Task) -> Probabilities:
    """Correct each fold with what was fitted on the other folds."""
    if method != "trees":
        return probabilities
    corrected = Probabilities.empty(*task.people.score.shape)
    target_fold = task.fold[task.targets.rows]
    for fold in range(task.options.folds):
        correction = recalibration(method, probabilities, task.targets.of(target_fold != fold))
        assert correction is not None
        rows = np.flatnonzero(task.fold == fold)
        missing = task.people.missing
        corrected.put(rows, correction(probabilities.of(rows), None if missing is None else missing[:, rows]))
    return corrected

"""Choose a method and the second opinions worth their cost: by cross-fitting, with the reason in a sentence.

A second opinion costs the run of another network, so it must improve the result. They are added one by one to the
trees: in each round the one that helps most, if the share of variance of OKS and OPKS that it explains in addition is
at least `LEAST_GAIN`, and if 0 is below the 95 % interval of the gain over the same draws of photos. The folds are
those that select the method; what is left out has its numbers in the card all the same.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from trustpose.calibration.features import PART, FeatureInputs, NormalisedPoses
from trustpose.calibration.metrics import (
    Drawn,
    Explained,
    Sample,
    Scores,
    Targets,
    Value,
    differences,
    evaluate_scores,
    explained,
    plain_values,
    with_intervals,
)
from trustpose.calibration.opinions import BROUGHT, Opinion, OpinionCard, Second, has_trust
from trustpose.calibration.options import FitOptions
from trustpose.calibration.score_maps import IsotonicMaps, LogisticMaps, Probabilities, Recalibration
from trustpose.calibration.trees import Trees
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile
from trustpose.metrics.bootstrap import interval
from trustpose.skeletons import Skeleton


@dataclass(frozen=True)
class Choice:
    """The method, the reason, and each method's explained variance with its 95 % interval."""

    method: str
    why: str
    shares: dict[str, Value]


def choose(worth: dict[str, Explained], *, is_requested: bool) -> Choice:
    """Select the method that explains most of the variance of OKS and OPKS out of fold; `worth` is ordered by
    complexity.

    A simpler method is preferred if the lead of the best is not significant: if 0 lies in the 95 % interval of the
    difference, over the same draws of photos.
    """
    shares: dict[str, Value] = {name: (explained.mean, *interval(explained.draws)) for name, explained in worth.items()}
    best = max(worth, key=lambda name: worth[name].mean)
    if is_requested or len(worth) == 1:
        return Choice(best, f"{best} was requested", shares)
    name = next(
        name
        for name, explained in worth.items()
        if name == best or interval(worth[best].draws - explained.draws)[0] <= 0
    )
    listed = ", ".join(f"{method} {explained.mean:.3f}" for method, explained in worth.items() if method != name)
    why = f"out of fold {name} explains {worth[name].mean:.3f} of the variance of OKS and OPKS ({listed})"
    if name != best:
        return Choice(name, f"{why}; the lead of {best} is not significant, and {name} is simpler", shares)
    low, high = _lead(worth, best)
    return Choice(name, f"{why}; 95 % interval of its lead {low:.3f} to {high:.3f}", shares)


def _lead(worth: dict[str, Explained], best: str) -> tuple[float, float]:
    """Return the interval of the best method's lead over the second best."""
    second = max((name for name in worth if name != best), key=lambda name: worth[name].mean)
    return interval(np.asarray(worth[best].draws - worth[second].draws))


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


LEAST_GAIN = 0.01


@dataclass(frozen=True, eq=False)
class Trial:
    """Trees with some of the opinions, by number: their predictions, as they are and corrected across folds, and what
    these explain."""

    opinions: tuple[int, ...]
    plain: Probabilities
    corrected: Probabilities
    worth: Explained


def try_trees(task: Task, opinions: tuple[int, ...], tick: ProgressCallback, label: str = "trees") -> Trial:
    """Cross-fit trees that read these of the task's opinions."""
    task = task.with_opinions(opinions)
    plain = out_of_fold("trees", task, tick, label)
    corrected = recalibrated_across("trees", plain, task)
    return Trial(opinions, plain, corrected, explained(task.scores_of(corrected), task.sample))


def choose_opinions(
    task: Task, seconds: tuple[Second, ...], without: Trial, tick: ProgressCallback
) -> tuple[Trial, tuple[OpinionCard, ...]]:
    """Return the trees with the opinions that help, and a card for each opinion, kept or not."""
    best, cards = without, dict[int, OpinionCard]()
    measured = _Measured(task)
    remaining = list(range(len(seconds)))
    while remaining:
        trials = {
            number: try_trees(task, (*best.opinions, number), tick, f"trees, {seconds[number].label}")
            for number in remaining
        }
        winner = max(remaining, key=lambda number: trials[number].worth.mean)
        for number in remaining:
            cards[number] = measured.card(seconds[number], task.opinions[number], best, trials[number], is_kept=False)
        if not _is_worth(best, trials[winner]):
            break
        cards[winner] = replace(cards[winner], kept=True)
        best = trials[winner]
        remaining.remove(winner)
    return best, tuple(cards[number] for number in range(len(seconds)))


def _is_worth(before: Trial, after: Trial) -> bool:
    gain = after.worth.mean - before.worth.mean
    return gain >= LEAST_GAIN and interval(after.worth.draws - before.worth.draws)[0] > 0


class _Measured:
    """The card's numbers of each trial, computed once."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._computed: dict[tuple[int, ...], dict[str, Drawn | None]] = {}

    def card(self, second: Second, opinion: Opinion, before: Trial, after: Trial, *, is_kept: bool) -> OpinionCard:
        """Describe the effect of an opinion on trees that have those of `before`."""
        old, new = self._numbers(before), self._numbers(after)
        values = [with_intervals(both) for both in (old, new)]
        return OpinionCard(
            name=second.name,
            file=second.file,
            sha256=second.sha256,
            model=second.model,
            people=int(np.count_nonzero(opinion.has_person)),
            trust=has_trust(second),
            kept=is_kept,
            before=plain_values(values[0]),
            after=plain_values(values[1]),
            change=plain_values(differences(old, new)),
        )

    def _numbers(self, trial: Trial) -> dict[str, Drawn | None]:
        if trial.opinions not in self._computed:
            scores: Scores = self._task.scores_of(trial.corrected)
            numbers = evaluate_scores(scores, self._task.sample)
            share = Drawn(trial.worth.mean, trial.worth.draws)
            self._computed[trial.opinions] = {name: share if name == "explained" else numbers[name] for name in BROUGHT}
        return self._computed[trial.opinions]

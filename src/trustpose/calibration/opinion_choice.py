"""Decide which second opinions a calibrator reads: those that explain more, out of fold.

A second opinion costs the run of another network, so it must improve the result. They are added one by one to the
trees: in each round the one that helps most, if the share of variance of OKS and OPKS that it explains in addition is
at least `LEAST_GAIN`, and if 0 is below the 95 % interval of the gain over the same draws of photos. The folds are
those that select the method; what is left out has its numbers in the card all the same.
"""

from dataclasses import dataclass, replace

import numpy as np

from trustpose.calibration.crossfit import ProgressCallback, Task, out_of_fold, recalibrated_across
from trustpose.calibration.metrics import (
    Drawn,
    Explained,
    Scores,
    differences,
    evaluate_scores,
    explained,
    plain_values,
    with_intervals,
)
from trustpose.calibration.opinion_card import BROUGHT, OpinionCard
from trustpose.calibration.opinions import Opinion, has_trust
from trustpose.calibration.probabilities import Probabilities
from trustpose.calibration.second import Second
from trustpose.metrics.bootstrap import interval

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

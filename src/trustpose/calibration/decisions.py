"""Decide absent, occluded or visible from calibrated probabilities, by a rule chosen for a goal.

Occluded is seldom the likeliest class, even of keypoints of which a third is occluded. A rule with two thresholds finds
them: occluded where P(occluded) is high enough, and of the others absent where P(absent) is high enough beside
P(visible). For F1 of one class from calibrated probabilities such a threshold is optimal (Lipton, Elkan & Naryanaswamy,
"Thresholding classifiers to maximize F1 score", 2014).

Thresholds are chosen on out-of-fold probabilities. The numbers of a `Decision` are cross-fitted: the rule of each fold
is chosen on the other folds, so that no keypoint is evaluated with a rule that it helped to choose.
"""

import math
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.metrics import (
    Drawn,
    PlainValue,
    Sample,
    differences,
    expect_names,
    plain_values,
    with_intervals,
)
from trustpose.files import InputError
from trustpose.json_records import within
from trustpose.metrics.bootstrap import confusion_replicates
from trustpose.metrics.classification import confusion, ternary_scores
from trustpose.poses import Visibility

Goal = Literal["occluded-f1", "total-f1", "likelihood"]
GOALS: tuple[Goal, ...] = get_args(Goal)
_OCCLUDED = np.arange(1, 500) / 500  # thresholds on P(occluded) to choose from
_ABSENT = np.arange(40, 161) / 200  # the same on P(absent) / (P(absent) + P(visible))
_EVEN = int(np.argmin(np.abs(_ABSENT - 0.5)))
_NUMBERS = ("absent", "occluded", "visible", "total")


@dataclass(frozen=True)
class DecisionRule:
    """A keypoint is occluded where P(occluded) is at least `occluded` (None: where it is the likeliest); of the others,
    absent where P(absent) is at least the share `absent` of P(absent) + P(visible), else visible."""

    occluded: Annotated[float, within(0, 1)] | None
    absent: Annotated[float, within(0, 1)] = 0.5

    def __call__(self, visibility: Float[np.ndarray, "*S 3"]) -> Int[np.ndarray, "*S"]:
        """Return the class (…) int8 of each triple of probabilities, as `poses.Visibility`."""
        if self.occluded is None:
            return np.argmax(visibility, axis=-1).astype(np.int8)
        absent, occluded, visible = np.moveaxis(visibility, -1, 0)
        absent_or_visible = np.where(absent >= self.absent * (absent + visible), Visibility.ABSENT, Visibility.VISIBLE)
        return np.where(occluded >= self.occluded, Visibility.OCCLUDED, absent_or_visible).astype(np.int8)

    def __str__(self) -> str:
        if self.occluded is None:
            return "the likeliest class"
        else_clause = "absent if likelier than visible"
        if self.absent != 0.5:
            else_clause = f"absent where P(absent) ≥ {self.absent:.3g} (P(absent) + P(visible))"
        return f"occluded where P(occluded) ≥ {self.occluded:.3g}, else {else_clause}"


@dataclass(frozen=True)
class Decision:
    """The rule chosen for a goal, and its F1 of absent, occluded, visible and their weighted total: `before` of the
    likeliest class, `after` of the rule, cross-fitted, and their paired `change`, each with its 95 % interval."""

    goal: Goal
    rule: DecisionRule
    before: dict[str, PlainValue] = field(default_factory=dict)
    after: dict[str, PlainValue] = field(default_factory=dict)
    change: dict[str, PlainValue] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expect_names(self, _NUMBERS)


def choose_rule(visibility: Float[np.ndarray, "n K 3"], v: Int[np.ndarray, "n K"], goal: str) -> DecisionRule:
    """Choose the rule with the best F1 of occluded keypoints, or total F1, over keypoints whose true class is `v`
    (`metrics.classification`); for the goal "likelihood", the likeliest class. Raises InputError if no keypoint is
    occluded."""
    if goal == "likelihood":
        return DecisionRule(None)
    if not (v == Visibility.OCCLUDED).any():
        raise InputError(f"goal {goal}: no labelled keypoint is occluded (v = 1), so there is nothing to choose by")
    scores = ternary_scores(_confusions(visibility.reshape(-1, 3), v.ravel()))  # (T, A) each
    if goal == "occluded-f1":
        return DecisionRule(float(_OCCLUDED[np.nanargmax(scores.f1[:, _EVEN, Visibility.OCCLUDED])]))
    occluded, absent = np.unravel_index(np.nanargmax(scores.total_f1), scores.total_f1.shape)
    return DecisionRule(float(_OCCLUDED[occluded]), float(_ABSENT[absent]))


def _confusions(visibility: Float[np.ndarray, "N 3"], v: Int[np.ndarray, " N"]) -> Int[np.ndarray, "T A 3 3"]:
    """Return confusion counts for every pair of thresholds, from one histogram."""
    chance = visibility.astype(np.float64)
    absent, occluded, visible = chance.T
    share = np.divide(absent, absent + visible, out=np.zeros_like(absent), where=absent + visible > 0)
    passed = np.searchsorted(_OCCLUDED, occluded, "right"), np.searchsorted(_ABSENT, share, "right")
    shape = (3, len(_OCCLUDED) + 1, len(_ABSENT) + 1)
    counts = np.bincount(np.ravel_multi_index((v, *passed), shape), minlength=math.prod(shape)).reshape(shape)
    upto = counts.cumsum(axis=1)[:, :-1]  # (3, T, A + 1): below the threshold on P(occluded)
    below = upto.sum(axis=2)[..., None]
    chosen_occluded = counts.sum(axis=(1, 2))[:, None, None] - below
    chosen_absent = below - upto.cumsum(axis=2)[..., :-1]  # (3, T, A)
    chosen = np.broadcast_arrays(chosen_absent, chosen_occluded, below - chosen_absent)
    return np.moveaxis(np.stack(chosen), (0, 1), (3, 2))


def decide(
    goal: Goal,
    visibility: Float[np.ndarray, "N K 3"],
    fold: Int[np.ndarray, " N"],
    rows: Int[np.ndarray, " n"],
    sample: Sample,
) -> tuple[Decision, Int[np.ndarray, "N K"]]:
    """Choose the rule of N people's out-of-fold probabilities and evaluate it; also return their cross-fitted labels.

    `rows` (n,) are those in `sample`; results that match no person are not used, as in audits. Raises InputError if
    there is no occluded keypoint to choose by.
    """
    matched = np.flatnonzero(~sample.targets.unmatched)
    people, v = rows[matched], sample.targets.v.T[matched]
    label = np.empty(visibility.shape[:2], dtype=np.int8)
    for held_out in np.unique(fold):
        is_training = fold[people] != held_out
        label[fold == held_out] = choose_rule(visibility[people[is_training]], v[is_training], goal)(
            visibility[fold == held_out]
        )
    image = np.broadcast_to(sample.image[matched][:, None], v.shape)
    likeliest = DecisionRule(None)(visibility[people])
    before, after = (_evaluate(v, chosen, image, sample.counts) for chosen in (likeliest, label[people]))
    rule, change = choose_rule(visibility[people], v, goal), differences(before, after)
    before_values, after_values = (with_intervals(both) for both in (before, after))
    return Decision(goal, rule, plain_values(before_values), plain_values(after_values), plain_values(change)), label


def _evaluate(v: np.ndarray, chosen: np.ndarray, image: np.ndarray, counts: np.ndarray) -> dict[str, Drawn | None]:
    scores, draws = ternary_scores(confusion(v, chosen)), ternary_scores(confusion_replicates(counts, v, chosen, image))
    values = [*scores.f1.tolist(), float(scores.total_f1)]
    return {
        name: Drawn(value, drawn)
        for name, value, drawn in zip(_NUMBERS, values, [*draws.f1.T, draws.total_f1], strict=True)
    }

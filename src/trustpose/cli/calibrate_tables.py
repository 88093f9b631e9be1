"""The tables and notes that `trustpose calibrate fit` prints; imported when it runs."""

import numpy as np
from rich.console import Console
from rich.table import Table

from trustpose.calibration.card import LABELS, Card
from trustpose.calibration.decisions import Decision
from trustpose.calibration.opinions import OpinionCard
from trustpose.evaluation.precision import Rescoring
from trustpose.io.coco.labels import LABELLED
from trustpose.io.coco.truth import Categories


def means(categories: Categories) -> str:
    """Print which numbers are means over categories."""
    count = len(np.unique(categories.of_row))
    return f"AP, headroom closed: means over {count} categories; all other numbers pool them"


def print_fit(card: Card, worth: Rescoring | None, about_files: tuple[str, ...]) -> None:
    """Print a calibrator's numbers, the effect of its second opinions, its decision, and notes."""
    console = Console()
    table = Table(
        title=f"out of fold, {card.folds} folds of photos; area: {card.area}; differences: paired draws of photos",
        title_justify="left",
    )
    for column in ("", "printed scores", card.method, "difference"):
        table.add_column(column, justify="left" if not column else "right")
    for name, label in LABELS.items():
        cells = (_cell(numbers[name]) for numbers in (card.before, card.after))
        table.add_row(label, *cells, _cell(card.change[name], sign="+"))
    if worth is not None:
        gain = _cell([worth.gain, *worth.intervals["gain"]], sign="+")
        table.add_row("AP", f"{worth.own:.3f}", f"{worth.better:.3f}", gain)
        if worth.closed is not None:
            table.add_row("headroom closed", "", "", _cell([worth.closed, *worth.intervals["closed"]]))
    console.print(table)
    for opinion in card.opinions:
        _print_opinion(console, opinion)
    if card.decision is not None:
        _print_decision(console, card.decision)
    notes = [*about_files, card.why, *(f"{name} was left out: {reason}" for name, reason in card.skipped.items())]
    notes += [opinion.sentence() for opinion in card.opinions]
    if card.visibility == LABELLED:
        notes.append(
            "the ground truth says whether a keypoint is labelled, not whether it is occluded or visible, so "
            "P(visible) is P(labelled) and P(occluded) is 0"
        )
    if card.presence is None:
        notes.append(f"presence was not fitted: {card.no_presence}")
    else:
        fitted = card.presence.fitted_on
        notes.append(
            f"presence, out of fold on {fitted['results']} results: AUROC {fitted['auroc']:.3f}, ECE "
            f"{fitted['ece']:.3f}; predictions leave out people below {card.presence.min_presence:g} (--min-presence)"
        )
    if card.unmatched:
        notes.append(f"{card.unmatched} results match no person: they are used to fit presence only")
    for note in notes:
        console.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)


def _print_opinion(console: Console, opinion: OpinionCard) -> None:
    """Print the numbers without and with a second opinion, out of fold."""
    console.print(f"{opinion.label}, {opinion.people} people", markup=False, highlight=False, soft_wrap=True)
    table = Table()
    for column in ("", "without it", "with it", "difference"):
        table.add_column(column, justify="left" if not column else "right")
    for name, label in ({"explained": "explained variance"} | LABELS).items():
        if name in opinion.after:
            change = _cell(opinion.change[name], sign="+")
            table.add_row(label, _cell(opinion.before[name]), _cell(opinion.after[name]), change)
    console.print(table)


def _print_decision(console: Console, decision: Decision) -> None:
    """Print the F1 of the likeliest class and of the rule, out of fold."""
    console.print(f"decision for {decision.goal}: {decision.rule}", markup=False, highlight=False, soft_wrap=True)
    table = Table()
    for column in ("", "likeliest class", "decision, cross-fitted", "difference"):
        table.add_column(column, justify="left" if not column else "right")
    for name, after in decision.after.items():
        change = _cell(decision.change[name], sign="+")
        table.add_row(f"F1, {name}", _cell(decision.before[name]), _cell(after), change)
    console.print(table)


def _cell(value: list[float] | None, sign: str = "") -> str:
    if value is None:
        return "–"
    mean, low, high = (f"{number:{sign}.3f}".replace("-", "−") for number in value)
    return f"{mean}\n[{low}, {high}]"  # on two lines, as three columns of both are wider than a terminal

"""Text and tables that compare several audits: which file leads, and whether paired draws confirm it."""

from collections.abc import Sequence
from typing import Any

from trustpose.audit.comparison import Outcome, comparable, compare, outcome
from trustpose.audit.record import Audit, Comparison
from trustpose.report.summary import count, number, with_interval

# by group: dotted name, what it is, whether higher is better; None: neither is
Headlines = dict[str, tuple[tuple[str, str, bool | None], ...]]
Differences = dict[tuple[int, int], dict[str, Comparison]]
_RELATED = {
    "ap.AP": ("ap.AR",),
    "pose.pearson": ("pose.spearman", "keypoint.pearson"),
    "pose.ece": ("keypoint.ece",),
}
_RELATED_NAMES = {
    "ap.AR": "average recall",
    "pose.spearman": "rank correlation (Spearman)",
    "keypoint.pearson": "the correlation of keypoint scores with OPKS",
    "keypoint.ece": "the calibration error of keypoint scores",
}
OUTCOMES: dict[Outcome, str] = {"better": "better", "worse": "worse", "undecided": "not distinguishable"}


def differences(audits: Sequence[Audit]) -> Differences:
    """Return paired differences by (file, against, dotted name), files by index; empty if not comparable."""
    if not comparable(audits):
        return {}
    places = range(len(audits))
    pairs = ((i, j) for i in places for j in places if i != j)
    return {(i, j): {one.metric: one for one in compare(audits[i], audits[j])} for i, j in pairs}


def comparison(audits: Sequence[Audit], labels: Sequence[str], found: Differences) -> list[str]:
    """Return sentences that compare several audits: first their data, then the leader in accuracy, ranking and
    calibration."""
    truth = audits[0].inputs["ground_truth"]
    same = comparable(audits)
    if same:
        start = (
            f"{len(audits)} results files are evaluated on the same {count(truth['people_with_keypoints'])} people "
            f"with labelled keypoints, in {count(truth['images'], 'photo')}."
        )
    else:
        start = (
            f"{len(audits)} results files are shown here, but they were audited on different ground truth "
            "files or with different areas for OKS, so they cannot be compared."
        )
    start += (
        " Average precision (AP) measures how good poses are in the ranking by score; true quality (OKS) "
        "is how close a single pose is to its label. Both range from 0 to 1, which is perfect. Brackets hold "
        "95\u00a0% intervals."
    )
    if not same:
        return [start]
    leads = (
        ("ap.AP", "AP", True),
        ("pose.pearson", "the correlation of score and OKS", True),
        ("pose.ece", "the calibration error of the score", False),
    )
    sentences = (_leader(audits, labels, found, *lead) for lead in leads)
    return [start, *(text for text in sentences if text)]


def _leader(
    audits: Sequence[Audit], labels: Sequence[str], found: Differences, name: str, title: str, higher: bool
) -> str:
    """Describe the best value of a number and the second, and call one the better only where paired draws say so; other
    numbers of its kind that differ by more than chance follow."""
    known = [(value, i) for i, audit in enumerate(audits) if (value := audit.number(name)) is not None]
    if len(known) < 2:
        return ""
    known.sort(reverse=higher)
    best, second = known[0][1], known[1][1]
    values = [f"{labels[i]} {with_interval(audits[i], name)}" for i in (best, second)]
    pair = found[best, second][name]
    text = f"{title[0].upper()}{title[1:]}: {values[0]}, {values[1]}."
    if pair.low is not None:
        verdict = "the two are not distinguishable" if outcome(pair) == "undecided" else f"{labels[best]} is better"
        text += f" In paired draws of photos, the difference is {_with_ends(pair)}: {verdict}."
    return text + "".join(_contrast(labels, best, second, related) for related in _contrasts(found, best, second, name))


def _contrasts(found: Differences, best: int, second: int, name: str) -> list[Comparison]:
    """Differences of the related numbers whose interval excludes 0 and that say something else than that of `name`."""
    said = outcome(found[best, second][name])
    related = [pair for other in _RELATED[name] if (pair := found[best, second].get(other)) is not None]
    return [pair for pair in related if outcome(pair) not in ("undecided", said)]


def _contrast(labels: Sequence[str], best: int, second: int, pair: Comparison) -> str:
    better = labels[best if outcome(pair) == "better" else second]
    return f" By {_RELATED_NAMES[pair.metric]}, {better} is better, by {_with_ends(pair)}."


def among_the_best(audits: Sequence[Audit], found: Differences, name: str, higher: bool | None) -> list[bool]:
    """Return for each audit whether it has the best value of a number as shown, or is not distinguishable from it;
    never where neither higher nor lower is better."""
    known = {i: value for i, audit in enumerate(audits) if (value := audit.number(name)) is not None}
    if len(known) < 2 or not found or higher is None:
        return [False] * len(audits)
    best = (max if higher else min)(known, key=lambda i: known[i])
    return [
        i in known and (number(known[i]) == number(known[best]) or _is_undecided(found[i, best][name]))
        for i in range(len(audits))
    ]


def table(
    audits: Sequence[Audit],
    labels: Sequence[str],
    found: Differences,
    against: int,
    headlines: Headlines,
) -> dict[str, Any]:
    """Return the differences from the audit at index `against`: its label, the others' indices in `places`, and a
    row for each number with a cell for each of them, None if there is none."""
    others = [i for i in range(len(audits)) if i != against]
    rows = []
    for name, title, higher in (row for group in headlines.values() for row in group):
        pairs = [found[i, against].get(name) for i in others]
        if any(pairs):
            rows.append({"name": name, "title": title, "higher": higher, "cells": [_cell(pair) for pair in pairs]})
    return {"against": labels[against], "places": others, "rows": rows}


def _cell(pair: Comparison | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    ends = None if pair.low is None or pair.high is None else [number(pair.low, True), number(pair.high, True)]
    result = outcome(pair)
    text = number(pair.difference, sign=True)
    return {"text": text, "interval": ends, "outcome": OUTCOMES[result], "is_clear": result != "undecided"}


def _is_undecided(pair: Comparison) -> bool:
    return pair.low is not None and outcome(pair) == "undecided"


def _with_ends(pair: Comparison) -> str:
    assert pair.low is not None and pair.high is not None
    return f"{number(pair.difference, True)} ({number(pair.low, True)} to {number(pair.high, True)})"

"""Text and tables that compare several audits: which file leads, and whether paired draws confirm it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from trustpose.evaluation.comparison import LOWER_IS_BETTER, Outcome, comparable, compare, outcome
from trustpose.evaluation.record import Audit, Comparison
from trustpose.report.summary import count, number, with_interval

# by group: dotted name, what it is, whether higher is better; None: neither is
Headlines = dict[str, tuple[tuple[str, str, bool | None], ...]]
Differences = dict[tuple[int, int], dict[str, Comparison]]
OUTCOMES: dict[Outcome, str] = {"better": "better", "worse": "worse", "undecided": "not distinguishable"}


def differences(audits: Sequence[Audit]) -> Differences:
    """Return paired differences by (file, against, dotted name), files by index; empty if not comparable."""
    if not comparable(audits):
        return {}
    places = range(len(audits))
    pairs = ((i, j) for i in places for j in places if i != j)
    return {(i, j): {one.metric: one for one in compare(audits[i], audits[j])} for i, j in pairs}


def comparison(audits: Sequence[Audit], labels: Sequence[str], found: Differences, headlines: Headlines) -> list[str]:
    """Return sentences that compare several audits: first their data, then the two best in accuracy, ranking and
    calibration, each with the rows of the table of `headlines` that say otherwise."""
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
    rows = _directed_rows(headlines)
    leads = (("ap.AP", "AP"), ("pose.pearson", "Correlation of score and OKS"), ("pose.ece", "Calibration error"))
    sentences = (_leader(audits, labels, found, *lead, rows) for lead in leads)
    return [start, *(text for text in sentences if text)]


def _leader(
    audits: Sequence[Audit],
    labels: Sequence[str],
    found: Differences,
    name: str,
    title: str,
    rows: Mapping[str, str],
) -> str:
    """Describe the best value of a number and the second, and call one the better only where paired draws say so; rows
    of the same topic that say otherwise of these two files follow."""
    known = [(value, i) for i, audit in enumerate(audits) if (value := audit.number(name)) is not None]
    if len(known) < 2:
        return ""
    known.sort(reverse=name not in LOWER_IS_BETTER)
    best, second = known[0][1], known[1][1]
    pairs = found[best, second]
    said = outcome(pairs[name])
    text = f"{title}: {labels[best]} {with_interval(audits[best], name)}, "
    text += f"{labels[second]} {with_interval(audits[second], name)}."
    if pairs[name].low is not None:
        better = labels[best if said == "better" else second]
        verdict = "the two are not distinguishable" if said == "undecided" else f"{better} is better"
        text += f" In paired draws of photos, the difference is {_with_ends(pairs[name])}: {verdict}."
    others = [(row, pairs[metric]) for metric, row in rows.items() if metric in pairs and topic(metric) == topic(name)]
    clear = [(row, pair) for row, pair in others if outcome(pair) not in ("undecided", said)]
    for file, result in ((best, "better"), (second, "worse")):
        contrasts = [f"“{row}” ({_with_ends(pair)})" for row, pair in clear if outcome(pair) == result]
        if contrasts:
            text += f" But {labels[file]} is better in {', '.join(contrasts)}."
    return text


def _directed_rows(headlines: Headlines) -> dict[str, str]:
    """Titles of the table's rows that are better higher or lower, by dotted name; with their group's where two rows
    have the same."""
    count = Counter(title for group in headlines.values() for _, title, _ in group)
    return {
        name: title if count[title] == 1 else f"{group}: {title}"
        for group, rows in headlines.items()
        for name, title, higher in rows
        if higher is not None
    }


def topic(name: str) -> str:
    """What a number of the table is about: accuracy of poses, calibration of scores, or what scores rank and tell."""
    if name.endswith((".ece", ".brier")):
        return "calibration"
    return "accuracy" if name.startswith(("ap.", "oracle_ap.", "crowd.", "tracking.")) else "ranking"


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

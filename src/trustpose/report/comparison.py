"""Compare several audits: which file leads, whether paired draws confirm it, and the people on whom they differ
most.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.evaluation.comparison import LOWER_IS_BETTER, Outcome, comparable, compare, outcome
from trustpose.evaluation.record import Audit, Comparison
from trustpose.report.gallery import Photos, crop, data_uri, drawn_label, drawn_prediction, predicted_xy
from trustpose.report.summary import count, number, with_interval

# by group: dotted name, what it is, whether higher is better; None: neither is
Headlines = dict[str, tuple[tuple[str, str, bool | None], ...]]
Differences = dict[tuple[int, int], dict[str, Comparison]]
OUTCOMES: dict[Outcome, str] = {"better": "better", "worse": "worse", "undecided": "not distinguishable"}


def differences(audits: Sequence[Audit]) -> Differences:
    """Return paired differences by (file, against, dotted name), files by index; empty if not comparable."""
    if not comparable(audits):
        return {}
    file_indices = range(len(audits))
    pairs = ((i, j) for i in file_indices for j in file_indices if i != j)
    return {(i, j): {difference.metric: difference for difference in compare(audits[i], audits[j])} for i, j in pairs}


def comparison(
    audits: Sequence[Audit], labels: Sequence[str], paired_differences: Differences, headlines: Headlines
) -> list[str]:
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
    sentences = (_leader(audits, labels, paired_differences, *lead, rows) for lead in leads)
    return [start, *(text for text in sentences if text)]


def _leader(
    audits: Sequence[Audit],
    labels: Sequence[str],
    paired_differences: Differences,
    name: str,
    title: str,
    rows: Mapping[str, str],
) -> str:
    """Describe the best value of a number and the second, and call one the better only where paired draws say so; rows
    of the same topic that say otherwise of these two files follow."""
    ranking = [(value, i) for i, audit in enumerate(audits) if (value := audit.number(name)) is not None]
    if len(ranking) < 2:
        return ""
    ranking.sort(reverse=name not in LOWER_IS_BETTER)
    best, second = ranking[0][1], ranking[1][1]
    pairs = paired_differences[best, second]
    said = outcome(pairs[name])
    text = f"{title}: {labels[best]} {with_interval(audits[best], name)}, "
    text += f"{labels[second]} {with_interval(audits[second], name)}."
    if pairs[name].low is not None:
        better = labels[best if said == "better" else second]
        verdict = "the two are not distinguishable" if said == "undecided" else f"{better} is better"
        text += f" In paired draws of photos, the difference is {_with_ends(pairs[name])}: {verdict}."
    related_rows = [
        (row, pairs[metric]) for metric, row in rows.items() if metric in pairs and topic(metric) == topic(name)
    ]
    clear = [(row, pair) for row, pair in related_rows if outcome(pair) not in ("undecided", said)]
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
    """Topic of a number of the table: accuracy of poses, calibration of scores, or their ranking and discrimination."""
    if name.endswith((".ece", ".brier")):
        return "calibration"
    return "accuracy" if name.startswith(("ap.", "oracle_ap.", "crowd.", "tracking.")) else "ranking"


def among_the_best(
    audits: Sequence[Audit], paired_differences: Differences, name: str, higher: bool | None
) -> list[bool]:
    """Return for each audit whether it has the best value of a number as shown, or is not distinguishable from it;
    never where neither higher nor lower is better."""
    values = {i: value for i, audit in enumerate(audits) if (value := audit.number(name)) is not None}
    if len(values) < 2 or not paired_differences or higher is None:
        return [False] * len(audits)
    best = (max if higher else min)(values, key=lambda i: values[i])
    return [
        i in values and (number(values[i]) == number(values[best]) or _is_undecided(paired_differences[i, best][name]))
        for i in range(len(audits))
    ]


def table(
    audits: Sequence[Audit],
    labels: Sequence[str],
    paired_differences: Differences,
    against: int,
    headlines: Headlines,
) -> dict[str, Any]:
    """Return the differences from the audit at index `against`: its label, the other audits' indices in `files`, and
    a row for each number with a cell for each of these files, None if there is no difference."""
    compared_files = [i for i in range(len(audits)) if i != against]
    rows = []
    for name, title, higher in (row for group in headlines.values() for row in group):
        pairs = [paired_differences[i, against].get(name) for i in compared_files]
        if any(pairs):
            rows.append({"name": name, "title": title, "higher": higher, "cells": [_cell(pair) for pair in pairs]})
    return {"against": labels[against], "files": compared_files, "rows": rows}


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


PEOPLE = 6  # in all, at least one for each file
MIN_KEYPOINTS = 5  # with one or two labelled keypoints OKS is too noisy
LARGE_DIFFERENCE = 0.1  # of OKS


@dataclass(frozen=True)
class Pose:
    """One file's pose of the person: a JPEG data URI, its OKS with the label and its score."""

    picture: str
    oks: float
    score: float


@dataclass(frozen=True)
class Person:
    """One person: JPEG data URIs of the label and of each file's pose, all of one size, in the order of the files."""

    labelled: str
    poses: tuple[Pose, ...]
    width: int
    height: int
    file_name: str
    keypoints: int


@dataclass(frozen=True)
class Versus:
    """For each file, the people on whom its OKS is furthest below the best other file's, worst first.

    `people` is the number of people compared, who have at least `keypoints` labelled keypoints; for `differ` of them
    the highest and the lowest OKS differ by more than `much`. `missing` lists the photos that could not be shown."""

    worst: tuple[tuple[Person, ...], ...]
    people: int
    keypoints: int
    differ: int
    much: float
    missing: tuple[str, ...]


def versus(audits: Sequence[Audit], images: Path, people: int = PEOPLE) -> Versus | None:
    """Return pictures of the people whose OKS differs most between these audits; None if fewer than two files can be
    compared. Photos come from the folder `images`, as in `gallery.gallery`."""
    if len(audits) < 2 or not comparable(audits):
        return None
    truth, min_keypoints = audits[0].details.truth, min(MIN_KEYPOINTS, len(audits[0].details.keypoint_names))
    rows = np.stack([_row_of_person(audit) for audit in audits])  # (F, M)
    everyone = np.flatnonzero((rows >= 0).all(axis=0) & ((truth.v > 0).sum(axis=1) >= min_keypoints))
    oks = np.stack([_oks(audit, row[everyone]) for audit, row in zip(audits, rows, strict=True)])  # (F, P)
    photos = Photos(images, audits[0].details.file_names)
    shown: set[int] = set()
    worst = []
    for file_index in range(len(audits)):
        behind = np.delete(oks, file_index, axis=0).max(axis=0) - oks[file_index]
        people_of_file: list[Person] = []
        for candidate in np.argsort(-behind, kind="stable").tolist():
            if len(people_of_file) == max(1, people // len(audits)) or behind[candidate] <= 0:
                break
            person = (
                None
                if candidate in shown
                else _person(audits, rows[:, everyone[candidate]], int(everyone[candidate]), photos)
            )
            if person is not None:
                people_of_file.append(person)
                shown.add(candidate)
        worst.append(tuple(people_of_file))
    differ = int((np.ptp(oks, axis=0) > LARGE_DIFFERENCE).sum())
    return Versus(tuple(worst), len(everyone), min_keypoints, differ, LARGE_DIFFERENCE, tuple(photos.missing))


def _oks(audit: Audit, rows: Int[np.ndarray, " P"]) -> Float[np.ndarray, " P"]:
    return audit.details.oks[audit.details.measured[rows]]


def _row_of_person(audit: Audit) -> Int[np.ndarray, " M"]:
    """Return for each labelled person the row in `details.measured` matched to it, the one of highest score if there
    are several; -1 without one."""
    details = audit.details
    rows = np.full(len(details.truth), -1)
    order = np.argsort(details.pose_score[details.measured], kind="stable")
    rows[details.person[details.measured[order]]] = order
    return rows


def _person(audits: Sequence[Audit], rows: np.ndarray, person: int, photos: Photos) -> Person | None:
    """Return the pictures of a person, all cut out alike; None if the photo cannot be read."""
    truth = audits[0].details.truth
    assert truth.image_id is not None
    image_id = int(truth.image_id[person])
    photo = photos.read(image_id)
    if photo is None:
        return None
    predicted = [predicted_xy(audit, int(row)) for audit, row in zip(audits, rows, strict=True)]
    labelled = truth.v[person] > 0
    cut = crop(photo, np.concatenate(predicted), audits[0], person)
    poses = []
    for audit, row, xy in zip(audits, rows.tolist(), predicted, strict=True):
        pose = int(audit.details.measured[row])
        picture = data_uri(drawn_prediction(audit, row, xy, cut))
        poses.append(Pose(picture, float(audit.details.oks[pose]), float(audit.details.pose_score[pose])))
    return Person(
        labelled=data_uri(drawn_label(audits[0], person, cut)),
        poses=tuple(poses),
        width=cut.pixels.shape[1],
        height=cut.pixels.shape[0],
        file_name=audits[0].details.file_names[image_id],
        keypoints=int(labelled.sum()),
    )

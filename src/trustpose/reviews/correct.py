"""`tp.correct`: write the accepted suggestions of a review into the labels, with a log of every change."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trustpose.files import InputError, json_bytes
from trustpose.io.columns import garbage_collection_paused
from trustpose.io.output_files import check_outputs, write_together
from trustpose.io.tables import csv_text
from trustpose.notebook import html_line, html_table
from trustpose.reviews.decisions import (
    NUMBERS,
    Decision,
    Suspect,
    SuspectKey,
    last_decisions,
    read_suspects,
)
from trustpose.reviews.label_file import Label, LabelFile, written
from trustpose.reviews.review import Suspects

_CORRECTED, _DECIDED, _PROBABLE = range(3)  # which of several accepted suspects of a keypoint comes first
_MOST_ROWS = 10  # in a notebook
_LOG_COLUMNS = ("annotation_id", "image_id", "keypoint", "kind", "probability", "old_x", "old_y", "old_v", "new_x")
_LOG_COLUMNS += ("new_y", "new_v", "decided_by", "time", "overruled")


@dataclass(frozen=True)
class Change:
    """A keypoint's label that was changed.

    Attributes:
        annotation_id: the labelled person.
        image_id: the photo.
        keypoint: name of the joint.
        kind: the kind of error.
        probability: of the error.
        old: x, y, v before, image pixels.
        new: x, y, v after.
        decided_by: the reviewer, or "accepted above P".
        time: of the decision, where it says so.
        overruled: the accepted suspects that contradict this one: "swapped (0.41)".
    """

    annotation_id: int | float | str
    image_id: int | float | str
    keypoint: str
    kind: str
    probability: float
    old: tuple[float, ...]
    new: tuple[float, ...]
    decided_by: str
    time: str | None = None
    overruled: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """Return the change as a row of the log."""
        cells = (self.annotation_id, self.image_id, self.keypoint, self.kind, self.probability, *self.old, *self.new)
        ending = (self.decided_by, self.time, "; ".join(self.overruled))
        return dict(zip(_LOG_COLUMNS, (*cells, *ending), strict=True))


@dataclass(frozen=True, eq=False, repr=False)
class CorrectedLabels:
    """A COCO ground truth with corrected keypoints, and what was changed.

    Attributes:
        labels: the JSON of the file; nothing but `keypoints` and `num_keypoints` of changed people differs.
        changes: each changed keypoint, in the order of the file.
        accepted: number of suspects that were accepted or corrected.

    Example:
        >>> calibrator = tp.Calibrator.fit("other_gt.json", "new.json", method="platt", folds=2)
        >>> suspects = tp.review("gt.json", "results.json", calibrator=calibrator)
        >>> corrected = tp.correct("gt.json", suspects, accept_above=0.9)
        >>> all(change.probability > 0.9 for change in corrected.changes)
        True
    """

    labels: dict[str, Any]
    changes: tuple[Change, ...]
    accepted: int

    def __len__(self) -> int:
        """Return the number of changed keypoints."""
        return len(self.changes)

    @property
    def people(self) -> int:
        """The number of people with a changed keypoint."""
        return len({change.annotation_id for change in self.changes})

    def __repr__(self) -> str:
        """One line: how many suspects were accepted, and how many keypoints changed."""
        changed = f"{len(self):,} keypoints of {self.people:,} people changed"
        return f"CorrectedLabels({self.accepted:,} suspects accepted, {changed})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and the first changes."""
        rows = [
            (change.annotation_id, change.keypoint, change.kind, list(change.old), list(change.new))
            for change in self.changes[:_MOST_ROWS]
        ]
        return html_line(repr(self)) + html_table(("annotation", "keypoint", "kind", "old", "new"), rows)

    def log(self) -> str:
        """Return the changes as CSV, one a line."""
        return csv_text([change.row() for change in self.changes], _LOG_COLUMNS)

    def save(self, path: str | Path, *, log: str | Path | None = None) -> None:
        """Write the ground truth, and the log beside it as NAME.changes.csv or to another path; both or none.

        Raises InputError if a file cannot be written.
        """
        log = changes_path(path) if log is None else log
        check_outputs({"path": Path(path), "log": Path(log)}, {})
        write_together({Path(path): json_bytes(self.labels), Path(log): self.log().encode()})


@dataclass(frozen=True, eq=False)
class _Proposal:
    """An accepted suspect, and the labels that it would write, by keypoint.

    Of several the first in `order` wins: by who accepted it, then the latest of corrections, or the most probable.
    """

    suspect: Suspect
    labels: dict[int, Label]
    order: tuple[int, float]
    decided_by: str
    time: str | None = None


def changes_path(corrected: str | Path) -> Path:
    """Return the path of the log beside a corrected ground truth."""
    return Path(corrected).with_suffix(".changes.csv")


@garbage_collection_paused()
def correct(
    truth: str | Path,
    suspects: Suspects | str | Path,
    *,
    decisions: str | Path | None = None,
    accept_above: float | None = None,
) -> CorrectedLabels:
    """Correct the labels of a ground truth by the suspects of a review that people, or a probability, accept.

    Where accepted suspects contradict each other about a keypoint, a corrected label precedes accepted suggestions,
    people's decisions precede the probability, and the most probable suspect precedes the others; the log says so.
    Accepting a swapped joint exchanges it with the other side, unless that has a decision of its own.

    Args:
        truth: path of the ground truth that was reviewed: COCO's JSON.
        suspects: what `tp.review` returned, or the path of `review.json`.
        decisions: path of people's decisions, JSON lines (`reviews.decisions.Decision`); later lines overrule earlier
            ones about the same suspect.
        accept_above: accept the suspects without a decision that are more probable than this, 0–1.

    Returns:
        The corrected ground truth, and each change.

    Raises:
        InputError: if a file cannot be read, a decision is about no suspect, or the suspects are of other labels; it
            names the file and the line. Without decisions and probability.
        TypeError: for anything but suspects or paths.

    Example:
        >>> calibrator = tp.Calibrator.fit("other_gt.json", "new.json", method="platt", folds=2)
        >>> suspects = tp.review("gt.json", "results.json", calibrator=calibrator)
        >>> tp.correct("gt.json", suspects, accept_above=0.9).save("corrected.json")
    """
    if decisions is None and accept_above is None:
        raise InputError("expected decisions (--decisions) or a probability (--accept-above)")
    if accept_above is not None and not 0 <= accept_above <= 1:
        raise InputError(f"accept_above: expected a number from 0 to 1, got {accept_above}")
    rows, reviewed = read_suspects(suspects)
    file = LabelFile(truth)
    places = {suspect.key: f"{reviewed}: suspect {index}" for index, suspect in enumerate(rows)}
    for suspect in rows:
        file.check(suspect, places[suspect.key])
    by_key = {suspect.key: suspect for suspect in rows}
    decided: dict[SuspectKey, tuple[int, Decision]] = {}
    if decisions is not None:
        decided = last_decisions(decisions, by_key, file.skeleton.keypoints, reviewed)
    proposals = []
    for key, suspect in by_key.items():
        if key in decided:
            number, decision = decided[key]
            proposal = _of_decision(file, suspect, decision, number, places[key])
        elif accept_above is not None and suspect.probability > accept_above:
            order = (_PROBABLE, -suspect.probability)
            who = f"accepted above {accept_above:g}"
            proposal = _Proposal(suspect, file.suggested(suspect, places[key]), order, who)
        else:
            continue
        if proposal is not None:
            proposals.append(proposal)
    changes = tuple(_changes(file, proposals, decided))
    return CorrectedLabels(file.labels, changes, len(proposals))


def _of_decision(file: LabelFile, suspect: Suspect, decision: Decision, number: int, place: str) -> _Proposal | None:
    """Return what a decision writes; None for skip."""
    if decision.decision == "skip":
        return None
    who = decision.reviewer or "decision"
    if decision.decision == "accept":
        order = (_DECIDED, -suspect.probability)
        return _Proposal(suspect, file.suggested(suspect, place), order, who, decision.time)
    if decision.keypoint is not None:
        assert decision.value is not None
        labels = {file.skeleton.index(decision.keypoint): written(decision.value)}
    else:
        assert decision.keypoints is not None
        labels = {k: written(label) for k, label in enumerate(decision.keypoints.reshape(-1, NUMBERS))}
    return _Proposal(suspect, labels, (_CORRECTED, -number), who, decision.time)


def _changes(
    file: LabelFile, proposals: list[_Proposal], decided: dict[SuspectKey, tuple[int, Decision]]
) -> Iterator[Change]:
    """Write the first proposal for each keypoint, and yield what it changes, in the order of the file."""
    joints = file.skeleton.keypoints
    by_person: dict[Any, dict[int, list[_Proposal]]] = defaultdict(lambda: defaultdict(list))
    for proposal in sorted(proposals, key=lambda proposal: proposal.order):
        suspect = proposal.suspect
        is_corrected = proposal.order[0] == _CORRECTED
        for keypoint, label in proposal.labels.items():
            is_other_side = suspect.keypoint not in (None, joints[keypoint])
            if is_other_side and (suspect.annotation_id, joints[keypoint], suspect.kind) in decided:
                continue  # it has a decision of its own
            if is_corrected or label != file.label(suspect, keypoint):
                by_person[suspect.annotation_id][keypoint].append(proposal)
    for annotation_id in file.row_of:
        for keypoint, (winner, *losers) in sorted(by_person.get(annotation_id, {}).items()):
            suspect, old, new = winner.suspect, file.label(winner.suspect, keypoint), winner.labels[keypoint]
            if new == old:
                continue
            overruled = [loser.suspect for loser in losers if loser.labels[keypoint] != new]
            file.write(suspect, keypoint, new)
            yield Change(
                annotation_id,
                suspect.image_id,
                joints[keypoint],
                suspect.kind,
                suspect.probability,
                tuple(old),
                tuple(new),
                winner.decided_by,
                winner.time,
                tuple(dict.fromkeys(f"{item.kind} ({item.probability:.2f})" for item in overruled)),
            )

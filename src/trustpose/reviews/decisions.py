"""Read what a review listed, `review.json`, and what people decided about it, JSON lines."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from trustpose.files import BOM, InputError, parse_json, read_bytes, read_json
from trustpose.json_records import NumberOrText, OpenRecord, Shape, read_record, read_records, short, within
from trustpose.names import expected_one_of
from trustpose.reviews.hypotheses import HYPOTHESES
from trustpose.reviews.review import Suspects

NUMBERS = 3  # of a keypoint: x, y, v
SuspectKey = tuple[int | float | str, str | None, str]
"""annotation_id, keypoint and kind, which name a suspect."""


@dataclass(frozen=True, eq=False)
class Suspect(OpenRecord):
    """A row of `review.json`.

    Attributes:
        annotation_id: the labelled person.
        image_id: the photo.
        keypoint: name of the joint; None for the whole person.
        kind: of `reviews.hypotheses.HYPOTHESES`.
        probability: of this error.
        suggestion: what to write instead, flat: x, y, v; of all keypoints for a whole person; None for nothing.
    """

    annotation_id: Any  # simple types, and checks below: a review may have a million rows
    image_id: Any
    keypoint: str | None
    kind: str
    probability: Annotated[float, within(0, 1)]
    suggestion: Any = None

    def __post_init__(self) -> None:
        _check_kind(self.kind)
        for field, value in (("annotation_id", self.annotation_id), ("image_id", self.image_id)):
            if type(value) not in (int, float, str):
                raise ValueError(f"{field}: expected a number or a text, got {short(value)}")
        if self.suggestion is not None:
            numbers = Shape(None).array(self.suggestion)
            if numbers is None:
                raise ValueError(f"suggestion: expected numbers, got {short(self.suggestion)}")
            _check_v("suggestion", numbers)
            object.__setattr__(self, "suggestion", numbers)

    @property
    def key(self) -> SuspectKey:
        """What names the suspect."""
        return self.annotation_id, self.keypoint, self.kind


@dataclass(frozen=True, eq=False)
class Decision:
    """A line of decisions about suspects.

    Attributes:
        annotation_id, keypoint, kind: name the suspect, as in `review.json`.
        decision: accept: write the suggestion; skip: leave the label; correct: write `value` or `keypoints`.
        value: x, y, v of the keypoint, for correct.
        keypoints: x, y, v of all keypoints, flat, to correct a whole person.
        reviewer: who decided.
        time: when, as any text.
    """

    annotation_id: NumberOrText
    keypoint: str | None
    kind: str
    decision: Literal["accept", "skip", "correct"]
    value: Annotated[np.ndarray, Shape(NUMBERS)] | None = None
    keypoints: Annotated[np.ndarray, Shape(None)] | None = None
    reviewer: str | None = None
    time: str | None = None

    def __post_init__(self) -> None:
        _check_kind(self.kind)
        corrected_field = "keypoints" if self.keypoint is None else "value"
        for field, numbers in (("value", self.value), ("keypoints", self.keypoints)):
            is_expected = self.decision == "correct" and field == corrected_field
            if is_expected and numbers is None:
                columns = "x, y, v of all keypoints" if field == "keypoints" else "x, y, v"
                raise ValueError(f"{field}: is missing, expected {columns} for the decision correct")
            if numbers is not None and not is_expected:
                raise ValueError(f"{field}: expected only to correct a {_corrected(field)}, got it for {self._summary}")
            if numbers is not None:
                _check_v(field, numbers)

    @property
    def key(self) -> SuspectKey:
        """What names the suspect."""
        return self.annotation_id, self.keypoint, self.kind

    @property
    def _summary(self) -> str:
        return f"{self.decision} of {self.keypoint or 'a whole person'}"


def _corrected(field: str) -> str:
    return "keypoint" if field == "value" else "whole person"


def _check_kind(kind: str) -> None:
    if kind not in HYPOTHESES:
        raise ValueError(f"kind: {expected_one_of(HYPOTHESES, kind)}")


def _check_v(field: str, numbers: np.ndarray) -> None:
    if len(numbers) % NUMBERS or not set(numbers[NUMBERS - 1 :: NUMBERS].tolist()) <= {0, 1, 2}:
        raise ValueError(f"{field}: expected x, y, v with v 0, 1 or 2, got {numbers[:6].tolist()}")


def read_suspects(source: Suspects | str | Path) -> tuple[list[Suspect], str]:
    """Return the suspects of a review, or of its file, and the name of the source for messages. Raises InputError."""
    if isinstance(source, Suspects):
        return read_records(Suspect, source.to_json(), "suspects", "suspect"), "suspects"
    if not isinstance(source, (str, Path)):
        raise TypeError(f"suspects: expected Suspects or the path of review.json, got {type(source).__name__}")
    return read_records(Suspect, read_json(source), source, "suspect"), str(source)


def read_decisions(path: str | Path) -> dict[int, Decision]:
    """Return the decisions of a file of JSON lines, by the number of their line, from 1; empty lines are left out.

    Raises InputError, which names file, line and field.
    """
    decisions = {}
    content = read_bytes(path, "a line of JSON for each decision").removeprefix(BOM)
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.strip():
            source = f"{path}: line {number}"
            decisions[number] = read_record(Decision, parse_json(line, source), source)
    return decisions


def last_decisions(
    path: str | Path, suspects: Mapping[SuspectKey, Suspect], joints: tuple[str, ...], reviewed: str
) -> dict[SuspectKey, tuple[int, Decision]]:
    """Return the last decision about each suspect and its line: later lines overrule earlier ones, which is an undo.

    Args:
        path: the file of decisions.
        suspects: of the review, by what names them.
        joints: names of the skeleton's keypoints.
        reviewed: the name of the review, for messages.

    Raises:
        InputError: for a wrong line, or a decision about what is no suspect of the review.
    """
    ids = {annotation_id for annotation_id, _, _ in suspects}
    decided = {}
    for number, decision in read_decisions(path).items():
        line = f"{path}: line {number}"
        if decision.annotation_id not in ids:
            raise InputError(f"{line}: field 'annotation_id': no suspect in {reviewed} has {decision.annotation_id!r}")
        if decision.keypoint is not None and decision.keypoint not in joints:
            raise InputError(f"{line}: field 'keypoint': {expected_one_of(joints, decision.keypoint)}")
        keypoints = decision.keypoints
        if keypoints is not None and len(keypoints) != NUMBERS * len(joints):
            raise InputError(
                f"{line}: field 'keypoints': expected {len(joints)} × {NUMBERS} numbers, got {len(keypoints)}"
            )
        if decision.key not in suspects:
            joint = decision.keypoint or "the whole person"
            raise InputError(
                f"{line}: {joint} of annotation {decision.annotation_id!r} is not suspected of {decision.kind} in "
                f"{reviewed}"
            )
        decided[decision.key] = (number, decision)
    return decided

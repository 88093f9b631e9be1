"""`tp.review`: suspected label errors, each with its kind, a probability and a suggestion."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.applied_record import fitted_photos
from trustpose.calibration.calibrator import Calibrator
from trustpose.datasets.ground_truth import TruthSource, truth_file_of
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile
from trustpose.io.columns import NO_TEXTS, IdTexts
from trustpose.io.read_poses import results_file_of
from trustpose.names import expected_one_of
from trustpose.notebook import html_line, html_table
from trustpose.poses import Poses
from trustpose.reviews.evidence import Evidence
from trustpose.reviews.hypotheses import HYPOTHESES
from trustpose.reviews.probabilities import PRIOR, probabilities_of
from trustpose.skeletons import difference

MIN_PROBABILITY = PRIOR
_MOST_ROWS = 10  # in a notebook
_DIGITS = 6  # of probabilities
Suggestion = list[float] | list[list[float]]


@dataclass(frozen=True, eq=False, repr=False)
class Suspects:
    """Suspected label errors, the most probable first.

    Attributes:
        annotation_id: (S,), the labelled person; -1 where the ground truth has no ids.
        image_id: (S,), the photo.
        keypoint: (S,), index of the joint; -1: the whole person.
        kind: (S,), of `reviews.hypotheses.HYPOTHESES`.
        probability: (S,), of this error, if each kind spoils 5 % of the labels that it can spoil.
        suggestion: what to write instead: [x, y, v], image pixels; all keypoints for a whole person.
        keypoints: names of the joints.
        people: number of labelled people that were reviewed.
        notes: what to know of the list.
        image_texts, annotation_texts: which numbers stand for ids that are texts.

    Example:
        >>> suspects = tp.review("gt.json", "results.json", calibrator="shipped:simplepose")
        >>> len(suspects.to_json()) == len(suspects)
        True
    """

    annotation_id: Int[np.ndarray, " S"]
    image_id: Int[np.ndarray, " S"]
    keypoint: Int[np.ndarray, " S"]
    kind: np.ndarray
    probability: Float[np.ndarray, " S"]
    suggestion: Sequence[Suggestion]
    keypoints: tuple[str, ...]
    people: int
    notes: tuple[str, ...] = ()
    image_texts: IdTexts = NO_TEXTS
    annotation_texts: IdTexts = NO_TEXTS

    def __len__(self) -> int:
        """Return the number of suspects."""
        return len(self.probability)

    def __repr__(self) -> str:
        """One line: how many suspects of each kind, and people."""
        counts = ", ".join(f"{count:,} {kind}" for kind, count in self.count_of_kinds().items())
        return f"Suspects({len(self):,} in {self.people:,} labelled people{': ' * bool(counts)}{counts})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and the most suspected labels."""
        rows = [
            (row["image_id"], row["annotation_id"], row["keypoint"] or "", row["kind"], f"{row['probability']:.2f}")
            for row in self.to_json(_MOST_ROWS)
        ]
        return html_line(repr(self)) + html_table(("photo", "annotation", "keypoint", "kind", "probability"), rows)

    def count_of_kinds(self) -> dict[str, int]:
        """Return the number of suspects of each kind, the most frequent first."""
        return dict(Counter(self.kind.tolist()).most_common())

    def to_json(self, most: int | None = None) -> list[dict[str, Any]]:
        """Return the suspects as JSON values, the most probable first; at most this many."""
        names = (*self.keypoints, None)  # -1 is the last
        of_annotation, of_image = self.annotation_texts.text_of, self.image_texts.text_of
        columns = (self.annotation_id, self.image_id, self.keypoint, self.kind, self.probability)
        return [
            {
                "annotation_id": None if annotation < 0 else of_annotation.get(annotation, annotation),
                "image_id": of_image.get(image, image),
                "keypoint": names[keypoint],
                "kind": kind,
                "probability": round(probability, _DIGITS),
                "suggestion": suggestion,
            }
            for annotation, image, keypoint, kind, probability, suggestion in zip(
                *(column[:most].tolist() for column in columns), self.suggestion[:most], strict=True
            )
        ]


def review(
    truth: TruthSource,
    poses: Poses | ResultsFile | str | Path,
    *,
    calibrator: Calibrator | str | Path | None = None,
    kinds: Sequence[str] | None = None,
    min_probability: float = MIN_PROBABILITY,
    common: bool = False,
) -> Suspects:
    """Find suspected errors among keypoint labels, by an estimator's poses of the same people and their trust.

    Each kind of error is a hypothesis with a likelihood ratio against a right label under the expected error of the
    estimate (`reviews.hypotheses`); the ratios of all kinds and their context give a probability, fitted on made-up
    errors.

    Args:
        truth: labelled people, or the path of their ground truth.
        poses: of these people, with trust, from a model or a calibrator that was not fitted on these labels; or the
            path of their results. Paired by `annotation_id`, otherwise by box.
        calibrator: adds trust first; or its path, or "shipped:NAME".
        kinds: the kinds to list; None: all.
        min_probability: suspects below it are left out, 0–1.
        common: leave out results in photos that the ground truth lacks, which are an error otherwise.

    Returns:
        The suspects, the most probable first.

    Raises:
        InputError: if a file cannot be read; for another kind; for poses without trust, or of other people.
        TypeError: for anything but records or paths.

    Source:
        trustpose; kinds of errors after Ronchi and Perona, Benchmarking and error diagnosis in multi-instance pose
        estimation, ICCV 2017.

    Example:
        >>> calibrator = tp.Calibrator.fit("other_gt.json", "new.json", method="platt", folds=2)
        >>> suspects = tp.review("gt.json", "results.json", calibrator=calibrator, kinds=["missing"])
        >>> bool((suspects.probability >= 0.05).all())
        True
    """
    check_kinds(kinds)
    if not 0 <= min_probability <= 1:
        raise InputError(f"min_probability: expected a number from 0 to 1, got {min_probability}")
    truth = truth_file_of(truth, argument="truth")
    results = results_file_of(poses, truth, common=common, argument="poses")
    if isinstance(calibrator, (str, Path)):
        calibrator = Calibrator.load(calibrator)
    evidence = evidence_of(truth, results, calibrator)
    suspects = suspects_of(evidence, kinds or tuple(HYPOTHESES), min_probability, _notes(truth, evidence, calibrator))
    return replace(suspects, image_texts=truth.image_texts, annotation_texts=truth.annotation_texts)


def check_kinds(kinds: Sequence[str] | None) -> None:
    """Raise InputError for a name that is no kind of label error."""
    for kind in kinds or ():
        if kind not in HYPOTHESES:
            raise InputError(f"kinds: {expected_one_of(HYPOTHESES, kind)}")


def evidence_of(truth: TruthFile, results: ResultsFile, calibrator: Calibrator | None) -> Evidence:
    """Return what the poses' trust says of the labels. Raises InputError as `review` does."""
    poses, skeleton = results.poses, truth.skeleton
    if skeleton is None or not skeleton.has_sigmas:
        raise InputError(f"{truth.path}: expected keypoints of a skeleton with OKS sigmas, such as coco17")
    if differ := difference(poses.skeleton, skeleton):
        raise InputError(f"{results.path} and {truth.path} have different skeletons, {differ}")
    if not truth.has_visibility:
        raise InputError(f"{truth.path}: v says only whether a keypoint is labelled, expected COCO's 0, 1 and 2")
    if calibrator is not None:
        try:
            poses = calibrator(poses)
        except InputError as error:
            raise InputError(f"{results.path}: {error}") from None
    if poses.quality is None or poses.visibility is None:
        raise InputError(
            f"{results.path}: no trust (keypoint_quality, visibility), expected results of `trustpose predict` or "
            "`calibrate apply`, or a calibrator (--calibrator)"
        )
    try:
        evidence = Evidence.of(truth.truth, poses, skeleton)
    except ValueError as error:
        raise InputError(f"{truth.path}: {error}") from None
    if not len(evidence):
        raise InputError(f"{results.path}: no pose with trust matches a labelled person of {truth.path}")
    return evidence


def suspects_of(
    evidence: Evidence, kinds: Sequence[str], min_probability: float, notes: tuple[str, ...] = ()
) -> Suspects:
    """Return the suspects among the labels of people with poses."""
    probabilities = probabilities_of(evidence)
    parts, instead = [], []
    for kind in kinds:
        of_kind = probabilities[kind]
        rows = np.flatnonzero(of_kind.probability >= min_probability)
        person, keypoint = of_kind.person[rows], of_kind.keypoint[rows]
        parts.append((person, keypoint, of_kind.probability[rows], np.full(len(rows), kind, dtype=object)))
        instead += suggestions(kind, evidence, person, keypoint).round(2).tolist()
    person, keypoint, probability, kind_of_row = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.argsort(-probability, kind="stable")
    ids, image = evidence.truth.annotation_id, evidence.truth.image_id
    assert image is not None
    annotation_id = np.full(len(order), -1) if ids is None else ids[person[order]]
    return Suspects(
        annotation_id,
        image[person[order]],
        keypoint[order],
        kind_of_row[order],
        probability[order],
        [instead[row] for row in order],
        evidence.skeleton.keypoints,
        len(evidence),
        notes,
    )


def _notes(truth: TruthFile, evidence: Evidence, calibrator: Calibrator | None) -> tuple[str, ...]:
    notes = []
    labelled = int((truth.truth.v > 0).any(axis=1).sum())
    if labelled > len(evidence):
        notes.append(
            f"{labelled - len(evidence):,} of {labelled:,} labelled people have no pose with trust: not reviewed"
        )
    if calibrator is not None and truth.image_texts.are_numbers:
        photos = fitted_photos(calibrator, [truth.images.id])
        if photos:
            notes.append(
                f"the calibrator was fitted on {photos:,} of these photos and has learnt their wrong labels: one of "
                "other photos finds more"
            )
    return tuple(notes)


def suggestions(
    kind: str, evidence: Evidence, person: Int[np.ndarray, " S"], keypoint: Int[np.ndarray, " S"]
) -> Float[np.ndarray, "S *K 3"]:
    """Return what to write instead, as x, y, v: of a keypoint (S, 3), of all of a person's (S, K, 3)."""
    label = np.concatenate([evidence.truth.xy, evidence.truth.v[..., None]], axis=2).astype(np.float64)
    flip = evidence.skeleton.flip_index
    if kind == "person_swapped":
        return label[person][:, flip]
    if kind == "swapped":
        return label[person, flip[keypoint]]
    if kind == "invented":
        return np.zeros((len(person), 3))
    instead = label[person, keypoint]
    if kind == "visibility":
        instead[:, 2] = 3 - instead[:, 2]
        return instead
    instead[:, :2] = evidence.poses.xy[person, keypoint]
    if kind == "missing":  # occluded or visible, as is likelier
        instead[:, 2] = 1 + evidence.chance[person, keypoint, 1:].argmax(axis=1)
    return instead

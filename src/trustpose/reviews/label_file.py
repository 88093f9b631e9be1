"""A COCO ground truth as JSON, whose labels suspects of a review replace."""

from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError, read_bytes
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.columns import parse_finite_json
from trustpose.names import expected_one_of
from trustpose.reviews.decisions import NUMBERS, Suspect
from trustpose.reviews.hypotheses import PERSON_KINDS
from trustpose.skeletons import Skeleton

Label = list[float]  # x, y, v as the file has them
_ROUNDED = 0.0051  # how far a suggestion can be from the label that it was rounded from, pixels


class LabelFile:
    """A COCO ground truth as JSON.

    Attributes:
        path: the file, for messages.
        skeleton: of its keypoints.
        labels: its JSON.
        row_of: the annotations by id.
        image_of: the photo of each person with keypoints, by the annotation's id, as reviews write them.
    """

    def __init__(self, path: str | Path) -> None:
        truth = read_coco_truth(path)  # refuses what is no ground truth
        if truth.skeleton is None:
            raise InputError(f"{path}: expected keypoints of a known skeleton, such as coco17")
        self.path = str(path)
        self.skeleton: Skeleton = truth.skeleton
        self.labels: dict[str, Any] = parse_finite_json(read_bytes(path), path)
        self.row_of = {row["id"]: row for row in self.labels["annotations"]}
        ids, images = truth.truth.annotation_id, truth.truth.image_id
        assert ids is not None and images is not None
        annotation_texts, image_texts = truth.annotation_texts.text_of, truth.image_texts.text_of
        self.image_of = {
            annotation_texts.get(annotation, annotation): image_texts.get(image, image)
            for annotation, image in zip(ids.tolist(), images.tolist(), strict=True)
        }

    def check(self, suspect: Suspect, place: str) -> None:
        """Raise InputError, which names the suspect's place in its file, if the suspect is of another ground truth."""
        if suspect.annotation_id not in self.image_of:
            raise InputError(f"{place}: field 'annotation_id': {suspect.annotation_id!r} is not in {self.path}")
        image_id = self.image_of[suspect.annotation_id]
        if image_id != suspect.image_id:
            raise InputError(
                f"{place}: field 'image_id': expected {image_id!r}, as {self.path} has it, got {suspect.image_id!r}"
            )
        if suspect.kind in PERSON_KINDS and suspect.keypoint is not None:
            raise InputError(f"{place}: field 'keypoint': expected null for {suspect.kind}, got {suspect.keypoint!r}")
        if suspect.kind not in PERSON_KINDS and suspect.keypoint not in self.skeleton.keypoints:
            raise InputError(f"{place}: field 'keypoint': {expected_one_of(self.skeleton.keypoints, suspect.keypoint)}")
        count = NUMBERS * (len(self.skeleton) if suspect.kind in PERSON_KINDS else 1)
        if suspect.suggestion is None or len(suspect.suggestion) != count:
            got = "nothing" if suspect.suggestion is None else len(suspect.suggestion)
            raise InputError(f"{place}: field 'suggestion': expected {count} numbers, got {got}")
        flat = self.row_of[suspect.annotation_id].get("keypoints")
        if flat is None or len(flat) != NUMBERS * len(self.skeleton):
            raise InputError(
                f"{self.path}: annotation {suspect.annotation_id!r}: field 'keypoints': expected all "
                f"{len(self.skeleton)} keypoints (x, y, v) in this field"
            )

    def label(self, suspect: Suspect, keypoint: int) -> Label:
        """Return x, y, v of a keypoint of the suspect's person."""
        return self.row_of[suspect.annotation_id]["keypoints"][NUMBERS * keypoint : NUMBERS * (keypoint + 1)]

    def suggested(self, suspect: Suspect, place: str) -> dict[int, Label]:
        """Return the labels that an accepted suspect would write, by keypoint.

        Exchanged labels are the file's, not the rounded ones of the review. Raises InputError if they differ by more:
        the labels were changed after the review.
        """
        assert suspect.suggestion is not None
        suggestion = suspect.suggestion.reshape(-1, NUMBERS)
        flip = self.skeleton.flip_index
        if suspect.keypoint is None:
            exchanged = {k: self.label(suspect, int(flip[k])) for k in range(len(flip))}
            self._check_unchanged(list(exchanged.values()), suggestion, place)
            return exchanged
        keypoint = self.skeleton.index(suspect.keypoint)
        mirrored = int(flip[keypoint])
        if suspect.kind == "swapped":
            self._check_unchanged([self.label(suspect, mirrored)], suggestion, place)
            return {keypoint: self.label(suspect, mirrored), mirrored: self.label(suspect, keypoint)}
        if suspect.kind == "visibility":
            old = self.label(suspect, keypoint)
            self._check_unchanged([[*old[:2], 3 - old[2]]], suggestion, place)
            return {keypoint: [*old[:2], int(suggestion[0, 2])]}
        return {keypoint: written(suggestion[0])}

    def _check_unchanged(self, labels: list[Label], suggestion: np.ndarray, place: str) -> None:
        expected = np.array(labels)
        is_labelled = (expected[:, 2:] > 0) | (suggestion[:, 2:] > 0)
        if (np.abs(expected - suggestion) * is_labelled > _ROUNDED).any():
            raise InputError(
                f"{place}: field 'suggestion': does not fit the labels of {self.path}, which were changed after the "
                "review; expected a review of this file"
            )

    def write(self, suspect: Suspect, keypoint: int, label: Label) -> None:
        """Replace the label of a keypoint, and count the person's keypoints again where the file has a count."""
        row = self.row_of[suspect.annotation_id]
        row["keypoints"][NUMBERS * keypoint : NUMBERS * (keypoint + 1)] = label
        if "num_keypoints" in row:
            row["num_keypoints"] = sum(v > 0 for v in row["keypoints"][NUMBERS - 1 :: NUMBERS])


def written(label: np.ndarray) -> Label:
    """Return x, y, v as the file writes them: v as a whole number, an unlabelled keypoint as 0, 0, 0."""
    x, y, v = label.tolist()
    return [x, y, int(v)] if v > 0 else [0, 0, 0]

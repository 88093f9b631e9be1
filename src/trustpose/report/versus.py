"""Show the people on whom several results files differ most: the label beside each file's pose of the same person."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from trustpose.evaluation.comparison import comparable
from trustpose.evaluation.record import Audit
from trustpose.report.gallery import Photos, crop, data_uri, drawn_label, drawn_prediction, predicted_xy

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

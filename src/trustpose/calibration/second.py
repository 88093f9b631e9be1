"""A second opinion: another network's poses of the same people, and which of them are the same people.

People are paired by `annotation_id` where both files have it. Where one has not, they are paired within the photo by
the overlap of their boxes and the OKS of one pose with the other, best first, one-to-one: see `same_people`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile, read_results
from trustpose.formats.coco.ids import IdTexts
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.oks import oks
from trustpose.metrics.matching import same_image_pairs
from trustpose.metrics.pairing import MINIMUM_IOU, take_best_first
from trustpose.poses import MISSING_ID, Poses
from trustpose.skeletons import Skeleton

AREA_SHARE = 0.53  # of the box: the area for OKS between two poses, which have no segment


@dataclass(frozen=True, eq=False)
class Second:
    """Another network's M poses in the same photos, with its name if known, and the results file or the network that
    they come from: `model` is the fingerprint of the network's files.

    `row` (N,) is the row of each of the N people in `poses`, -1 for none; None: to be paired by `same_people`.
    """

    poses: Poses
    name: str | None = None
    file: str = "poses in memory"
    sha256: str = ""
    model: str | None = None
    row: Int[np.ndarray, " N"] | None = None

    @property
    def label(self) -> str:
        """The name, else the file."""
        return label_of(self.name, self.file)


SecondLike = Second | Poses | ResultsFile | str | Path
Seconds = SecondLike | Sequence[SecondLike] | Mapping[str, SecondLike] | None
"""Values of `second=`: another network's poses or results file, several of them, or several by the network's name."""


def label_of(name: str | None, file: str) -> str:
    """Return the name of a second opinion in messages."""
    return f"second opinion {name!r}" if name is not None else f"second opinion of {file}"


def seconds_of(given: Seconds, truth: TruthFile | None = None) -> tuple[Second, ...]:
    """Return the second opinions in any of the forms that `second=` takes; files are read, their ids among those of
    `truth` if given. Raises InputError."""
    if given is None:
        return ()
    if isinstance(given, Mapping):
        return tuple(_second(one, name, truth) for name, one in given.items())
    if isinstance(given, Second | Poses | ResultsFile | str | Path):
        return (_second(given, None, truth),)
    return tuple(_second(one, None, truth) for one in given)


def _second(given: SecondLike, name: str | None, truth: TruthFile | None) -> Second:
    if isinstance(given, Second):
        return given
    if isinstance(given, Poses):
        return Second(given, name)
    read = given if isinstance(given, ResultsFile) else read_results(given, truth=truth, common=truth is not None)
    return Second(read.poses, name, Path(read.path).name, read.sha256)


def beside(results: ResultsFile, other: ResultsFile, name: str | None = None) -> Second:
    """Return a second opinion on `results` from a file that was read without a ground truth: ids that are texts in both
    files are given the same numbers."""
    poses = other.poses
    ids = {
        "image_id": _renumbered(poses.image_id, other.image_texts, results.image_texts),
        "annotation_id": _renumbered(poses.annotation_id, other.annotation_texts, results.annotation_texts),
    }
    return Second(replace(poses, **ids), name, Path(other.path).name, other.sha256)


def _renumbered(ids: np.ndarray | None, own: IdTexts, wanted: IdTexts) -> np.ndarray | None:
    """Return ids (M,) with the other file's number of the same text; below -1 for texts that it lacks."""
    if ids is None or not len(own):
        return ids
    text_of = own.text_of
    found = [wanted.find(text_of[one]) if one in text_of else MISSING_ID for one in ids.tolist()]
    return np.array([-2 - at if one is None else one for at, one in enumerate(found)], dtype=np.int64)


def same_people(
    poses: Poses, other: Poses, size: Float[np.ndarray, " N"], sigmas: Float[np.ndarray, " K"]
) -> Int[np.ndarray, " N"]:
    """Return the row (N,) in `other` of each person of `poses`, -1 for none.

    Poses with the same `annotation_id` are of the same person. Where one of the two has none, they are paired within
    their photo, greedily and one-to-one, by the IoU of their boxes (of their keypoints if there are none) plus the OKS
    of one with the other, highest first, down to an IoU of 0.1. Without `image_id` all people are in one photo. `size`
    is √(box area) of each person in pixels; OKS uses 0.53 × box area.
    """
    row = np.full(len(poses), -1)
    if not len(other):
        return row
    mine, theirs = (_ids(one.annotation_id, len(one)) for one in (poses, other))
    order = np.argsort(theirs, kind="stable")
    place = np.minimum(np.searchsorted(theirs[order], mine), len(other) - 1)
    named = (theirs[order][place] == mine) & (mine != MISSING_ID)
    row[named] = order[place[named]]
    taken = np.zeros(len(other), dtype=bool)
    taken[row[named]] = True
    free, open_rows = np.flatnonzero(~taken), np.flatnonzero(row < 0)
    images = [np.zeros(len(one), np.int64) if one.image_id is None else one.image_id for one in (poses, other)]
    one, two = same_image_pairs(images[0][open_rows], images[1][free])
    one, two = open_rows[one], free[two]
    unnamed = (mine[one] == MISSING_ID) | (theirs[two] == MISSING_ID)  # two different ids are two people
    one, two = one[unnamed], two[unnamed]
    iou = np.nan_to_num(paired_iou(poses.person_box()[one], other.person_box()[two]))
    near = iou >= MINIMUM_IOU
    one, two, iou = one[near], two[near], iou[near]
    alike = iou + _similarity(poses, other, one, two, size, sigmas)
    best = np.lexsort((two, one, -alike))
    take_best_first(one[best], two[best], row)
    return row


def _ids(annotation_id: np.ndarray | None, count: int) -> np.ndarray:
    return np.full(count, MISSING_ID) if annotation_id is None else annotation_id


def _similarity(
    poses: Poses, other: Poses, one: np.ndarray, two: np.ndarray, size: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """Return the OKS (P,) of pairs of poses over the keypoints that both place, 0 without any."""
    both = found_in(poses)[one] & found_in(other)[two]
    theirs = np.where(both[..., None], other.xy[two], 0).astype(np.float64)
    mine = np.where(both[..., None], poses.xy[one], 0).astype(np.float64)
    with np.errstate(over="ignore"):
        return np.nan_to_num(oks(mine, theirs, both.astype(np.int64), AREA_SHARE * size[one] ** 2, sigmas))


def found_in(poses: Poses) -> Bool[np.ndarray, "N K"]:
    """Return which keypoints (N, K) have a position."""
    found = np.all(np.isfinite(poses.xy), axis=2)
    return found if poses.missing is None else found & ~poses.missing


def to_skeleton(second: Second, skeleton: Skeleton) -> Poses:
    """Return its poses with the keypoints of `skeleton`, by name where both are named; joints that it lacks are
    missing. Raises InputError if it shares no joint, or if it is unnamed and has another number of them."""
    poses = second.poses
    own = poses.skeleton
    if own is not None and own.keypoints != skeleton.keypoints:
        if not set(own.keypoints) & set(skeleton.keypoints):
            raise InputError(f"{second.label}: its skeleton {own.name} has no joint of {skeleton.name}")
        return poses.to_skeleton(skeleton, missing="mark")
    if poses.keypoint_count != len(skeleton):
        raise InputError(f"{second.label}: has {poses.keypoint_count} keypoints, expected {len(skeleton)}")
    return poses

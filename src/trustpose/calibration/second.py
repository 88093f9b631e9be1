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


def seconds_of(seconds: Seconds, truth: TruthFile | None = None) -> tuple[Second, ...]:
    """Return the second opinions in any of the forms that `second=` takes; files are read, their ids among those of
    `truth` if given. Raises InputError."""
    if seconds is None:
        return ()
    if isinstance(seconds, Mapping):
        return tuple(_second(second, name, truth) for name, second in seconds.items())
    if isinstance(seconds, Second | Poses | ResultsFile | str | Path):
        return (_second(seconds, None, truth),)
    return tuple(_second(second, None, truth) for second in seconds)


def _second(second: SecondLike, name: str | None, truth: TruthFile | None) -> Second:
    if isinstance(second, Second):
        return second
    if isinstance(second, Poses):
        return Second(second, name)
    results = second if isinstance(second, ResultsFile) else read_results(second, truth=truth, common=truth is not None)
    return Second(results.poses, name, Path(results.path).name, results.sha256)


def second_opinion_on(results: ResultsFile, second: ResultsFile, name: str | None = None) -> Second:
    """Return a second opinion on `results` from a file that was read without a ground truth: ids that are texts in both
    files are given the same numbers."""
    poses = second.poses
    ids = {
        "image_id": _renumbered(poses.image_id, second.image_texts, results.image_texts),
        "annotation_id": _renumbered(poses.annotation_id, second.annotation_texts, results.annotation_texts),
    }
    return Second(replace(poses, **ids), name, Path(second.path).name, second.sha256)


def _renumbered(ids: np.ndarray | None, texts: IdTexts, target_texts: IdTexts) -> np.ndarray | None:
    """Return ids (M,) with the other file's number of the same text; below -1 for texts that it lacks."""
    if ids is None or not len(texts):
        return ids
    text_of = texts.text_of
    numbers = [target_texts.find(text_of[number]) if number in text_of else MISSING_ID for number in ids.tolist()]
    return np.array([-2 - row if number is None else number for row, number in enumerate(numbers)], dtype=np.int64)


def same_people(
    poses: Poses, second_poses: Poses, size: Float[np.ndarray, " N"], sigmas: Float[np.ndarray, " K"]
) -> Int[np.ndarray, " N"]:
    """Return the row (N,) in `second_poses` of each person of `poses`, -1 for none.

    Poses with the same `annotation_id` are of the same person. Where one of the two has none, they are paired within
    their photo, greedily and one-to-one, by the IoU of their boxes (of their keypoints if there are none) plus the OKS
    of one with the other, highest first, down to an IoU of 0.1. Without `image_id` all people are in one photo. `size`
    is √(box area) of each person in pixels; OKS uses 0.53 × box area.
    """
    row = np.full(len(poses), -1)
    if not len(second_poses):
        return row
    mine, theirs = (_ids(people.annotation_id, len(people)) for people in (poses, second_poses))
    order = np.argsort(theirs, kind="stable")
    rank = np.minimum(np.searchsorted(theirs[order], mine), len(second_poses) - 1)
    named = (theirs[order][rank] == mine) & (mine != MISSING_ID)
    row[named] = order[rank[named]]
    is_paired = np.zeros(len(second_poses), dtype=bool)
    is_paired[row[named]] = True
    free, open_rows = np.flatnonzero(~is_paired), np.flatnonzero(row < 0)
    images = [
        np.zeros(len(people), np.int64) if people.image_id is None else people.image_id
        for people in (poses, second_poses)
    ]
    pose_row, second_row = same_image_pairs(images[0][open_rows], images[1][free])
    pose_row, second_row = open_rows[pose_row], free[second_row]
    unnamed = (mine[pose_row] == MISSING_ID) | (theirs[second_row] == MISSING_ID)  # two different ids are two people
    pose_row, second_row = pose_row[unnamed], second_row[unnamed]
    iou = np.nan_to_num(paired_iou(poses.person_box()[pose_row], second_poses.person_box()[second_row]))
    near = iou >= MINIMUM_IOU
    pose_row, second_row, iou = pose_row[near], second_row[near], iou[near]
    alike = iou + _similarity(poses, second_poses, pose_row, second_row, size, sigmas)
    best = np.lexsort((second_row, pose_row, -alike))
    take_best_first(pose_row[best], second_row[best], row)
    return row


def _ids(annotation_id: np.ndarray | None, count: int) -> np.ndarray:
    return np.full(count, MISSING_ID) if annotation_id is None else annotation_id


def _similarity(
    poses: Poses,
    second_poses: Poses,
    pose_row: np.ndarray,
    second_row: np.ndarray,
    size: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    """Return the OKS (P,) of pairs of poses over the keypoints that both place, 0 without any."""
    both = placed_keypoints(poses)[pose_row] & placed_keypoints(second_poses)[second_row]
    theirs = np.where(both[..., None], second_poses.xy[second_row], 0).astype(np.float64)
    mine = np.where(both[..., None], poses.xy[pose_row], 0).astype(np.float64)
    with np.errstate(over="ignore"):
        return np.nan_to_num(oks(mine, theirs, both.astype(np.int64), AREA_SHARE * size[pose_row] ** 2, sigmas))


def placed_keypoints(poses: Poses) -> Bool[np.ndarray, "N K"]:
    """Return which keypoints (N, K) have a position."""
    has_position = np.all(np.isfinite(poses.xy), axis=2)
    return has_position if poses.missing is None else has_position & ~poses.missing


def to_skeleton(second: Second, skeleton: Skeleton) -> Poses:
    """Return its poses with the keypoints of `skeleton`, by name where both are named; joints that it lacks are
    missing. Raises InputError if it shares no joint, or if it is unnamed and has another number of them."""
    poses = second.poses
    second_skeleton = poses.skeleton
    if second_skeleton is not None and second_skeleton.keypoints != skeleton.keypoints:
        if not set(second_skeleton.keypoints) & set(skeleton.keypoints):
            raise InputError(f"{second.label}: its skeleton {second_skeleton.name} has no joint of {skeleton.name}")
        return poses.to_skeleton(skeleton, missing="mark")
    if poses.keypoint_count != len(skeleton):
        raise InputError(f"{second.label}: has {poses.keypoint_count} keypoints, expected {len(skeleton)}")
    return poses

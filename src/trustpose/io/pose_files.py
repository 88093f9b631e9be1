"""Read pose files of other tools, assembled for COCO evaluation: image ids, pixels, and a ground truth's
keypoints.

Scores are read unchanged, whatever their range. There is one module per format; `recognise` finds the tool that wrote
a file, `assemble` assigns image ids and the order of a ground truth's keypoints.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError
from trustpose.io.coco.labels import check_centres
from trustpose.io.coco.truth import TruthFile
from trustpose.io.columns import Rows
from trustpose.io.openpose import which_body_25
from trustpose.io.recognise import FORMATS, find_files, read_pose_files
from trustpose.io.tool_poses import Photos, ToolPoses, join
from trustpose.poses import Poses
from trustpose.skeletons import (
    COCO_17,
    COCO_WHOLEBODY_133,
    HALPE_26,
    HALPE_136,
    MPII_16,
    OPENPOSE_BODY_25,
    Skeleton,
)

_USUAL: dict[int, Skeleton] = {
    len(skeleton): skeleton
    for skeleton in (COCO_17, MPII_16, HALPE_26, OPENPOSE_BODY_25, COCO_WHOLEBODY_133, HALPE_136)
}


@dataclass(frozen=True, eq=False)
class Assembled:
    """N poses with their image ids, the score (N,) to rank them by, their keypoints, and notes for the user.

    `counted` holds the ids of photos that were counted because their names have no numbers; otherwise it is empty.
    `skeleton_note` is the one of `notes` that says how the skeleton was chosen, where the files leave two open.
    """

    poses: Poses
    score: Float[np.ndarray, " N"]
    skeleton: Skeleton
    photo_count: int
    counted: dict[str, int]
    notes: tuple[str, ...]
    skeleton_note: str | None = None


def assemble(
    parts: Sequence[ToolPoses],
    photos: Photos,
    *,
    tool: str = "coco",
    skeleton: Skeleton | None = None,
    category: int | None = None,
    fill_missing: bool = False,
) -> Assembled:
    """Combine the poses of all files, with keypoints in the order of `photos.truth`, if given.

    `skeleton` names the keypoints, `category` the class to keep if files hold several. With `fill_missing`, keypoints
    of the ground truth that the poses lack become 0, 0, 0; otherwise they are an error. `score` is the file's ranking
    score or the pose's own, else the mean of its keypoints' scores. Raises InputError.
    """
    notes = [note for part in parts for note in part.notes]
    without_body = sum(part.without_body for part in parts)
    if without_body:
        notes.append(f"people without body keypoints, left out: {without_body}")
    counted = photos.counted(parts)
    parts = [part for part in _of_one_category(parts, category) if len(part)]
    if not parts:
        raise InputError("no poses in the given files: no person was detected in any photo")
    ids = [photos.ids(part, counted) for part in parts]
    _check_photos(parts, ids)
    pixels = [_in_pixels(part, photos, image_ids) for part, image_ids in zip(parts, ids, strict=True)]
    poses = join(pixels, [part.path for part in parts])
    check_centres(Rows(parts[0].path, "pose", []), poses)
    if poses.score is None or any(part.score is None for part in pixels):
        raise InputError(f"{parts[0].path}: has no keypoint scores")
    missing = MissingKeypoints()
    missing.add(poses)
    notes += missing.notes(tool)
    score = np.concatenate([_ranking(part) for part in parts])
    if np.isnan(score).any():
        mean = np.nan_to_num(poses.score).mean(axis=1)
        notes.append("`score` of poses without their own score is the mean of their keypoints' scores")
        score = np.where(np.isnan(score), mean, score)
    source = _name_keypoints(parts[0], poses.keypoint_count, skeleton, photos.truth)
    skeleton_note = None
    if skeleton is None and tool == "openpose" and source == OPENPOSE_BODY_25:
        source, skeleton_note = which_body_25(poses)
        notes += [] if skeleton_note is None else [skeleton_note]
    if skeleton is not None and len(skeleton) < len(source):
        poses, source = _of_skeleton(poses, source, skeleton, notes)
    poses, target, of_order = _in_order(poses, source, photos.truth, fill_missing, parts[0].path)
    photo_count = len(np.unique(np.concatenate(ids)))
    return Assembled(poses, score, target, photo_count, counted, (*dict.fromkeys(notes), *of_order), skeleton_note)


def _of_one_category(parts: Sequence[ToolPoses], category: int | None) -> list[ToolPoses]:
    """Keep the rows of the requested class; raise InputError if files hold several and none is requested."""
    classes = {int(class_id) for part in parts if part.category is not None for class_id in np.unique(part.category)}
    if category is not None:
        if classes and category not in classes:
            listed = ", ".join(map(str, sorted(classes)))
            raise InputError(f"--class: {category} is not in the files, which hold {listed}")
        return [part.of_category(category) for part in parts]
    if len(classes) > 1:
        listed = ", ".join(map(str, sorted(classes)[:10]))
        raise InputError(f"{parts[0].path}: the files hold several classes ({listed}); --class selects people")
    return list(parts)


def _check_photos(parts: Sequence[ToolPoses], ids: list[np.ndarray]) -> None:
    """Raise InputError if a photo's people are in more than one file."""
    first: dict[int, str] = {}
    for part, image_ids in zip(parts, ids, strict=True):
        for image in np.unique(image_ids).tolist():
            if first.setdefault(image, part.path) != part.path:
                raise InputError(f"{part.path}: has people of image {image}, as does {first[image]}; give each once")
        names = {} if part.photo is None else dict(zip(image_ids.tolist(), part.photo, strict=True))
        for image, name in zip(image_ids.tolist(), part.photo or (), strict=False):
            if names[image] != name:
                raise InputError(f"{part.path}: photos {name!r} and {names[image]!r} are both image {image}")


def _in_pixels(part: ToolPoses, photos: Photos, ids: np.ndarray) -> Poses:
    _check_boxes(part)
    poses = replace(part.poses, image_id=ids)
    if not part.is_relative:
        return poses
    size = photos.sizes(part, ids).astype(np.float64)  # (N, 2)
    box = None if poses.box is None else poses.box * np.tile(size, 2)
    return replace(poses, xy=poses.xy * size[:, None], box=box)


def _check_boxes(part: ToolPoses) -> None:
    """Raise InputError if a box's corners are in the wrong order, for example x, y, width, height."""
    if part.poses.box is None:
        return
    wrong = (part.poses.box[:, 2:] < part.poses.box[:, :2]).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise InputError(
            f"{part.path}: pose {row}: box: expected x0, y0, x1, y1 with x1 >= x0 and y1 >= y0, got "
            f"{part.poses.box[row].tolist()}"
        )


def _ranking(part: ToolPoses) -> np.ndarray:
    for score in (part.ranking, part.poses.pose_score):
        if score is not None:
            return score.astype(np.float64)
    return np.full(len(part), np.nan)


class MissingKeypoints:
    """Counts keypoints without a position, and others at exactly 0, 0, batch by batch."""

    def __init__(self) -> None:
        self._total = self._missing = self._at_zero = self._blank = 0

    def add(self, poses: Poses) -> None:
        """Count those of a batch."""
        missing = np.zeros(poses.xy.shape[:2], dtype=np.bool_) if poses.missing is None else poses.missing
        zero = (poses.xy == 0).all(axis=2)
        self._total += missing.size
        self._missing += int((zero & missing).sum())
        self._at_zero += int((zero & ~missing).sum())
        self._blank += int(np.isnan(poses.xy).any(axis=2).sum())

    def notes(self, tool: str) -> list[str]:
        """Return what the user should know of a tool's files."""
        meaning = {
            "ultralytics": "; some releases move those with a confidence below 0.5 there",
            "openpose": "; OpenPose writes this for keypoints that it did not find",
        }
        counts = {
            f"are at 0, 0: they count as missing{meaning.get(tool, '')}": self._missing,
            "are at 0, 0 with a score: they count as found": self._at_zero,
            "are blank in the files: they count as missing and become 0, 0 with score 0": self._blank,
        }
        return [f"{count} of {self._total} keypoints {condition}" for condition, count in counts.items() if count]


def _name_keypoints(part: ToolPoses, count: int, chosen: Skeleton | None, truth: TruthFile | None) -> Skeleton:
    """Choose the keypoints of poses: those given by the user, else by the file or tool, else the ground truth's if
    their number is the same, else the usual ones of that number."""
    if chosen is not None and len(chosen) != count:
        if part.skeleton is not None and set(chosen.keypoints) < set(part.skeleton.keypoints):
            return part.skeleton
        raise InputError(f"{part.path}: has {count} keypoints, but --skeleton {chosen.name} has {len(chosen)}")
    source = chosen or part.skeleton
    if source is None and truth is not None and len(truth.keypoint_names) == count:
        source = _of_truth(truth)
    return source or _USUAL.get(count) or Skeleton(f"unnamed{count}", tuple(f"keypoint_{i}" for i in range(count)), ())


def _of_skeleton(poses: Poses, source: Skeleton, target: Skeleton, notes: list[str]) -> tuple[Poses, Skeleton]:
    """Return the poses with only the user's keypoints, of those that the file names; a note tells of the others."""
    notes.append(
        f"{len(source) - len(target)} of the file's {len(source)} keypoints, left out: --skeleton {target.name}"
    )
    return poses.take_keypoints(source.index_in(target), target), target


def _of_truth(truth: TruthFile) -> Skeleton:
    return truth.truth.skeleton or Skeleton("the ground truth", truth.keypoint_names, ())


def _in_order(
    poses: Poses, source: Skeleton, truth: TruthFile | None, fill_missing: bool, path: str
) -> tuple[Poses, Skeleton, list[str]]:
    """Reorder keypoints to those of the ground truth, matched by name; surplus keypoints are left out."""
    notes: list[str] = []
    target = source if truth is None else _of_truth(truth)
    if target.keypoints != source.keypoints:
        poses = poses.take_keypoints(source.index_in(target, missing="mark"), target)
        lacking = [name for name in target.keypoints if name not in source.keypoints]
        surplus = [name for name in source.keypoints if name not in target.keypoints]
        if len(lacking) == len(target):
            raise InputError(
                f"{path}: no keypoint of the poses ({_list_names(surplus)}) has a name of the ground truth "
                f"({_list_names(lacking)}); name the poses' keypoints with --skeleton"
            )
        if lacking and not fill_missing:
            raise InputError(
                f"{path}: the poses ({source.name}) lack {_list_names(lacking)} of the ground truth's keypoints; "
                "--fill-missing writes 0, 0, 0 for them"
            )
        if lacking:
            notes.append(f"keypoints that the poses lack, written as 0, 0, 0: {', '.join(lacking)}")
        if surplus:
            notes.append(f"keypoints that the ground truth lacks, left out: {_list_names(surplus)}")
    assert poses.score is not None
    blank = np.isnan(poses.xy).any(axis=2)
    xy, score = np.where(np.expand_dims(blank, 2), 0.0, poses.xy), np.where(blank, 0.0, poses.score)
    return replace(poses, xy=xy, score=score, skeleton=target), target, notes


def _list_names(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


__all__ = ["FORMATS", "Assembled", "Photos", "ToolPoses", "assemble", "find_files", "read_pose_files"]

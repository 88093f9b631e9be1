"""`tp.read_poses`: read the poses in any results file as one record."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.images import Images
from trustpose.io.coco.results import ResultsFile, of_truth, read_results
from trustpose.io.coco.truth import TruthFile, read_images
from trustpose.io.columns import Rows
from trustpose.io.pose_files import Photos, assemble, find_files, read_pose_files
from trustpose.io.row_stream import open_rows
from trustpose.io.tables import is_results_table
from trustpose.names import expected_one_of
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17, Skeleton, skeleton_of


def read_poses(source: str | Path | Sequence[str | Path], *, skeleton: Skeleton | str | Path | None = None) -> Poses:
    """Read the poses in a results file of any known format, recognised by its content.

    Args:
        source: COCO results as JSON, CSV or Parquet with all our fields; a file or folder of another tool (mmpose,
            Ultralytics, OpenPose, AlphaPose, DeepLabCut, SLEAP, MediaPipe, MoveNet, VideoPose3D, Detectron2); or
            several such files.
        skeleton: names the keypoints, where neither the file nor its tool does: a `Skeleton`, one of `SKELETONS` by
            name, or a skeleton's JSON file. 17 unnamed keypoints are COCO's.

    Returns:
        The poses, in image pixels, with the estimator's scores unchanged. `image_id` is the file's own, or the number
        at the end of the photo's name, or counted from 1 in the order of the names.

    Raises:
        InputError: if a file is missing, damaged or of an unknown format, naming the file and what was expected.

    Example:
        >>> poses = tp.read_poses("results.json")
        >>> len(poses), poses.skeleton.name
        (60, 'coco17')
    """
    named = None if skeleton is None else skeleton_of(skeleton, "skeleton")
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    if len(sources) == 1 and is_results_table(sources[0]):
        return _of_results(open_rows(sources[0], skeleton=named, whole_photos=False).whole().results, named)
    files = find_files(sources)
    tool, parts = read_pose_files(files, keypoint_counts=[len(COCO_17) if named is None else len(named)])
    if tool == "coco" and len(files) == 1:  # with our own fields, which the other tools' files lack
        return _of_results(read_results(files[0], skeleton=named), named)
    assembled = assemble(parts, Photos(), tool=tool, skeleton=named)
    if assembled.skeleton_note is not None:
        warnings.warn(assembled.skeleton_note, stacklevel=2)
    return assembled.poses


def _of_results(results: ResultsFile, skeleton: Skeleton | None) -> Poses:
    """Return the poses of COCO results, with COCO's skeleton for 17 keypoints that nothing names."""
    if not results.image_texts.are_numbers:
        text = next(iter(results.image_texts.number_of))
        warnings.warn(
            f"{results.path}: field 'image_id' holds texts such as {text[:40]!r}; Poses.image_id numbers them from 1 "
            "in alphabetical order, and Poses.save writes the numbers",
            stacklevel=3,
        )
    poses = results.poses
    if skeleton is None and poses.skeleton is None and poses.keypoint_count == len(COCO_17):
        return replace(poses, skeleton=COCO_17)
    return poses


PosesSource = Poses | ResultsFile | str | Path | Sequence[str | Path]
"""Poses, or what `read_poses` reads: a file, a folder, or several files."""
ImagesSource = Images | TruthFile | Truth | str | Path
"""Photos or frames: `Images`, a ground truth, or a file that lists them."""
_SCORES = {name: name for name in ("pose_score", "presence", "pose_quality")}  # fields of results that may rank them
_SCORES |= {"score": "ranking_score", "bbox_score": "box_score"}


def poses_of(poses: PosesSource, argument: str = "poses") -> Poses:
    """Return poses as they are, or those of a file.

    Args:
        poses: `Poses`, or what `read_poses` reads.
        argument: the name of the caller's argument, for the message.

    Raises:
        TypeError: for anything else, naming what was expected and what came.
        InputError: if a file cannot be read.
    """
    if isinstance(poses, Poses):
        return poses
    if isinstance(poses, ResultsFile):
        return poses.poses
    is_list = isinstance(poses, (list, tuple)) and all(isinstance(path, (str, Path)) for path in poses)
    if isinstance(poses, (str, Path)) or is_list:
        return read_poses(poses)
    raise TypeError(f"{argument}: expected Poses or the path of a results file, got {type(poses).__name__}")


def results_file_of(
    results: Poses | ResultsFile | str | Path,
    truth: TruthFile,
    *,
    score_field: str = "score",
    common: bool = False,
    argument: str = "results",
) -> ResultsFile:
    """Return results on a ground truth's people, from a file or from poses in memory.

    Args:
        results: the path of COCO results, a file that was read, or `Poses` whose `image_id` is the ground truth's.
        truth: the ground truth; ids and keypoints must be its own.
        score_field: the field of results that ranks them, such as "pose_quality"; "score" is `Poses.ranking_score`.
        common: leave out photos that the ground truth lacks, which are an error otherwise.
        argument: the name of the caller's argument, for the message.

    Raises:
        TypeError: for anything else, naming what was expected and what came.
        InputError: if a file cannot be read, or results do not fit the ground truth.
        ValueError: for poses without `image_id` or without the score.
    """
    if isinstance(results, ResultsFile):
        return results
    if isinstance(results, (str, Path)):
        return read_results(results, truth=truth, score_field=score_field, common=common)
    if not isinstance(results, Poses):
        raise TypeError(f"{argument}: expected Poses or the path of a results file, got {type(results).__name__}")
    if results.image_id is None:
        raise ValueError(f"{argument}: Poses.image_id is None, the poses' photos are unknown")
    if results.keypoint_count != truth.truth.keypoint_count:
        expected = f"the {truth.truth.keypoint_count} of {truth.path}"
        raise InputError(f"{argument}: have {results.keypoint_count} keypoints, expected {expected}")
    if score_field not in _SCORES:
        raise InputError(f"score: {expected_one_of(_SCORES, score_field)}")
    ranking = results.ranking_score
    score = ranking if score_field == "score" else getattr(results, _SCORES[score_field])
    if score is None:
        raise ValueError(f"{argument}: Poses.{_SCORES[score_field]} is None, but is to rank the poses")
    poses = replace(
        results,
        pose_score=ranking if results.pose_score is None else results.pose_score,
        skeleton=truth.truth.skeleton if results.skeleton is None else results.skeleton,
    )
    file = ResultsFile(poses, score, np.full(len(poses), truth.category_ids[0]), "poses in memory", "")
    return of_truth(file, truth, Rows("poses in memory", "pose", []), common=common)


def images_of(images: ImagesSource, argument: str = "images") -> Images:
    """Return photos or frames as they are, those of a ground truth, or those that a file lists.

    Args:
        images: `Images`, a ground truth, or the path of one, or of a list of images such as images.json.
        argument: the name of the caller's argument, for the message.

    Raises:
        TypeError: for anything else, naming what was expected and what came.
        InputError: if a file cannot be read.
    """
    if isinstance(images, Images):
        return images
    if isinstance(images, TruthFile):
        return images.images
    if isinstance(images, Truth) and images.images is not None:
        return images.images
    if isinstance(images, (str, Path)):
        return read_images(images)[0]
    raise TypeError(f"{argument}: expected Images or the path of a file that lists them, got {type(images).__name__}")

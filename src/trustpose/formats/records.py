"""Records or paths: what takes poses, photos or results in memory takes the path of their file too."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile, read_images, read_results
from trustpose.formats.coco.results import of_truth
from trustpose.formats.columns import Rows
from trustpose.images import Images
from trustpose.names import expected_one_of
from trustpose.poses import Poses, Truth

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
        from trustpose.formats.read_poses import read_poses  # the readers of all tools: a tenth of a second

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

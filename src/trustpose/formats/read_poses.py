"""`tp.read_poses`: read the poses in any results file as one record."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from trustpose.formats.coco import ResultsFile, read_results
from trustpose.formats.pose_files import Photos, assemble, find_files, read_pose_files
from trustpose.poses import Poses
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
    if len(sources) == 1 and _is_table(Path(sources[0])):
        return _of_results(read_results(sources[0], skeleton=named), named)
    files = find_files(sources)
    tool, parts = read_pose_files(files, keypoint_counts=[len(COCO_17) if named is None else len(named)])
    if tool == "coco" and len(files) == 1:  # with our own fields, which the other tools' files lack
        return _of_results(read_results(files[0], skeleton=named), named)
    assembled = assemble(parts, Photos(), tool=tool, skeleton=named)
    if assembled.skeleton_note is not None:
        warnings.warn(assembled.skeleton_note, stacklevel=2)
    return assembled.poses


def _is_table(path: Path) -> bool:
    """Return whether a file is a table of ours: Parquet, or CSV with a column for the keypoints."""
    if path.suffix.lower() == ".parquet":
        return True
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open("rb") as file:
        return b"keypoints" in file.readline(10_000).split(b",")


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

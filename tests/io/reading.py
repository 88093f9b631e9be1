"""Reads sample files as a user's call does: one file, or sources put together by a ground truth or photos."""

from pathlib import Path
from typing import Any

from tests.io import samples
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.io.pose_files import Assembled, Photos, ToolPoses, assemble, find_files, read_pose_files
from trustpose.skeletons import COCO_17

PEOPLE = samples.people()
FIRST = next(iter(samples.PHOTOS))


def read(path: Path, tool: str = "auto") -> ToolPoses:
    _, (found,) = read_pose_files(find_files([path]), tool)
    return found


def truth(folder: Path, keypoints: tuple[str, ...] = COCO_17.keypoints, **changes: Any) -> TruthFile:
    return read_coco_truth(samples.write(folder / "gt" / "gt.json", samples.ground_truth(keypoints) | changes))


def gather(sources: Path | list[Path], photos: Photos, **options: Any) -> Assembled:
    tool, found = read_pose_files(find_files([sources] if isinstance(sources, Path) else sources))
    return assemble(found, photos, tool=tool, **options)


def image_ids(done: Assembled) -> list[int]:
    assert done.poses.image_id is not None
    return done.poses.image_id.tolist()

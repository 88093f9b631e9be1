"""Read VideoPose3D's 2D keypoints, `data_2d_*.npz`, of its own data sets or of videos (`prepare_data_2d_custom.py`).

Format: VideoPose3D's documentation (DOCUMENTATION.md and INFERENCE.md; CC BY-NC, read for the layout only). Two pickled
dictionaries: `positions_2d[subject][action]` is a list with an array (frames, joints, 2) for each camera, in pixels;
`metadata` has `layout_name` and `num_joints`. A custom data set has a video's name as subject, the action "custom", and
one camera. One person a video, without scores; its script interpolates frames in which nobody was detected. The
dictionaries are read by plain_pickle.py, which runs nothing.
"""

from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.arrays import read_npz_objects
from trustpose.io.plain_pickle import PickledArray
from trustpose.io.tool_poses import ToolPoses, default_scores
from trustpose.json_records import short
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17, Skeleton

_EXPECTED = "VideoPose3D's 2D keypoints (data_2d_*.npz)"
_MOST_BYTES = 1 << 30
_SKELETONS = {"coco": COCO_17}


def fits(content: bytes) -> bool:
    """Return whether a file is a zip, as NPZ files are."""
    return content.startswith(b"PK\x03\x04")


def read(content: bytes, path: str) -> ToolPoses:
    """Return the poses of a file that holds one video. Raises InputError, naming the videos of a file with several."""
    arrays = read_npz_objects(content, path, _MOST_BYTES, _EXPECTED)
    if "positions_2d" not in arrays:
        raise InputError(f"{path}: is not {_EXPECTED}: has no array 'positions_2d'")
    videos = _videos(_only(arrays["positions_2d"]), path)
    if len(videos) != 1:
        named = ", ".join("/".join(name) for name in list(videos)[:3])
        raise InputError(f"{path}: holds {len(videos)} videos ({named}, …), expected one; save one video a file")
    (array,) = videos.values()
    if not isinstance(array, PickledArray) or not isinstance(array.values, np.ndarray):
        raise InputError(f"{path}: field 'positions_2d': expected arrays of numbers")
    xy = array.values
    if xy.ndim != 3 or xy.shape[2] != 2 or not xy.size or xy.dtype.kind not in "iuf":
        raise InputError(f"{path}: field 'positions_2d': expected (frames, joints, 2) numbers, got {xy.shape}")
    xy = np.where(np.isfinite(xy).all(axis=2, keepdims=True), xy, np.nan).astype(np.float64)
    score, notes = default_scores(xy)
    notes += ("frames in which nobody was detected may be interpolated, as its script does",)
    poses = Poses(xy=xy, score=score, image_id=np.arange(len(xy)))
    return ToolPoses(path, poses, skeleton=_skeleton(arrays.get("metadata"), xy.shape[1], path), notes=notes)


def _only(value: Any) -> Any:
    """Return the object of an array () of one object."""
    if isinstance(value, PickledArray) and isinstance(value.values, list) and value.shape == ():
        return value.values[0]
    return value


def _videos(positions: Any, path: str) -> dict[tuple[str, ...], Any]:
    """Return the arrays by subject, action and camera."""
    if not isinstance(positions, dict):
        raise InputError(f"{path}: field 'positions_2d': expected a dictionary of subjects")
    videos: dict[tuple[str, ...], Any] = {}
    for subject, actions in positions.items():
        if not isinstance(actions, dict):
            raise InputError(f"{path}: field 'positions_2d': expected a dictionary of actions for each subject")
        for action, cameras in actions.items():
            if not isinstance(cameras, list):
                raise InputError(f"{path}: field 'positions_2d': expected a list of cameras for each action")
            videos |= {(str(subject), str(action), str(index)): camera for index, camera in enumerate(cameras)}
    return videos


def _skeleton(metadata: Any, count: int, path: str) -> Skeleton | None:
    """Return the skeleton that the file names, None if it is no known one."""
    value = _only(metadata)
    if not isinstance(value, dict):
        return None
    if value.get("num_joints", count) != count:
        got = short(value["num_joints"])
        raise InputError(f"{path}: field 'metadata': num_joints: expected {count}, as the arrays have, got {got}")
    name = value.get("layout_name")
    skeleton = _SKELETONS.get(name) if isinstance(name, str) else None
    return skeleton if skeleton is not None and len(skeleton) == count else None

"""Read SLEAP's predictions: a project or predictions file (`.slp`) and "analysis HDF5" (`.h5`).

Format: SLEAP's documentation ("Export data for analysis") and the documentation of sleap-io (BSD-3), whose files the
tests are written with. Both are plain HDF5: a `.slp` has rows of frames, instances and points and a JSON text that
names the nodes; an analysis file has dense arrays of one video, whose axes SLEAP stores in MATLAB's order. So h5py
reads them, and no package that would open the videos they name. A point that SLEAP did not find is NaN.
"""

from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any

import numpy as np

from trustpose.files import InputError, parse_json
from trustpose.io.arrays import hdf5_text, read_hdf5, texts
from trustpose.io.hdf5 import is_hdf5
from trustpose.io.tool_poses import ToolPoses, default_scores, no_people
from trustpose.json_records import Number, OpenRecord, of_length, parse_record, read_value, within
from trustpose.poses import MISSING_ID, Poses
from trustpose.skeletons import Skeleton, find_skeleton

_PROJECT = ("frames", "instances", "pred_points", "videos_json")
_ANALYSIS = ("tracks", "node_names", "track_names", "point_scores", "instance_scores")
_AXES = ("track", "xy", "node", "frame")
_PREDICTED = 1  # in `instance_type`; 0 is labelled by hand
_LISTS = ("filename", "filenames")
_MOST_FRAMES = 10**9
_CENTRED = 1.1  # the first `format_id` that counts from the centre of the first pixel


def fits(content: bytes) -> bool:
    """Return whether a file is one of SLEAP's; false without h5py, and for damaged files."""
    try:
        return is_hdf5(content) and bool(read_hdf5(content, "", ("tracks", "pred_points"), records=True))
    except InputError:
        return False


def read(content: bytes, path: str) -> ToolPoses:
    """Return the predicted poses of a file. Raises InputError, also if h5py is not installed."""
    arrays = read_hdf5(content, path, (*_PROJECT, *_ANALYSIS), records=True)
    with np.errstate(invalid="ignore", over="ignore"):  # of a damaged file's numbers, which are then not finite
        return _of_project(arrays, content, path) if "pred_points" in arrays else _of_analysis(arrays, content, path)


def _skeleton(names: list[str], path: str) -> Skeleton:
    if not names or len(set(names)) != len(names) or not all(names):
        raise InputError(f"{path}: node names: expected each once, got {', '.join(names)[:60] or 'none'}")
    return find_skeleton(tuple(names)) or Skeleton("the file's nodes", tuple(names), ())


def _of_project(arrays: dict[str, np.ndarray], content: bytes, path: str) -> ToolPoses:
    columns = {
        "frames": ("frame_id", "video", "frame_idx"),
        "instances": ("instance_type", "frame_id", "track", "score", "point_id_start", "point_id_end"),
        "pred_points": ("x", "y", "visible", "score"),
    }
    for name, fields in columns.items():
        if name not in arrays or not set(fields) <= set(arrays[name].dtype.names or ()) or arrays[name].ndim != 1:
            raise InputError(f"{path}: dataset {name!r}: expected rows of {', '.join(fields)}")
    skeleton, first_pixel = _metadata(content, path)
    instances, points = arrays["instances"], arrays["pred_points"]
    people = instances[instances["instance_type"] == _PREDICTED]
    labelled = len(instances) - len(people)
    notes = (f"people labelled by hand, left out: {labelled}",) if labelled else ()
    if labelled and not len(people):
        raise InputError(f"{path}: holds {labelled} people labelled by hand, expected predictions")
    if not len(people):
        return no_people(path)
    start = people["point_id_start"].astype(np.int64)
    is_whole = (people["point_id_end"].astype(np.int64) - start == len(skeleton)) & (start >= 0)
    if not is_whole.all() or start.max() > len(points) - len(skeleton):
        raise InputError(f"{path}: dataset 'instances': expected {len(skeleton)} points of 'pred_points' in each row")
    rows = points[start[:, None] + np.arange(len(skeleton))]  # (N, K)
    xy = np.stack([rows["x"], rows["y"]], axis=2).astype(np.float64) - first_pixel
    xy[~rows["visible"].astype(bool)] = np.nan
    xy = _mask_partial(xy)
    video, frame = _frames(arrays["frames"], people["frame_id"], path)
    photo = _photos(arrays, video, frame, path)
    track = people["track"].astype(np.int64)
    poses = Poses(
        xy=xy,
        score=_check_scores(rows["score"].astype(np.float64), xy, "dataset 'pred_points': score", path),
        pose_score=_of_people(people["score"], "dataset 'instances': score", path),
        track_id=np.where(track < 0, MISSING_ID, track + 1) if (track >= 0).any() else None,
        image_id=None if photo is not None else frame,
    )
    return ToolPoses(path, poses, photo=photo, skeleton=skeleton, notes=notes)


@dataclass(frozen=True)
class _Node(OpenRecord):
    name: str


@dataclass(frozen=True)
class _NodeNumber(OpenRecord):
    id: Annotated[int, within(0)]


@dataclass(frozen=True)
class _Nodes(OpenRecord):
    nodes: tuple[_NodeNumber, ...]


@dataclass(frozen=True)
class _Metadata(OpenRecord):
    nodes: tuple[_Node, ...]
    skeletons: Annotated[tuple[_Nodes, ...], of_length(1, "skeleton")]

    def __post_init__(self) -> None:
        if any(node.id >= len(self.nodes) for node in self.skeletons[0].nodes):
            raise ValueError(f"skeletons.0.nodes: expected ids below {len(self.nodes)}, the number of nodes")


def _metadata(content: bytes, path: str) -> tuple[Skeleton, float]:
    """Return the skeleton, and the coordinate of the first pixel's centre."""
    text = hdf5_text(content, path, "metadata", "json")
    if text is None:
        raise InputError(f"{path}: group 'metadata': expected the attribute 'json'")
    metadata = parse_record(_Metadata, text.encode(), f"{path}: attribute 'json'")
    names = [metadata.nodes[node.id].name for node in metadata.skeletons[0].nodes]
    location = f"{path}: attribute 'format_id'"
    version = parse_json((hdf5_text(content, path, "metadata", "format_id") or "1").encode(), location)
    return _skeleton(names, path), 0.0 if read_value(Number, version, location, "") >= _CENTRED else 0.5


def _frames(frames: np.ndarray, frame_id: np.ndarray, path: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the video's number and the frame's index in it of each person (N,)."""
    ids = frames["frame_id"].astype(np.int64)
    if len(np.unique(ids)) != len(ids) or not np.isin(frame_id, ids).all():
        raise InputError(f"{path}: dataset 'frames': expected each 'frame_id' of 'instances' once")
    order = np.argsort(ids)
    rows = order[np.searchsorted(ids[order], frame_id.astype(np.int64))]
    video, index = frames["video"][rows].astype(np.int64), frames["frame_idx"][rows].astype(np.int64)
    if (index < 0).any() or index.max() > _MOST_FRAMES:
        raise InputError(f"{path}: dataset 'frames': expected a 'frame_idx' from 0 to {_MOST_FRAMES}")
    return video, index


def _photos(arrays: dict[str, np.ndarray], video: np.ndarray, frame: np.ndarray, path: str) -> tuple[str, ...] | None:
    """Return the photo's name of each person, None if they are frames of one video. Raises InputError for several
    videos, whose frames would have the same numbers."""
    named = [_file_names(text, path) for text in arrays.get("videos_json", np.zeros(0, object)).ravel().tolist()]
    if (video < 0).any() or (len(named) and video.max() >= len(named)):
        raise InputError(f"{path}: dataset 'frames': expected a video from 0 to {len(named) - 1}")
    used = np.unique(video).tolist()
    lists = [named[number] if named else None for number in used]
    if not any(lists):
        if len(used) > 1:
            raise InputError(f"{path}: holds frames of {len(used)} videos; export one video at a time")
        return None
    names = dict(zip(used, lists, strict=True))
    photos = []
    for number, index in zip(video.tolist(), frame.tolist(), strict=True):
        files = names[number] or []
        if not 0 <= index < len(files):
            raise InputError(f"{path}: dataset 'frames': frame {index} is not among the {len(files)} photos of a video")
        photos.append(PurePath(files[index].replace("\\", "/")).name)
    return tuple(photos)


def _file_names(text: Any, path: str) -> list[str] | None:
    """Return the names of a "video" that is a list of photos."""
    value = parse_json(text if isinstance(text, bytes) else str(text).encode(), f"{path}: 'videos_json'")
    backend = value.get("backend") if isinstance(value, dict) else None
    names = [part.get(field) for part in (backend, value) if isinstance(part, dict) for field in _LISTS]
    files = next((name for name in names if isinstance(name, list) and name), None)
    return files if files is not None and all(isinstance(name, str) and name for name in files) else None


def _of_analysis(arrays: dict[str, np.ndarray], content: bytes, path: str) -> ToolPoses:
    if "tracks" not in arrays or "node_names" not in arrays:
        raise InputError(f"{path}: expected SLEAP's datasets 'tracks' and 'node_names'")
    named = arrays["node_names"]
    if named.dtype.kind not in "SO" or named.ndim != 1:
        raise InputError(f"{path}: dataset 'node_names': expected a list of texts")
    skeleton = _skeleton(texts(named.astype("S")), path)
    tracks = _in_order(arrays, "tracks", _AXES, content, path)  # (T, 2, K, F)
    count = tracks.shape[0]
    expected = (count, 2, len(skeleton), tracks.shape[3])
    if tracks.shape != expected:
        raise InputError(f"{path}: dataset 'tracks': expected (tracks, 2, {len(skeleton)}, frames), got {tracks.shape}")
    xy = tracks.transpose(3, 0, 2, 1).astype(np.float64)  # (F, T, K, 2)
    xy = np.where(np.isfinite(xy).all(axis=3, keepdims=True), xy, np.nan)
    frame, track = np.nonzero(np.isfinite(xy).any(axis=(2, 3)))
    xy = xy[frame, track]
    if not len(xy):
        return no_people(path)
    of_points = _scores(arrays, "point_scores", ("track", "node", "frame"), expected, content, path)
    of_people = _scores(arrays, "instance_scores", ("track", "frame"), expected, content, path)
    score, notes = default_scores(xy) if of_points is None else (of_points[track, :, frame], ())
    poses = Poses(
        xy=xy,
        score=_check_scores(score, xy, "dataset 'point_scores'", path),
        pose_score=None
        if of_people is None
        else _of_people(of_people[track, frame], "dataset 'instance_scores'", path),
        track_id=track + 1 if count > 1 else None,
        image_id=frame,
    )
    return ToolPoses(path, poses, skeleton=skeleton, notes=notes)


def _scores(
    arrays: dict[str, np.ndarray], name: str, axes: tuple[str, ...], shape: tuple[int, ...], content: bytes, path: str
) -> np.ndarray | None:
    if name not in arrays or not arrays[name].size:  # files of SLEAP before version 1.2
        return None
    scores = _in_order(arrays, name, axes, content, path)
    expected = tuple(shape[_AXES.index(axis)] for axis in axes)
    if scores.shape != expected:
        raise InputError(f"{path}: dataset {name!r}: expected {expected}, got {scores.shape}")
    return scores.astype(np.float64)


def _in_order(arrays: dict[str, np.ndarray], name: str, axes: tuple[str, ...], content: bytes, path: str) -> np.ndarray:
    """Return a dataset with its axes in this order, which SLEAP writes; sleap-io names the axes in `dims`."""
    array = arrays[name]
    if array.dtype.kind not in "iuf" or array.ndim != len(axes):
        raise InputError(f"{path}: dataset {name!r}: expected numbers by {', '.join(axes)}")
    text = hdf5_text(content, path, name, "dims")
    if text is None:
        return array
    named = parse_json(text.encode(), f"{path}: attribute 'dims' of {name!r}")
    if not isinstance(named, list) or any(named.count(axis) != 1 for axis in axes) or len(named) != len(axes):
        raise InputError(f"{path}: attribute 'dims' of {name!r}: expected {', '.join(axes)}, got {text[:60]}")
    return array.transpose([named.index(axis) for axis in axes])


def _mask_partial(xy: np.ndarray) -> np.ndarray:
    """Return keypoints (N, K, 2) of which those without one coordinate lack both."""
    return np.where(np.isfinite(xy).all(axis=2, keepdims=True), xy, np.nan)


def _check_scores(scores: np.ndarray, xy: np.ndarray, name: str, path: str) -> np.ndarray:
    """Return the scores (N, K) of keypoints (N, K, 2), NaN where these are missing. Raises InputError."""
    is_missing = np.isnan(xy).any(axis=2)
    if not (np.isfinite(scores) | is_missing).all():
        raise InputError(f"{path}: {name}: expected a finite number for each point with a position")
    return np.where(is_missing, np.nan, scores)


def _of_people(scores: np.ndarray, name: str, path: str) -> np.ndarray:
    """Return poses' scores (N,), NaN where there are none. Raises InputError."""
    if np.isinf(scores).any():
        raise InputError(f"{path}: {name}: expected finite numbers")
    return scores.astype(np.float64)

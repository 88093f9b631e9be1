"""`track`: link the poses of whole clips, from any estimator's results, to tracks."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from jaxtyping import Int, UInt8

from trustpose.io.read_poses import ImagesSource, PosesSource, images_of, poses_of
from trustpose.poses import MISSING_ID, Poses
from trustpose.tracking.distances import Distance, both_distance
from trustpose.tracking.flow import FlowFunction, FlowOfFrames
from trustpose.tracking.frames import order_frames
from trustpose.tracking.tracker import MAX_DISTANCE, MEMORY, Tracker


def track(
    poses: PosesSource,
    images: ImagesSource | None = None,
    *,
    distance: Distance = both_distance,
    matching: str = "hungarian",
    max_distance: float = MAX_DISTANCE,
    memory: int = MEMORY,
    history: int = 1,
    earlier: str = "nearest",
    start_score: float | Literal["auto"] | None = "auto",
    weigh: bool = True,
    groups: Int[np.ndarray, " N"] | None = None,
) -> Poses:
    """Track people through the frames of one clip or several.

    Args:
        poses: the poses of all frames, in any order, or the path of their results file.
        images: the clips' frames, for their order (`order_frames`), or the path of a file that lists them; without,
            `image_id` is the frame's number in one clip.
        distance: a function of (earlier poses, a frame's poses), see `trustpose.tracking.distances`.
        matching: "hungarian" or "greedy".
        max_distance: poses farther apart than this, 0–1, are never linked.
        memory: a track that was not seen in so many frames has ended.
        history: how many of each track's last poses are compared.
        earlier: whether the "nearest" of them counts, or their mean, older ones weighing less ("decayed").
        start_score: only a pose with at least this `ranking_score` begins a track; None: any; "auto": 0.3 for poses
            with expected OKS, any for others.
        weigh: whether links of poses with sure boxes count more.
        groups: (N,) rows with different numbers, such as categories, are never linked.

    Returns:
        The same poses with `track_id`, counted from 1 over all clips; -1 for a pose of no track.

    Raises:
        ValueError: if `image_id` is None, for frames without an order, and for a number out of its range.
        InputError: if a file cannot be read.

    Example:
        >>> tracked = tp.track("cam1.json")
        >>> sorted(set(tracked.track_id.tolist()))
        [1, 2]
    """
    poses, images = poses_of(poses), None if images is None else images_of(images)
    options: dict[str, Any] = {"distance": distance, "matching": matching, "max_distance": max_distance}
    options |= {"memory": memory, "history": history, "earlier": earlier, "start_score": start_score, "weigh": weigh}
    if poses.image_id is None:
        raise ValueError("track: Poses.image_id is None, nothing says which poses are of one frame")
    frames = order_frames(poses.image_id, images)
    by_id = np.argsort(frames.image_id, kind="stable")
    frame_of_pose = by_id[np.searchsorted(frames.image_id[by_id], poses.image_id)]  # (N,) the row of each pose's frame
    kind = np.zeros(len(poses), np.int64) if groups is None else np.unique(groups, return_inverse=True)[1]
    order = np.lexsort((frame_of_pose, kind, frames.clip[frame_of_pose])) if len(poses) else np.zeros(0, np.int64)
    sorted_ = poses[order]
    key = np.stack([frames.clip[frame_of_pose], kind, frame_of_pose])[:, order]  # (3, N)
    starts = np.flatnonzero(np.r_[True, (np.diff(key, axis=1) != 0).any(axis=0)]) if len(poses) else []
    ends = np.r_[starts[1:], len(poses)] if len(poses) else []
    ids = np.full(len(poses), MISSING_ID)
    tracker, current, step = Tracker(**options), None, 0
    for start, end in zip(starts, ends, strict=True):
        clip_and_kind = tuple(key[:2, start].tolist())
        if clip_and_kind != current:
            tracker = Tracker(**options, next_id=tracker.next_id)
            current, step = clip_and_kind, int(frames.step[key[2, start]]) - 1
        current_step = int(frames.step[key[2, start]])
        ids[order[start:end]] = tracker(sorted_[start:end], gap=current_step - step).track_id
        step = current_step
    return replace(poses, track_id=ids)


def track_by_flow(
    poses: Poses,
    frames: Iterable[tuple[int, UInt8[np.ndarray, "H W 3"]]],
    *,
    flow_function: FlowFunction | None = None,
    **options: Any,
) -> Poses:
    """Return the same poses with `track_id`, as `track` does for one clip, each frame compared with earlier poses moved
    by optical flow.

    frames: the number and pixels, RGB, of every frame of the clip, in order; `image_id` is the frame's number.
    flow_function: that of `FlowOfFrames`. options: those of `Tracker`. Raises ValueError if `image_id` is None or is
    not among the frames, and as `track` does.
    """
    if poses.image_id is None:
        raise ValueError("track: Poses.image_id is None, nothing says which poses are of one frame")
    tracker, motions, last = Tracker(**options), FlowOfFrames(flow_function), -1
    order = np.argsort(poses.image_id, kind="stable")
    sorted_ids, ids = poses.image_id[order], np.full(len(poses), MISSING_ID)
    seen = np.zeros(len(poses), bool)
    for number, pixels in frames:
        rows = order[slice(*np.searchsorted(sorted_ids, [number, number + 1]))]
        ids[rows] = tracker(poses[rows], motions(pixels)).track_id
        seen[rows], last = True, number
    if not seen.all():
        raise ValueError(f"image_id: there is no frame {poses.image_id[~seen][0]}, the last one is {last}")
    return replace(poses, track_id=ids)

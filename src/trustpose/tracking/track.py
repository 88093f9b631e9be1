"""`track`: link the poses of whole clips, from any estimator's results, to tracks."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from trustpose.io.read_poses import ImagesSource, PosesSource, images_of, poses_of
from trustpose.io.video import Video
from trustpose.poses import MISSING_ID, Poses
from trustpose.tracking.flow import FlowFunction
from trustpose.tracking.frames import order_frames
from trustpose.tracking.tracker import MAX_DISTANCE, MEMORY, Distance, Tracker, both_distance


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
    video: str | Path | None = None,
    flow_function: FlowFunction | None = None,
) -> Poses:
    """Track people through the frames of one clip or several.

    Args:
        poses: the poses of all frames, in any order, or the path of their results file.
        images: the clips' frames, for their order (`order_frames`), or the path of a file that lists them; without,
            `image_id` is the frame's number in one clip.
        distance: a function of (earlier poses, a frame's poses), see `trustpose.tracking.tracker`.
        matching: "hungarian" or "greedy".
        max_distance: poses farther apart than this, 0–1, are never linked.
        memory: a track that was not seen in so many frames has ended.
        history: how many of each track's last poses are compared.
        earlier: whether the "nearest" of them counts, or their mean, older ones weighing less ("decayed").
        start_score: only a pose with at least this `ranking_score` begins a track; None: any; "auto": 0.3 for poses
            with expected OKS, any for others.
        weigh: whether links of poses with sure boxes count more.
        groups: (N,) rows with different numbers, such as categories, are never linked.
        video: whose frames move earlier poses by optical flow before they are compared; `image_id` is the number of its
            frame. Instead of `images`.
        flow_function: the optical flow of two frames, see `FlowOfFrames`.

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
    if poses.image_id is None:
        raise ValueError("track: Poses.image_id is None, it is unknown which poses are of one frame")
    if video is not None and images is not None:
        raise ValueError("track: the frames are those of a video, or those of a list of images; give one of them")
    tracker = Tracker(
        distance=distance,
        matching=matching,
        max_distance=max_distance,
        memory=memory,
        history=history,
        earlier=earlier,
        start_score=start_score,
        weigh=weigh,
        flow_function=flow_function,
    )
    groups = np.zeros(len(poses), np.int64) if groups is None else groups
    order = np.argsort(poses.image_id, kind="stable")
    ids = np.full(len(poses), MISSING_ID)
    if video is not None:
        with Video(video) as opened:
            ids[order] = tracker(poses[order], opened.frames(), group=groups[order]).track_id
        return replace(poses, track_id=ids)
    clip, frame = order_frames(poses.image_id, images).places(poses.image_id)
    order = np.lexsort((frame, clip))
    ids[order] = tracker(poses[order], frame=frame[order], clip=clip[order], group=groups[order]).track_id
    return replace(poses, track_id=ids)

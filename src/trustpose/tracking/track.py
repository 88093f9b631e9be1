"""`track`: give the poses of whole clips track ids, from any estimator's results."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from trustpose.images import Images
from trustpose.poses import MISSING_ID, Poses
from trustpose.tracking.flow import Between, FlowOfFrames
from trustpose.tracking.frames import order_frames
from trustpose.tracking.tracker import Tracker


def track(
    poses: Poses, images: Images | None = None, *, apart: Int[np.ndarray, " N"] | None = None, **options: Any
) -> Poses:
    """Return the same poses with `track_id`, counted from 1 over all clips; -1 for a pose of no track.

    images: the clips' frames, for their order (`order_frames`); None: `image_id` is the frame's number in one clip.
    apart (N,): rows with different numbers, such as categories, are never linked. options: those of `Tracker`, such as
    `distance=box_distance`, `matching="greedy"`, `memory=10`. Rows need no order. Raises ValueError if `image_id` is
    None, for frames without an order, and as `Tracker` and the distance do.
    """
    if poses.image_id is None:
        raise ValueError("track: Poses.image_id is None, nothing says which poses are of one frame")
    frames = order_frames(poses.image_id, images)
    by_id = np.argsort(frames.image_id, kind="stable")
    place = by_id[np.searchsorted(frames.image_id[by_id], poses.image_id)]  # (N,) the row of each pose's frame
    kind = np.zeros(len(poses), np.int64) if apart is None else np.unique(apart, return_inverse=True)[1]
    order = np.lexsort((place, kind, frames.clip[place])) if len(poses) else np.zeros(0, np.int64)
    sorted_ = poses[order]
    key = np.stack([frames.clip[place], kind, place])[:, order]  # (3, N)
    starts = np.flatnonzero(np.r_[True, (np.diff(key, axis=1) != 0).any(axis=0)]) if len(poses) else []
    ends = np.r_[starts[1:], len(poses)] if len(poses) else []
    ids = np.full(len(poses), MISSING_ID)
    tracker, current, step = Tracker(**options), None, 0
    for start, end in zip(starts, ends, strict=True):
        clip_and_kind = tuple(key[:2, start].tolist())
        if clip_and_kind != current:
            tracker = Tracker(**options, next_id=tracker.next_id)
            current, step = clip_and_kind, int(frames.step[key[2, start]]) - 1
        now = int(frames.step[key[2, start]])
        ids[order[start:end]] = tracker(sorted_[start:end], gap=now - step).track_id
        step = now
    return replace(poses, track_id=ids)


def track_by_flow(
    poses: Poses,
    frames: Iterable[tuple[int, UInt8[np.ndarray, "H W 3"]]],
    *,
    between: Between | None = None,
    **options: Any,
) -> Poses:
    """Return the same poses with `track_id`, as `track` does for one clip, each frame compared with earlier poses moved
    by optical flow.

    frames: the number and pixels, RGB, of every frame of the clip, in order; `image_id` is the frame's number. between:
    that of `FlowOfFrames`. options: those of `Tracker`. Raises ValueError if `image_id` is None or is not among the
    frames, and as `track` does.
    """
    if poses.image_id is None:
        raise ValueError("track: Poses.image_id is None, nothing says which poses are of one frame")
    tracker, motions, last = Tracker(**options), FlowOfFrames(between), -1
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

"""Track the people of a results file: what `trustpose track` does in memory."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError, is_stdout, write_json
from trustpose.grouping.suppression import PoseArea
from trustpose.images import Images
from trustpose.io.clips import read_clips
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.io.video import Video
from trustpose.predict.options import TrackOptions
from trustpose.predict.tracked import flow_function_named
from trustpose.skeletons import Skeleton
from trustpose.tracking import (
    Distance,
    both_distance,
    box_distance,
    oks_distance,
    order_frames,
    track,
    track_by_flow,
    trust_distance,
)


@dataclass(frozen=True)
class TrackedResults:
    """Numbers of rows, of those in a track, and of tracks, the seconds without reading and writing, and whether the
    file had tracks of its own."""

    rows: int
    tracked: int
    tracks: int
    seconds: float
    had_tracks: bool


def tracker_options(options: TrackOptions, skeleton: Skeleton) -> dict[str, Any]:
    """Return the arguments of `Tracker` for poses of a skeleton; without sigmas for OKS, boxes are compared."""
    name = "box" if compares_boxes(options, skeleton) else options.distance
    arguments: dict[str, Any] = {"distance": named_distance(name, options.area), "matching": options.matching}
    arguments |= {"earlier": options.earlier, "memory": options.memory, "history": options.history}
    arguments |= {"start_score": "auto" if options.start_score is None else options.start_score}
    return arguments | {"max_distance": options.max_distance}


def compares_boxes(options: TrackOptions, skeleton: Skeleton) -> bool:
    """Return whether poses are compared by their boxes, since their skeleton has no sigmas for OKS."""
    return options.distance == "both" and not skeleton.has_sigmas


def named_distance(name: str, area: str) -> Distance:
    """Return the distance of that name, its OKS by that area."""
    by_area = {"area": cast(PoseArea, area)}
    distances: dict[str, Distance] = {
        "both": partial(both_distance, **by_area),
        "oks": partial(oks_distance, **by_area),
        "trust": partial(trust_distance, **by_area),
        "box": box_distance,
    }
    return distances[name]


def track_results(
    results: Path,
    out: Path,
    options: TrackOptions,
    *,
    images: Path | None = None,
    video: Path | None = None,
    flow_method: str = "dis",
    skeleton: str = "coco17",
    note: Any = lambda _: None,
) -> TrackedResults:
    """Give the rows of a results file the track ids of the people that they continue, and write them.

    Args:
        results: COCO results with frames as images.
        out: the file to write.
        options: how poses are linked.
        images: lists the frames, see `io.clips.read_clips`.
        video: whose frames move earlier poses by optical flow; instead of `images`.
        flow_method: see `predict.tracked.flow_function_named`.
        skeleton: with the sigmas for OKS, NAME or FILE.json.
        note: is called with what the user should know.

    Raises:
        InputError: naming the file or option at fault.
    """
    file, frames, rows = read_clips(results, images, skeleton)
    assert file.poses.skeleton is not None
    for text in file.notes:
        note(text)
    if compares_boxes(options, file.poses.skeleton):
        note(no_sigmas(skeleton))
    tracker = tracker_options(options, file.poses.skeleton)
    started = time.perf_counter()
    if video is None:
        ids = _tracked(file, frames, images, tracker)
    else:
        ids = _tracked_by_flow(file, video, tracker, flow_method)
    seconds = time.perf_counter() - started
    write_json(
        out,
        [
            {name: value for name, value in row.items() if name != "track_id"}
            | ({} if track_id < 0 else {"track_id": track_id})
            for row, track_id in zip(rows, ids.tolist(), strict=True)
        ],
    )
    tracks = len(set(ids.tolist()) - {-1})
    return TrackedResults(len(rows), int((ids >= 0).sum()), tracks, seconds, file.poses.track_id is not None)


def no_sigmas(skeleton: str) -> str:
    """Return the note that poses of a skeleton without sigmas are compared by their boxes."""
    return f"skeleton {skeleton!r} has no sigmas for OKS: poses are compared by their boxes"


def read_tracked_truth(gt: Path, out: Path) -> TruthFile:
    """Read a ground truth that the tracks written to `out` are measured by. Raises InputError if it has no tracks."""
    if is_stdout(out):
        raise InputError("--gt: measures the file that is written, and so expects a file as --out")
    truth = read_coco_truth(gt)
    if truth.truth.track_id is None:
        raise InputError(f"{gt}: field 'track_id' is missing in every annotation, --gt expects it")
    return truth


def _tracked(
    file: ResultsFile, frames: Images | None, images: Path | None, options: dict[str, Any]
) -> Int[np.ndarray, " N"]:
    """Return the track id (N,) of each row; -1 for none. Raises InputError naming the file at fault."""
    try:
        order_frames(np.zeros(0, np.int64), frames)
    except ValueError as error:
        raise InputError(f"{images}: {error}") from None
    try:
        tracked = track(file.poses, frames, groups=file.category_id, **options)
    except ValueError as error:
        raise InputError(f"{file.path}: {error}") from None
    assert tracked.track_id is not None
    return tracked.track_id


def _tracked_by_flow(
    file: ResultsFile, video: Path, options: dict[str, Any], flow_method: str
) -> Int[np.ndarray, " N"]:
    """Return the track id (N,) of each row; -1 for none. Raises InputError naming the file at fault."""
    if len(np.unique(file.category_id)) > 1:
        raise InputError(f"{file.path}: field 'category_id': holds several categories, --video expects one")
    flow = flow_function_named(flow_method)
    try:
        with Video(video) as frames:
            tracked = track_by_flow(file.poses, frames.frames(), flow_function=flow, **options)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{file.path}: {error} ({video})") from None
    assert tracked.track_id is not None
    return tracked.track_id

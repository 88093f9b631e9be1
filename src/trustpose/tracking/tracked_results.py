"""Track the people of a results file in any layout, batch by batch: what `trustpose track` does."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile
from trustpose.io.companions import write_errors
from trustpose.io.row_stream import write_in_order
from trustpose.io.tables import tracked_rows, with_track_id
from trustpose.io.video import Video
from trustpose.skeletons import Skeleton, skeleton_of
from trustpose.tracking.clip_stream import Locate, open_clips
from trustpose.tracking.flow import FlowFunction
from trustpose.tracking.tracker import Tracker, named_distance

Photos = Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]


@dataclass(frozen=True)
class TrackedResults:
    """Numbers of rows, of those in a track, of tracks and of clips, the seconds of tracking alone, and whether the file
    had tracks before."""

    rows: int
    tracked: int
    tracks: int
    clips: int
    seconds: float
    had_tracks: bool


def track_results(
    results: Path,
    out: Path,
    *,
    images: Path | None = None,
    video: Path | None = None,
    flow_function: FlowFunction | None = None,
    skeleton: str = "coco17",
    note: Callable[[str], None] = lambda _: None,
    tell: Callable[[int, int], None] = lambda done, count: None,  # noqa: ARG005
    **options: Any,
) -> TrackedResults:
    """Give the rows of a results file the track ids of the people that they continue, and write them.

    The same rows get the same tracks in any layout, and keep their order. JSON and CSV are read at once; Parquet is
    read, and written, some thousand rows at a time, sorted in temporary files where frames are not in order. The error
    model beside the results goes on beside the new ones.

    Args:
        results: COCO results with frames as images: JSON, CSV, Parquet or a folder of Parquet parts.
        out: the file to write, or the folder of Parquet parts.
        images: lists the frames: images.json or a ground truth. Without, `image_id` is the frame's number, and rows
            with the same video, or the same folder, in `file_name` are of one clip.
        video: whose frames move earlier poses by optical flow; instead of `images`.
        flow_function: the optical flow of two frames, see `FlowOfFrames`.
        skeleton: with the sigmas for OKS, NAME or FILE.json.
        note: is called with what the user should know.
        tell: is called with the number of rows that are done, and of all.
        options: those of `tracker_options`.

    Raises:
        InputError: naming the file or option at fault.
    """
    notes: list[str] = []
    try:
        arguments = tracker_options(skeleton_of(skeleton), **options, note=notes.append)
        tracker = Tracker(**arguments, flow_function=flow_function)
    except ValueError as error:
        raise InputError(f"{results}: {error}") from None
    tracked, seconds, had_tracks, error_model = 0, 0.0, False, None
    clips = open_clips(results, images, skeleton, is_video=video is not None)
    schema = None if clips.stream.schema is None else with_track_id(clips.stream.schema)
    with ExitStack() as stack:
        photos = None if video is None else stack.enter_context(Video(video)).frames()
        write = stack.enter_context(write_in_order(out, schema, clips.stream))
        done = 0
        for batch in clips.batches():
            notes += batch.results.notes
            had_tracks |= batch.results.poses.track_id is not None
            started = time.perf_counter()
            try:
                ids = track_batch(tracker, batch.results, clips.locate, photos)
            except InputError:
                raise
            except ValueError as error:
                raise InputError(f"{results}: {error}" + ("" if video is None else f" ({video})")) from None
            seconds += time.perf_counter() - started
            write(tracked_rows(batch.rows.rows, ids.tolist(), None if schema is None else schema.names), batch.position)
            error_model = batch.results.poses.error_model
            tracked, done = tracked + int((ids >= 0).sum()), done + len(ids)
            tell(done, clips.stream.count)
    write_errors(out, error_model)
    for text in dict.fromkeys(notes):
        note(text)
    return TrackedResults(clips.stream.count, tracked, tracker.next_id - 1, clips.clips, seconds, had_tracks)


def tracker_options(
    skeleton: Skeleton,
    *,
    distance: str = "both",
    area: str = "crop",
    start_score: float | None = None,
    note: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> dict[str, Any]:
    """Return the arguments of `Tracker` for poses of a skeleton.

    Args:
        skeleton: of the poses; without sigmas for OKS, "both" compares boxes alone.
        distance: see `named_distance`.
        area: for OKS between two poses, see `distances.area_of`.
        start_score: as in `Tracker`; None: "auto".
        note: is called with what the user should know.
        options: others of `Tracker`.
    """
    if distance == "both" and not skeleton.has_sigmas:
        note(f"skeleton {skeleton.name!r} has no sigmas for OKS: poses are compared by their boxes")
        distance = "box"
    start = "auto" if start_score is None else start_score
    return {"distance": named_distance(distance, area), "start_score": start, **options}


def track_batch(
    tracker: Tracker, batch: ResultsFile, locate: Locate, photos: Photos | None = None
) -> Int[np.ndarray, " N"]:
    """Return the track id (N,) of each row of a batch of whole frames; -1 for none. `photos` yields the frames of the
    video from the first one on, and is left at the batch's last."""
    assert batch.poses.image_id is not None
    clip, frame = locate(batch.poses.image_id)
    order = np.lexsort((frame, clip))
    frame, clip, ids = frame[order], clip[order], np.empty(len(order), np.int64)
    photos_of_batch = None if photos is None else _until(photos, int(frame[-1]))
    tracked = tracker(batch.poses[order], photos_of_batch, frame=frame, clip=clip, group=batch.category_id[order])
    assert tracked.track_id is not None
    ids[order] = tracked.track_id
    return ids


def _until(photos: Photos, last: int) -> Photos:
    """Yield frames up to that number, and leave the others."""
    for number, pixels in photos:
        yield number, pixels
        if number >= last:
            return

"""Track the people of a results file in any layout, batch by batch: what `trustpose track` does."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from trustpose.files import InputError
from trustpose.images import Images
from trustpose.io.clips import Clip, clips_of_rows, find_clips, places_in, read_clips
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import read_images
from trustpose.io.columns import NO_TEXTS
from trustpose.io.parquet import is_table, open_parts, runs, sort_by_photo
from trustpose.io.pose_stream import has_whole_ids, open_results
from trustpose.io.tables import row_writer, tracked_rows, with_track_id
from trustpose.io.video import Video
from trustpose.skeletons import Skeleton, skeleton_of
from trustpose.tracking.distances import named_distance
from trustpose.tracking.flow import FlowFunction
from trustpose.tracking.frames import Frames, order_frames
from trustpose.tracking.tracker import Tracker

Photos = Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]
Locate = Callable[[Int[np.ndarray, " N"]], tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]]
"""Image ids (N,) to the number of each one's clip, and its frame's number there."""


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


@dataclass(frozen=True, eq=False)
class _ClipStream:
    """`count` results of `clips` clips, in `batches` of whole frames with their rows as they are in the file; batches
    come in order, clip by clip. `schema` is that of Parquet that is to be written again."""

    count: int
    clips: int
    locate: Locate
    batches: Iterable[tuple[ResultsFile, list[dict[str, Any]]]]
    had_tracks: bool
    schema: Any = None


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

    The same rows get the same tracks in any layout. JSON and CSV are read at once; Parquet is read, and written, some
    thousand rows at a time, sorted first in temporary files where frames are not in order.

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
    tracked, done, seconds = 0, 0, 0.0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="trustpose-")))
        stream = _open(results, images, skeleton, folder, is_video=video is not None)
        photos = None if video is None else stack.enter_context(Video(video)).frames()
        write = stack.enter_context(row_writer(out, stream.schema))
        for batch, rows in stream.batches:
            notes += batch.notes
            started = time.perf_counter()
            try:
                ids = track_batch(tracker, batch, stream.locate, photos)
            except InputError:
                raise
            except ValueError as error:
                raise InputError(f"{results}: {error}" + ("" if video is None else f" ({video})")) from None
            seconds += time.perf_counter() - started
            write(tracked_rows(rows, ids.tolist(), None if stream.schema is None else stream.schema.names))
            tracked, done = tracked + int((ids >= 0).sum()), done + len(ids)
            tell(done, stream.count)
    for text in dict.fromkeys(notes):
        note(text)
    return TrackedResults(stream.count, tracked, tracker.next_id - 1, stream.clips, seconds, stream.had_tracks)


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


def _open(results: Path, images: Path | None, skeleton: str, folder: Path, *, is_video: bool) -> _ClipStream:
    """Return the results as a stream; `folder` takes sorted rows. Raises InputError."""
    if results.is_dir() or (is_table(results) and has_whole_ids(open_parts(results))):
        listed, texts = (None, NO_TEXTS) if images is None else read_images(images)
        if not len(texts):
            return _open_table(results, _in_order(listed, images), skeleton_of(skeleton), folder, is_video=is_video)
    file, listed, rows = read_clips(results, images, skeleton)
    frames, image_id = _in_order(listed, images), file.poses.image_id
    assert image_id is not None
    clips = [] if is_video or frames is not None else clips_of_rows(rows, image_id, str(results))
    count, locate = _located(clips, frames, np.unique(image_id), results)
    return _ClipStream(len(rows), count, locate, [(file, rows)], file.poses.track_id is not None)


def _open_table(
    results: Path, frames: Frames | None, skeleton: Skeleton, folder: Path, *, is_video: bool
) -> _ClipStream:
    stream = open_results(results, skeleton=skeleton, is_ordered=False)
    schema, had_tracks = with_track_id(stream.parts.schema), "track_id" in stream.parts.occurring
    clips = [] if is_video or frames is not None else find_clips(stream.parts)
    image_id = np.zeros(0, np.int64) if frames is None else np.unique(np.concatenate(list(runs(stream.parts))))
    count, locate = _located(clips, frames, image_id, results)
    ordered = sort_by_photo(stream.parts, folder, None if frames is None else frames.rows_of)
    batches = ((batch, rows.rows) for batch, rows in replace(stream, parts=ordered).batches())
    return _ClipStream(len(stream), count, locate, batches, had_tracks, schema)


def _in_order(listed: Images | None, images: Path | None) -> Frames | None:
    """Return listed frames in order. Raises InputError naming two of one moment."""
    if listed is None:
        return None
    try:
        return order_frames(np.zeros(0, np.int64), listed)
    except ValueError as error:
        raise InputError(f"{images}: {error}") from None


def _located(
    clips: Sequence[Clip], frames: Frames | None, image_id: Int[np.ndarray, " i"], results: Path
) -> tuple[int, Locate]:
    """Return the number of clips with some of these images, and the place of each image: by the listed frames, by the
    clips, or, without either, in a video's frames. Raises InputError for an image that is not listed."""
    if frames is None:
        of_video = [Clip("", 0, 0, 1)]
        return len(clips or of_video), partial(places_in, clips or of_video)
    try:
        return len(np.unique(frames.clip[frames.rows_of(image_id)])), frames.places
    except ValueError as error:
        raise InputError(f"{results}: {error}") from None

"""`ClipStream`: results whose images are the frames of clips, with their rows, clip by clip, whatever the layout."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError
from trustpose.images import Images
from trustpose.io.clips import Clip, clips_of_rows, find_clips, listed_ids, places_in
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import read_images
from trustpose.io.columns import NO_TEXTS, IdTexts, Rows
from trustpose.io.row_stream import RowBatch, RowStream, open_rows
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17, skeleton_of
from trustpose.tracking.frames import Frames, order_frames

Locate = Callable[[Int[np.ndarray, " N"]], tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]]
"""Image ids (N,) to the number of each one's clip, and its frame's number there."""


@dataclass(frozen=True, eq=False)
class ClipRows:
    """Results of all frames of a clip, their rows, piece by piece, and the position (n,) of each row in its file."""

    results: ResultsFile
    pieces: list[Rows]
    position: Int[np.ndarray, " n"]


@dataclass(frozen=True, eq=False)
class ClipStream:
    """Results of `clips` clips with their rows, of which `locate` returns the clip and the frame.

    `batch` is all of them, if they are in memory; `images` are the frames if they are listed, `frames` the same in
    order, and `texts` says which of their ids stand for texts.
    """

    stream: RowStream
    clips: int
    locate: Locate
    batch: RowBatch | None = None
    images: Images | None = None
    frames: Frames | None = None
    texts: IdTexts = NO_TEXTS

    def batches(self) -> Iterator[RowBatch]:
        """Yield all results in batches of whole frames, each later than those of the batches before, or of a later
        clip. Raises InputError naming the file, the row, the field and what was expected."""
        for batch in self.stream.batches() if self.batch is None else [self.batch]:
            yield replace(batch, results=_with_skeleton(batch.results))

    def whole_clips(self) -> Iterator[ClipRows]:
        """Yield all results, a clip at a time. Raises InputError as `batches` does."""
        pieces, number = list[RowBatch](), -1
        for batch in self.batches():
            clip, _ = self.locate(_image_id(batch))
            for clip_number in np.unique(clip).tolist():
                if pieces and clip_number != number:
                    yield _joined(pieces)
                    pieces = []
                pieces.append(_chosen(batch, clip == clip_number))
                number = clip_number
        if pieces:
            yield _joined(pieces)

    def images_of(self, clip: ClipRows) -> Images | None:
        """Return the listed frames of a clip; None if frames are not listed."""
        if self.images is None or self.frames is None:
            return None
        image_id = clip.results.poses.image_id
        assert image_id is not None
        number = self.locate(image_id[:1])[0][0]
        first, end = np.searchsorted(self.frames.clip, [number, number + 1])
        return self.images[self.images.rows_of(self.frames.image_id[first:end])]


def open_clips(
    results: Path, images: Path | None = None, skeleton: str | None = None, *, is_video: bool = False
) -> ClipStream:
    """Open results whose images are frames.

    Args:
        results: COCO results: JSON, CSV, Parquet, or a folder of Parquet parts. Parquet is read in batches, sorted in
            temporary files first where frames are not in order; where ids are texts, all is in memory.
        images: Lists the frames: images.json or a ground truth. Without, `image_id` is the number of the frame, and
            rows with the same video, or the same folder, in `file_name` are of one clip.
        skeleton: Of the keypoints, NAME or FILE.json; None: 17 keypoints are COCO's, others have no names.
        is_video: Whether all frames are those of one video.

    Raises:
        InputError: For files that cannot be read, and for frames without an order.
        DiskError: There is no space to sort Parquet.
    """
    listed, texts = (None, NO_TEXTS) if images is None else read_images(images)
    frames = None if listed is None else _in_order(listed, images)
    stream = open_rows(results, skeleton=None if skeleton is None else skeleton_of(skeleton), whole_photos=False)
    batch = None
    if stream.parts is None or stream.has_text_ids or len(texts):
        batch = _of_frames(stream.whole(), texts, images)
    clips: list[Clip] = []
    if frames is None and is_video:
        clips = [Clip("", 0, 0, 1)]
    elif frames is None and batch is not None:
        clips = clips_of_rows(batch.rows.rows, _image_id(batch), str(results))
    elif frames is None and stream.parts is not None:
        clips = find_clips(stream.parts.parts)
    ids = np.unique(_image_id(batch) if batch is not None else np.concatenate(list(stream.image_ids())))
    count, locate = _located(clips, frames, ids, results)
    if batch is None:
        stream = stream.in_order(None if frames is None else frames.rows_of)
    return ClipStream(stream, count, locate, batch, listed, frames, texts)


def _of_frames(batch: RowBatch, texts: IdTexts, images: Path | None) -> RowBatch:
    """Return results with the ids of the frames; `texts` are those of the listed ones. Raises InputError."""
    results = batch.results
    if images is None:
        if not results.image_texts.are_numbers:
            text = next(iter(results.image_texts.number_of))
            raise InputError(
                f"{results.path}: field 'image_id': {text[:40]!r} is not a frame number, so the order of the frames "
                "is unknown; list them with --images"
            )
        return batch
    if not results.image_texts and not len(texts):
        return batch
    ids = listed_ids(results, texts, images)
    return replace(batch, results=replace(results, poses=replace(results.poses, image_id=ids)))


def _in_order(listed: Images, images: Path | None) -> Frames:
    """Return listed frames in order. Raises InputError naming two of one moment."""
    try:
        return order_frames(np.zeros(0, np.int64), listed)
    except ValueError as error:
        raise InputError(f"{images}: {error}") from None


def _located(
    clips: list[Clip], frames: Frames | None, image_id: Int[np.ndarray, " i"], results: Path
) -> tuple[int, Locate]:
    """Return the number of clips that have some of these images, and what locates each image: the listed frames, or
    without them the clips. Raises InputError for an image that is not listed."""
    if frames is None:
        return len(clips), partial(places_in, clips)
    try:
        return len(np.unique(frames.clip[frames.rows_of(image_id)])), frames.places
    except ValueError as error:
        raise InputError(f"{results}: {error}") from None


def _with_skeleton(results: ResultsFile) -> ResultsFile:
    """Return results of 17 keypoints that nothing names with COCO's skeleton."""
    poses = results.poses
    if poses.skeleton is not None or poses.keypoint_count != len(COCO_17):
        return results
    return replace(results, poses=replace(poses, skeleton=COCO_17))


def _image_id(batch: RowBatch) -> Int[np.ndarray, " n"]:
    assert batch.results.poses.image_id is not None
    return batch.results.poses.image_id


def _chosen(batch: RowBatch, keep: np.ndarray) -> RowBatch:
    """Return the rows where `keep` (n,) is True."""
    if keep.all():
        return batch
    columns = {name: getattr(batch.results, name)[keep] for name in ("poses", "score", "category_id")}
    return RowBatch(replace(batch.results, **columns), batch.rows.chosen(keep), batch.position[keep])


def _joined(pieces: list[RowBatch]) -> ClipRows:
    first, files = pieces[0].results, [piece.results for piece in pieces]
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(file, name) for file in files]) for name in ("score", "category_id")
    }
    notes = tuple(dict.fromkeys(note for file in files for note in file.notes))
    results = replace(first, poses=Poses.concatenate([file.poses for file in files]), notes=notes, **columns)
    return ClipRows(results, [piece.rows for piece in pieces], np.concatenate([piece.position for piece in pieces]))

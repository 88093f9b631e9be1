"""Smooth the tracks of a results file in any layout, clip by clip: what `trustpose smooth` does."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.companions import write_errors
from trustpose.io.row_stream import write_in_order
from trustpose.io.tables import results_schema, with_columns
from trustpose.poses.tables import package
from trustpose.tracking.clip_stream import ClipRows, ClipStream, open_clips
from trustpose.tracking.smoothing import NOISES, QualityCount, Smoothed, smooth

_AT_ONCE = 8192  # rows for filled frames, made and written


@dataclass(frozen=True)
class SmoothedResults:
    """Numbers of rows that were read, of those without a smoothed keypoint, of rows added for frames in which a track
    was not found, and of keypoints and those replaced in the rows that were read; and what the noise was taken from."""

    rows: int
    unchanged: int
    added: int
    keypoints: int
    replaced: int
    noise: str


def smooth_results(
    results: Path,
    out: Path,
    *,
    images: Path | None = None,
    skeleton: str | None = None,
    note: Callable[[str], None] = lambda _: None,
    tell: Callable[[int, int], None] = lambda done, count: None,  # noqa: ARG005
    noise: str = "auto",
    **options: Any,
) -> SmoothedResults:
    """Smooth the keypoints of each track of a results file, and write its rows with what was smoothed; the error model
    beside the results goes on beside the new ones.

    The same rows are smoothed to the same ones in any layout. Each clip is smoothed by itself, and of Parquet only one
    clip is in memory at a time.

    Args:
        results: COCO results with frames as images, and `track_id`: JSON, CSV, Parquet, or a folder of Parquet parts.
        out: the file to write, in the format of its suffix; from Parquet, without a suffix, a new folder of parts. New
            rows, for frames in which a track was not found, come last.
        images: lists the frames, see `open_clips`.
        skeleton: of the keypoints, NAME or FILE.json.
        note: is called with what the user should know of the file.
        tell: is called with the number of rows that are done, and of all.
        noise: as in `smooth`; "auto" decides once, by all rows.
        options: others of `smooth`.

    Returns:
        Numbers of rows and keypoints.

    Raises:
        InputError: for files that cannot be read, or without tracks.
    """
    clips = open_clips(results, images, skeleton)
    notes, source, error_model = dict[str, None](), clips.stream, None
    rows = unchanged = added = keypoints = replaced = 0
    try:
        noise = _noise_of(clips, noise)
        with write_in_order(out, _schema(clips), source, has_further_rows=True) as write:
            for clip in clips.whole_clips():
                poses = clip.results.poses
                notes |= dict.fromkeys(clip.results.notes)
                groups = clip.results.category_id
                smoothed = smooth(poses, clips.images_of(clip), groups=groups, noise=noise, **options)
                for written, position in _smoothed_rows(clip, smoothed, _texts(clips, clip), source.count + added):
                    write(written, position)
                error_model = poses.error_model
                rows, added = rows + len(poses), added + len(smoothed.poses) - len(poses)
                unchanged += smoothed.unchanged_count
                keypoints += poses.xy.shape[0] * poses.keypoint_count
                replaced += int(smoothed.replaced[: len(poses)].sum())
                tell(rows, source.count)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{results}: {error}") from None
    write_errors(out, error_model)
    for text in notes:
        note(text)
    return SmoothedResults(rows, unchanged, added, keypoints, replaced, noise)


def _noise_of(clips: ClipStream, noise: str) -> str:
    """Return "trust" or "constant", by all rows. Raises ValueError if trust is asked for and lacking."""
    count = QualityCount()
    if noise in NOISES and noise != "constant":
        for batch in clips.batches():
            count.add(batch.results.poses)
            if not count.has_quality:  # no row of the file has any
                break
    return count.noise(noise)


def _texts(clips: ClipStream, clip: ClipRows) -> Mapping[int, str]:
    """Return the texts that rows have in the place of image ids."""
    return {} if clip.results.image_texts.are_numbers else clips.texts.text_of


def _schema(clips: ClipStream) -> Any:
    """Return the Arrow schema of smoothed rows; None for results in memory, whose columns follow from their rows."""
    source = clips.stream
    if source.parts is None:
        return None
    names = source.parts.parts.occurring | {"pose_score", "keypoint_missing"}
    schema = with_columns(results_schema(source.schema, names), keypoint_std="list", keypoint_replaced="labels")
    named = {field.name: field for field in source.schema if field.name in source.parts.parts.occurring}
    named |= {field.name: field for field in schema}
    return package("pyarrow").schema(list(named.values()))


def _smoothed_rows(
    clip: ClipRows, smoothed: Smoothed, texts: Mapping[int, str], further: int
) -> Iterator[tuple[list[dict[str, Any]], np.ndarray]]:
    """Yield a clip's rows with what was smoothed, then new rows for the filled frames, with their positions, those of
    new rows from `further` on; `texts` of image ids. The clip's rows are dropped one piece after another."""
    start, poses = 0, smoothed.poses
    while clip.pieces:
        written = [dict(row) for row in clip.pieces.pop(0).rows]
        index = np.arange(start, start + len(written))
        for row, number in zip(written, index.tolist(), strict=True):
            stated = row.pop("keypoint_missing", None)
            if not _put(row, smoothed, number) and stated is not None:
                row["keypoint_missing"] = stated
        yield written, clip.position[index]
        start += len(written)
    for first in range(start, len(poses), _AT_ONCE):
        index = np.arange(first, min(first + _AT_ONCE, len(poses)))
        filled = poses[index].to_coco(category_id=clip.results.category_id[smoothed.source[index]])
        for row, number in zip(filled, index.tolist(), strict=True):
            row["image_id"] = texts.get(row["image_id"], row["image_id"])
            row.pop("keypoint_missing", None)
            _put(row, smoothed, number)
        yield filled, further + index - start


def _put(row: dict[str, Any], smoothed: Smoothed, number: int) -> bool:
    """Put the smoothed keypoints of a pose into its row; return False if none was smoothed."""
    std, poses = smoothed.std[number], smoothed.poses
    if np.isnan(std).all():
        return False
    xy = poses.xy[number].astype(np.float64).tolist()
    scores = row["keypoints"][2::3]
    row["keypoints"] = [value for (x, y), score in zip(xy, scores, strict=True) for value in (x, y, score)]
    if poses.quality is not None and row.get("keypoint_quality") is not None:
        row["keypoint_quality"] = poses.quality[number].tolist()
    if poses.missing is not None and poses.missing[number].any():
        row["keypoint_missing"] = poses.missing[number].astype(int).tolist()
    row["keypoint_std"] = [None if np.isnan(deviation) else round(float(deviation), 3) for deviation in std]
    row["keypoint_replaced"] = smoothed.replaced[number].astype(int).tolist()
    return True

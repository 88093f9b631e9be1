"""Smooth the tracks of a results file: what `trustpose smooth` does."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.io.clips import read_clips
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import read_images
from trustpose.io.output_files import check_not_inside
from trustpose.io.tables import row_writer
from trustpose.tracking.smoothing import Smoothed, smooth


def smooth_results(
    results: Path,
    out: Path,
    *,
    images: Path | None = None,
    skeleton: str | None = None,
    note: Callable[[str], None] = lambda _: None,
    **options: Any,
) -> Smoothed:
    """Smooth the keypoints of each track of a results file, and write its rows with what was smoothed.

    Args:
        results: COCO results with frames as images, and `track_id`: JSON, CSV, Parquet, or a folder of Parquet parts,
            all in memory.
        out: the file to write, in the format of its suffix; new rows, for frames in which a track was not
            found, come last.
        images: lists the frames, see `io.clips.read_clips`.
        skeleton: of the keypoints, NAME or FILE.json.
        note: is called with what the user should know of the file.
        options: those of `smooth`.

    Returns:
        The smoothed poses.

    Raises:
        InputError: for files that cannot be read, or without tracks.
    """
    file, frames, rows = read_clips(results, images, skeleton)
    for text in file.notes:
        note(text)
    try:
        smoothed = smooth(file.poses, frames, groups=file.category_id, **options)
    except ValueError as error:
        raise InputError(f"{results}: {error}") from None
    texts = {} if images is None or file.image_texts.are_numbers else read_images(images)[1].text_of
    check_not_inside(out, results)
    with row_writer(out, None) as write:
        write(_smoothed_rows(rows, file, smoothed, texts))
    return smoothed


def _smoothed_rows(
    rows: list[dict[str, Any]], file: ResultsFile, smoothed: Smoothed, texts: Mapping[int, str]
) -> list[dict[str, Any]]:
    """Return the file's rows with what was smoothed, and new rows for the filled frames; `texts` of image ids."""
    count, poses = len(rows), smoothed.poses
    filled = poses[np.arange(count, len(poses))].to_coco(category_id=file.category_id[smoothed.source[count:]])
    for row in filled:
        row["image_id"] = texts.get(row["image_id"], row["image_id"])
    written = [dict(row) for row in rows] + filled
    for number, row in enumerate(written):
        std, scores = smoothed.std[number], row["keypoints"][2::3]
        row.pop("keypoint_missing", None)
        if np.isnan(std).all():
            if number < count and "keypoint_missing" in rows[number]:
                row["keypoint_missing"] = rows[number]["keypoint_missing"]
            continue
        xy = poses.xy[number].astype(np.float64).tolist()
        row["keypoints"] = [value for (x, y), score in zip(xy, scores, strict=True) for value in (x, y, score)]
        if poses.quality is not None and row.get("keypoint_quality") is not None:
            row["keypoint_quality"] = poses.quality[number].tolist()
        if poses.missing is not None and poses.missing[number].any():
            row["keypoint_missing"] = poses.missing[number].astype(int).tolist()
        row["keypoint_std"] = [None if np.isnan(deviation) else round(float(deviation), 3) for deviation in std]
        row["keypoint_replaced"] = smoothed.replaced[number].astype(int).tolist()
    return written

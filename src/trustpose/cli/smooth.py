"""`trustpose smooth`: smooth the keypoints of tracks in a results file, of any estimator, and fill their gaps."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.choices import FRAMES_MEANS, choices, completed, skeletons
from trustpose.cli.outputs import check_outputs, say_written, skeleton_file
from trustpose.cli.track import read_clips
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.formats.coco import ResultsFile
    from trustpose.tracking import Smoothed

NOISES = ("auto", "trust", "constant")
MOTIONS = ("velocity", "acceleration")
NOISE_MEANS = "Noise of keypoints: by keypoint_quality, or the same in all frames; auto: trust where there is any."
MOTION_MEANS = "What is constant up to random forces."
JITTER_ALONE = (
    "note: without keypoint_quality, keypoint_std covers jitter and motion alone, not errors that stay over time: its "
    "95 % discs hold about a third of a network's errors (docs/benchmarks/smoothing.md)"
)
SKELETON_MEANS = (
    "Skeleton of the keypoints, NAME or FILE.json: its sigmas turn keypoint_quality into pixels. Default: for 17 "
    "keypoints coco17; others need one only for --noise trust."
)
FILL_MEANS = "Add a row where a track was not found for at most so many frames; 0: none."


def smooth(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="COCO keypoint results with frames as images, and track_id.")
    ],
    *,
    out: Annotated[Path, typer.Option(help="Write the smoothed results to this file (-: standard output).")],
    images: Annotated[Path | None, typer.Option(help=FRAMES_MEANS)] = None,
    noise: Annotated[str, typer.Option(**choices(*NOISES, about=NOISE_MEANS))] = "auto",
    motion: Annotated[str, typer.Option(**choices(*MOTIONS, about=MOTION_MEANS))] = "velocity",
    fill: Annotated[int, typer.Option(min=0, help=FILL_MEANS)] = 10,
    gross_errors: Annotated[
        bool, typer.Option(help="Whether keypoints may be gross errors, which count less the farther they are off.")
    ] = True,
    skeleton: Annotated[str | None, typer.Option(**completed(skeletons), help=SKELETON_MEANS)] = None,
) -> None:
    """Smooth the keypoints of each track and fill its gaps, in the results of any estimator.

    A Kalman smoother for each keypoint: with keypoint_quality, each keypoint counts by its own expected error in
    pixels, and is a gross error with its own probability; how noisy the clip is, and how the joints move, is estimated
    from the clip. Without track_id there must be one person a frame (trustpose track finds the tracks). Rows keep all
    scores; new are keypoint_std, pixels along each axis (without keypoint_quality of jitter and motion alone), and
    keypoint_replaced, 1 where the position follows from other frames alone, with a keypoint_quality to match. Rows for
    frames without the track come last.
    """
    from trustpose.files import write_json
    from trustpose.tracking import smooth as smooth_tracks

    check_outputs({"--out": out}, {"RESULTS": results, "--images": images, "--skeleton": skeleton_file(skeleton)})
    for name, value, known in (("--noise", noise, NOISES), ("--motion", motion, MOTIONS)):
        if value not in known:
            raise InputError(f"{name}: expected one of {', '.join(known)}, got {value!r}")
    file, frames, rows = read_clips(results, images, skeleton)
    started = time.perf_counter()
    try:
        done = smooth_tracks(
            *(file.poses, frames),
            noise=noise,
            motion=motion,
            gross_errors=gross_errors,
            fill=fill,
            apart=file.category_id,
        )
    except ValueError as error:
        raise InputError(f"{results}: {error}") from None
    seconds = time.perf_counter() - started
    write_json(out, _rows(rows, file, done, _texts(file, images)))
    typer.echo(_summary(len(rows), done, seconds))
    if done.noise == "constant":
        typer.echo(JITTER_ALONE, err=True)
    say_written(out, "smoothed results, with keypoint_std")


def _summary(count: int, done: "Smoothed", seconds: float) -> str:
    import numpy as np

    given = done.replaced[:count]
    by = "keypoint_quality" if done.noise == "trust" else "the clip alone, the same in all frames"
    untouched = int(np.isnan(done.std[:count]).all(axis=1).sum())
    left = f", {untouched} poses left as they are (too few frames)" if untouched else ""
    return (
        f"{count} poses smoothed, noise from {by}; {given.sum()} of {given.size} keypoints replaced, "
        f"{len(done.poses) - count} rows added{left}, in {seconds:.2f} s"
    )


def _texts(file: "ResultsFile", images: Path | None) -> Any:
    """Return the texts of image ids, where the file has texts for them."""
    if images is None or file.image_texts.are_numbers:
        return {}
    from trustpose.formats.coco import read_images

    return read_images(images)[1].text_of


def _rows(rows: list[Any], file: "ResultsFile", done: "Smoothed", texts: Any) -> list[dict[str, Any]]:
    """Return the given rows with what was smoothed, and new rows for the filled frames."""
    import numpy as np

    count, poses = len(rows), done.poses
    new = poses[np.arange(count, len(poses))].to_coco(category_id=file.category_id[done.source[count:]])
    for row in new:
        row["image_id"] = texts.get(row["image_id"], row["image_id"])
    written = [dict(row) for row in rows] + new
    for at, row in enumerate(written):
        std, scores = done.std[at], row["keypoints"][2::3]
        row.pop("keypoint_missing", None)
        if np.isnan(std).all():
            if at < count and "keypoint_missing" in rows[at]:
                row["keypoint_missing"] = rows[at]["keypoint_missing"]
            continue
        xy = poses.xy[at].astype(np.float64).tolist()
        row["keypoints"] = [value for (x, y), score in zip(xy, scores, strict=True) for value in (x, y, score)]
        if poses.quality is not None and row.get("keypoint_quality") is not None:
            row["keypoint_quality"] = poses.quality[at].tolist()
        if poses.missing is not None and poses.missing[at].any():
            row["keypoint_missing"] = poses.missing[at].astype(int).tolist()
        row["keypoint_std"] = [None if np.isnan(one) else round(float(one), 3) for one in std]
        row["keypoint_replaced"] = done.replaced[at].astype(int).tolist()
    return written

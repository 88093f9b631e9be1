"""`trustpose smooth`: smooth the keypoints of tracks in a results file, of any estimator, and fill their gaps."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trustpose.addresses import page
from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_note, say_written
from trustpose.cli.progress import progress_bar
from trustpose.cli.records import FrameOptions, SkeletonOption
from trustpose.io.output_files import skeleton_file
from trustpose.options import argument, option

if TYPE_CHECKING:
    from trustpose.tracking.smoothed_results import SmoothedResults

_ONLY_JITTER = (
    "note: without keypoint_quality, keypoint_std covers jitter and motion alone, not errors that stay over time: its "
    f"95 % discs hold about a third of a network's errors ({page('benchmarks/smoothing')})"
)


@dataclass(frozen=True)
class SmoothFiles(FrameOptions, SkeletonOption):
    """What is smoothed, and where it is written."""

    results: Path = argument(
        metavar="RESULTS",
        help="COCO keypoint results with frames as images, and track_id: JSON, CSV, Parquet or a folder of its parts.",
    )
    out: Path = option(help="Write the smoothed results to this file (-: standard output).")


@dataclass(frozen=True)
class SmoothOptions:
    """The options of `tp.smooth`."""

    noise: str = option(
        "auto",
        names=("auto", "trust", "constant"),
        help="Expected error of each keypoint. trust: by its keypoint_quality; constant: the same in all frames; auto: "
        "trust where there is quality.",
    )
    motion: str = option(
        "velocity",
        names=("velocity", "acceleration"),
        help="Motion model: what is constant, apart from random forces.",
    )
    fill: int = option(
        10, minimum=0, help="Add rows where a track was not found for at most this many frames; 0: none are added."
    )
    gross_errors: bool = option(
        True,
        help="Allow for gross errors: a keypoint counts less the farther it is from where the other frames predict it.",
    )


@command(
    "trustpose smooth tracked.json --out smooth.json",
    "trustpose smooth tracked.json --images images.json --fill 25 --out s.json",
)
def smooth(files: SmoothFiles, options: SmoothOptions) -> None:
    """Smooth the keypoints of each track and fill its gaps, in the results of any estimator.

    Each keypoint is smoothed by a Kalman smoother. With keypoint_quality each is weighted by its expected error in
    pixels, and has its own probability of a gross error; the noise and the motion of the joints are estimated from the
    clip. Without track_id there must be one person in a frame (trustpose track finds the tracks).

    All scores are kept. New fields are keypoint_std, in pixels along each axis (without keypoint_quality: of jitter and
    motion alone), and keypoint_replaced, 1 where the position follows from other frames alone, with a keypoint_quality
    to match. Rows for frames without the track come last.
    """
    skeleton = skeleton_file(files.skeleton)
    check_outputs({"--out": files.out}, {"RESULTS": files.results, "--images": files.images, "--skeleton": skeleton})
    from trustpose.tracking.smoothed_results import smooth_results

    started = time.perf_counter()
    with progress_bar("poses", description="smoothing") as advance:
        smoothed = smooth_results(
            files.results,
            files.out,
            images=files.images,
            skeleton=files.skeleton,
            note=print_note,
            tell=lambda done, count: advance(0, completed=done, total=count),
            **asdict(options),
        )
    typer.echo(f"{_summary(smoothed)}, in {time.perf_counter() - started:.2f} s")
    if smoothed.noise == "constant":
        typer.echo(_ONLY_JITTER, err=True)
    say_written(files.out, "smoothed results, with keypoint_std")


def _summary(smoothed: "SmoothedResults") -> str:
    noise = "keypoint_quality" if smoothed.noise == "trust" else "the clip alone, the same in all frames"
    unchanged = ""
    if smoothed.unchanged:
        unchanged = f", {smoothed.unchanged} poses left as they are (too few frames)"
    return (
        f"{smoothed.rows} poses smoothed, noise from {noise}; {smoothed.replaced} of {smoothed.keypoints} keypoints "
        f"replaced, {smoothed.added} rows added{unchanged}"
    )

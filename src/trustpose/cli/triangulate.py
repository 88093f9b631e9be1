"""`trustpose triangulate`: people in 3D from the poses of several calibrated cameras."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_note, say_written
from trustpose.cli.progress import with_progress
from trustpose.files import InputError
from trustpose.io.output_files import skeleton_file
from trustpose.multiview.options import CAMERAS, UNIT, SynchronisedOptions
from trustpose.options import argument, option

if TYPE_CHECKING:
    from trustpose.poses import Poses3D


@dataclass(frozen=True)
class TriangulateFiles:
    """What is read and written."""

    cameras: Sequence[Path] = option(help=CAMERAS)
    results: Sequence[Path] = option(
        (), help="Poses of one camera: COCO results, or another tool's file or folder. Repeated in the cameras' order."
    )
    more_results: Sequence[Path] = argument((), metavar="[RES]...", help="Poses of the other cameras, in their order.")
    out: Path = option(
        help="Write the people to this file: .json, .csv, .parquet, .trc or .c3d; several people as .trc: "
        "NAME_{person}.trc, a file for each."
    )
    page: Path | None = option(None, help="Write an interactive page with the people in 3D to this HTML file.")
    video: Path | None = option(
        None, help="Write a video with the people drawn in each camera's frames, and in 3D (mp4)."
    )
    clip: Sequence[Path] = option((), help="Video of one camera, for --video. Repeated in the cameras' order.")
    unit: str | None = option(None, help=UNIT)
    y_up: bool = option(False, help="In .trc and .c3d, write the world's z axis as y, as OpenSim expects.")
    unchecked: bool = option(False, help="Triangulate even if the poses do not match the cameras.")


@dataclass(frozen=True)
class TriangulateOptions:
    """The options of `tp.triangulate`."""

    method: str = option(
        "robust",
        names=("linear", "weighted", "ransac", "robust"),
        help="How views are combined. linear: all with equal weight; weighted: by their weights; "
        "ransac: only those that agree; robust: by likelihood.",
    )
    people: int | None = option(None, minimum=1, help="Keep only this many people, those seen in the most frames.")
    min_frames: int = option(5, minimum=1, help="Leave out people seen in fewer frames than this.")
    min_cameras: int = option(2, minimum=2, help="Minimum number of cameras that see a joint.")


@command(
    "trustpose triangulate --cameras c.toml cam1.json cam2.json --out people.csv",
    "trustpose triangulate --cameras c.toml cam1/ cam2/ --fps 60 --out p.trc",
    "trustpose triangulate --cameras c.toml a.json b.json --people 1 --out p.json",
)
def triangulate(files: TriangulateFiles, options: TriangulateOptions, recordings: SynchronisedOptions) -> None:
    """Reconstruct people in 3D from several calibrated cameras, from the poses of any estimator.

    Frames with the same number (image_id, or at the end of the photo's name) show the same moment, unless --fps and
    --offset say otherwise. People are matched across views and followed over time: each has a track_id. If all files
    have track_id, the tracks decide who is the same person at different moments.

    JSON, CSV and Parquet hold positions in metres, expected OPKS, covariance (from trust), reprojection error and the
    number of cameras that agree; TRC and C3D hold positions only. A joint that fewer than two cameras see is empty.
    """
    results = [*files.results, *files.more_results]
    inputs = {"--cameras": files.cameras, "--results": results, "--clip": files.clip}
    inputs |= {"--skeleton": [path] if (path := skeleton_file(recordings.skeleton)) else []}
    check_outputs({"--out": files.out, "--page": files.page, "--video": files.video}, inputs)
    if len(files.clip) != (0 if files.video is None else len(results)):
        raise InputError(f"--clip: expected {len(results)} videos with --video and none without, got {len(files.clip)}")
    from trustpose.multiview.reconstruction import reconstruct

    started = time.perf_counter()
    watch = partial(with_progress, description="frames")
    reconstruction = reconstruct(
        files.cameras,
        results,
        files.out,
        **asdict(options),
        **asdict(recordings),
        unit=files.unit,
        unchecked=files.unchecked,
        y_up=files.y_up,
        note=print_note,
        watch=watch,
    )
    people = reconstruction.people
    typer.echo(f"{_summary(people)}, in {time.perf_counter() - started:.1f} s", err=True)
    for path in reconstruction.files:
        say_written(path, "people in 3D")
    if files.video is not None:
        from trustpose.report.world import write_world_video

        write_world_video(files.video, people, reconstruction.cameras, files.clip, reconstruction.frame_of, watch)
        say_written(files.video, "a video of the people in each camera and in 3D")
    if files.page is not None:
        from trustpose.report.world import write_world_page

        write_world_page(files.page, people, reconstruction.cameras)
        say_written(files.page, "a page with the people in 3D, for any browser")


def _summary(people: "Poses3D") -> str:
    """Return how many people were reconstructed, and how well."""
    import numpy as np

    assert people.frame is not None and people.track_id is not None and people.error is not None
    if not len(people):
        return "no person is seen by two cameras that agree"
    count, frames = len(np.unique(people.track_id)), len(np.unique(people.frame))
    missing = np.isnan(people.xyz[..., 0]).mean()
    return (
        f"{count} {'person' if count == 1 else 'people'} in {frames} frames, reprojection error "
        f"{np.nanmedian(people.error):.1f} px (median), {missing:.1%} of the joints without a position"
    )

"""`trustpose predict`: predict poses in photos or a video, write COCO results and drawings."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trustpose.cli.command import command
from trustpose.cli.progress import progress_bar, resumable
from trustpose.predict.options import PredictFiles, PredictOptions, RunOptions
from trustpose.report.options import DrawingOptions
from trustpose.report.run_watcher import RunWatcher
from trustpose.scale.options import ScaleOptions

if TYPE_CHECKING:
    from trustpose.predict.base_predictor import BasePredictor
    from trustpose.predict.journal import Done, Step, Tell
    from trustpose.predict.sources import Sources

_RESUME = "run the same command with --resume to continue"
_MOST_NAMED = 3  # files


@command(
    "trustpose predict photo.jpg",
    "trustpose predict photos/ 'more/*.jpg' --out poses --fast",
    "trustpose predict clip.mp4 --out clip --track",
    "trustpose predict photos/ --out poses --resume",
    "trustpose predict photos/ --gt gt.json --model network.onnx --no-draw",
    "trustpose predict 's3://bucket/*.tar' --engine ray --address auto --out o",
)
def predict(
    files: PredictFiles, options: PredictOptions, run: RunOptions, drawing: DrawingOptions, scale: ScaleOptions
) -> None:
    """Predict the keypoints of the people in photos or a video.

    Writes DIRECTORY/results.json (COCO results, with the network's score of every keypoint) and a drawing of each
    photo, or one mp4 with the drawn frames of a video, with its sound and times (extra 'video'). Frames are numbered
    from 0.

    A model with trust adds pose_quality (expected OKS), keypoint_quality, visibility and, in detected boxes, presence;
    a pose's score is then presence times pose_quality. Without trust, the score is the mean of the keypoints' scores
    times the box's score; single-stage networks have scores of their own. People below --min-presence are left out.

    With --gt, crowd regions and people without labelled keypoints are left out, as usual for ground-truth boxes. If
    people are detected and the photos' names have no numbers, photos are numbered from 1 and listed in
    DIRECTORY/images.json. Photos that cannot be read are reported and skipped, and the exit code is then 1.

    A video beside other files gets its own folder in DIRECTORY, with its name. Files at web addresses are kept in
    DIRECTORY/downloads. With --engine ray, sources are photos, Parquet files, tars or videos, also at s3:// and gs://,
    and results are Parquet files (https://trustpose.github.io/trustpose/scale.html).
    """
    if scale.is_cluster:
        scale.check_others(options, run, drawing)
        _predict_on_cluster(files, options, scale)
        return
    from trustpose.calibration.applied_record import InSampleWarning
    from trustpose.calibration.shift import DistributionShiftWarning
    from trustpose.report import drawn_run

    watcher = _Watcher()
    with resumable(_RESUME), _printed_warnings(DistributionShiftWarning, InSampleWarning):
        done = drawn_run.run(
            files.sources,
            files.out,
            files.model,
            options=options,
            run_options=run,
            drawing=drawing,
            watcher=watcher,
        )
    watcher.print_results(done, Path(files.out), is_drawn=drawing.draw)


class _Watcher(RunWatcher):
    """Prints how a run goes on."""

    def loaded(self, predictor: "BasePredictor") -> None:
        self.predictor = predictor
        typer.echo(f"{predictor.name} on {predictor.device}")

    def noted(self, note: str) -> None:
        typer.echo(f"trustpose: {note}", err=True)

    @contextmanager
    def running(self, sources: "Sources") -> "Iterator[Tell]":
        self.parts = sources.parts
        are_frames = [part.video is not None for part in self.parts]
        unit = "photos" if not any(are_frames) else "frames" if len(self.parts) == 1 else "photos and frames"
        started, people = time.perf_counter(), 0
        with progress_bar(unit) as advance:

            def tell(step: "Step") -> None:
                nonlocal people
                if step.problem is not None:
                    typer.echo(f"trustpose: {' '.join(step.problem.split())}", err=True)
                people += step.people
                speed = people / (time.perf_counter() - started)
                total = step.total if len(self.parts) == 1 else None
                advance(total=total, note=f", {speed:.0f} people/s")

            yield tell

    def print_results(self, done: "Done", out: Path, *, is_drawn: bool) -> None:
        """Print what was predicted, written, skipped and left; exit with 1 if anything was skipped."""
        for part in self.parts:
            of_part = done.videos[part.folder] if part.folder else done
            folder = out / part.folder
            _print_summary(of_part, folder, self.predictor, is_video=part.video is not None, is_drawn=is_drawn)
        if done.leftover_files:
            named = ", ".join(map(str, done.leftover_files[:_MOST_NAMED])) + (
                "" if len(done.leftover_files) <= _MOST_NAMED else ", …"
            )
            typer.echo(
                f"trustpose: {_count(len(done.leftover_files), 'files')} not of this run left as before: {named}",
                err=True,
            )
        complaints = [line for part in (done, *done.videos.values()) for line in part.complaints]
        for complaint in complaints:
            typer.echo(f"trustpose: {complaint}", err=True)
        if complaints:
            raise typer.Exit(1)


def _print_summary(done: "Done", folder: Path, predictor: "BasePredictor", *, is_video: bool, is_drawn: bool) -> None:
    """Print how many people, photos and seconds, what was written, and how many people were left out."""
    from trustpose.report.scene import has_visible_joint

    count, speed = len(done.poses), done.predicted / max(done.seconds, 1e-9)
    pictures = " and a video" if is_video else f" and {_count(count, 'pictures')}"
    people = "1 person" if done.people == 1 else f"{done.people} people"
    unseen = sum(int((~has_visible_joint(poses)).sum()) for poses in done.poses.values())
    people += f" ({unseen} with no visible joint)" if unseen else ""
    photos = _count(count, "frames" if is_video else "photos")
    summary = f"{people} on {photos} in {done.seconds:.1f} s ({speed:.0f} people/s)"
    typer.echo(f"{summary}: {folder / done.file}{pictures if is_drawn else ''}")
    if done.left_out:
        left_out = "1 person was" if done.left_out == 1 else f"{done.left_out} people were"
        reason = f"presence below {predictor.min_presence:g}, or a duplicate of another"
        typer.echo(f"{left_out} left out: {reason} (--min-presence 0 keeps all)")


def _predict_on_cluster(files: PredictFiles, options: PredictOptions, scale: ScaleOptions) -> None:
    """Predict on a Ray cluster, and print a line at the end. Exit code 1 if photos could not be read."""
    from trustpose.scale.folder import ERRORS, POSES
    from trustpose.scale.run import predict_at_scale

    with resumable(_RESUME), progress_bar("photos or frames") as advance:
        total = predict_at_scale(
            files.model,
            list(files.sources),
            files.out,
            options,
            scale,
            lambda step: advance(step.counts.photos, total=step.total),
        )
    is_address = "://" in files.out  # whose options are left out
    folder = (files.out.partition("?")[0] if is_address else files.out).rstrip("/")
    typer.echo(f"{total.people} people on {total.photos} photos or frames: {folder}/{POSES}")
    if total.unread:
        skipped = f"skipped {len(total.unread)} of {total.photos} photos or frames"
        typer.echo(f"trustpose: {skipped}, see {folder}/{ERRORS}", err=True)
        raise typer.Exit(1)


@contextmanager
def _printed_warnings(*always: type[Warning]) -> Iterator[None]:
    """Print warnings as lines; those of some categories always, also if their text was printed before."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        typer.echo(f"trustpose: warning: {' '.join(str(message).split())}", err=True)

    with warnings.catch_warnings():
        for category in always:
            warnings.simplefilter("always", category=category)
        warnings.showwarning = show
        yield


def _count(number: int, plural: str) -> str:
    return f"{number} {plural.removesuffix('s') if number == 1 else plural}"

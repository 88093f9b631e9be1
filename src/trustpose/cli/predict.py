"""`trustpose predict`: photos or a video in, COCO results and drawn pictures out."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trustpose.cli.endings import resumable
from trustpose.cli.outputs import check_outputs, model_files
from trustpose.cli.suppress import AREA_MEANS, THRESHOLD, THRESHOLD_MEANS, WAYS, suppressor
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.cli.predict_run import Done

RESULTS = "results.json"
IMAGES = "images.json"
JOURNAL = "results.json.journal"


def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...", help="Photos, folders of photos, globs; or one video, or a webcam: 0, 1, …"
        ),
    ] = None,
    *,
    model: Annotated[
        str,
        typer.Option(
            help="The one that comes with trustpose, NETWORK.onnx with NETWORK.json beside it, a model folder, or "
            "another package's estimator: mediapipe, ultralytics:MODEL.pt, … (trustpose models --adapters)."
        ),
    ] = "default",
    out: Annotated[Path, typer.Option(help=f"The folder for {RESULTS} and the drawn pictures or video.")] = Path(
        "predictions"
    ),
    gt: Annotated[
        Path | None, typer.Option(help="COCO ground truth: whose boxes to take, and the photos' ids.")
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="COCO detections. Photos get their ids from --gt, else from the number in their name."),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="What finds the people: NETWORK.onnx that does, a detector of torchvision's, 'whole' (each photo "
            "shows one person), or 'default', which comes with trustpose. [default: that, where nothing else says so]"
        ),
    ] = None,
    detector_weights: Annotated[
        Path | None, typer.Option(help="With a detector of torchvision's: its weights.")
    ] = None,
    min_box_score: Annotated[
        float | None,
        typer.Option(
            help="Leave out people with less: of --boxes (default: none), or found by --detector or --model "
            "(default: 0.1; torchvision's 0.3; as its JSON says for a network that gives boxes)."
        ),
    ] = None,
    all_people: Annotated[
        bool, typer.Option("--all-people", help="With --gt: also people with a box but no labelled keypoint.")
    ] = False,
    suppression: Annotated[str, typer.Option(help=f"What happens to poses on top of each other: {WAYS}.")] = "none",
    suppression_threshold: Annotated[float, typer.Option(help=THRESHOLD_MEANS)] = THRESHOLD,
    suppression_area: Annotated[str, typer.Option(help=f"{AREA_MEANS} keypoints (the box around them).")] = "crop",
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror image: slower, better.")] = False,
    skeleton: Annotated[
        str | None, typer.Option(help="Of another package's estimator: only the keypoints of coco17, …, or FILE.json.")
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(help="How to read heatmaps, if not as the JSON says: argmax-quarter, dark, udp, integral."),
    ] = None,
    backend: Annotated[str, typer.Option(help="onnx; torch for a model folder (extra 'train').")] = "onnx",
    device: Annotated[
        str | None, typer.Option(help="With --backend torch, or another package's estimator: cpu, cuda or mps.")
    ] = None,
    precision: Annotated[str, typer.Option(help="With --backend torch: float32, bfloat16, float16.")] = "float32",
    batch_size: Annotated[int, typer.Option(min=1, help="People that go through the network together.")] = 16,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Skip photos of more pixels, which their headers tell before any memory is used.")
    ] = 250_000_000,
    draw: Annotated[bool, typer.Option("--draw/--no-draw", help="Draw the poses on the photos.")] = True,
    draw_min_score: Annotated[
        float | None, typer.Option(help="Leave keypoints with a lower score out of the drawings (only there).")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop a video or webcam after so many frames.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a run into DIR that was stopped.")] = False,
) -> None:
    """Find the keypoints of the people in photos or a video.

    Writes DIR/results.json (COCO results, every keypoint with its raw score) and one drawn picture a photo, or one
    drawn mp4, without sound, whose frames count as images from 0. A model with trust adds keypoint_quality, visibility
    and pose_quality, and a pose's score is then pose_quality times its box's score; without, it is the mean of its
    keypoints' scores times its box's; networks that find people by themselves give the score. --suppression says what
    becomes of several poses on one person, as boxes of a detector bring them (docs/suppression.md). With --gt,
    crowd regions and people without any labelled keypoint are left out, the usual protocol for ground-truth boxes.
    Photos whose people are found and whose names have no numbers are counted from 1; DIR/images.json says which is
    which. What cannot be read is reported and skipped, and the exit code is then 1.
    """
    if not sources:
        raise InputError("no photos given: name photos or their folder, as in trustpose predict photos/ --gt …")
    import cv2
    import onnxruntime

    from trustpose.cli.predict_model import Model
    from trustpose.cli.predict_run import Drawing, predict_photos, predict_video, write_images, write_poses
    from trustpose.predict.journal import Journal
    from trustpose.predict.sources import PeopleOptions, find_sources

    onnxruntime.set_default_logger_severity(4)  # its allocator writes past the level of a session
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # what is broken gets our own one line
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # and so with the video library that OpenCV brings
    files = {"gt": gt, "boxes": boxes, "detector": detector, "detector_weights": detector_weights}
    how = {"flip": flip, "decoding": codec, "backend": backend, "device": device, "precision": precision}
    chosen = Model.of(model, files, how | {"batch_size": batch_size}, skeleton, min_box_score)
    is_detected = chosen.is_bottom_up or chosen.files["detector"] is not None
    work = find_sources(sources, PeopleOptions(gt, boxes, min_box_score, all_people, is_detected))
    drawing = Drawing.of(work, out, draw_min_score) if draw else None
    given = {"a photo" if work.video is None else "the video": work.files, "--gt": gt, "--boxes": boxes}
    given |= {
        "--model": model_files(chosen.file),
        "--detector": model_files(None if detector is None else Path(detector)),
    }
    drawn = [] if drawing is None else drawing.paths
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, expected a folder for the results (--out)")
    written = [out / RESULTS, out / IMAGES, out / JOURNAL, *drawn]
    check_outputs({"--out": written}, given | {"--detector-weights": detector_weights})
    predictor = chosen.load()
    predictor.max_pixels = max_pixels
    settings = chosen.settings | {"min_box_score": min_box_score, "all_people": all_people, "frames": frames}
    settings |= {"draw": draw, "draw_min_score": draw_min_score, "sources": work.fingerprint}
    overlap = [suppression, suppression_threshold, suppression_area]
    suppress = (
        None
        if suppression == "none"
        else suppressor(suppression, suppression_threshold, suppression_area, predictor.spec.skeleton)
    )
    settings |= {"suppression": None if suppress is None else overlap}
    with (
        resumable("the same command with --resume goes on"),
        Journal(out / JOURNAL, settings, is_resumed=resume) as journal,
    ):
        if work.video is None:
            done = predict_photos(predictor, work.photos, journal, drawing, suppress)
        else:
            done = predict_video(predictor, work, journal, drawing, frames, suppress)
        write_poses(out / RESULTS, done, work, suppress)
        if work.is_numbered_here:
            write_images(out / IMAGES, work.photos)
        journal.remove()
    _report(done, out, "photos" if work.video is None else "frames", is_drawn=draw)


def _report(done: "Done", out: Path, what: str, *, is_drawn: bool) -> None:
    count, rate = len(done.poses), done.predicted / done.seconds
    pictures = f" and {_count(count, 'pictures')}" if is_drawn and what == "photos" else " and a video" * is_drawn
    people = "1 person" if done.people == 1 else f"{done.people} people"
    said = f"{people} on {_count(count, what)} in {done.seconds:.1f} s ({rate:.0f} people/s)"
    typer.echo(f"{said}: {out / RESULTS}{pictures}")
    for complaint in done.complaints:
        typer.echo(f"trustpose: {complaint}", err=True)
    if done.complaints:
        raise typer.Exit(1)


def _count(number: int, what: str) -> str:
    return f"{number} {what.removesuffix('s') if number == 1 else what}"

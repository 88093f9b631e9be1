"""`trustpose predict`: predict poses in photos or a video, write COCO results and drawings."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.choices import FLOW_MEANS, POSE_AREAS, calibrator_names, choices, completed, model_names, skeletons
from trustpose.cli.endings import resumable
from trustpose.cli.predict_checks import Association, Device, Face, Grouping, Hands, check_earlier_run, check_files
from trustpose.cli.predict_engine import ADDRESS, BLOCK, COLUMN, ENGINE, WORKERS, How, run_on_engine
from trustpose.cli.predict_load import load_predictor, say_warnings
from trustpose.cli.predict_progress import print_summary, progress_bar, say_left
from trustpose.cli.suppress import AREA_MEANS, DISTANCE_MEANS, METHODS, THRESHOLD_MEANS, WAYS
from trustpose.files import InputError

if TYPE_CHECKING:
    pass

RESULTS = "results.json"


def predict(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SOURCE]...", help="Photos, videos, folders and globs of them, addresses; or a webcam: 0, 1, …"
        ),
    ] = None,
    *,
    model: Annotated[
        str,
        typer.Option(
            **completed(model_names),
            help="The bundled model, NETWORK.onnx with NETWORK.json next to it, a model folder, one on the "
            "Hugging Face hub (hf:USER/NAME), or an estimator of another package: mediapipe, ultralytics:MODEL.pt, … "
            "(trustpose models --adapters).",
        ),
    ] = "default",
    out_: Annotated[
        str, typer.Option("--out", metavar="DIRECTORY", help=f"Output folder for {RESULTS} and drawings.")
    ] = "predictions",
    gt: Annotated[
        Path | None, typer.Option(help="COCO ground truth, for the people's boxes and the photos' ids.")
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="COCO detections. Photos get their ids from --gt, else from the number in their name."),
    ] = None,
    detector: Annotated[
        str | None,
        typer.Option(
            help="Person detector: NETWORK.onnx, a detector of torchvision's, 'whole' (each photo "
            "shows one person), or 'default', the bundled one. [default: the bundled one, if no boxes are given]"
        ),
    ] = None,
    detector_weights: Annotated[Path | None, typer.Option(help="Weights for a detector of torchvision's.")] = None,
    min_box_score: Annotated[
        float | None,
        typer.Option(
            help="Leave out people below this box score: of --boxes (default: none), or found by --detector or --model "
            "(default: 0.1; torchvision's 0.3; from the JSON for a box network)."
        ),
    ] = None,
    min_presence: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Leave out detected people below this presence, the probability that a labeller would have boxed the "
            "person and that this is the one box for it; and doubles of others. 0: keep all, for average precision. "
            "Default: the model's or calibrator's.",
        ),
    ] = None,
    all_people: Annotated[
        bool, typer.Option("--all-people", help="With --gt: also people with a box but no labelled keypoint.")
    ] = False,
    suppression: Annotated[
        str | None,
        typer.Option(
            **completed(lambda: METHODS),
            help=f"Suppression of overlapping poses: {WAYS}. Default: the model's, in detected boxes only.",
        ),
    ] = None,
    suppression_threshold: Annotated[float | None, typer.Option(help=THRESHOLD_MEANS)] = None,
    suppression_area: Annotated[
        str, typer.Option(**completed(lambda: POSE_AREAS), help=f"{AREA_MEANS} keypoints (the box around them).")
    ] = "crop",
    suppression_distance: Annotated[str | None, typer.Option(help=DISTANCE_MEANS)] = None,
    grouping: Grouping = None,
    association: Association = None,
    hands: Hands = None,
    face: Face = None,
    flip: Annotated[bool, typer.Option("--flip", help="Flip test: slower, more accurate.")] = False,
    second_crop: Annotated[
        float | None,
        typer.Option(
            metavar="PADDING",
            help="A second crop of each person of this padding, such as 1.15: half as fast, more accurate.",
        ),
    ] = None,
    fast: Annotated[
        bool, typer.Option("--fast", help="Use the model's smaller networks: faster, less accurate; prints the cost.")
    ] = False,
    skeleton: Annotated[
        str | None,
        typer.Option(
            **completed(skeletons),
            help="For another package's estimator: keep the keypoints of coco17, … or FILE.json.",
        ),
    ] = None,
    codec: Annotated[
        str | None,
        typer.Option(
            **choices(
                "argmax-quarter", "dark", "udp", "integral", about="Decoder for heatmaps, overriding the JSON's."
            ),
        ),
    ] = None,
    backend: Annotated[
        str, typer.Option(**choices("onnx", "torch", about="torch: for a model folder (extra 'train')."))
    ] = "onnx",
    device: Device = "auto",
    precision: Annotated[
        str, typer.Option(**choices("float32", "bfloat16", "float16", about="For --backend torch."))
    ] = "float32",
    calibrator: Annotated[
        str | None,
        typer.Option(
            **completed(calibrator_names),
            help="Add trust by this calibrator, fitted on the model's results (calibrate fit), or by a bundled one, "
            "shipped:NAME (trustpose models --shipped).",
        ),
    ] = None,
    estimator: Annotated[str | None, typer.Option(help="The model's name; must match the calibrator's.")] = None,
    second: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]MODEL",
            help="Second opinion that the calibrator was fitted with: a network that is run on the same boxes, such as "
            "'default'. Repeatable.",
        ),
    ] = None,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="People per batch. Default: 16 on a CPU, 64 elsewhere.")
    ] = None,
    max_pixels: Annotated[
        int, typer.Option(min=1, help="Skip photos with more pixels, checked in their headers.")
    ] = 250_000_000,
    draw: Annotated[bool, typer.Option("--draw/--no-draw", help="Draw the poses on the photos.")] = True,
    style: Annotated[
        str, typer.Option(help="Colours of drawings: trust, parts (left blue, right orange) or people (one each).")
    ] = "trust",
    draw_min_score: Annotated[
        float | None, typer.Option(help="Do not draw keypoints with a lower score (drawings only).")
    ] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="Stop a video or webcam after this many frames.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Resume an interrupted run in DIR.")] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier run's results in DIR; without it they are kept.")
    ] = False,
    format_: Annotated[
        str,
        typer.Option(
            "--format", **choices("json", "csv", "parquet", about="Format of the results; parquet: extra 'tables'.")
        ),
    ] = "json",
    tidy: Annotated[bool, typer.Option("--tidy", help="Write one row per keypoint instead of one per pose.")] = False,
    recursive: Annotated[bool, typer.Option("--recursive", help="Subfolders of folders too.")] = False,
    track: Annotated[
        bool, typer.Option("--track", help="Link the people of a video's frames: track_id, numbers in the drawing.")
    ] = False,
    flow: Annotated[
        bool, typer.Option("--flow", help="With --track: follow people by optical flow, too, where boxes are missed.")
    ] = False,
    flow_method: Annotated[str, typer.Option(help=FLOW_MEANS)] = "dis",
    show: Annotated[
        bool, typer.Option("--show", help="Show each photo or frame in a window (an OpenCV with windows).")
    ] = False,
    engine: Annotated[str | None, ENGINE] = None,
    address: Annotated[str | None, ADDRESS] = None,
    workers: Annotated[int | None, WORKERS] = None,
    block: Annotated[int | None, BLOCK] = None,
    column: Annotated[str | None, COLUMN] = None,
) -> None:
    """Predict the keypoints of the people in photos or a video.

    Writes DIR/results.json (COCO results, every keypoint with its raw score) and one drawing per photo, or one mp4 of
    drawn frames, whose frames are numbered from 0: H.264 with the sound and times of the video (extra 'video'). A model
    with trust adds presence (in detected boxes), pose_quality, keypoint_quality and visibility, and a pose's score is
    then presence times pose_quality. People below --min-presence are left out. Without trust, it is the mean of its
    keypoints' scores times its box's score; single-stage networks give their own score. --suppression removes or lowers
    overlapping poses, as detected boxes cause them (docs/suppression.md). --calibrator adds the trust of a calibrator,
    with --second also from another network that looks at the same people. --hands and --face add the joints of these
    parts, by networks of their own. With --gt, crowd regions and people without any labelled keypoint are left out, the
    usual protocol for ground-truth boxes. If people are detected and the photos' names have no numbers, photos are
    counted from 1; DIR/images.json lists them. Photos that cannot be read are reported and skipped, and the exit code
    is then 1. A video beside other files gets a folder of its own in DIR, with its name. Files at addresses (http,
    https) are kept in DIR/downloads. --engine ray reads photos, Parquet files, tars or videos, also at s3:// and gs://,
    and writes Parquet files (docs/scale.md).
    """
    if not sources:
        raise InputError("no photos given: name photos or their folder, as in trustpose predict photos/ --gt …")
    import cv2
    import onnxruntime

    from trustpose.calibration.applied_record import InSampleWarning
    from trustpose.calibration.distribution_shift import DistributionShiftWarning
    from trustpose.formats.download import is_address
    from trustpose.predict.options import PredictOptions, RunOptions
    from trustpose.predict.run import results_name, sources_of
    from trustpose.report.predictions import PoseDrawings
    from trustpose.report.window import check_windows, shown

    if show:
        check_windows()
    onnxruntime.set_default_logger_severity(4)  # its allocator ignores the level of a session
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # broken photos get our own message
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # the same for OpenCV's video library
    options = PredictOptions(
        detector=detector,
        detector_weights=detector_weights,
        min_score=min_box_score,
        min_presence=min_presence,
        suppression=suppression,
        suppression_threshold=suppression_threshold,
        suppression_area=suppression_area,
        suppression_distance=suppression_distance,
        grouping=grouping,
        association=association,
        hands=hands,
        face=face,
        flip=flip,
        second_crop=second_crop,
        fast=fast,
        decoding=codec,
        backend=backend,
        device=None if device == "auto" else device,
        precision=precision,
        batch_size=batch_size,
        skeleton=skeleton,
        max_pixels=max_pixels,
        estimator=estimator,
        calibrator=calibrator,
        second=second or (),
    )
    spread = How(engine, address, workers, block, column, resume, overwrite, recursive)
    alone = {"--gt": gt, "--boxes": boxes, "--all-people": all_people, "--frames": frames, "--tidy": tidy}
    alone |= {"--track": track, "--flow": flow, "--show": show, "--draw-min-score": draw_min_score}
    alone |= {"--hands": hands, "--face": face}
    if spread.check({**alone, "--format csv": format_ == "csv"}):
        run_on_engine(sources, model, out_, options, spread)
        return
    out = Path(out_)
    also = {"draw": draw, "draw_min_score": draw_min_score, "style": style}
    kept = (gt, boxes, min_box_score, all_people, frames, resume, also, format_, tidy, recursive, overwrite)
    run = RunOptions(*kept, track=track, flow=flow, flow_method=flow_method)
    predictor = load_predictor(model, options)
    typer.echo(f"{predictor.name} on {predictor.device}")
    if any(map(is_address, sources)):  # before their files are downloaded to it
        check_earlier_run(out, run)
    work = sources_of(predictor, sources, run, out)
    drawings: dict[str, Any] = {}
    for part in work.parts if draw else []:
        made = PoseDrawings(part, out / part.folder, predictor.skeleton, draw_min_score, style)
        if made.note is not None:
            typer.echo(f"trustpose: {made.note}", err=True)
        drawings[part.folder] = made
    films = [file for part in work.parts if part.video is not None for file in part.files]
    photos = {"a photo": work.files if work.video is None else [], "the video": films}
    for part in work.parts:
        drawn = drawings[part.folder].paths if draw else []
        check_files(out / part.folder, drawn, model, run, options, photos)
        check_earlier_run(out / part.folder, run)
    if show:
        drawings = shown(work, drawings, predictor.skeleton, draw_min_score, style)
    what = "photos" if not films and work.video is None else "frames" if len(work.parts) == 1 else "photos and frames"
    with (
        resumable("the same command with --resume continues"),
        warnings.catch_warnings(record=True) as caught,
        progress_bar(what, is_one=len(work.parts) == 1) as tell,
    ):
        for category in (DistributionShiftWarning, InSampleWarning):
            warnings.simplefilter("always", category=category)
        done = predictor.run(work, out, run, drawings=drawings, tell=tell)
    say_warnings(caught)
    for part in work.parts:
        one = done.videos[part.folder] if part.folder else done
        results = out / part.folder / results_name(run)
        is_video = part.video is not None
        print_summary(one, results, predictor.min_presence, is_video=is_video, is_drawn=draw)
    say_left(done.left)
    complaints = [line for one in (done, *done.videos.values()) for line in one.complaints]
    for complaint in complaints:
        typer.echo(f"trustpose: {complaint}", err=True)
    if complaints:
        raise typer.Exit(1)

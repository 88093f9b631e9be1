"""`trustpose track`: link the poses of a results file, of any estimator, to tracks."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.choices import FLOW_MEANS, FRAMES_MEANS, POSE_AREAS, choices, completed, skeletons
from trustpose.cli.in_batches import is_read_in_batches
from trustpose.cli.outputs import check_outputs, print_notes, say_written, skeleton_file
from trustpose.cli.predict_engine import ADDRESS, ENGINE, WORKERS
from trustpose.cli.suppress import AREA_MEANS
from trustpose.cli.table_engine import OVERWRITE, RESUME, TableEngine
from trustpose.cli.track_batches import check_in_memory, track_parts
from trustpose.files import InputError

if TYPE_CHECKING:
    import numpy as np

    from trustpose.formats.coco import ResultsFile, TruthFile
    from trustpose.images import Images
    from trustpose.skeletons import Skeleton

DISTANCES = ("both", "oks", "trust", "box")
MATCHINGS = ("hungarian", "greedy")
EARLIER = ("nearest", "decayed")
DISTANCE_MEANS = "oks: 1 - OKS; trust: weighted by expected OPKS; box: 1 - IoU; both: mean of box and trust (or oks)."
MATCHING_MEANS = "Best sum of distances, or nearest pair first."
MAX_DISTANCE_MEANS = "Link no poses that are farther apart, 0 to 1. Default: that of tracking.Tracker."
MEMORY_MEANS = "End a track that was not seen for so many frames."
START_SCORE_MEANS = "Begin tracks only at poses with this score. Default: expected OKS 0.3; without trust, at all."


def track(
    results: Annotated[
        Path,
        typer.Argument(
            metavar="RESULTS", help="COCO keypoint results with frames as images: JSON, CSV, Parquet or its parts."
        ),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Write the results with track_id to this file (-: standard output).")],
    images: Annotated[Path | None, typer.Option(help=FRAMES_MEANS)] = None,
    video: Annotated[
        Path | None,
        typer.Option(help="The video, to move earlier poses by optical flow; image_id is the number of its frame."),
    ] = None,
    flow_method: Annotated[str, typer.Option(help=FLOW_MEANS)] = "dis",
    gt: Annotated[
        Path | None,
        typer.Option(help="Ground truth with track_id: print HOTA, IDF1 and MOTA. It lists the frames, too."),
    ] = None,
    distance: Annotated[str, typer.Option(**choices(*DISTANCES, about=DISTANCE_MEANS))] = "both",
    matching: Annotated[str, typer.Option(**choices(*MATCHINGS, about=MATCHING_MEANS))] = "hungarian",
    max_distance: Annotated[float | None, typer.Option(help=MAX_DISTANCE_MEANS)] = None,
    memory: Annotated[int, typer.Option(min=1, help=MEMORY_MEANS)] = 30,
    history: Annotated[int, typer.Option(min=1, help="Compare with the last so many poses of each track.")] = 1,
    earlier: Annotated[
        str, typer.Option(**choices(*EARLIER, about="Which of these counts: the nearest, or their weighted mean."))
    ] = "nearest",
    start_score: Annotated[float | None, typer.Option(help=START_SCORE_MEANS)] = None,
    area: Annotated[
        str, typer.Option(**completed(lambda: POSE_AREAS), help=f"{AREA_MEANS} keypoints (the box around them).")
    ] = "crop",
    skeleton: Annotated[
        str, typer.Option(**completed(skeletons), help="Skeleton with the sigmas for OKS: NAME or FILE.json.")
    ] = "coco17",
    engine: Annotated[str | None, ENGINE] = None,
    address: Annotated[str | None, ADDRESS] = None,
    workers: Annotated[int | None, WORKERS] = None,
    resume: Annotated[bool, RESUME] = False,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Link the poses of successive frames to tracks, in the results of any estimator.

    A row gets the track_id of the person it continues, counted from 1 over all clips; a row without one belongs to no
    track. Rows are otherwise unchanged. Frames are ordered by time, else by the number in their file names, else by
    image_id; --images gives the frames of each clip, by clip and camera, or by the folders of the file names.
    Categories are tracked separately. A pose without a bbox has the box around its keypoints.
    """
    from trustpose.files import write_json
    from trustpose.skeletons import skeleton_of

    given = {
        "RESULTS": results,
        "--images": images,
        "--video": video,
        "--gt": gt,
        "--skeleton": skeleton_file(skeleton),
    }
    check_outputs({} if engine else {"--out": out}, given)
    truth = None if gt is None else _truth(gt, out)
    if video is not None and images is not None:
        raise InputError("--video and --images: the frames are those of a video, or those of a list; give one of them")
    if flow_method != "dis" and video is None:
        raise InputError("--flow-method: the flow is between frames, and so expects --video")
    options: dict[str, Any] = {"distance": distance_of(distance, area), "matching": matching, "earlier": earlier}
    options |= {"memory": memory, "history": history, "start_score": "auto" if start_score is None else start_score}
    options |= {} if max_distance is None else {"max_distance": max_distance}
    spread = TableEngine(engine, address, workers, resume, overwrite)
    if spread.is_wanted(results) or is_read_in_batches(results, out):
        check_in_memory({"--images": images, "--video": video, "--gt": gt})
        joints = skeleton_of(skeleton)
        if distance == "both":
            with_sigmas(joints, skeleton, area, options)
        if engine is None:
            track_parts(results, out, joints, options)
        else:
            told = options | {"distance": distance, "area": area, "skeleton": list(joints.keypoints)}
            spread.track(results, out, joints, options, told)
        return
    images = images or (gt if video is None else None)
    file, frames, rows = read_clips(results, images, skeleton)
    assert file.poses.skeleton is not None
    if distance == "both":
        with_sigmas(file.poses.skeleton, skeleton, area, options)
    started = time.perf_counter()
    ids = _tracked(file, frames, images, options) if video is None else _by_flow(file, video, options, flow_method)
    seconds = time.perf_counter() - started
    named = [
        {name: value for name, value in row.items() if name != "track_id"} | ({} if one < 0 else {"track_id": one})
        for row, one in zip(rows, ids.tolist(), strict=True)
    ]
    write_json(out, named)
    replaced = ", in the place of the file's own" if file.poses.track_id is not None else ""
    count, poses = len(set(ids.tolist()) - {-1}), int((ids >= 0).sum())
    typer.echo(
        f"{count} tracks of {poses} poses{replaced}, {len(rows) - poses} without a track, in {seconds:.2f} s "
        f"({len(rows) / max(seconds, 1e-9):.0f} poses/s)"
    )
    say_written(out, "results with track_id")
    if truth is not None:
        _print_tracking(truth, out)


def with_sigmas(read: "Skeleton", name: str, area: str, options: dict[str, Any]) -> "Skeleton":
    """Return the skeleton; if it has no sigmas for OKS, boxes are compared, and a line says so."""
    if not read.has_sigmas:
        typer.echo(f"skeleton {name!r} has no sigmas for OKS: poses are compared by their boxes", err=True)
        options["distance"] = distance_of("box", area)
    return read


def _truth(gt: Path, out: Path) -> "TruthFile":
    """Return a ground truth with track ids. Raises InputError."""
    from trustpose.files import is_stdout
    from trustpose.formats.coco import read_truth

    if is_stdout(out):
        raise InputError("--gt: measures the file that is written, and so expects a file as --out")
    truth = read_truth(gt)
    if truth.truth.track_id is None:
        raise InputError(f"{gt}: field 'track_id' is missing in every annotation, --gt expects it")
    return truth


def _print_tracking(truth: "TruthFile", out: Path) -> None:
    """Print the tracking numbers of an audit in two lines."""
    from trustpose.evaluation.tracking import tracking
    from trustpose.formats.coco import read_results

    found = tracking(truth, read_results(out, truth=truth), truth.sigmas(), truth.area_convention("auto"))
    assert found is not None
    names = ("HOTA", "DetA", "AssA", "IDF1", "MOTA")
    typer.echo("  ".join(f"{name} {_number(getattr(found, name))}" for name in names) + f"  switches {found.switches}")
    if found.posetrack is not None:
        typer.echo(f"PoseTrack: MOTA {_number(found.posetrack.MOTA)}  AP {_number(found.posetrack.AP)}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def distance_of(name: str, area: str) -> Any:
    """Return the distance of that name, OKS by that area. Raises InputError for an unknown name."""
    from functools import partial
    from typing import cast

    from trustpose.grouping.suppression import PoseArea, check_area
    from trustpose.tracking import both_distance, box_distance, oks_distance, trust_distance

    try:
        check_area(area)
    except ValueError as error:
        raise InputError(f"--{error}") from None
    by = {"area": cast(PoseArea, area)}
    known = {"both": partial(both_distance, **by), "box": box_distance}
    known |= {"oks": partial(oks_distance, **by), "trust": partial(trust_distance, **by)}
    if name not in known:
        raise InputError(f"--distance: expected one of {', '.join(DISTANCES)}, got {name!r}")
    return known[name]


def read_clips(
    results: Path, images: Path | None, skeleton: str | None
) -> "tuple[ResultsFile, Images | None, list[Any]]":
    """Return the results with the frames' ids, the frames if listed, and the rows unchanged. Without a skeleton, 17
    keypoints are COCO's, and any other number has no names."""
    from dataclasses import replace

    from trustpose.files import read_bytes, read_json
    from trustpose.formats.coco import read_images, read_results
    from trustpose.formats.tables import read_rows
    from trustpose.skeletons import COCO_17, skeleton_of

    file = read_results(results, skeleton=None if skeleton is None else skeleton_of(skeleton))
    print_notes(file.notes)
    if skeleton is None and file.poses.keypoint_count == len(COCO_17):
        file = replace(file, poses=replace(file.poses, skeleton=COCO_17))
    rows = read_rows(read_bytes(results), results)
    rows = read_json(results) if rows is None else rows
    if images is None:
        if not file.image_texts.are_numbers:
            text = next(iter(file.image_texts.number_of))
            raise InputError(
                f"{results}: field 'image_id': {text[:40]!r} is no frame number, so the frames have no order; "
                "--images lists them"
            )
        return file, None, rows
    frames, texts = read_images(images)
    if file.image_texts or len(texts):
        ids = _by_text(file, texts, images)
        file = replace(file, poses=replace(file.poses, image_id=ids))
    return file, frames, rows


def _by_text(file: "ResultsFile", texts: Any, images: Path) -> "np.ndarray":
    """Return the ids that the listed frames have, of results whose ids are texts, or stand for texts there."""
    import numpy as np

    assert file.poses.image_id is not None
    own, found = file.image_texts.text_of, []
    for number in np.unique(file.poses.image_id).tolist():
        text = own.get(number, str(number))
        known = texts.find(text)
        if known is None:
            raise InputError(f"{file.path}: field 'image_id': {text[:40]!r} is not among the images of {images}")
        found.append(known)
    return np.array(found, dtype=np.int64)[np.unique(file.poses.image_id, return_inverse=True)[1]]


def _tracked(file: "ResultsFile", frames: "Images | None", images: Path | None, options: dict[str, Any]) -> Any:
    """Return the track id (N,) of each row; -1 for none. Raises InputError naming the file at fault."""
    import numpy as np

    from trustpose.tracking import order_frames, track

    poses = file.poses
    assert poses.image_id is not None
    try:
        order_frames(np.zeros(0, np.int64), frames)
    except ValueError as error:
        raise InputError(f"{images}: {error}") from None
    try:
        return track(poses, frames, apart=file.category_id, **options).track_id
    except ValueError as error:
        raise InputError(f"{file.path}: {error}") from None


def _by_flow(file: "ResultsFile", video: Path, options: dict[str, Any], flow_method: str) -> Any:
    """Return the track id (N,) of each row; -1 for none. Raises InputError naming the file at fault."""
    import numpy as np

    from trustpose.formats.video import Video
    from trustpose.predict.tracked import flow_between
    from trustpose.tracking import track_by_flow

    if len(np.unique(file.category_id)) > 1:
        raise InputError(f"{file.path}: field 'category_id': holds several categories, --video expects one")
    between = flow_between(flow_method)
    try:
        with Video(video) as opened:
            return track_by_flow(file.poses, opened.frames(), between=between, **options).track_id
    except InputError:
        raise
    except ValueError as error:
        raise InputError(f"{file.path}: {error} ({video})") from None

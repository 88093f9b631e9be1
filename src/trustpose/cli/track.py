"""`trustpose track`: link the poses of a results file, of any estimator, to tracks."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trustpose.cli.cluster import check_table, run_on_cluster
from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_note, say_written
from trustpose.cli.progress import progress_bar
from trustpose.cli.records import FrameOptions, skeleton_names
from trustpose.files import InputError, is_stdout
from trustpose.io.output_files import check_not_inside, skeleton_file
from trustpose.options import argument, option
from trustpose.predict.options import FlowOptions, TrackOptions
from trustpose.scale.options import ClusterOptions

if TYPE_CHECKING:
    from trustpose.io.coco.truth import TruthFile


@dataclass(frozen=True)
class TrackFiles(FrameOptions, FlowOptions):
    """What is tracked, and where it is written."""

    results: Path = argument(
        metavar="RESULTS",
        help="COCO keypoint results with frames as images: JSON, CSV, Parquet or a folder of Parquet parts.",
    )
    out: Path = option(help="Write the results with track_id to this file (-: standard output).")
    video: Path | None = option(
        None, help="The video, to propagate earlier poses by optical flow; image_id is the frame number."
    )
    gt: Path | None = option(
        None, help="Ground truth with track_id, to print HOTA, IDF1 and MOTA. It also lists the frames."
    )
    skeleton: str = option("coco17", names=skeleton_names, help="Skeleton with the sigmas for OKS: NAME or FILE.json.")


@command(
    "trustpose track results.json --out tracked.json",
    "trustpose track results.json --gt gt.json --out tracked.json",
    "trustpose track results.json --video clip.mp4 --out tracked.json",
    "trustpose track r.json --distance box --memory 10 --out tracked.json",
)
def track(files: TrackFiles, options: TrackOptions, cluster: ClusterOptions) -> None:
    """Track people through the frames of a results file, of any estimator.

    Rows get the track_id of their person, counted from 1 over all clips; a row without one belongs to no track. Rows
    are otherwise unchanged. Frames are ordered by time, else by the number in their file names, else by
    image_id; --images gives the frames of each clip, by clip and camera, or by the folders of the file names.
    Categories are tracked separately. A pose without a bbox gets the box around its keypoints.
    """
    inputs = {"RESULTS": files.results, "--images": files.images, "--video": files.video, "--gt": files.gt}
    inputs |= {"--skeleton": skeleton_file(files.skeleton)}
    check_outputs({} if cluster.engine else {"--out": files.out}, inputs)
    if files.video is not None and files.images is not None:
        raise InputError("--video and --images: both define the frames; give one of them")
    if files.flow_method != "dis" and files.video is None:
        raise InputError("--flow-method: optical flow needs the frames, so it requires --video")
    if cluster.is_cluster:
        check_table(files.results)
    if cluster.engine:
        _track_on_cluster(files, options, cluster)
        return
    from trustpose.predict.tracked import flow_function_named
    from trustpose.tracking.tracked_results import track_results

    check_not_inside(files.out, files.results)
    truth = None if files.gt is None else _tracked_truth(files)
    with progress_bar("poses", description="tracking") as advance:
        done = track_results(
            files.results,
            files.out,
            images=files.images or (files.gt if files.video is None else None),
            video=files.video,
            flow_function=flow_function_named(files.flow_method),
            skeleton=files.skeleton,
            note=print_note,
            tell=lambda count, total: advance(0, completed=count, total=total),
            **asdict(options),
        )
    clips = f" in {done.clips} clips" if done.clips > 1 else ""
    replaced = ", replacing the file's own" if done.had_tracks else ""
    typer.echo(
        f"{done.tracks} tracks of {done.tracked} poses{clips}{replaced}, {done.rows - done.tracked} without a track, "
        f"in {done.seconds:.2f} s ({done.rows / max(done.seconds, 1e-9):.0f} poses/s)"
    )
    say_written(files.out, "results with track_id")
    if truth is not None:
        _print_quality(truth, files.out)


def _track_on_cluster(files: TrackFiles, options: TrackOptions, cluster: ClusterOptions) -> None:
    """Track Parquet on a cluster. Raises InputError."""
    for name in ("images", "video", "gt"):
        if getattr(files, name) is not None:
            raise InputError(f"--{name}: is for one process, not for --engine ray")
    from trustpose.scale.cluster import import_ray
    from trustpose.scale.tables import Track
    from trustpose.skeletons import skeleton_of
    from trustpose.tracking.tracked_results import tracker_options

    import_ray()
    skeleton = skeleton_of(files.skeleton)
    arguments = tracker_options(skeleton, **asdict(options), note=print_note)
    settings = asdict(options) | {"skeleton": list(skeleton.keypoints)}
    run_on_cluster(Track.of(files.results, skeleton, arguments, settings), files.results, files.out, cluster)


def _tracked_truth(files: TrackFiles) -> "TruthFile":
    """Read a ground truth that tracks are measured by. Raises InputError if it has no tracks."""
    from trustpose.io.coco.truth import read_coco_truth

    assert files.gt is not None
    if is_stdout(files.out):
        raise InputError("--gt: measures the file that is written, so --out must be a file or a folder")
    truth = read_coco_truth(files.gt)
    if truth.truth.track_id is None:
        raise InputError(f"{files.gt}: field 'track_id' is missing in every annotation, --gt expects it")
    return truth


def _print_quality(truth: "TruthFile", out: Path) -> None:
    """Print the tracking numbers of an audit in two lines."""
    from trustpose.evaluation.tracking import track_quality
    from trustpose.io.coco.results import joined_files
    from trustpose.io.pose_stream import open_poses, paired_batches
    from trustpose.io.truth_stream import held_truth

    stream = held_truth(truth)
    pairs = joined_files(list(paired_batches(stream, open_poses(out, stream))))
    quality = track_quality(*pairs, truth.sigmas(), truth.area_convention("auto"))
    assert quality is not None
    names = ("HOTA", "DetA", "AssA", "IDF1", "MOTA")
    numbers = "  ".join(f"{name} {_number(getattr(quality, name))}" for name in names)
    typer.echo(f"{numbers}  switches {quality.switches}")
    if quality.posetrack is not None:
        typer.echo(f"PoseTrack: MOTA {_number(quality.posetrack.MOTA)}  AP {_number(quality.posetrack.AP)}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

"""`trustpose track`: link the poses of a results file, of any estimator, to tracks."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trustpose.cli.cluster import check_table, run_on_cluster
from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_note, say_written
from trustpose.cli.records import FrameOptions, skeleton_names
from trustpose.cli.track_batches import check_in_memory, track_parts
from trustpose.files import InputError
from trustpose.io.output_files import skeleton_file
from trustpose.options import argument, option
from trustpose.predict.options import FlowOptions, TrackOptions
from trustpose.scale.options import ClusterOptions

if TYPE_CHECKING:
    from trustpose.io.coco.truth import TruthFile


@dataclass(frozen=True)
class TrackFiles(FrameOptions, FlowOptions):
    """What is tracked, and where it is written."""

    results: Path = argument(
        metavar="RESULTS", help="COCO keypoint results with frames as images: JSON, CSV, Parquet or its parts."
    )
    out: Path = option(help="Write the results with track_id to this file (-: standard output).")
    video: Path | None = option(
        None, help="The video, to move earlier poses by optical flow; image_id is the number of its frame."
    )
    gt: Path | None = option(
        None, help="Ground truth with track_id: print HOTA, IDF1 and MOTA. It lists the frames, too."
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

    A row gets the track_id of the person it continues, counted from 1 over all clips; a row without one belongs to no
    track. Rows are otherwise unchanged. Frames are ordered by time, else by the number in their file names, else by
    image_id; --images gives the frames of each clip, by clip and camera, or by the folders of the file names.
    Categories are tracked separately. A pose without a bbox has the box around its keypoints.
    """
    inputs = {"RESULTS": files.results, "--images": files.images, "--video": files.video, "--gt": files.gt}
    inputs |= {"--skeleton": skeleton_file(files.skeleton)}
    check_outputs({} if cluster.engine else {"--out": files.out}, inputs)
    from trustpose.io.pose_stream import is_table
    from trustpose.predict.tracked_results import read_tracked_truth, track_results

    truth = None if files.gt is None else read_tracked_truth(files.gt, files.out)
    if files.video is not None and files.images is not None:
        raise InputError("--video and --images: the frames are those of a video, or those of a list; give one of them")
    if files.flow_method != "dis" and files.video is None:
        raise InputError("--flow-method: the flow is between frames, and so expects --video")
    if cluster.is_cluster:
        check_table(files.results)
    of_frames = {"--images": files.images, "--video": files.video, "--gt": files.gt}
    if cluster.engine or files.results.is_dir() or (is_table(files.results) and not any(of_frames.values())):
        check_in_memory(of_frames)
        _track_table(files, options, cluster)
        return
    done = track_results(
        files.results,
        files.out,
        options,
        images=files.images or (files.gt if files.video is None else None),
        video=files.video,
        flow_method=files.flow_method,
        skeleton=files.skeleton,
        note=print_note,
    )
    replaced = ", in the place of the file's own" if done.had_tracks else ""
    typer.echo(
        f"{done.tracks} tracks of {done.tracked} poses{replaced}, {done.rows - done.tracked} without a track, in "
        f"{done.seconds:.2f} s ({done.rows / max(done.seconds, 1e-9):.0f} poses/s)"
    )
    say_written(files.out, "results with track_id")
    if truth is not None:
        _print_quality(truth, files.out)


def _track_table(files: TrackFiles, links: TrackOptions, cluster: ClusterOptions) -> None:
    """Track Parquet that may not fit into memory, here or on a cluster."""
    from trustpose.predict.tracked_results import compares_boxes, no_sigmas, tracker_options
    from trustpose.skeletons import skeleton_of

    skeleton = skeleton_of(files.skeleton)
    if compares_boxes(links, skeleton):
        print_note(no_sigmas(files.skeleton))
    options = tracker_options(links, skeleton)
    if not cluster.engine:
        track_parts(files.results, files.out, skeleton, options)
        return
    from trustpose.scale.cluster import import_ray
    from trustpose.scale.tables import Track

    import_ray()
    settings = options | {"distance": links.distance, "area": links.area, "skeleton": list(skeleton.keypoints)}
    run_on_cluster(Track.of(files.results, skeleton, options, settings), files.results, files.out, cluster)


def _print_quality(truth: "TruthFile", out: Path) -> None:
    """Print the tracking numbers of an audit in two lines."""
    from trustpose.evaluation.tracking import track_quality
    from trustpose.io.coco.results import read_results

    quality = track_quality(truth, read_results(out, truth=truth), truth.sigmas(), truth.area_convention("auto"))
    assert quality is not None
    names = ("HOTA", "DetA", "AssA", "IDF1", "MOTA")
    numbers = "  ".join(f"{name} {_number(getattr(quality, name))}" for name in names)
    typer.echo(f"{numbers}  switches {quality.switches}")
    if quality.posetrack is not None:
        typer.echo(f"PoseTrack: MOTA {_number(quality.posetrack.MOTA)}  AP {_number(quality.posetrack.AP)}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

"""`trustpose triangulate`: people in 3D from the poses of several calibrated cameras."""

import time
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trustpose.cli.choices import choices, completed, skeletons
from trustpose.cli.outputs import check_outputs, print_notes, say_written, skeleton_file
from trustpose.cli.triangulate_checks import check_counts, check_fit, check_sizes
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.geometry.cameras import Cameras
    from trustpose.poses import Poses, Poses3D
    from trustpose.skeletons import Skeleton

METHODS = ("linear", "weighted", "ransac", "robust")
WEIGHTS = ("auto", "trust", "scores", "none")
SUFFIXES = (".json", ".csv", ".parquet", ".trc", ".c3d")


def triangulate(
    cameras: Annotated[list[Path], typer.Option(help="File of the calibrated cameras, any known format; repeatable.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(help="Poses of one camera: COCO results, another tool's file or folder; in the cameras' order."),
    ] = None,
    more_results: Annotated[
        list[Path] | None, typer.Argument(metavar="[RES]...", help="The further cameras' poses.")
    ] = None,
    *,
    out: Annotated[
        Path,
        typer.Option(
            help=f"Write the people to this file: {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}; of several people "
            "NAME_{person}.trc, a file for each."
        ),
    ],
    page: Annotated[
        Path | None, typer.Option(help="Write a page with the people in 3D, to turn and play, to this HTML file.")
    ] = None,
    video: Annotated[
        Path | None, typer.Option(help="Write a video with the people drawn in each camera's frames, and in 3D (mp4).")
    ] = None,
    clip: Annotated[
        list[Path] | None, typer.Option(help="Video of one camera, for --video; one for each, in order.")
    ] = None,
    method: Annotated[
        str, typer.Option(**choices(*METHODS, about="All views alike; by weight; those that agree; by likelihood."))
    ] = "robust",
    weight: Annotated[
        str, typer.Option(**choices(*WEIGHTS, about="Expected OPKS, the estimator's scores, or nothing. auto: trust."))
    ] = "auto",
    people: Annotated[int | None, typer.Option(min=1, help="Keep so many people, those in most frames.")] = None,
    shortest: Annotated[int, typer.Option(min=1, help="Leave out people seen in fewer frames.")] = 5,
    least: Annotated[int, typer.Option(min=2, help="Number of cameras that a joint needs.")] = 2,
    fps: Annotated[
        str | None, typer.Option(help="Frames a second: one number, or one for each camera, comma-separated.")
    ] = None,
    offset: Annotated[
        str | None, typer.Option(help="Seconds to add to each camera's times, comma-separated; needs --fps.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option(help="Unit of the cameras' places (m, cm, mm, in, ft), where the format fixes none.")
    ] = None,
    skeleton: Annotated[
        str | None,
        typer.Option(**completed(skeletons), help="Skeleton of the poses, if the files do not name it: NAME or FILE."),
    ] = None,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Triangulate even if poses and cameras do not fit together.")
    ] = False,
    y_up: Annotated[
        bool, typer.Option("--y-up", help="In .trc and .c3d: the world's z axis becomes y, as OpenSim expects.")
    ] = False,
) -> None:
    """Triangulate people from the poses of several calibrated cameras, of any estimator.

    Frames with the same number (image_id, or at the end of the photo's name) show the same moment, unless --fps and
    --offset say otherwise. People are matched across views and followed over time: each has a track_id. JSON, CSV and
    Parquet hold places in metres, expected OPKS, covariance (from trust), reprojection error and the number of cameras
    that agree; TRC and C3D hold places. A joint that fewer than two cameras see is empty.
    """
    from rich.console import Console

    from trustpose.formats.cameras import read_cameras
    from trustpose.formats.poses3d import format_of, write_poses3d
    from trustpose.formats.poses3d.c3d import package

    named = [*(results or []), *(more_results or [])]
    given = {"--cameras": cameras, "--results": named, "--clip": clip, "--skeleton": skeleton_file(skeleton)}
    check_outputs({"--out": out, "--page": page, "--video": video}, given)
    if len(clip or []) != (0 if video is None else len(named)):
        raise InputError(f"--clip: expected {len(named)} videos with --video and none without, got {len(clip or [])}")
    if format_of(out) == "c3d":
        package()
    rates = _numbers("--fps", fps, len(named))
    rig = read_cameras(cameras if len(cameras) > 1 else cameras[0], unit=unit)
    check_counts(rig, named, cameras)
    if format_of(out) in ("trc", "c3d") and rates is None:
        raise InputError(f"{out}: this format needs the frames' rate: --fps")
    views = read_views(named, skeleton)
    check_sizes(rig, views, named)
    offsets = _numbers("--offset", offset, len(named))
    by = _weight(_one_of("--weight", weight, WEIGHTS), views, named)
    check_fit(rig, views, named, rates, offsets, weight=by, unchecked=unchecked)
    started = time.perf_counter()
    try:
        found = _people(
            views,
            rig,
            method=_one_of("--method", method, METHODS),
            weight=by,
            **{"people": people, "shortest": shortest, "least": least, "fps": rates},
            offset=offsets,
            watch=_bar,
        )
    except ValueError as error:
        raise InputError(str(error)) from None
    seconds = time.perf_counter() - started
    written = write_poses3d(out, found, rate=None if rates is None else rates[0], y_up=y_up)
    Console(stderr=True).print(_summary(found, seconds), markup=False, highlight=False, soft_wrap=True)
    for path in written:
        say_written(path, "people in the world")
    if video is not None:
        from trustpose.multiview.frames import own_frame
        from trustpose.report.world_video import write_world_video

        write_world_video(video, found, rig, clip or [], partial(own_frame, fps=rates, offset=offsets), _bar)
        say_written(video, "a video of the people in each camera and in 3D")
    if page is not None:
        from trustpose.report.world import write_world_page

        write_world_page(page, found, rig)
        say_written(page, "a page with the people in 3D, for any browser")


def read_views(sources: Sequence[Path], skeleton: str | None) -> "list[Poses]":
    """Return each camera's poses, `image_id` being the frame's number, all of one skeleton. Raises InputError."""
    from trustpose.skeletons import difference, skeleton_of

    named = None if skeleton is None else skeleton_of(skeleton)
    notes: dict[str, None] = {}
    views = [_read_view(source, named, notes) for source in sources]
    print_notes(notes)
    for source, view in zip(sources, views, strict=True):
        differ = difference(views[0].skeleton, view.skeleton)
        if differ or view.keypoint_count != views[0].keypoint_count:
            what = differ or f"{view.keypoint_count} keypoints instead of {views[0].keypoint_count}"
            raise InputError(f"{source}: has another skeleton than {sources[0]}: {what}")
    return views


def _read_view(source: Path, skeleton: "Skeleton | None", notes: dict[str, None]) -> "Poses":
    """Return one camera's poses, and add to the `notes` how their skeleton was chosen, where that is worth saying, and
    what was not read."""
    from dataclasses import replace

    from trustpose.formats.coco import read_results
    from trustpose.formats.pose_files import Photos, assemble, find_files, read_pose_files
    from trustpose.skeletons import COCO_17

    files = find_files([source])
    tool, found = read_pose_files(files, keypoint_counts=[17 if skeleton is None else len(skeleton)])
    if tool == "coco" and len(files) == 1:  # our own fields too
        read = read_results(source, skeleton=skeleton)
        if not read.image_texts.are_numbers:
            raise InputError(f"{source}: field 'image_id': is a text, expected the frame's number")
        notes.update(dict.fromkeys(read.notes))
        poses = read.poses
        known = skeleton or (COCO_17 if poses.keypoint_count == len(COCO_17) else None)
        return replace(poses, skeleton=known)
    done = assemble(found, Photos(None, None), tool=tool, skeleton=skeleton)
    if done.counted:
        raise InputError(f"{source}: the names of the photos end in no number, so their frames are unknown")
    if done.skeleton_note is not None:
        notes[done.skeleton_note] = None
    return done.poses


def _people(views: "list[Poses]", rig: "Cameras", **options: object) -> "Poses3D":
    from trustpose.multiview import people

    return people.triangulate(views, rig, **options)  # type: ignore[arg-type]


def _weight(weight: str, views: "list[Poses]", sources: Sequence[Path]) -> str:
    """Return what to weight by: with auto, trust where all views have it, else scores, else nothing. Raises InputError
    naming a file that lacks what `weight` asks for."""
    fields = {"trust": ("quality", "keypoint_quality"), "scores": ("score", "keypoint scores")}
    lacking = {
        name: next((path for path, view in zip(sources, views, strict=True) if getattr(view, field) is None), None)
        for name, (field, _) in fields.items()
    }
    if weight == "auto":
        return next((name for name in fields if lacking[name] is None), "none")
    path = lacking.get(weight)
    if path is not None:
        repair = "add it with `trustpose calibrate apply`, or use " if weight == "trust" else "use "
        raise InputError(f"{path}: has no {fields[weight][1]}, expected with --weight {weight}; {repair}--weight auto")
    return weight


def _one_of(option: str, value: str, known: Sequence[str]) -> str:
    if value not in known:
        raise InputError(f"{option}: expected one of {', '.join(known)}, got {value!r}")
    return value


def _numbers(option: str, text: str | None, count: int) -> list[float] | None:
    """Return one number for each camera. Raises InputError."""
    if text is None:
        return None
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option}: expected numbers separated by commas, got {text[:60]!r}") from None
    if option == "--fps":
        numbers = numbers * count if len(numbers) == 1 else numbers
        if not all(0 < number < 1e6 for number in numbers):
            raise InputError(f"{option}: expected frame rates above 0, got {text[:60]!r}")
    if len(numbers) != count:
        raise InputError(f"{option}: expected {count} numbers, one for each camera, got {len(numbers)}")
    return numbers


def _summary(found: "Poses3D", seconds: float) -> str:
    """Return one line on the people found."""
    import numpy as np

    assert found.frame is not None and found.track_id is not None and found.error is not None
    if not len(found):
        return f"no person is seen by two cameras that agree, in {seconds:.1f} s"
    people, frames = len(np.unique(found.track_id)), len(np.unique(found.frame))
    missing = np.isnan(found.xyz[..., 0]).mean()
    return (
        f"{people} {'person' if people == 1 else 'people'} in {frames} frames, reprojection error "
        f"{np.nanmedian(found.error):.1f} px (median), {missing:.1%} of the joints without a place, in {seconds:.1f} s"
    )


def _bar(moments: Iterable[int]) -> Iterable[int]:
    """Yield the moments, with a progress bar on a terminal."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if not console.is_terminal:
        return moments
    return track(list(moments), description="frames", console=console, transient=True)

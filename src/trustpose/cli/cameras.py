"""`trustpose cameras`: calibrate cameras, place them in one world, synchronise their clips, and convert their files."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trustpose.addresses import page
from trustpose.cli.command import add_command, command, new_app
from trustpose.cli.outputs import check_outputs, print_note, say_written
from trustpose.cli.progress import with_progress
from trustpose.files import InputError, write_json
from trustpose.io.output_files import skeleton_file
from trustpose.multiview.options import CAMERAS, UNIT, RecordingOptions, SynchronisedOptions
from trustpose.options import argument, option

if TYPE_CHECKING:
    from trustpose.multiview.lens_calibration import LensCalibration

_BOARD = "Inner corners of the checkerboard, such as 4x7; squares of a ChArUco board."
_SQUARE = "Side of a square with its unit, such as 60mm."
_CHARUCO = "Dictionary of the ChArUco board and side of its markers: DICT_4X4_50,45mm."
_PLACE_BY = ("results", "photo", "points")


def _camera_formats() -> Iterable[str]:
    from trustpose.io.cameras import FORMATS

    return FORMATS


cameras = new_app(
    "Calibrate cameras, place them in one world, and convert their files.",
    (
        "trustpose cameras calibrate b/*.jpg --board 4x7 --square 60mm --out a.json",
        "trustpose cameras place a.json b.json --points scene.json --out cameras.json",
        "trustpose cameras convert Calib.qca.txt --out cameras.toml",
    ),
    add_completion=False,
)


@dataclass(frozen=True)
class LensFiles:
    """What is read and written by `trustpose cameras calibrate`."""

    photos: Sequence[Path] = argument(help="Photos or videos of the board, all of one camera.")
    out: Path = option(help="Write the camera to this file, in the format of its suffix.")
    name: str | None = option(None, help="The camera's name. Default: the name of the output file.")
    json: Path | None = option(None, help="Write the printed numbers to this file as JSON.")
    report: Path | None = option(None, help="Write a page with corners, residuals and photos to this HTML file.")


@dataclass(frozen=True)
class LensOptions:
    """The options of `multiview.lens_calibration.calibrate_lens`."""

    board: str = option(help=_BOARD)
    square: str = option(help=_SQUARE)
    charuco: str | None = option(None, help=_CHARUCO)
    lens: str = option("pinhole", names=("pinhole", "fisheye"), help="Model of the lens.")
    coefficients: int | None = option(
        None, help="Number of distortion coefficients: 5, 8 or 14 (pinhole), 4 (fisheye). Default: 5, or 4."
    )
    every: float = option(1.0, minimum=0.01, help="Seconds between the video frames that are used.")
    prior: bool = option(True, help="Use a prior: principal point near the centre, square pixels, small coefficients.")


@command(
    "trustpose cameras calibrate b/*.jpg --board 4x7 --square 60mm --out a.json",
    "trustpose cameras calibrate b.mp4 --board 9x6 --square 25mm --out b.yml",
)
def calibrate(files: LensFiles, options: LensOptions) -> None:
    """Estimate a camera's focal length, principal point and distortion from photos of a board.

    Prints each photo's reprojection error, which photos were left out and why, and the standard deviations.
    """
    check_outputs({"--out": files.out, "--json": files.json, "--report": files.report}, {"PHOTOS": files.photos})
    from trustpose.geometry.cameras import Cameras
    from trustpose.io.cameras import write_cameras
    from trustpose.multiview.lens_calibration import calibrate_lens

    watch = partial(with_progress, description="finding the board")
    lens = calibrate_lens(files.photos, name=files.name or files.out.stem, watch=watch, **asdict(options))
    _print_lens(lens)
    camera = lens.intrinsics.camera
    write_cameras(Cameras((camera,)), files.out)
    say_written(files.out, f"camera {camera.name!r}, not placed yet (trustpose cameras place)")
    if files.report is not None:
        from trustpose.report.lens import write_lens_page

        uses = [(use.name, use.error, use.left_out) for use in lens.photo_uses()]
        residuals = lens.intrinsics.residuals
        write_lens_page(files.report, camera.name, lens.size, uses, lens.corners, residuals, lens.lens_rows())
        say_written(files.report, "a page of the calibration, for any browser")
    if files.json is not None:
        write_json(files.json, lens.to_json())
        say_written(files.json, "the printed numbers as JSON")


def _print_lens(lens: "LensCalibration") -> None:
    """Print each photo's error, then the camera with standard deviations."""
    uses = lens.photo_uses()
    width = max(len(use.name) for use in uses)
    typer.echo(f"{'photo':{width}}  error (pixels)")
    for use in uses:
        error = "–" if use.error is None else f"{use.error:.2f}"
        typer.echo(f"{use.name:{width}}  {error:>5}  {use.left_out}".rstrip())
    typer.echo(
        f"{lens.intrinsics.is_used.sum()} of {len(uses)} photos, reprojection error {lens.intrinsics.error:.2f} "
        f"pixels, corners in {lens.coverage:.0%} of the image"
    )
    for name, text in lens.lens_rows():
        typer.echo(f"{name:18} {text:>9}")


@dataclass(frozen=True)
class PlaceFiles:
    """What is read and written by `trustpose cameras place`."""

    cameras: Sequence[Path] = argument(help=CAMERAS)
    out: Path = option(help="Write the placed cameras to this file, in the format of its suffix.")
    results: Sequence[Path] = option(
        (), help="Poses of people in one camera: COCO results or another tool's. Repeat it in the order of the cameras."
    )
    photo: Sequence[Path] = option(
        (), help="Photo of the board from one camera. Repeat it in the order of the cameras."
    )
    board: str | None = option(None, help=f"With --photo: {_BOARD}")
    square: str | None = option(None, help=f"With --photo: {_SQUARE}")
    charuco: str | None = option(None, help=f"With --photo: {_CHARUCO}")
    points: Path | None = option(
        None, help=f"Known points of the scene and their pixels, JSON or CSV ({page('guides/cameras')})."
    )
    unit: str | None = option(None, help=UNIT)
    report: Path | None = option(None, help="Write an interactive page with the cameras in 3D to this HTML file.")


@dataclass(frozen=True)
class LengthOptions:
    """The known length that gives a world its scale: `multiview.camera_placement.KnownLength`."""

    height: str | None = option(None, help="With --results: the people's mean height, such as 1.72m.")
    bone: str | None = option(None, help="With --results: a bone's length, such as left_knee,left_ankle=42cm.")
    distance: str | None = option(None, help="With --results: the distance of two cameras, such as cam_01,cam_02=4.2m.")


@command(
    "trustpose cameras place a.json b.json --points scene.json --out cameras.json",
    "trustpose cameras place ab --results a --results b --height 2m --out c.yml",
)
def place(files: PlaceFiles, length: LengthOptions, recordings: SynchronisedOptions) -> None:
    """Estimate the positions and orientations of calibrated cameras. Only their intrinsics are read.

    From a board that all cameras see at once (--photo), whose first corner is the world's origin; from points with
    known positions (--points); or from people walking through the scene (--results), with one known length, as images
    alone do not determine the scale: the world's z axis then points up, and its origin lies on the ground. Prints each
    camera's reprojection error.
    """
    methods = [f"--{name}" for name in _PLACE_BY if getattr(files, name)]
    if len(methods) != 1:
        raise InputError(f"expected one of --results, --photo, --points, got {', '.join(methods) or 'none'}")
    inputs = {"CAMERAS": files.cameras, "--results": files.results, "--photo": files.photo}
    inputs |= {"--points": [files.points] if files.points else []}
    inputs |= {"--skeleton": [path] if (path := skeleton_file(recordings.skeleton)) else []}
    check_outputs({"--out": files.out, "--report": files.report}, inputs)
    from trustpose.io.cameras import read_cameras, write_cameras
    from trustpose.multiview import camera_placement

    rig = read_cameras(files.cameras, unit=files.unit)
    if files.photo:
        if files.board is None or files.square is None:
            raise InputError("--photo: needs --board and --square")
        board = {"board": files.board, "square": files.square, "charuco": files.charuco}
        placed, seen = camera_placement.place_by_board_photos(rig, files.photo, **board, tell=typer.echo)
    elif files.points is not None:
        placed, seen = camera_placement.place_by_scene_points(rig, files.points, tell=typer.echo)
    else:
        placed, seen = camera_placement.place_by_results(
            rig,
            files.results,
            camera_placement.KnownLength(**asdict(length)),
            **asdict(recordings),
            tell=typer.echo,
            note=print_note,
        )
    write_cameras(placed, files.out)
    say_written(files.out, f"{len(placed)} placed cameras")
    if files.report is not None:
        from trustpose.report.world import write_world_page

        summary = None if files.results else f"{len(placed)} cameras, {seen.keypoint_count} points"
        write_world_page(files.report, seen, placed, title="Cameras", summary=summary)
        say_written(files.report, "a page with the cameras in 3D, for any browser")


@dataclass(frozen=True)
class SynchroniseFiles:
    """What is read and written by `trustpose cameras synchronise`."""

    results: Sequence[Path] = argument(help="Poses of each camera: COCO results, or another tool's.")
    longest: float | None = option(
        None, minimum=0, help="Largest time shift to consider, in seconds. Default: half of the shortest clip."
    )
    json: Path | None = option(None, help="Write the offsets to this file as JSON.")


@command(
    "trustpose cameras synchronise a.json b.json --fps 60",
    "trustpose cameras synchronise a b c --fps 60,60,30 --longest 2",
)
def synchronise(files: SynchroniseFiles, recordings: RecordingOptions) -> None:
    """Estimate the time offsets between clips of cameras that show the same people. Needs --fps.

    Correlates how fast each keypoint moves up and down, for cameras that stand upright. Prints the seconds to add to
    each camera's times, as `--offset` of `triangulate` and `cameras place` takes them.
    """
    inputs = {"RESULTS": files.results}
    inputs |= {"--skeleton": [path] if (path := skeleton_file(recordings.skeleton)) else []}
    check_outputs({"--json": files.json}, inputs)
    from trustpose.multiview.synchronisation import synchronise_results

    rates, shifts = synchronise_results(files.results, files.longest, **asdict(recordings), note=print_note)
    for file, offset, rate, peak in zip(files.results, shifts.offset, rates, shifts.correlation, strict=True):
        typer.echo(f"{file}: {offset:+.4f} s ({offset * rate:+.1f} of its frames), correlation {peak:.2f}")
    typer.echo("--offset=" + ",".join(f"{offset:.4f}" for offset in shifts.offset))
    if files.json is not None:
        record = {"offset": shifts.offset.tolist(), "correlation": shifts.correlation.tolist(), "fps": rates}
        write_json(files.json, record | {"results": [str(path) for path in files.results]})
        say_written(files.json, "the offsets as JSON")


@dataclass(frozen=True)
class ConvertFiles:
    """What is read and written by `trustpose cameras convert`."""

    files: Sequence[Path] = argument(help=CAMERAS)
    out: Path = option(help="Write the cameras to this file (OpenPose: folder).")
    to: str | None = option(
        None, names=_camera_formats, help="Format to write. Default: that of the suffix; Pose2Sim's for .toml."
    )
    format: str | None = option(
        None, names=_camera_formats, help="Format of the files. Default: recognised by their content."
    )
    unit: str | None = option(None, help=UNIT)
    to_unit: str | None = option(None, help="Unit of length to write in anipose's TOML.")
    only: str | None = option(None, help="Cameras to keep, separated by commas; * matches any text.")


@command(
    "trustpose cameras convert Calib.qca.txt --out cameras.toml",
    "trustpose cameras convert a.json b.json --out both.json",
    "trustpose cameras convert calibration.toml --unit mm --out cameras.xml",
    "trustpose cameras convert panoptic.json --only '00_*' --out hd.json",
)
def convert(options: ConvertFiles) -> None:
    """Convert cameras between formats, or put several files together.

    Reads and writes OpenCV's YAML and XML, Pose2Sim's, anipose's and FreeMoCap's TOML, Qualisys' .qca.txt, OpenPose's
    XML, Panoptic's, Shelf's and Campus' JSON, and our own.
    """
    check_outputs({} if options.out.is_dir() else {"--out": options.out}, {"FILES": options.files})
    from trustpose.io.cameras import read_cameras, write_cameras

    rig = read_cameras(options.files, options.format, options.unit)
    if options.only is not None:
        rig = rig.matching(options.only)
    written = write_cameras(rig, options.out, options.to, options.to_unit)
    for path in written:
        say_written(path, f"{len(rig) // len(written)} camera{'s' if len(rig) > len(written) else ''}")


for _name, _function in (
    ("calibrate", calibrate),
    ("convert", convert),
    ("place", place),
    ("synchronise", synchronise),
):
    add_command(cameras, _name, _function)

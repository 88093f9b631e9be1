"""`trustpose cameras`: calibrate and place cameras, and convert their files."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trustpose.cli.choices import camera_formats, choices, completed
from trustpose.cli.examples import examples
from trustpose.cli.outputs import check_outputs, say_written
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.multiview.boards import Board

LENSES = ("pinhole", "fisheye")
CAMERAS_MEANS = "Camera file of any known format (repeatable: one camera each), or a folder of them."
UNIT_MEANS = "Unit of length of the camera file (m, cm, mm, in, ft), where its format leaves it open."

cameras = typer.Typer(
    help="Calibrate cameras, place them in one world, and convert their files.",
    no_args_is_help=True,
    epilog=examples("cameras"),
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@cameras.command(epilog=examples("cameras calibrate"))
def calibrate(
    photos: Annotated[list[Path], typer.Argument(help="Photos or videos of the board, all of one camera.")],
    board: Annotated[
        str, typer.Option(help="Inner corners of the checkerboard, such as 4x7; of a ChArUco board, its squares.")
    ],
    square: Annotated[str, typer.Option(help="Side of a square with its unit, such as 60mm.")],
    out: Annotated[Path, typer.Option(help="Write the camera to this file; its suffix chooses the format.")],
    charuco: Annotated[
        str | None, typer.Option(help="The ChArUco board's dictionary and marker's side: DICT_4X4_50,45mm.")
    ] = None,
    lens: Annotated[str, typer.Option(**choices(*LENSES))] = "pinhole",
    coefficients: Annotated[
        int | None, typer.Option(help="Distortion coefficients: 5, 8 or 14 (pinhole), 4 (fisheye). Default: 5, or 4.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The camera's name. Default: the output file's.")] = None,
    every: Annotated[float, typer.Option(help="Seconds between the frames used of a video.", min=0.01)] = 1.0,
    prior: Annotated[
        bool,
        typer.Option(help="Expect the principal point near the centre, square pixels and small coefficients."),
    ] = True,
    json: Annotated[Path | None, typer.Option(help="Write the printed numbers to this file as JSON.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with corners, residuals and photos to this HTML file.")
    ] = None,
) -> None:
    """Find a camera's focal length, principal point and distortion from photos of a board.

    Prints each photo's reprojection error, which photos were left out and why, and the standard deviations.
    """
    from trustpose.cli.cameras_tables import calibration_record, lens_rows, photo_uses, print_calibration
    from trustpose.files import write_json
    from trustpose.formats.cameras import write_cameras
    from trustpose.geometry.cameras import Cameras
    from trustpose.multiview.intrinsics import DEFAULT_PRIOR
    from trustpose.multiview.intrinsics import calibrate as run

    check_outputs({"--out": out, "--json": json, "--report": report}, {"PHOTOS": photos})
    if lens not in LENSES:
        raise InputError(f"--lens: expected pinhole or fisheye, got {lens!r}")
    pattern = parse_board(board, square, charuco)
    found = _photos(photos, pattern, every)
    seen = [one for one in found if one.corners is not None]
    if len(seen) < 3:
        whole = "" if charuco else ", whole, with this many inner corners"
        raise InputError(f"{photos[0]}: the board was found in {len(seen)} of {len(found)} photos{whole}; 3 are needed")
    try:
        calibrated = run(
            [one.corners for one in seen if one.corners is not None],
            pattern,
            seen[0].size,
            name=name or out.stem,
            lens="fisheye" if lens == "fisheye" else "pinhole",
            coefficients=coefficients or (4 if lens == "fisheye" else 5),
            prior=DEFAULT_PRIOR if prior else None,
        )
    except ValueError as error:
        raise InputError(f"{photos[0]}: {error}") from None
    print_calibration(calibrated, found)
    write_cameras(Cameras((calibrated.camera,)), out)
    say_written(out, f"camera {calibrated.camera.name!r}, not placed yet (trustpose cameras place)")
    if report is not None:
        from trustpose.report.lens import write_lens_page

        camera, corners = calibrated.camera, [one.corners for one in seen if one.corners is not None]
        uses, lens_found = photo_uses(calibrated, found), lens_rows(calibrated)
        write_lens_page(report, camera.name, seen[0].size, uses, corners, calibrated.residuals, lens_found)
        say_written(report, "a page of the calibration, for any browser")
    if json is not None:
        write_json(json, calibration_record(calibrated, found))
        say_written(json, "the printed numbers as JSON")


@cameras.command(epilog=examples("cameras convert"))
def convert(
    files: Annotated[list[Path], typer.Argument(help=CAMERAS_MEANS)],
    out: Annotated[Path, typer.Option(help="Write the cameras to this file (OpenPose: folder).")],
    to: Annotated[
        str | None,
        typer.Option(
            **completed(camera_formats), help="Format to write. Default: by the suffix, as Pose2Sim for .toml."
        ),
    ] = None,
    format: Annotated[
        str | None, typer.Option(**completed(camera_formats), help="Format of the files. Default: recognised.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help=UNIT_MEANS)] = None,
    to_unit: Annotated[str | None, typer.Option(help="Unit of length to write, for anipose's TOML.")] = None,
    only: Annotated[str | None, typer.Option(help="Cameras to keep, comma-separated; * stands for any text.")] = None,
) -> None:
    """Convert cameras between formats, or put several files together.

    Reads and writes OpenCV's YAML and XML, Pose2Sim's, anipose's and FreeMoCap's TOML, Qualisys' .qca.txt, OpenPose's
    XML, Panoptic's, Shelf's and Campus' JSON, and our own.
    """
    from trustpose.formats.cameras import read_cameras, write_cameras

    check_outputs({} if out.is_dir() else {"--out": out}, {"FILES": files})
    read = read_cameras(files, format, unit)
    kept = read[list(_matching(read.names, only))] if only else read
    written = write_cameras(kept, out, to, to_unit)
    for path in written:
        say_written(path, f"{len(kept) // len(written)} camera{'s' if len(kept) > len(written) else ''}")


def parse_board(board: str, square: str, charuco: str | None) -> "Board":
    """Return the board that the options describe. Raises InputError naming the option."""
    from trustpose.geometry.lengths import parse_length
    from trustpose.multiview.boards import Board

    columns, cross, rows = board.lower().partition("x")
    if not (cross and columns.isdecimal() and rows.isdecimal()):
        raise InputError(f"--board: expected columns x rows, such as 4x7, got {board!r}")
    option, dictionary, marker = "--square", None, None
    try:
        side = parse_length(square)
        if charuco is not None:
            option = "--charuco"
            dictionary, comma, length = charuco.partition(",")
            if not comma:
                raise ValueError(
                    f"expected a dictionary and the markers' side, such as DICT_4X4_50,45mm, got {charuco!r}"
                )
            marker = parse_length(length)
        option = "--board"
        return Board(int(columns), int(rows), side, marker, dictionary)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None


def _photos(photos: list[Path], board: "Board", every: float) -> list:
    from rich.console import Console
    from rich.progress import Progress

    from trustpose.multiview.board_photos import find_boards

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("finding the board", total=None)
        found = []
        for one in find_boards(photos, board, every):
            found.append(one)
            progress.update(bar, description=f"finding the board: {one.name}")
        return found


def _matching(names: tuple[str, ...], only: str) -> list[str]:
    """Return the names that fit one of the comma-separated patterns. Raises InputError if a pattern fits none."""
    from fnmatch import fnmatchcase

    patterns = [one.strip() for one in only.split(",")]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            listed = ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
            raise InputError(f"--only: no camera {pattern!r}; there are {listed}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]

"""`trustpose cameras place`: where calibrated cameras stand, by a board, by points of the scene, or by people."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trustpose.cli.cameras import CAMERAS_MEANS, UNIT_MEANS, parse_board
from trustpose.cli.choices import completed, skeletons
from trustpose.cli.outputs import check_outputs, say_written, skeleton_file
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.geometry.cameras import Cameras
    from trustpose.multiview.extrinsics import Placed
    from trustpose.poses import Poses, Poses3D

LENGTHS = "--height, --bone or --distance"


def place(
    cameras: Annotated[list[Path], typer.Argument(help=CAMERAS_MEANS)],
    out: Annotated[Path, typer.Option(help="Write the placed cameras to this file; its suffix chooses the format.")],
    results: Annotated[
        list[Path] | None,
        typer.Option(help="Poses of people, of one camera: COCO results, or another tool's. Repeat in their order."),
    ] = None,
    photo: Annotated[
        list[Path] | None, typer.Option(help="Photo of the board, of one camera. Repeat in the cameras' order.")
    ] = None,
    board: Annotated[str | None, typer.Option(help="With --photo: inner corners, or ChArUco squares: 4x7.")] = None,
    square: Annotated[str | None, typer.Option(help="With --photo: side of a square with its unit: 60mm.")] = None,
    charuco: Annotated[str | None, typer.Option(help="With --photo: dictionary, marker's side.")] = None,
    points: Annotated[
        Path | None, typer.Option(help="Points of the scene and their pixels, JSON or CSV (docs/guides/cameras.md).")
    ] = None,
    height: Annotated[str | None, typer.Option(help="With --results: the people's mean height, such as 1.72m.")] = None,
    bone: Annotated[
        str | None, typer.Option(help="With --results: a bone's length, such as left_knee,left_ankle=42cm.")
    ] = None,
    distance: Annotated[
        str | None, typer.Option(help="With --results: the distance of two cameras, such as cam_01,cam_02=4.2m.")
    ] = None,
    weight: Annotated[str, typer.Option(help="With --results: trust, scores, none, or auto.")] = "auto",
    fps: Annotated[str | None, typer.Option(help="With --results: as for `triangulate`.")] = None,
    offset: Annotated[str | None, typer.Option(help="With --results: seconds to add, from `synchronise`.")] = None,
    skeleton: Annotated[
        str | None, typer.Option(**completed(skeletons), help="With --results: skeleton, if they do not name it.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help=UNIT_MEANS)] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write a page with the cameras in 3D, to turn, to this HTML file.")
    ] = None,
) -> None:
    """Find where calibrated cameras stand. Only their intrinsics are used.

    By a board that all see at once (--photo): its first corner is the world's origin. By points whose places are known
    (--points). By people walking through the scene (--results), with one known length, since images show no scale; the
    world's z axis points up, and its origin lies on the ground. Prints each camera's reprojection error.
    """
    from trustpose.formats.cameras import read_cameras, write_cameras

    ways = {"--results": bool(results), "--photo": bool(photo), "--points": points is not None}
    if sum(ways.values()) != 1:
        raise InputError(f"expected one of {', '.join(ways)}, got {', '.join(w for w in ways if ways[w]) or 'none'}")
    given = {"CAMERAS": cameras, "--results": results, "--photo": photo, "--points": points}
    check_outputs({"--out": out, "--report": report}, given | {"--skeleton": skeleton_file(skeleton)})
    rig = read_cameras(cameras, unit=unit)
    if photo:
        if board is None or square is None:
            raise InputError("--photo: needs --board and --square")
        placed, seen = _by_board(rig, photo, board, square, charuco)
    elif points is not None:
        placed, seen = _by_points(rig, points)
    else:
        placed, seen = _by_people(rig, results or [], skeleton, weight, (fps, offset), (height, bone, distance))
    write_cameras(placed, out)
    say_written(out, f"{len(placed)} placed cameras")
    if report is not None:
        from trustpose.report.world import write_world_page

        said = None if results else f"{len(placed)} cameras, {seen.keypoint_count} points"
        write_world_page(report, seen, placed, title="Cameras", summary=said)
        say_written(report, "a page with the cameras in 3D, for any browser")


def _by_board(
    rig: "Cameras", photos: list[Path], board: str, square: str, charuco: str | None
) -> "tuple[Cameras, Poses3D]":
    from trustpose.geometry.cameras import Cameras
    from trustpose.multiview.board_photos import find_boards
    from trustpose.multiview.known_points import place_by_points
    from trustpose.poses import Poses3D

    _check_count(rig, photos, "--photo")
    pattern = parse_board(board, square, charuco)
    if not pattern.has_one_way_up:
        raise InputError(
            f"--board: a {board} board looks the same upside down, so that cameras cannot agree on it; expected one "
            "with an odd and an even number of corners, such as 4x7, or --charuco"
        )
    placed = []
    for camera, path in zip(rig, photos, strict=True):
        (found,) = list(find_boards([path], pattern, every=1e9))
        if found.corners is None:
            raise InputError(f"{path}: the board was not found, whole, as camera {camera.name!r} sees it")
        if camera.size is not None and found.size != camera.size:
            wanted, got = ("{} × {}".format(*size) for size in (camera.size, found.size))
            raise InputError(f"{path}: has {got} pixels, but camera {camera.name!r} was calibrated with {wanted}")
        one = place_by_points(camera, pattern.points, found.corners)
        _say(camera.name, one.error, len(pattern.points))
        placed.append(one.camera)
    return Cameras(tuple(placed)), Poses3D(pattern.points[None])


def _by_points(rig: "Cameras", path: Path) -> "tuple[Cameras, Poses3D]":
    import numpy as np

    from trustpose.formats.scene_points import read_scene_points
    from trustpose.geometry.cameras import Cameras
    from trustpose.multiview.known_points import place_by_points
    from trustpose.poses import Poses3D

    known = read_scene_points(path)
    placed = []
    for camera in rig:
        if camera.name not in known:
            raise InputError(f"{path}: camera {camera.name!r} is missing; there are {', '.join(known) or 'none'}")
        points = known[camera.name]
        try:
            one = place_by_points(camera, points.xyz, points.pixels)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
        _say(camera.name, one.error, len(points.names))
        worst = int(one.errors.argmax())
        if one.errors[worst] > max(5.0, 3 * float(sorted(one.errors)[len(one.errors) // 2])):
            typer.echo(f"  point {points.names[worst]!r} is {one.errors[worst]:.1f} pixels off: is it the right one?")
        placed.append(one.camera)
    places = {name: xyz for points in known.values() for name, xyz in zip(points.names, points.xyz, strict=True)}
    return Cameras(tuple(placed)), Poses3D(np.array(list(places.values()))[None])


def _by_people(
    rig: "Cameras",
    results: list[Path],
    skeleton: str | None,
    weight: str,
    times: tuple[str | None, str | None],
    lengths: tuple[str | None, str | None, str | None],
) -> "tuple[Cameras, Poses3D]":
    import numpy as np

    from trustpose.cli.triangulate import WEIGHTS, read_views
    from trustpose.cli.triangulate import _numbers as numbers
    from trustpose.cli.triangulate import _one_of as one_of
    from trustpose.cli.triangulate import _weight as chosen
    from trustpose.multiview.extrinsics import place_by_people
    from trustpose.multiview.frames import match_frames
    from trustpose.multiview.world import make_upright
    from trustpose.poses import Poses3D

    _check_count(rig, results, "--results")
    if sum(one is not None for one in lengths) != 1:
        raise InputError(f"--results: images show no scale; expected one known length: {LENGTHS}")
    views = read_views(results, skeleton)
    rates, offsets = (numbers(name, text, len(rig)) for name, text in zip(("--fps", "--offset"), times, strict=True))
    how = chosen(one_of("--weight", weight, WEIGHTS), views, results)
    try:
        placed = place_by_people(views, rig, match_frames(views, rates, offsets), how)
        placed = placed.scaled(_factor(placed, views, *lengths))
    except (ValueError, KeyError) as error:
        raise InputError(str(error).strip('"')) from None
    skeleton_of_all = views[0].skeleton
    try:
        if skeleton_of_all is None:
            raise ValueError("the skeleton is unknown")
        placed = make_upright(placed, skeleton_of_all)
    except ValueError as error:
        typer.echo(f"the world is the first camera's frame: {error}")
    for camera, errors in zip(placed.cameras, placed.errors, strict=True):
        known = np.isfinite(errors)
        typer.echo(
            f"{camera.name}: median reprojection error {np.median(errors[known]):.1f} pixels of {known.sum()} keypoints"
        )
    return placed.cameras, Poses3D(placed.xyz, frame=placed.moment, skeleton=skeleton_of_all)


def _factor(
    placed: "Placed", views: "list[Poses]", height: str | None, bone: str | None, distance: str | None
) -> float:
    """Return what to multiply all lengths by. Raises ValueError naming the option, KeyError for an unknown camera."""
    from trustpose.geometry.lengths import parse_length
    from trustpose.multiview.world import body_height, bone_length, camera_distance

    skeleton = views[0].skeleton
    if distance is not None:
        (one, other), metres = _pair("--distance", distance)
        return metres / camera_distance(placed.cameras, one, other)
    if skeleton is None:
        raise ValueError("--skeleton: needed for --height and --bone, as the results do not name theirs")
    if height is not None:
        try:
            return parse_length(height) / body_height(placed.xyz, skeleton)
        except ValueError as error:
            raise ValueError(f"--height: {error}") from None
    assert bone is not None
    (one, other), metres = _pair("--bone", bone)
    return metres / bone_length(placed.xyz, skeleton, one, other)


def _pair(option: str, text: str) -> tuple[tuple[str, str], float]:
    """Return the two names and the length of NAME,NAME=LENGTH."""
    from trustpose.geometry.lengths import parse_length

    names, equals, length = text.rpartition("=")
    one, comma, other = names.partition(",")
    if not (equals and comma and one.strip() and other.strip()):
        raise ValueError(f"{option}: expected NAME,NAME=LENGTH, got {text!r}")
    try:
        return (one.strip(), other.strip()), parse_length(length)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def _check_count(rig: "Cameras", files: list[Path], option: str) -> None:
    if len(files) != len(rig):
        names = ", ".join(rig.names)
        raise InputError(f"{option}: expected one for each of {len(rig)} cameras ({names}), got {len(files)}")


def _say(name: str, error: float, count: int) -> None:
    typer.echo(f"{name}: reprojection error {error:.2f} pixels of {count} points")

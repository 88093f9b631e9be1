"""Place calibrated cameras in one world from files: what `trustpose cameras place` does before it draws."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trustpose.files import InputError
from trustpose.formats.scene_points import read_scene_points
from trustpose.geometry.cameras import Cameras
from trustpose.geometry.lengths import parse_length
from trustpose.multiview.board_photos import find_boards
from trustpose.multiview.extrinsics import PlacedCameras, place_by_people
from trustpose.multiview.frames import match_frames
from trustpose.multiview.known_points import place_by_points
from trustpose.multiview.lens_calibration import read_board
from trustpose.multiview.recordings import read_recordings
from trustpose.multiview.world import body_height, bone_length, camera_distance, make_upright
from trustpose.poses import Poses3D
from trustpose.skeletons import Skeleton

Tell = Callable[[str], None]

_OFF_POINT, _OFF_OTHERS = 5.0, 3.0  # pixels, and times the median error: from both on, a point may be the wrong one


@dataclass(frozen=True)
class KnownLength:
    """The one length that gives a world its scale, as text: the people's mean height ("1.72m"), a bone
    ("left_knee,left_ankle=42cm") or the distance of two cameras ("cam_01,cam_02=4.2m"). Raises InputError unless
    exactly one is given."""

    height: str | None = None
    bone: str | None = None
    distance: str | None = None

    def __post_init__(self) -> None:
        if sum(length is not None for length in (self.height, self.bone, self.distance)) != 1:
            options = "--height, --bone or --distance"
            raise InputError(f"--results: images show no scale; expected one known length: {options}")


def place_by_board_photos(
    cameras: Cameras, photos: Sequence[Path], *, board: str, square: str, charuco: str | None, tell: Tell
) -> tuple[Cameras, Poses3D]:
    """Place cameras by a board that all see at once, whose first corner is the world's origin.

    Args:
        cameras: their intrinsics are used.
        photos: each camera's photo of the board, in the cameras' order.
        board, square, charuco: see `lens_calibration.read_board`.
        tell: is called with a line for each camera.

    Returns:
        The placed cameras, and the board's corners as one person of the world.

    Raises:
        InputError: naming the option or file at fault.
    """
    _check_count(cameras, photos, "--photo")
    pattern = read_board(board, square, charuco)
    if not pattern.has_one_way_up:
        raise InputError(
            f"--board: a {board} board looks the same upside down, so that cameras cannot agree on it; expected one "
            "with an odd and an even number of corners, such as 4x7, or --charuco"
        )
    placed_cameras = []
    for camera, path in zip(cameras, photos, strict=True):
        (photo,) = list(find_boards([path], pattern, every=1e9))
        if photo.corners is None:
            raise InputError(f"{path}: the board was not found, whole, as camera {camera.name!r} sees it")
        if camera.size is not None and photo.size != camera.size:
            expected, actual = ("{} × {}".format(*size) for size in (camera.size, photo.size))
            raise InputError(f"{path}: has {actual} pixels, but camera {camera.name!r} was calibrated with {expected}")
        placed = place_by_points(camera, pattern.points, photo.corners)
        tell(f"{camera.name}: reprojection error {placed.error:.2f} pixels of {len(pattern.points)} points")
        placed_cameras.append(placed.camera)
    return Cameras(tuple(placed_cameras)), Poses3D(pattern.points[None])


def place_by_scene_points(cameras: Cameras, path: Path, *, tell: Tell) -> tuple[Cameras, Poses3D]:
    """Place cameras by points of the scene whose places are known; see `place_by_board_photos`.

    Args:
        path: the points and their pixels, see `formats.scene_points`.
    """
    scene = read_scene_points(path)
    placed_cameras = []
    for camera in cameras:
        if camera.name not in scene:
            raise InputError(f"{path}: camera {camera.name!r} is missing; there are {', '.join(scene) or 'none'}")
        points = scene[camera.name]
        try:
            placed = place_by_points(camera, points.xyz, points.pixels)
        except ValueError as error:
            raise InputError(f"{path}: {error}") from None
        tell(f"{camera.name}: reprojection error {placed.error:.2f} pixels of {len(points.names)} points")
        worst = int(placed.errors.argmax())
        median = float(sorted(placed.errors)[len(placed.errors) // 2])
        if placed.errors[worst] > max(_OFF_POINT, _OFF_OTHERS * median):
            tell(f"  point {points.names[worst]!r} is {placed.errors[worst]:.1f} pixels off: is it the right one?")
        placed_cameras.append(placed.camera)
    by_name = {name: xyz for points in scene.values() for name, xyz in zip(points.names, points.xyz, strict=True)}
    return Cameras(tuple(placed_cameras)), Poses3D(np.array(list(by_name.values()))[None])


def place_by_results(
    cameras: Cameras,
    results: Sequence[Path],
    length: KnownLength,
    *,
    skeleton: str | None = None,
    fps: str | None = None,
    offset: str | None = None,
    weight: str = "auto",
    tell: Tell,
    note: Tell,
) -> tuple[Cameras, Poses3D]:
    """Place cameras by people who walk through the scene; see `place_by_board_photos`. The world's z axis points up,
    and its origin lies on the ground.

    Args:
        results: the poses of each camera, in the cameras' order.
        length: gives the world its scale, which images do not show.
        skeleton, fps, offset, weight: see `recordings.read_recordings`.
        note: is called with what the user should know of the files.

    Returns:
        The placed cameras, and the people.
    """
    _check_count(cameras, results, "--results")
    recordings = read_recordings(results, skeleton=skeleton, fps=fps, offset=offset, weight=weight)
    for text in recordings.notes:
        note(text)
    views = recordings.views
    joint_skeleton = views[0].skeleton
    try:
        moments = match_frames(views, recordings.fps, recordings.offset)
        placed = place_by_people(views, cameras, moments, recordings.weight)
        placed = placed.scaled(_scale(placed, joint_skeleton, length))
    except (ValueError, KeyError) as error:
        raise InputError(str(error).strip('"')) from None
    try:
        if joint_skeleton is None:
            raise ValueError("the skeleton is unknown")
        placed = make_upright(placed, joint_skeleton)
    except ValueError as error:
        tell(f"the world is the first camera's frame: {error}")
    for camera, errors in zip(placed.cameras, placed.errors, strict=True):
        seen = np.isfinite(errors)
        median = np.median(errors[seen])
        tell(f"{camera.name}: median reprojection error {median:.1f} pixels of {seen.sum()} keypoints")
    return placed.cameras, Poses3D(placed.xyz, frame=placed.moment, skeleton=joint_skeleton)


def _scale(placed: PlacedCameras, skeleton: Skeleton | None, length: KnownLength) -> float:
    """Return what to multiply all lengths by. Raises ValueError naming the option, KeyError for an unknown camera."""
    if length.distance is not None:
        (first, second), metres = _named_length("--distance", length.distance)
        return metres / camera_distance(placed.cameras, first, second)
    if skeleton is None:
        raise ValueError("--skeleton: needed for --height and --bone, as the results do not name theirs")
    if length.height is not None:
        try:
            return parse_length(length.height) / body_height(placed.xyz, skeleton)
        except ValueError as error:
            raise ValueError(f"--height: {error}") from None
    assert length.bone is not None
    (first, second), metres = _named_length("--bone", length.bone)
    return metres / bone_length(placed.xyz, skeleton, first, second)


def _named_length(option: str, text: str) -> tuple[tuple[str, str], float]:
    """Return the two names and the length of NAME,NAME=LENGTH."""
    names, equals, length = text.rpartition("=")
    first, comma, second = names.partition(",")
    if not (equals and comma and first.strip() and second.strip()):
        raise ValueError(f"{option}: expected NAME,NAME=LENGTH, got {text!r}")
    try:
        return (first.strip(), second.strip()), parse_length(length)
    except ValueError as error:
        raise ValueError(f"{option}: {error}") from None


def _check_count(cameras: Cameras, files: Sequence[Path], option: str) -> None:
    if len(files) != len(cameras):
        names = ", ".join(cameras.names)
        raise InputError(f"{option}: expected one for each of {len(cameras)} cameras ({names}), got {len(files)}")

"""Place calibrated cameras in one world from files: what `trustpose cameras place` does before it draws.

The scale and the upright of a world whose cameras were placed by people: images show neither. Source of the shares of
a person's height: Drillis and Contini 1966, as in Winter, Biomechanics and Motor Control of Human Movement, figure
4.1: hip at 0.530 of the height, knee at 0.285, ankle at 0.039.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.geometry.expected_error import parse_length
from trustpose.io.scene_points import read_scene_points
from trustpose.multiview.boards import find_boards
from trustpose.multiview.extrinsics import PlacedCameras, place_by_people
from trustpose.multiview.frames import match_frames
from trustpose.multiview.intrinsics import board_pose, rotation_matrix
from trustpose.multiview.lens_calibration import read_board
from trustpose.multiview.recordings import read_recordings
from trustpose.poses import Poses3D
from trustpose.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class PlacedByPoints:
    """A placed `camera`, and each point's reprojection error `errors` (N,), pixels; NaN for one that it does not
    see."""

    camera: Camera
    errors: Float[np.ndarray, " N"]

    @property
    def error(self) -> float:
        """The root mean square of the errors, pixels."""
        return float(np.sqrt(np.nanmean(self.errors**2)))


def place_by_points(camera: Camera, xyz: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"]) -> PlacedByPoints:
    """Return the camera where it sees points (N, 3) of the world, metres, at those pixels (N, 2); NaN: unseen.

    Raises ValueError naming the camera if it sees fewer than 4 points (of a plane; else 6), or no pose fits.
    """
    seen = np.isfinite(pixels).all(axis=1)
    flat = seen.sum() > 3 and np.linalg.matrix_rank(xyz[seen] - xyz[seen].mean(axis=0), tol=1e-9) < 3
    fewest = 4 if flat else 6
    if seen.sum() < fewest:
        raise ValueError(f"camera {camera.name!r}: sees {seen.sum()} of the points, {fewest} are needed")
    try:
        pose = board_pose(camera, xyz[seen], pixels[seen])
    except ValueError as error:
        raise ValueError(f"camera {camera.name!r}: {error}") from None
    placed = camera.placed(rotation_matrix(pose[:3]), pose[3:])
    return PlacedByPoints(placed, np.linalg.norm(placed.project(xyz) - pixels, axis=1))


LEG = 0.530 - 0.039  # of the height: from hip to knee to ankle
_ANKLE = 0.039
_LEGS = (("left_hip", "left_knee", "left_ankle"), ("right_hip", "right_knee", "right_ankle"))
_LOW, _HIGH = ("left_ankle", "right_ankle"), ("left_shoulder", "right_shoulder")


def bone_length(xyz: Float[np.ndarray, "N K 3"], skeleton: Skeleton, start: str, end: str) -> float:
    """Return the median distance of two joints, in units of `xyz`. Raises ValueError if the skeleton lacks one, or no
    person shows both."""
    starts, ends = (_joint(xyz, skeleton, name) for name in (start, end))
    lengths = np.linalg.norm(starts - ends, axis=1)
    if not np.isfinite(lengths).any():
        raise ValueError(f"no person has both {start} and {end}")
    return float(np.nanmedian(lengths))


def body_height(xyz: Float[np.ndarray, "N K 3"], skeleton: Skeleton) -> float:
    """Return the people's height, in units of `xyz`: from the length of their legs, which no bent posture shortens.

    Raises ValueError if the skeleton has no hips, knees and ankles, or nobody shows a leg.
    """
    legs = []
    for hip, knee, ankle in _LEGS:
        thigh, shank = ((hip, knee), (knee, ankle))
        legs.append(sum(bone_length(xyz, skeleton, *bone) for bone in (thigh, shank)))
    return float(np.mean(legs)) / LEG


def camera_distance(cameras: Cameras, first: str, second: str) -> float:
    """Return the distance of two cameras. Raises KeyError for an unknown name."""
    return float(np.linalg.norm(cameras[first].centre - cameras[second].centre))


def make_upright(placed: PlacedCameras, skeleton: Skeleton) -> PlacedCameras:
    """Return the same world with z upwards, z = 0 the ground, and the middle of the people's paths as its origin.

    Up is the mean direction from ankles to shoulders, and the ground lies a twenty-fifth of the height below the lowest
    ankles: good for looking at, not a survey. Raises ValueError if the skeleton has no ankles and shoulders.
    """
    xyz = placed.xyz
    low, high = (np.mean([_joint(xyz, skeleton, name) for name in names], axis=0) for names in (_LOW, _HIGH))
    standing = high - low
    is_known = np.isfinite(standing).all(axis=1)
    if not is_known.any():
        raise ValueError("no person has ankles and shoulders, so the vertical is unknown")
    lengths = np.linalg.norm(standing[is_known], axis=1, keepdims=True)
    up = np.median(standing[is_known] / lengths, axis=0)
    up /= np.linalg.norm(up)
    right = np.cross(placed.cameras[0].rotation[2], up)  # of the first camera
    if np.linalg.norm(right) < 1e-3:  # which looks straight down
        right = placed.cameras[0].rotation[0]
    forwards = np.cross(up, right)
    forwards /= np.linalg.norm(forwards)
    rotation = np.stack([np.cross(forwards, up), forwards, up])
    ankles = low[is_known] @ rotation.T
    ground = np.percentile(ankles[:, 2], 5) - _ANKLE * body_height(xyz, skeleton)
    return placed.moved(rotation, -np.array([*np.median(ankles[:, :2], axis=0), ground]))


def _joint(xyz: Float[np.ndarray, "N K 3"], skeleton: Skeleton, name: str) -> Float[np.ndarray, "N 3"]:
    if name not in skeleton.keypoints:
        raise ValueError(f"skeleton {skeleton.name!r} has no {name}; it has {', '.join(skeleton.keypoints)}")
    return xyz[:, skeleton.keypoints.index(name)]


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
            raise InputError(
                f"--results: images alone do not determine the scale; expected one known length: {options}"
            )


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
            raise InputError(f"{path}: camera {camera.name!r} does not see the whole board")
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
        path: the points and their pixels, see `io.scene_points`.
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

"""A page of people and cameras in the world: one self-contained HTML file to turn, zoom and play, also offline.

The script is ours and is named in the page's policy by its hash, so that the browser runs nothing else.

A video of people in the world: each camera's frames with the people drawn where it should see them, and a view of all
in 3D, from an eye that circles slowly. The reprojections come from the people in the world alone, so an error of
cameras or association is seen at once.
"""

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson
from jaxtyping import Float, UInt8
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trustpose.files import InputError, atomic_write
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.video import Video
from trustpose.poses import MISSING_ID, Poses, Poses3D
from trustpose.report.draw import draw_poses
from trustpose.report.video import H264Writer, VideoWriter, has_h264
from trustpose.version import __version__

MAX_FRAMES = 3000  # in a page; of longer clips every second, third … frame is shown
_DIGITS = 3  # millimetres
_USUAL_RATE = 25.0
_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)


def write_world_page(
    path: str | Path, poses: Poses3D, cameras: Cameras | None = None, title: str = "People", summary: str | None = None
) -> None:
    """Write the page. Raises InputError if the file cannot be written."""
    html = world_page(poses, cameras, title, summary).encode()
    with atomic_write(path) as file:
        file.write(html)


def world_page(
    poses: Poses3D, cameras: Cameras | None = None, title: str = "People", summary: str | None = None
) -> str:
    """Return the page as HTML: people frame by frame, coloured by trust or by person, and the cameras' pyramids.

    summary: shown below the title instead of the table of people, for points that do not belong to people.
    """
    script = (Path(__file__).parent / "world.js").read_text()
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    value = _data(poses, cameras or Cameras(()))
    # a "<" in JSON text could end the element, so it is written as an escape that JSON reads as the same
    data = orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode().replace("<", "\\u003c")
    return _TEMPLATES.get_template("world.html.jinja").render(
        title=title,
        summary=_summary(poses, cameras) if summary is None else summary,
        digest=digest,
        script=script,
        data=data,
        frames=len(value["frames"]),
        has_quality=poses.quality is not None,
        rows=_rows(poses) if summary is None else [],
        version=__version__,
    )


def _summary(poses: Poses3D, cameras: Cameras | None) -> str:
    frames, people = len(np.unique(_frames(poses))), len(np.unique(_people(poses)))
    counts = [(people, "person", "people"), (frames, "frame", "frames"), (len(cameras or ()), "camera", "cameras")]
    return ", ".join(f"{count:,} {singular if count == 1 else plural}" for count, singular, plural in counts)


def _frames(poses: Poses3D) -> np.ndarray:
    return np.arange(len(poses)) if poses.frame is None else poses.frame


def _people(poses: Poses3D) -> np.ndarray:
    return np.full(len(poses), MISSING_ID) if poses.track_id is None else poses.track_id


def _rows(poses: Poses3D) -> list[list[str]]:
    """Return a line of numbers for each person."""
    rows, person = [], _people(poses)
    for person_id in np.unique(person).tolist():
        person_poses = poses[person == person_id]
        has_position = np.isfinite(person_poses.xyz[..., 0])
        cameras = (
            "–"
            if person_poses.camera_count is None or not has_position.any()
            else f"{person_poses.camera_count[has_position].mean():.1f}"
        )
        error = (
            "–" if person_poses.error is None or not has_position.any() else f"{np.nanmedian(person_poses.error):.1f}"
        )
        rows.append(
            [
                str(person_id) if person_id != MISSING_ID else "–",
                str(len(person_poses)),
                cameras,
                error,
                f"{has_position.mean():.0%}",
            ]
        )
    return rows


def _data(poses: Poses3D, cameras: Cameras) -> dict[str, Any]:
    axes = up_axes(cameras)
    points = poses.xyz.reshape(-1, 3)
    points = points[np.isfinite(points).all(axis=1)]
    around = points if len(points) else np.array([camera.centre for camera in cameras]).reshape(-1, 3)
    middle = np.median(around, axis=0) if len(around) else np.zeros(3)
    spread = float(np.quantile(np.linalg.norm(around - middle, axis=1), 0.98)) if len(around) else 1.0
    everything = np.array([*around, *[camera.centre for camera in cameras]]).reshape(-1, 3)
    radius = max(spread, 1.0, 0.7 * float(np.linalg.norm(everything - middle, axis=1).max(initial=0)))
    low = float(np.quantile(points @ axes[2], 0.005)) if len(points) else float(middle @ axes[2])
    edges = [] if poses.skeleton is None else [list(edge) for edge in poses.skeleton.edges]
    return {
        "axes": axes.round(6),
        "centre": middle.round(_DIGITS),
        "radius": round(radius, 3),
        "turn": 0.6,
        "rate": _rate(poses),
        "edges": edges,
        "ground": ground_lines(axes, middle, low, radius),
        "cameras": [{"name": camera.name, "corners": _pyramid(camera, radius)} for camera in cameras],
        "frames": _frame_values(poses),
    }


def up_axes(cameras: Cameras) -> Float[np.ndarray, "3 3"]:
    """Return two directions of the ground and up, in rows: up is the axis of the world nearest to the mean of the
    cameras' own, z without cameras."""
    up = np.array([0.0, 0.0, 1.0])
    if len(cameras):
        mean = -np.mean([camera.rotation[1] for camera in cameras], axis=0)
        axis = int(np.abs(mean).argmax())
        up = np.sign(mean[axis] or 1.0) * np.eye(3)[axis]
    ground_axis = np.eye(3)[(int(np.abs(up).argmax()) + 1) % 3]
    return np.stack([ground_axis, np.cross(up, ground_axis), up])


def _rate(poses: Poses3D) -> float:
    if poses.time is None or len(poses) < 2:
        return _USUAL_RATE
    seconds = np.unique(poses.time)
    return float(np.clip(1 / np.median(np.diff(seconds)), 1, 60)) if len(seconds) > 1 else _USUAL_RATE


def ground_lines(axes: np.ndarray, middle: np.ndarray, low: float, radius: float) -> list[Any]:
    """Return the lines of a grid at the height of the feet, a metre apart."""
    centre = middle + (low - middle @ axes[2]) * axes[2]
    reach = min(int(np.ceil(radius)), 20)
    lines = []
    for offset in range(-reach, reach + 1):
        for along, across in ((axes[0], axes[1]), (axes[1], axes[0])):
            ends = [centre + offset * across + side * reach * along for side in (-1, 1)]
            lines.append([end.round(_DIGITS) for end in ends])
    return lines


def _pyramid(camera: Camera, radius: float) -> list[np.ndarray]:
    """Return the camera's centre and the corners of its image plane, drawn at 8 % of the scene's radius before it."""
    width, height = camera.size or (2 * camera.matrix[0, 2], 2 * camera.matrix[1, 2])
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64) - 0.5
    length = 0.08 * radius
    # along straight rays: a lens's distortion may not be known as far as the corners
    plane = np.linalg.solve(camera.matrix, np.concatenate([corners, np.ones((4, 1))], axis=1).T).T
    ends = camera.centre + length * plane @ camera.rotation
    return [point.round(_DIGITS) for point in (camera.centre, *ends)]


def _frame_values(poses: Poses3D) -> list[dict[str, Any]]:
    frame, person = _frames(poses), _people(poses)
    numbers = np.unique(frame)
    numbers = numbers[:: max(1, -(-len(numbers) // MAX_FRAMES))]
    frame_values = []
    for number in numbers.tolist():
        rows = np.flatnonzero(frame == number)
        time = None if poses.time is None else float(poses.time[rows[0]])
        people = [_person(poses, row, person[row]) for row in rows.tolist()]
        frame_values.append({"frame": number, "time": time, "people": people})
    return frame_values


def _person(poses: Poses3D, row: int, number: int) -> dict[str, Any]:
    xyz = [None if np.isnan(point).any() else point.round(_DIGITS).tolist() for point in poses.xyz[row]]
    value: dict[str, Any] = {"id": int(number), "xyz": xyz}
    if poses.quality is not None:
        value["q"] = _rounded(poses.quality[row])
    return value


def _rounded(values: np.ndarray) -> Sequence[float | None]:
    return [None if value != value else round(value, 3) for value in values.tolist()]


HEIGHT = 480  # of every picture in the video, pixels
_WIDEST = 1920  # of the video, unless one picture is wider
_PAPER, _GRID = (58, 64, 70), (96, 104, 112)  # dark, as the left side has white edges
_TURN = 2 * np.pi / 600  # of the eye, radians a frame
_TILT = 0.3  # of the eye above the ground, radians


def write_world_video(
    path: str | Path,
    poses: Poses3D,
    cameras: Cameras,
    clips: Sequence[str | Path],
    frames_of: Callable[[int, int], int] = lambda _, frame: frame,
    watch: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> None:
    """Write a video of all frames from the first to the last with a person.

    clips: each camera's video, in order; frames_of(view, frame): the number of that camera's frame, from 0, that shows
    the same moment as `frame` of `poses`. watch: iterates over the frames, for a progress bar. Raises InputError if a
    clip cannot be read or the poses have no frames or skeleton.
    """
    path = Path(path)
    if poses.frame is None or poses.skeleton is None or not len(poses):
        raise InputError(f"{path}: needs people with frames and a skeleton to draw")
    if len(clips) != len(cameras):
        raise InputError(f"{path}: expected {len(cameras)} videos, one for each camera, got {len(clips)}")
    with ExitStack() as opened:
        videos = [opened.enter_context(Video(Path(clip))) for clip in clips]
        views = [
            _View(video, camera, lambda frame, view=view: frames_of(view, frame))
            for view, (video, camera) in enumerate(zip(videos, cameras, strict=True))
        ]
        eye = _Eye(poses, cameras)
        corners, size = _layout([*[view.size for view in views], eye.size])
        make = H264Writer if has_h264() else VideoWriter
        writer = opened.enter_context(make(path, *size, videos[0].frame_rate))
        for frame in watch(range(int(poses.frame.min()), int(poses.frame.max()) + 1)):
            frame_poses = poses[poses.frame == frame]
            pictures = [*[view.draw(frame_poses, frame) for view in views], eye.draw(frame_poses)]
            writer.write(_tiled(pictures, corners, size))


class _View:
    """One camera's video, scaled to `HEIGHT`, and the camera of pictures of that size."""

    def __init__(self, video: Video, camera: Camera, number: Callable[[int], int]) -> None:
        self.size = (max(2, round(video.width * HEIGHT / video.height)), HEIGHT)
        sized = camera if camera.size is not None else replace(camera, size=(video.width, video.height))
        self._camera, self._number = sized.resized(*self.size), number
        self._frames, self._frame_number = iter(video.frames()), -1
        self._pixels: np.ndarray = np.full((self.size[1], self.size[0], 3), 128, np.uint8)

    def draw(self, poses: Poses3D, frame: int) -> UInt8[np.ndarray, "H W 3"]:
        video_frame = self._number(frame)
        while self._frame_number < video_frame:
            following = next(self._frames, None)
            if following is None:
                break
            self._frame_number, pixels = following
            if self._frame_number == video_frame:
                self._pixels = cv2.resize(pixels, self.size, interpolation=cv2.INTER_AREA)
        return _drawn(self._pixels, poses, self._camera)


class _Eye:
    """A virtual camera that circles around the people, above a grid on the ground."""

    def __init__(self, poses: Poses3D, cameras: Cameras) -> None:
        points = poses.xyz[np.isfinite(poses.xyz).all(axis=2)]
        self.size, self._axes, self._turn = (HEIGHT * 4 // 3, HEIGHT), up_axes(cameras), 0.6
        self._middle = np.median(points, axis=0) if len(points) else np.zeros(3)
        spread = np.linalg.norm(points - self._middle, axis=1) if len(points) else np.ones(1)
        self._away = 2.0 * max(1.0, float(np.quantile(spread, 0.98)))
        low = float(np.quantile(points @ self._axes[2], 0.005)) if len(points) else 0.0
        self._grid = np.array(ground_lines(self._axes, self._middle, low, self._away / 2))  # (lines, 2, 3)

    def draw(self, poses: Poses3D) -> UInt8[np.ndarray, "H W 3"]:
        camera = self._camera()
        self._turn += _TURN
        pixels = np.full((self.size[1], self.size[0], 3), _PAPER, np.uint8)
        for ends in camera.project(self._grid):
            if np.isfinite(ends).all() and np.abs(ends).max() < 1e4:
                (x0, y0), (x1, y1) = np.rint(ends).astype(int).tolist()
                cv2.line(pixels, (x0, y0), (x1, y1), _GRID, 1, cv2.LINE_AA)
        return _drawn(pixels, poses, camera)

    def _camera(self) -> Camera:
        ground_x, ground_y, up = self._axes
        out = np.cos(_TILT) * (np.cos(self._turn) * ground_x + np.sin(self._turn) * ground_y) + np.sin(_TILT) * up
        right = np.cross(-out, up) / np.linalg.norm(np.cross(-out, up))
        rotation = np.stack([right, np.cross(-out, right), -out])
        width, height = self.size
        matrix = np.array([[1.1 * height, 0, width / 2], [0, 1.1 * height, height / 2], [0, 0, 1]])
        centre = self._middle + self._away * out
        return Camera("eye", matrix, np.zeros(0), rotation, -rotation @ centre, self.size)


def _drawn(pixels: np.ndarray, poses: Poses3D, camera: Camera) -> UInt8[np.ndarray, "H W 3"]:
    """Draw people as a camera sees them."""
    xy = camera.project(poses.xyz)
    blank = np.asarray(~np.isfinite(xy).all(axis=2))
    with np.errstate(invalid="ignore"):
        outside = ((xy < 0) | (xy >= (pixels.shape[1], pixels.shape[0]))).any(axis=2)
    is_visible = np.asarray(~(outside | blank).all(axis=1))
    if not is_visible.any():
        return pixels.copy()
    seen = Poses(
        xy=np.where(blank[..., None], 0.0, xy)[is_visible],
        quality=None if poses.quality is None else poses.quality[is_visible],
        track_id=None if poses.track_id is None else poses.track_id[is_visible],
        missing=blank[is_visible],
        skeleton=poses.skeleton,
    )
    return draw_poses(pixels, seen, style="people", legend=False, is_frame=True)


def _layout(sizes: Sequence[tuple[int, int]]) -> tuple[list[tuple[int, int]], tuple[int, int]]:
    """Return where pictures stand, x and y, in rows as wide as the video may be, and the video's size."""
    corners, x, y, widest = [], 0, 0, 0
    for width, _ in sizes:
        if x and x + width > _WIDEST:
            x, y = 0, y + HEIGHT
        corners.append((x, y))
        x += width
        widest = max(widest, x)
    return corners, (widest, y + HEIGHT)


def _tiled(
    pictures: Sequence[np.ndarray], corners: Sequence[tuple[int, int]], size: tuple[int, int]
) -> UInt8[np.ndarray, "H W 3"]:
    page = np.zeros((size[1], size[0], 3), np.uint8)
    for picture, (x, y) in zip(pictures, corners, strict=True):
        page[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
    return page

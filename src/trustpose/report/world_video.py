"""A video of people in the world: each camera's frames with the people drawn where it should see them, and a view of
all in 3D, from an eye that circles slowly.

The reprojections come from the people in the world alone, so an error of cameras or association is seen at once.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.formats.video import Video
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.poses import Poses, Poses3D
from trustpose.report.draw import draw_poses
from trustpose.report.h264 import H264Writer, has_h264
from trustpose.report.video import VideoWriter
from trustpose.report.world import ground_lines, up_axes

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
        self._frames, self._at = iter(video.frames()), -1
        self._pixels: np.ndarray = np.full((self.size[1], self.size[0], 3), 128, np.uint8)

    def draw(self, poses: Poses3D, frame: int) -> UInt8[np.ndarray, "H W 3"]:
        video_frame = self._number(frame)
        while self._at < video_frame:
            following = next(self._frames, None)
            if following is None:
                break
            self._at, pixels = following
            if self._at == video_frame:
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

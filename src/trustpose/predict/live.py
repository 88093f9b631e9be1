"""Which sources are live, and the frames of cameras as `Image`s: the newest only, or each."""

import io
from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from trustpose.files import InputError
from trustpose.io.download import content_type, is_address, name_in
from trustpose.io.live import SCHEMES, STREAM_SUFFIXES, Camera, CapturedFrame, NewestFrames, all_frames, camera_of
from trustpose.io.photos import SUFFIXES, UNREAD_SUFFIXES
from trustpose.io.video import SUFFIXES as VIDEO_SUFFIXES
from trustpose.predict.photos import CameraFrame, Image, is_pillow, is_tensor, is_webcam
from trustpose.predict.sources import ReadOptions, images_of

_DEVICES = "/dev/video"  # Video4Linux
_STREAM_TYPES = ("multipart/x-mixed-replace", "mpegurl")  # of motion JPEG and HLS


def check_live(live: bool | None, max_age: float | None, every: int) -> None:
    """Raise ValueError for options of `stream` that are out of their range or do not fit each other."""
    if every < 1:
        raise ValueError(f"every: expected at least 1, got {every}")
    if max_age is not None and not max_age > 0:
        raise ValueError(f"max_age: expected seconds above 0, got {max_age}")
    if max_age is not None and live is False:
        raise ValueError("max_age: skips frames of live sources, and live=False reads each frame")


def is_live(source: Any, live: bool | None) -> bool:
    """Return whether only the newest frame of a source is read: what `live` says, else as `is_camera` does.

    Raises InputError for live=True with files, photos or lists.
    """
    if not live:
        return live is None and is_camera(source)
    if is_camera(source) or (isinstance(source, str) and is_address(source)) or _is_iterator(source):
        return True
    name = str(source) if isinstance(source, (str, Path)) else type(source).__name__
    expected = "a camera, an address, an object with read() or an iterator"
    raise InputError(f"{name:.200}: cannot be read live; expected {expected}")


def is_camera(source: Any, *, asks: bool = True) -> bool:
    """Return whether a source is a webcam, a device, an address of a live stream or an object with `read()`.

    An http address whose name does not tell is asked for its content type if `asks`. Raises InputError if it does not
    answer.
    """
    if isinstance(source, (str, Path)):
        name = str(source)
        if isinstance(source, str) and is_address(source):
            return _is_stream_address(source, asks)
        return name.startswith(_DEVICES) or is_webcam(name)
    if isinstance(source, (int, np.integer)):
        return not isinstance(source, bool)
    return _has_read(source) and not _is_opened_file(source)


def camera_named(source: Any) -> Camera:
    """Return the camera of a live source."""
    if isinstance(source, (str, Path)):
        name = str(source)
        return camera_of(int(name) if is_webcam(name) else name)
    return camera_of(int(source) if isinstance(source, np.integer) else source)


def newest_images(
    source: Any, options: ReadOptions, max_age: float | None = None, every: int = 1
) -> Generator[Image, None, None]:
    """Yield the newest frame of a live source whenever the next is asked for; its `origin` is a `CameraFrame`.

    Raises InputError for a source that does not answer.
    """
    camera = camera_named(source)
    with NewestFrames(camera, every=every, max_age=max_age) as frames:
        for frame in islice(frames, options.frames):
            yield _image(frame, camera, options)


def each_image(source: Any, options: ReadOptions, live: bool | None = None, every: int = 1) -> Iterator[Image]:
    """Yield each photo or frame as `images_of` does, or each `every`-th; those of cameras too with live=False."""
    images: Iterable[Image]
    if _is_opened_file(source) or (live is False and is_camera(source)):
        camera = camera_named(source)
        images = (_image(frame, camera, options) for frame in islice(all_frames(camera), options.frames))
    else:
        images = images_of(source, options)
    return islice(images, 0, None, every)


def _image(frame: CapturedFrame, camera: Camera, options: ReadOptions) -> Image:
    origin = CameraFrame(camera.name, frame.number, frame.captured_at, frame.skipped, frame.clock)
    return Image(frame.pixels, image_id=frame.number, origin=origin, channels=camera.channels or options.channels)


def _is_stream_address(address: str, asks: bool) -> bool:
    if address.partition("://")[0].lower() in SCHEMES:
        return True
    name = name_in(address).lower()
    if name.endswith(STREAM_SUFFIXES):
        return True
    if name.endswith((*SUFFIXES, *UNREAD_SUFFIXES, *VIDEO_SUFFIXES)) or not asks:
        return False
    kind = content_type(address)
    return any(stream_type in kind for stream_type in _STREAM_TYPES)


def _has_read(source: Any) -> bool:
    """Return whether this is an object with `read()` as cv2.VideoCapture has it."""
    if isinstance(source, (str, bytes, Path, np.ndarray, io.IOBase)) or is_tensor(source) or is_pillow(source):
        return False
    return callable(getattr(source, "read", None))


def _is_opened_file(source: Any) -> bool:
    """Return whether this is a cv2.VideoCapture of a video file: it has a number of frames."""
    return _has_read(source) and isinstance(source, cv2.VideoCapture) and source.get(cv2.CAP_PROP_FRAME_COUNT) > 0


def _is_iterator(source: Any) -> bool:
    if isinstance(source, (str, bytes, bytearray, memoryview, list, tuple, np.ndarray, io.IOBase)):
        return False
    return isinstance(source, Iterable) and not is_tensor(source) and not is_pillow(source)

"""Read cameras: the newest frame only, by a thread that throws away what the caller was too slow for.

`camera_of` makes a `Camera` of a webcam's number, a device, an address, an object with `read()` or an iterator.
`NewestFrames` reads one in a thread; `all_frames` reads one frame after the other, for those who want each.
"""

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import cv2

from trustpose.files import InputError

SCHEMES = ("rtsp", "rtsps", "rtmp", "udp", "rtp", "tcp")
"""Of addresses that are always those of live streams; http and https may be."""
STREAM_SUFFIXES = (".m3u8", ".mjpg", ".mjpeg")
"""Of http addresses of live streams: HLS and motion JPEG."""
SILENCE = 10.0  # seconds without a first frame, after which a source does not answer
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds before a source that stopped is opened again; each is twice the last
_LISTS = (".m3u8", ".m3u")  # of segments: HLS
_LONGEST_GAP = 5.0  # seconds between two frames in a stream; more is a jump of its clock
_END_OF_THREAD = 1.0  # seconds in which a thread that waits for a camera may end


class Capture(Protocol):
    """What frames are read from, such as `cv2.VideoCapture`."""

    def read(self) -> tuple[bool, Any]:
        """Return whether there is a frame, and the frame."""
        ...


@dataclass(frozen=True, eq=False)
class Camera:
    """A source of frames that may have no end.

    Attributes:
        name: for messages, without a password.
        open: starts it; None: it cannot be started now.
        is_reopened: whether it is opened again when its frames stop; else that is its end.
        channels: the order of its arrays', "RGB" or "BGR"; None: the caller knows.
        is_callers: whether the caller closes it and may fill its arrays again, so that they are copied.
    """

    name: str
    open: Callable[[], Capture | None]
    is_reopened: bool
    channels: str | None
    is_callers: bool


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """A frame of a camera.

    Attributes:
        number: of all frames that the camera gave, from 0.
        pixels: as the camera gave them, (H, W, 3) of uint8 with OpenCV.
        captured_at: when it arrived here, in seconds since 1970 (`time.time`), to be put beside other recordings.
        clock: the same moment by `time.monotonic`, from which its age is measured.
        skipped: number of frames between the one that was handed out before it and this one.
    """

    number: int
    pixels: Any
    captured_at: float
    clock: float
    skipped: int = 0


def camera_of(source: Any) -> Camera:
    """Return the camera for a webcam's number, "/dev/video0", an address, an object with `read()` or an iterator."""
    if isinstance(source, (int, str)):
        return Camera(
            name=f"webcam {source}" if isinstance(source, int) else without_password(source),
            open=lambda: _opened(source),
            is_reopened=True,
            channels="BGR",
            is_callers=False,
        )
    name = type(source).__name__
    if callable(getattr(source, "read", None)):
        return Camera(name=name, open=lambda: source, is_reopened=False, channels="BGR", is_callers=True)
    frames = _FramesOfIterator(iter(source))
    return Camera(name=name, open=lambda: frames, is_reopened=False, channels=None, is_callers=True)


def without_password(address: str) -> str:
    """Return an address as messages show it: without a user's name and password."""
    with suppress(ValueError):
        user, at, _ = urlsplit(address).netloc.rpartition("@")
        return address.replace(f"{user}{at}", "…@", 1) if at else address
    return address


def _opened(source: int | str) -> Capture | None:
    """Open a webcam, a device or an address; None if that fails."""
    if isinstance(source, str) and "://" in source:
        limit = int(SILENCE * 1000)
        limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, limit, cv2.CAP_PROP_READ_TIMEOUT_MSEC, limit]
        capture = cv2.VideoCapture(source, cv2.CAP_FFMPEG, limits)
    else:
        capture = cv2.VideoCapture(source)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # cameras that cannot ignore it
    if capture.isOpened():
        is_list = isinstance(source, str) and urlsplit(source).path.lower().endswith(_LISTS)
        return _Paced(capture) if is_list or _is_finite(capture) else capture
    capture.release()
    return None


def _is_finite(capture: Any) -> bool:
    """Return whether the source says how many frames it has, such as a video file or a list of segments that ended."""
    if isinstance(capture, _Paced):
        return capture.is_finite
    get = getattr(capture, "get", None)
    return get is not None and 0 < get(cv2.CAP_PROP_FRAME_COUNT) < 1e9


class _Paced:
    """Frames of an address that come in bursts, such as the segments of HLS, each when it is due in the stream."""

    def __init__(self, capture: cv2.VideoCapture) -> None:
        self._capture = capture
        self.is_finite = _is_finite(capture)
        self._start: float | None = None  # of the stream, by `time.monotonic`

    def read(self) -> tuple[bool, Any]:
        is_there, pixels = self._capture.read()
        position, now = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, time.monotonic()
        wait = 0.0 if self._start is None else self._start + position - now
        if self._start is None or not 0 <= wait <= _LONGEST_GAP:  # it starts, comes late, or jumps
            self._start = now - position
        elif is_there:
            time.sleep(wait)
        return is_there, pixels

    def release(self) -> None:
        self._capture.release()


class _FramesOfIterator:
    """An iterator's items, read as frames of a camera."""

    def __init__(self, items: Iterator[Any]) -> None:
        self._items = items

    def read(self) -> tuple[bool, Any]:
        for item in self._items:
            return True, item
        return False, None


def all_frames(camera: Camera) -> Iterator[CapturedFrame]:
    """Yield each frame of a camera until they stop. Raises InputError if it cannot be opened."""
    capture = camera.open()
    if capture is None:
        raise _not_opened(camera)
    try:
        number = 0
        while (pixels := _next_frame(camera, capture)) is not None:
            yield CapturedFrame(number, pixels, time.time(), time.monotonic())
            number += 1
    finally:
        _release(camera, capture)


class NewestFrames:
    """The newest frame of a camera, whenever it is asked for: a thread reads on and keeps one. Use it by `with`.

    A camera whose frames stop is opened again, with pauses of .5 s, 1 s, 2 s and so on up to 30 s, and a warning says
    so in one line; an iterator, an object with `read()` and an address that says how many frames it has end there.

    Args:
        camera: such as `camera_of(0)`.
        every: only frames whose number is a multiple of this are handed out.
        max_age: older frames, in seconds, are skipped; None: none are.
        silence: seconds without a first frame after which it is given up.

    Example:
        >>> with NewestFrames(camera_of("rtsp://camera/stream")) as frames:
        ...     for frame in frames:
        ...         print(frame.number, frame.skipped, frame.captured_at)
    """

    def __init__(
        self, camera: Camera, *, every: int = 1, max_age: float | None = None, silence: float = SILENCE
    ) -> None:
        self.camera = camera
        self._every = every
        self._max_age = max_age
        self._silence = silence
        self._changed = threading.Condition()
        self._newest: CapturedFrame | None = None
        self._error: BaseException | None = None
        self._sentences: list[str] = []  # to be said by the caller's thread
        self._has_ended = False
        self._is_closed = threading.Event()
        self._last_number = -1  # of the frame handed out last
        self._thread = threading.Thread(target=self._read, name="trustpose-camera", daemon=True)

    def __enter__(self) -> "NewestFrames":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading. A thread that waits for the camera's answer ends when that comes, and then releases it."""
        self._is_closed.set()
        self._thread.join(_END_OF_THREAD)

    def __iter__(self) -> Iterator[CapturedFrame]:
        """Yield the newest frame each time, and wait for one where the last was handed out already.

        Raises InputError if the camera cannot be opened or gives no first frame in time, and what its `read` raises.
        """
        given_up_at = time.monotonic() + self._silence
        while True:
            with self._changed:
                while self._newest is None and not self._has_ended and not self._sentences:
                    is_waiting_for_first = self._last_number < 0
                    left = given_up_at - time.monotonic() if is_waiting_for_first else self._silence
                    if left <= 0:
                        raise InputError(f"{self.camera.name}: gave no frame within {self._silence:g} s")
                    self._changed.wait(left)
                sentences, self._sentences = self._sentences, []
                frame, self._newest = self._newest, None
            for sentence in sentences:
                warnings.warn(sentence, stacklevel=2)
            if frame is not None:
                if self._max_age is not None and time.monotonic() - frame.clock > self._max_age:
                    given_up_at = time.monotonic() + self._silence
                    continue
                skipped = frame.number - self._last_number - 1
                self._last_number = frame.number
                yield CapturedFrame(frame.number, frame.pixels, frame.captured_at, frame.clock, skipped)
            elif self._has_ended:
                if self._error is not None:
                    raise self._error
                return

    def _read(self) -> None:
        """Read the camera until it ends or is closed: the thread's work."""
        try:
            self._read_on()
        except BaseException as error:
            self._error = error
        with self._changed:
            self._has_ended = True
            self._changed.notify()

    def _read_on(self) -> None:
        number, pause = 0, FIRST_PAUSE
        while not self._is_closed.is_set():
            first_number = number
            capture = self.camera.open()
            is_last = not self.camera.is_reopened or (capture is not None and _is_finite(capture))
            if capture is not None and number and is_last:  # a list of segments that ended would be played again
                _release(self.camera, capture)
                return
            if capture is not None:
                number = self._read_capture(capture, number)
            if self._is_closed.is_set():
                return
            if not number:
                raise _not_opened(self.camera) if capture is None else _no_frame(self.camera)
            if is_last:
                return
            if number > first_number:  # it worked until now
                pause = FIRST_PAUSE
                self._say(f"{self.camera.name}: stopped after frame {number - 1}, and is opened again until it answers")
            self._is_closed.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _read_capture(self, capture: Capture, number: int) -> int:
        """Keep the newest frame until they stop; return the number of the next one."""
        try:
            while not self._is_closed.is_set() and (pixels := _next_frame(self.camera, capture)) is not None:
                if number % self._every == 0:
                    frame = CapturedFrame(number, pixels, time.time(), time.monotonic())
                    with self._changed:
                        self._newest = frame
                        self._changed.notify()
                number += 1
        finally:
            _release(self.camera, capture)
        return number

    def _say(self, sentence: str) -> None:
        with self._changed:
            self._sentences.append(sentence)
            self._changed.notify()


def _next_frame(camera: Camera, capture: Capture) -> Any | None:
    is_there, pixels = capture.read()
    if not is_there or pixels is None:
        return None
    return pixels.copy() if camera.is_callers and hasattr(pixels, "copy") else pixels


def _release(camera: Camera, capture: Capture) -> None:
    if not camera.is_callers:
        capture.release()  # type: ignore[attr-defined]


def _not_opened(camera: Camera) -> InputError:
    is_address = "://" in camera.name
    return InputError(
        f"{camera.name}: {'does not answer with a video stream' if is_address else 'not found, or in use'}"
    )


def _no_frame(camera: Camera) -> InputError:
    return InputError(f"{camera.name}: gives no frame")

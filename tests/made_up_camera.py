"""A made-up camera for tests: a thread that takes pictures at a rate, with the time in each picture."""

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import cv2
import numpy as np

_BITS, _SIDE = 32, 10  # of the clock in the picture, and pixels of each


def picture(number: int = 0, height: int = 240) -> np.ndarray:
    """Return a picture (height, 320, 3) with the time of now in its first rows, a bit of milliseconds a square."""
    pixels = np.full((height, _BITS * _SIDE, 3), 40 + number % 100, np.uint8)
    milliseconds = int(time.monotonic() * 1000) % 2**_BITS
    bits = milliseconds >> np.arange(_BITS) & 1
    pixels[: 2 * _SIDE] = np.repeat(np.where(bits, 255, 0), _SIDE)[None, :, None]
    return pixels


def seconds_since(pixels: np.ndarray) -> float:
    """Return how long ago a picture was taken, by the clock in it."""
    bits = pixels[_SIDE, _SIDE // 2 :: _SIDE].mean(axis=1) > 127
    taken = int((bits.astype(np.int64) << np.arange(_BITS)).sum())
    return ((int(time.monotonic() * 1000) - taken) % 2**_BITS) / 1000


class MadeUpCamera:
    """Takes `frames` pictures (None: no end) at `rate` frames per second; `read()` waits for the next.

    Like a driver it keeps up to four pictures, the oldest is read first, and drops new ones while it has no space.
    """

    def __init__(self, rate: float = 30.0, frames: int | None = None) -> None:
        self.rate, self.frames, self.taken = rate, frames, 0
        self._kept: list[np.ndarray] = []
        self._changed, self._is_over = threading.Condition(), False
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        start = time.monotonic()
        while not self._is_over and (self.frames is None or self.taken < self.frames):
            time.sleep(max(0.0, start + self.taken / self.rate - time.monotonic()))
            with self._changed:
                if len(self._kept) < 4:
                    self._kept.append(picture(self.taken))
                self.taken += 1
                self._changed.notify()
        with self._changed:
            self._is_over = True
            self._changed.notify()

    def read(self) -> tuple[bool, np.ndarray | None]:
        """Return the next picture, BGR, as cv2.VideoCapture does."""
        with self._changed:
            self._changed.wait_for(lambda: self._kept or self._is_over)
            return (True, self._kept.pop(0)) if self._kept else (False, None)

    def stop(self) -> None:
        self._is_over = True
        self._thread.join()


class MotionJpeg(BaseHTTPRequestHandler):
    """Answers with motion JPEG at the server's `rate`, `frames` of them for each request."""

    def do_GET(self) -> None:
        server: Any = self.server
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        start = time.monotonic()
        for number in range(server.frames):
            time.sleep(max(0.0, start + number / server.rate - time.monotonic()))
            content = cv2.imencode(".jpg", picture(number))[1].tobytes()
            head = b"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(content)
            try:
                self.wfile.write(head + content + b"\r\n")
            except OSError:
                return

    def log_message(self, *_: Any) -> None:
        pass


def served(frames: int = 10_000, rate: float = 30.0) -> Iterator[str]:
    """Yield the address of a motion JPEG camera on this machine."""
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), MotionJpeg)
    server.frames, server.rate, server.daemon_threads = frames, rate, True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/stream"
    finally:
        server.shutdown()
        server.server_close()

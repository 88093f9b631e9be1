"""Read videos and webcams frame by frame as RGB pixels."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError, check_regular, utf8_name
from trustpose.io.photos import MAX_PIXELS

SUFFIXES = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".3gp", ".ogv")
_USUAL_RATE = 25.0  # frames per second, if a file or camera gives none


@dataclass(eq=False)
class Video:
    """A video file, or a webcam by its index, to be read once from its start. Close it, or use it in a `with` block.

    `frame_rate` is in frames per second; `width` and `height` are in pixels, after the file's rotation; `count` is the
    number of frames according to the file, None if unknown or for a webcam. Raises InputError if it cannot be opened.
    """

    source: str | Path | int
    frame_rate: float = field(init=False)
    width: int = field(init=False)
    height: int = field(init=False)
    count: int | None = field(init=False)

    def __post_init__(self) -> None:
        if isinstance(self.source, int):
            self._capture = cv2.VideoCapture(self.source)
        else:
            path = Path(self.source)
            check_regular(path)
            with utf8_name(path) as name:
                self._capture = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
        self.width, self.height = (
            int(self._capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        if not self._capture.isOpened() or min(self.width, self.height) < 1:
            self._capture.release()
            problem = f"webcam {self.source}: not found, or in use"
            raise InputError(problem if self.is_webcam else f"{self.source}: cannot be read as a video")
        if self.width * self.height > MAX_PIXELS:
            self._capture.release()
            size = f"{self.width} × {self.height}"
            raise InputError(f"{self.source}: has frames of {size} pixels, more than the limit of {MAX_PIXELS}")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.frame_rate = rate if np.isfinite(rate) and 0.1 <= rate <= 1000 else _USUAL_RATE
        count = self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.count = int(count) if not self.is_webcam and 0 < count < 1e9 else None

    @property
    def is_webcam(self) -> bool:
        """Whether the source is a camera, which has no end."""
        return isinstance(self.source, int)

    def frames(self, limit: int | None = None) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
        """Yield each frame's number, from 0, and its pixels (H, W, 3), RGB; at most `limit` of them."""
        number = 0
        while limit is None or number < limit:
            is_there, pixels = self._capture.read()
            if not is_there:
                return
            yield number, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
            number += 1

    def skip(self, count: int | None) -> int:
        """Pass over `count` frames, None for all that are left, without converting their pixels; return how many."""
        skipped = 0
        while (count is None or skipped < count) and self._capture.grab():
            skipped += 1
        return skipped

    def close(self) -> None:
        """Release the file or camera."""
        self._capture.release()

    def __enter__(self) -> "Video":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

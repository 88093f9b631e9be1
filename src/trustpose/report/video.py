"""Write drawn frames as an mp4 file with OpenCV alone; `report.h264` writes what browsers play."""

from pathlib import Path
from types import TracebackType

import cv2
import numpy as np
from jaxtyping import UInt8

from trustpose.extras import install_line
from trustpose.files import DiskError, InputError, cannot_write, utf8_name

MPEG4_NOTE = (
    "is written as MPEG-4 Part 2, which browsers do not play, and without sound; "
    f"for H.264 with sound: {install_line('video')} in a checkout of trustpose"
)


class VideoWriter:
    """An mp4 file (MPEG-4 Part 2, which every build of OpenCV can write) of frames of one size.

    Use it in a `with` block: the file appears under its name if the block ends without an error, and not at all
    otherwise. An odd width or height loses its last column or row, which the format does not support. Raises InputError
    if the file cannot be written, DiskError at the end if it is incomplete.
    """

    def __init__(self, path: Path, width: int, height: int, frame_rate: float) -> None:
        self.path = path
        self.size = (width - width % 2, height - height % 2)
        if min(self.size) < 2:
            raise InputError(f"{path}: frames of {width} × {height} pixels are too small for a video")
        self._part = path.with_name(f".{path.stem}.part.mp4")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(path, error) from None
        code = cv2.VideoWriter.fourcc(*"mp4v")
        self._count = 0
        with utf8_name(self._part) as name:
            self._writer = cv2.VideoWriter(name, cv2.CAP_FFMPEG, code, frame_rate, self.size)
        if not self._writer.isOpened():
            raise InputError(f"{path}: cannot be written as a video of {width} × {height} pixels")

    def write(self, pixels: UInt8[np.ndarray, "H W 3"]) -> None:
        """Add one frame, RGB. Raises ValueError if its size differs."""
        width, height = self.size
        if (pixels.shape[1] - pixels.shape[1] % 2, pixels.shape[0] - pixels.shape[0] % 2) != self.size:
            raise ValueError(
                f"pixels: expected a frame of {width} × {height}, got {pixels.shape[1]} × {pixels.shape[0]}"
            )
        self._writer.write(cv2.cvtColor(pixels[:height, :width], cv2.COLOR_RGB2BGR))
        self._count += 1

    def __enter__(self) -> "VideoWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.release()
        try:
            if kind is None:
                self._check_whole()
                self._part.replace(self.path)
        except OSError as problem:
            raise cannot_write(self.path, problem) from None
        finally:
            self._part.unlink(missing_ok=True)

    def _check_whole(self) -> None:
        """Check the table of frames, which is written last: OpenCV does not report failed writes."""
        with utf8_name(self._part) as name:
            video = cv2.VideoCapture(name, cv2.CAP_FFMPEG)
            count = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
            video.release()
        if count != self._count:
            raise DiskError(f"{self.path}: cannot be written ({count} of {self._count} frames written, disk full?)")

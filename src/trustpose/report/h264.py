"""Write drawn frames as H.264 video, which browsers play, with the times and sound of the source (extra `video`)."""

from contextlib import ExitStack
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from trustpose.files import DiskError, InputError, cannot_write, utf8_name
from trustpose.report.source_video import open_source

_QUALITY = 21  # x264's constant rate factor: 18 cannot be told from the source, 23 is its default
_PRESET = "veryfast"
_REPEATABLE = "mbtree=0"  # x264's macroblock tree gives other bytes from run to run in widths not divisible by 32
# A frame of the newer codecs takes fewer bits than H.264 for the same quality, roughly by these factors.
_FACTOR = {"hevc": 1.5, "vp9": 1.5, "av1": 2.0}
_MIN_RATE = 300_000  # bits per second, however few the source has


def has_h264() -> bool:
    """Whether PyAV is installed with an H.264 encoder."""
    if find_spec("av") is None:
        return False
    import av

    return "libx264" in av.codecs_available


class H264Writer:
    """An mp4 file of H.264 frames of one size, with the frame times and the sound of `source`, if that is a video file.

    Use it in a `with` block: the file appears under its name if the block ends without an error, and not at all
    otherwise. Frames are those of the source in order, as `formats.video.Video` gives them, already rotated; if there
    are fewer, the sound ends with them. Without a source that PyAV can read they follow at `frame_rate` per second. The
    bit rate is at most that of the source. An odd width or height loses its last column or row, which the format does
    not support. Raises InputError if the file cannot be written, DiskError if the disk is full.
    """

    def __init__(self, path: Path, width: int, height: int, frame_rate: float, source: Path | None = None) -> None:
        import av
        from av.error import FFmpegError

        self.path, self.size = path, (width - width % 2, height - height % 2)
        if min(self.size) < 2:
            raise InputError(f"{path}: frames of {width} × {height} pixels are too small for a video")
        self._failure = FFmpegError
        self._part = path.with_name(f".{path.stem}.part.mp4")
        self._rate = Fraction(frame_rate).limit_denominator(100_000)
        self._open = ExitStack()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            name = self._open.enter_context(utf8_name(self._part))
            self._file: Any = av.open(name, "w", format="mp4", options={"movflags": "+faststart"})
            self._source = None if source is None else open_source(source, self._open)
            self._stream = self._add_stream()
            self._sound = None if self._source is None else self._source.sound(self._file)
        except (OSError, self._failure) as error:
            self._open.close()
            raise self._cannot(error) from None
        self._last, self._count = -1, 0

    def _add_stream(self) -> Any:
        source = self._source
        options = {"crf": str(_QUALITY), "preset": _PRESET, "x264-params": _REPEATABLE}
        if source is not None and source.bit_rate:
            max_rate = max(_MIN_RATE, round(source.bit_rate * _FACTOR.get(source.codec, 1.0)))
            options |= {"maxrate": str(max_rate), "bufsize": str(max_rate)}
        stream = self._file.add_stream("libx264", rate=self._rate, options=options)
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"  # the one that all browsers decode
        context = stream.codec_context
        context.thread_count = 1  # with more, a limited bit rate depends on their timing, and so would the file
        self._time_base = 1 / self._rate if source is None else source.time_base
        context.time_base = self._time_base
        context.color_range, context.colorspace = 1, 6  # studio range, BT.601, as OpenCV converts
        context.color_primaries, context.color_trc = 1, 1  # as in sRGB
        if source is not None and source.aspect is not None:
            context.sample_aspect_ratio = source.aspect
        return stream

    def write(self, pixels: UInt8[np.ndarray, "H W 3"]) -> None:
        """Add one frame, RGB. Raises ValueError if its size differs."""
        import av

        width, height = self.size
        if (pixels.shape[1] - pixels.shape[1] % 2, pixels.shape[0] - pixels.shape[0] % 2) != self.size:
            raise ValueError(
                f"pixels: expected a frame of {width} × {height}, got {pixels.shape[1]} × {pixels.shape[0]}"
            )
        planes: Any = cv2.cvtColor(pixels[:height, :width], cv2.COLOR_RGB2YUV_I420)  # ten times as fast as FFmpeg's own
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = self._next_time(), self._time_base
        try:
            self._file.mux(self._stream.encode(frame))
            self._count += 1
            if self._sound is not None:
                self._sound.write_until(self._last * self._time_base)
        except (OSError, self._failure) as error:
            raise self._cannot(error) from None

    def _next_time(self) -> int:
        """Return the next frame's time in units of the time base: the source's, or one frame after the last."""
        time = None if self._source is None else next(self._source.times, None)
        if time is None:
            time = self._last + max(1, round(1 / (self._rate * self._time_base))) if self._last >= 0 else 0
        self._last = max(time, self._last + 1)
        return self._last

    def __enter__(self) -> "H264Writer":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
            self._file.close()
            if kind is None:
                self._check_whole()
                self._part.replace(self.path)
        except (OSError, self._failure) as problem:
            if kind is None:
                raise self._cannot(problem) from None
        finally:
            self._open.close()
            self._part.unlink(missing_ok=True)

    def _finish(self) -> None:
        self._file.mux(self._stream.encode(None))
        if self._sound is not None and self._source is not None:
            is_over = next(self._source.times, None) is None
            self._sound.write_until(None if is_over else self._last * self._time_base + 1 / self._rate)
            self._sound.finish()

    def _check_whole(self) -> None:
        """Count the frames in the file: FFmpeg does not report all failed writes."""
        import av

        count = 0
        try:
            with utf8_name(self._part) as name, av.open(name) as file:
                count = sum(1 for packet in file.demux(video=0) if packet.size and not packet.is_corrupt)
        except self._failure:  # not even its table of frames
            pass
        if count != self._count:
            raise DiskError(f"{self.path}: cannot be written ({count} of {self._count} frames written, disk full?)")

    def _cannot(self, error: Any) -> InputError:
        number = getattr(error, "errno", None) or 0
        return cannot_write(self.path, OSError(number, getattr(error, "strerror", None) or str(error)))

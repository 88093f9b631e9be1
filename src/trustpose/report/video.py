"""Write drawn frames as a video: H.264, which browsers play, with the times and sound of the source; or OpenCV
alone.

Metadata of a source video for the drawn one: the times of its frames, its bit rate and its sound (PyAV). A file whose
pixels OpenCV can read may have damaged tables, and titles in any encoding: what cannot be read is left out, and never
ends a run.
"""

import heapq
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np
from jaxtyping import Int, UInt8

from trustpose.extras import install_line
from trustpose.files import DiskError, InputError, cannot_write, utf8_name
from trustpose.geometry.boxes import paired_iou
from trustpose.poses import Poses
from trustpose.report.scene import people_colours, person_boxes, track_colours

MPEG4_NOTE = (
    "is written as MPEG-4 Part 2, which browsers do not play, and without sound; "
    f"for H.264 with sound: {install_line('video')}"
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


_COPIED = ("aac", "mp3", "opus", "flac")  # sound that browsers play from mp4 as it is; other is written as AAC
_REORDERED = 64  # packets to look ahead for the order of frames; H.264 reorders at most 16


class SourceVideo:
    """A video file: codec, bit rate in bits per second (0: unknown), time base, the aspect ratio of its pixels after
    rotation, and `times`, those of its frames in order, in units of the time base. Closed with `opened`."""

    def __init__(self, path: Path, opened: ExitStack) -> None:
        self._opened, self._name = opened, opened.enter_context(utf8_name(path))
        file = opened.enter_context(_open(self._name))
        stream = file.streams.video[0]
        self.codec, self.time_base = stream.codec.canonical_name, stream.time_base
        self.bit_rate = stream.bit_rate or file.bit_rate or 0
        aspect = stream.sample_aspect_ratio
        is_turned = aspect is not None and _is_turned(self._name)
        self.aspect = 1 / aspect if aspect is not None and is_turned else aspect
        self.times = _in_order(_times(file, stream))

    def sound(self, target: Any) -> "Sound | None":
        """Return what copies the sound to a PyAV container; None if there is none that can be read."""
        file = self._opened.enter_context(_open(self._name))
        stream = next((stream for stream in file.streams.audio if stream.codec_context is not None), None)
        return None if stream is None else Sound(file, stream, target)


def open_source(path: Path, opened: ExitStack) -> SourceVideo | None:
    """Return the metadata of a video file, None if PyAV cannot read it."""
    try:
        return SourceVideo(path, opened)
    except Exception:  # PyAV may raise anything for a damaged file
        return None


def is_readable(path: Path) -> bool:
    """Whether PyAV can read a video file's metadata."""
    with ExitStack() as opened:
        return open_source(path, opened) is not None


class Sound:
    """Copies a sound track to another container, as it is if browsers play it, else as AAC."""

    def __init__(self, file: Any, stream: Any, target: Any) -> None:
        from av.error import ArgumentError, FFmpegError, InvalidDataError

        self._damage = (InvalidDataError, ArgumentError)
        self._target = target
        self._is_copied = stream.codec.canonical_name in _COPIED
        self._out = (
            target.add_stream_from_template(stream)
            if self._is_copied
            else target.add_stream("aac", rate=stream.codec_context.sample_rate)
        )
        self._packets = _packets(file, stream, FFmpegError)
        self._next = next(self._packets, None)

    def write_until(self, end: Fraction | None) -> None:
        """Write what starts before `end`, in seconds; None: all."""
        while self._next is not None and (end is None or self._next.dts * self._next.time_base < end):
            with suppress(*self._damage):  # else this packet is left out
                self._write(self._next)
            self._next = next(self._packets, None)

    def _write(self, packet: Any) -> None:
        if self._is_copied:
            packet.stream = self._out
            self._target.mux(packet)
            return
        for frame in packet.decode():
            self._target.mux(self._out.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        if not self._is_copied:
            self._target.mux(self._out.encode(None))


def _open(name: str) -> Any:
    import av

    return av.open(name, metadata_errors="replace")  # a title in another encoding than UTF-8 is never shown


def _is_turned(name: str) -> bool:
    """Whether the first frame of a video is shown turned by a quarter."""
    with _open(name) as file:
        frame: Any = next(file.decode(video=0), None)
        return frame is not None and frame.rotation % 180 != 0


def _packets(file: Any, stream: Any, failure: type[Exception]) -> Iterator[Any]:
    """Yield the packets of a stream that have a time; a broken file has no more of them."""
    try:
        yield from (packet for packet in file.demux(stream) if packet.dts is not None)
    except failure:
        return


def _times(file: Any, stream: Any) -> Iterator[int]:
    """Yield the time of each frame, in the order of the file."""
    from av.error import FFmpegError

    try:
        for packet in file.demux(stream):
            time = packet.dts if packet.pts is None else packet.pts
            if packet.size and time is not None and not packet.is_discard:
                yield time
    except FFmpegError:  # a broken file has no more of them
        return


def _in_order(times: Iterator[int]) -> Iterator[int]:
    """Yield times in increasing order; each arrives at most `_REORDERED` positions from its sorted one."""
    pending_times: list[int] = []
    for time in times:
        heapq.heappush(pending_times, time)
        if len(pending_times) > _REORDERED:
            yield heapq.heappop(pending_times)
    yield from (heapq.heappop(pending_times) for _ in range(len(pending_times)))


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
    otherwise. Frames are those of the source in order, as `io.video.Video` gives them, already rotated; if there
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


_MIN_OVERLAP = 0.2  # overlap (IoU) with a person of earlier frames
_REMEMBERED = 15  # frames in which a person may be missed, about half a second


class FrameColours:
    """Assigns a colour, as an index in `palettes.PEOPLE`, to each person of each frame.

    A person of a track has the track's colour. Others keep the colour of the person of earlier frames whom they overlap
    most, matched greedily by decreasing overlap; new people get a colour that no neighbour has. This is not tracking:
    people who cross may swap colours, and a person who was missing for longer may change colour.
    """

    def __init__(self) -> None:
        self._boxes = np.zeros((0, 4))
        self._colour_indices = np.zeros(0, np.int64)
        self._away = np.zeros(0, np.int64)  # frames since each was found

    def next(self, poses: Poses) -> Int[np.ndarray, " N"]:
        """Return the colour indices (N,) of the people of the next frame, in the order of `poses`."""
        boxes = person_boxes(poses)
        fixed_indices, is_matched = track_colours(poses.track_id, len(poses)), np.zeros(len(self._colour_indices), bool)
        overlap = paired_iou(boxes[:, None], self._boxes[None])  # (N, people before)
        overlap[fixed_indices >= 0] = 0
        order = np.argsort(-overlap, axis=None, kind="stable")
        for person, earlier_person in np.stack(np.unravel_index(order, overlap.shape), axis=1).tolist():
            if overlap[person, earlier_person] < _MIN_OVERLAP:
                break
            if fixed_indices[person] < 0 and not is_matched[earlier_person]:
                fixed_indices[person], is_matched[earlier_person] = self._colour_indices[earlier_person], True
        colour_indices = people_colours((boxes[:, :2] + boxes[:, 2:]) / 2, fixed_indices)
        stays = ~is_matched & (self._away < _REMEMBERED)
        self._boxes = np.concatenate([boxes, self._boxes[stays]])
        self._colour_indices = np.concatenate([colour_indices, self._colour_indices[stays]])
        self._away = np.concatenate([np.zeros(len(poses), np.int64), self._away[stays] + 1])
        return colour_indices

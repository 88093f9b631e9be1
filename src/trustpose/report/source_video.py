"""Metadata of a source video for the drawn one: the times of its frames, its bit rate and its sound (PyAV).

A file whose pixels OpenCV can read may have damaged tables, and titles in any encoding: what cannot be read is left
out, and never ends a run.
"""

import heapq
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

from trustpose.files import utf8_name

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

"""Clips of videos: read in order from one opened video, since jumping to a frame is not exact in every container."""

import shutil
import tempfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.formats.video import Video
from trustpose.scale.storage import StoragePath

_OPENED = 4  # videos that a worker keeps open


class OpenVideo(Video):
    """A video on any storage; a remote one is copied to this machine's disk until it is closed. Raises InputError,
    naming it by the user's own name."""

    def __init__(self, file: StoragePath) -> None:
        self._folder = None if file.is_local else tempfile.TemporaryDirectory()
        path = file.local
        if self._folder is not None:
            path = Path(self._folder.name) / Path(file.path).name
            try:
                with file.open() as source, path.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            except OSError as error:
                self._folder.cleanup()
                raise InputError(f"{file.name}: cannot be read ({error})") from None
        try:
            super().__init__(path)
        except InputError as error:
            if self._folder is not None:
                self._folder.cleanup()
            raise InputError(str(error).replace(str(path), file.name, 1)) from None
        self.position = 0

    def close(self) -> None:
        """Release the file, and remove its copy."""
        super().close()
        if self._folder is not None:
            self._folder.cleanup()


def open_video(file: StoragePath) -> OpenVideo:
    """Open a video from its start. Raises InputError."""
    return OpenVideo(file)


def frame_count(video: OpenVideo) -> int:
    """Return the number of frames that the file states, or, if it states none, that can be decoded."""
    return video.count if video.count is not None else video.skip(None)


class Videos:
    """The videos that a worker has open, each at the frame where its last clip ended.

    Clips of a video come in order, some of them to other workers: those frames are decoded and passed over, so that a
    worker decodes a video at most once from its start to its end.
    """

    def __init__(self) -> None:
        self._opened: OrderedDict[StoragePath, OpenVideo] = OrderedDict()

    def frames(
        self, file: StoragePath, start: int, stop: int | None
    ) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
        """Yield number and pixels, RGB, of the frames from `start` up to `stop` or the end. Raises InputError."""
        video = self._opened.pop(file, None)
        if video is not None and video.position > start:
            video.close()
            video = None
        if video is None:
            video = open_video(file)
        try:
            video.position += video.skip(start - video.position)
            count = None if stop is None else stop - start
            for number, pixels in video.frames(count):
                video.position = start + number + 1
                yield start + number, pixels
        except BaseException:
            video.close()
            raise
        self._opened[file] = video
        while len(self._opened) > _OPENED:
            self._opened.popitem(last=False)[1].close()

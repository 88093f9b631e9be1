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
from trustpose.scale.places import Place

_OPENED = 4  # videos of which a worker keeps its place


class OpenVideo(Video):
    """A video at any place; one that is far away is copied to this machine's disk until it is closed. Raises
    InputError, naming it as it was given."""

    def __init__(self, place: Place) -> None:
        self._folder = None if place.is_local else tempfile.TemporaryDirectory()
        path = place.local
        if self._folder is not None:
            path = Path(self._folder.name) / Path(place.path).name
            try:
                with place.open() as source, path.open("wb") as copy:
                    shutil.copyfileobj(source, copy, 1 << 20)
            except OSError as error:
                self._folder.cleanup()
                raise InputError(f"{place.name}: cannot be read ({error})") from None
        try:
            super().__init__(path)
        except InputError as error:
            if self._folder is not None:
                self._folder.cleanup()
            raise InputError(str(error).replace(str(path), place.name, 1)) from None
        self.at = 0

    def close(self) -> None:
        """Release the file, and remove its copy."""
        super().close()
        if self._folder is not None:
            self._folder.cleanup()


def open_video(place: Place) -> OpenVideo:
    """Open a video from its start. Raises InputError."""
    return OpenVideo(place)


def frame_count(video: OpenVideo) -> int:
    """Return the number of frames that the file gives, or that are there if it gives none."""
    return video.count if video.count is not None else video.skip(None)


class Videos:
    """The videos that a worker has open, each at the frame where its last clip ended.

    Clips of a video come in order, some of them to other workers: those frames are decoded and passed over, so that a
    worker decodes a video at most once from its start to its end.
    """

    def __init__(self) -> None:
        self._opened: OrderedDict[Place, OpenVideo] = OrderedDict()

    def frames(self, place: Place, start: int, stop: int | None) -> Iterator[tuple[int, UInt8[np.ndarray, "H W 3"]]]:
        """Yield number and pixels, RGB, of the frames from `start` up to `stop` or the end. Raises InputError."""
        video = self._opened.pop(place, None)
        if video is not None and video.at > start:
            video.close()
            video = None
        if video is None:
            video = open_video(place)
        try:
            video.at += video.skip(start - video.at)
            count = None if stop is None else stop - start
            for number, pixels in video.frames(count):
                video.at = start + number + 1
                yield start + number, pixels
        except BaseException:
            video.close()
            raise
        self._opened[place] = video
        while len(self._opened) > _OPENED:
            self._opened.popitem(last=False)[1].close()

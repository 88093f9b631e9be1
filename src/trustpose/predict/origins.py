"""Where the pixels of a predicted photo can be read again: the `photos` of `Poses`. None of them holds pixels."""

import weakref
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.formats.photos import MAX_PIXELS, read_image
from trustpose.formats.video import Video
from trustpose.predict.images import as_rgb


@dataclass(frozen=True)
class PhotoFile:
    """A photo file."""

    path: Path
    max_pixels: int = MAX_PIXELS

    @property
    def name(self) -> str:
        """The path as it was given."""
        return str(self.path)

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Read the file. Raises InputError."""
        return read_image(self.path, self.max_pixels)


@dataclass(frozen=True)
class VideoFrame:
    """A frame of a video file, by its number from 0."""

    path: Path
    number: int

    @property
    def name(self) -> str:
        """The video's path and the frame's number."""
        return f"{self.path}, frame {self.number}"

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Read the video up to this frame: jumping there is not exact in every container. Raises InputError."""
        with Video(self.path) as video:
            for number, pixels in video.frames(self.number + 1):
                if number == self.number:
                    return pixels
        raise InputError(f"{self.path}: has no frame {self.number} any more")


@dataclass(frozen=True, eq=False)
class CallersImage:
    """An image that the caller holds, such as an array: available for as long as the caller keeps it.

    Poses that kept the pixels of every frame of a video would fill the memory. It is gone after pickling or copying.
    """

    name: str
    _image: "weakref.ref[Any]" = field(repr=False)

    @classmethod
    def of(cls, image: np.ndarray) -> "CallersImage":
        """Refer to an image."""
        return cls("array", weakref.ref(image))

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Return the image's pixels. Raises InputError if it no longer exists."""
        image = self._image()
        if image is None:
            raise InputError(f"the {self.name} that the poses came from no longer exists; give it: poses.draw(image)")
        return as_rgb(image)

    def __reduce__(self) -> tuple[Any, ...]:
        return _gone, (self.name,)


def _gone(name: str) -> CallersImage:
    return CallersImage(name, weakref.ref(_Nothing()))


class _Nothing:
    """Something that can be referred to, and does not exist for long."""

"""Where the pixels of a predicted photo can be read again: the `photos` of `Poses`. None of them holds pixels."""

import weakref
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.formats.download import download
from trustpose.formats.photos import MAX_PIXELS, decode_photo, read_image
from trustpose.formats.video import Video
from trustpose.predict.images import read_pixels


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


@dataclass(frozen=True)
class WebcamFrame:
    """A frame of a webcam, by the camera's number and its own from 0: it cannot be read again."""

    camera: int
    number: int

    @property
    def name(self) -> str:
        """The camera and the frame's number."""
        return f"webcam {self.camera}, frame {self.number}"

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Raises InputError."""
        raise InputError(f"{self.name}: is not kept; a prediction of `stream` has its pixels: poses.draw(pixels)")


@dataclass(frozen=True, eq=False)
class CallersImage:
    """An image that the caller holds, such as an array: available for as long as the caller keeps it.

    Poses that kept the pixels of every frame of a video would fill the memory. It is gone after pickling or copying.
    """

    name: str
    channels: str
    row: int | None
    _image: "weakref.ref[Any]" = field(repr=False)

    @classmethod
    def of(cls, image: Any, channels: str = "RGB", row: int | None = None) -> "CallersImage":
        """Refer to an array, tensor or Pillow image, or to a row of a batch."""
        return cls(type(image).__name__, channels, row, weakref.ref(image))

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Return the image's pixels. Raises InputError if it no longer exists."""
        image = self._image()
        if image is None:
            raise InputError(f"the {self.name} that the poses came from no longer exists; give it: poses.draw(image)")
        return read_pixels(image if self.row is None else image[self.row], self.channels)

    def __reduce__(self) -> tuple[Any, ...]:
        return _gone, (self.name, self.channels, self.row)


@dataclass(frozen=True)
class EncodedPhoto:
    """The content of a photo file, which is kept as it is: far smaller than its pixels."""

    name: str
    content: bytes = field(repr=False)
    max_pixels: int = MAX_PIXELS

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Decode it. Raises InputError."""
        return decode_photo(self.content, self.name, self.max_pixels)


@dataclass(frozen=True)
class WebPhoto:
    """A photo at an address. It is read from there once, and then its content is kept."""

    name: str
    max_pixels: int = MAX_PIXELS

    @cached_property
    def _content(self) -> bytes:
        return download(self.name)

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Download it, the first time, and decode it. Raises InputError."""
        return decode_photo(self._content, self.name, self.max_pixels)


PHOTOS = (EncodedPhoto, WebPhoto)
"""Those that a predictor takes in the place of a file or pixels."""


def _gone(name: str, channels: str, row: int | None) -> CallersImage:
    return CallersImage(name, channels, row, weakref.ref(_Nothing()))


class _Nothing:
    """An object to create a weak reference to, which is deleted at once."""

"""Everything that a predictor takes, as a stream of `Image`, read on demand: see `BasePredictor.__call__`."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.formats.download import is_address, name_in
from trustpose.formats.photos import MAX_PIXELS
from trustpose.formats.video import SUFFIXES as VIDEO_SUFFIXES
from trustpose.formats.video import Video
from trustpose.predict.images import GLOB, check_channels, find_files, is_pillow, is_tensor, is_webcam
from trustpose.predict.origins import CallersImage, EncodedPhoto, VideoFrame, WebcamFrame, WebPhoto
from trustpose.predict.photos import Image


@dataclass(frozen=True)
class ReadOptions:
    """How to read what was given: the order of arrays' channels; subfolders too; at most `frames` of each video or
    webcam; photo files with more than `max_pixels` are refused."""

    channels: str = "RGB"
    recursive: bool = False
    frames: int | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        check_channels(self.channels)
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"frames: expected at least 1, got {self.frames}")


def images_of(images: Any, options: ReadOptions) -> Iterator[Image]:
    """Yield each photo or frame, numbered from 0 in `image_id`; an `Image` is left as it is.

    Raises InputError for a folder or pattern without photos or videos, and a video or webcam that cannot be read;
    ValueError for anything that is no image. A photo file that cannot be read is yielded: the predictor reports it.
    """
    numbers = count()
    if is_many(images):
        for image in images:
            if is_many(image) or isinstance(image, (int, np.integer)):
                raise ValueError(
                    f"images: expected images, got a list that holds {type(image).__name__}: {image!r:.60}"
                )
            yield from _images_in(image, options, numbers)
    elif isinstance(images, (int, np.integer)) and not isinstance(images, bool):
        yield from _frames(int(images), options, numbers)
    else:
        yield from _images_in(images, options, numbers)


def is_many(images: object) -> bool:
    """Return whether this is a list or an iterator of images, not one thing by itself."""
    return isinstance(images, Iterable) and not (
        isinstance(images, (str, bytes, bytearray, memoryview, np.ndarray)) or is_tensor(images) or is_pillow(images)
    )


def without_videos(images: Iterable[Image]) -> Iterator[Image]:
    """Yield the images, to be given boxes. Raises ValueError for a frame of a video or webcam."""
    for image in images:
        if isinstance(image.origin, (VideoFrame, WebcamFrame)):
            raise ValueError(
                f"boxes: are for photos, not for {image.origin.name}; `run` takes a file of boxes by frame"
            )
        yield image


def is_video(name: str | Path) -> bool:
    """Return whether a file's name has a video's suffix."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def _images_in(source: Any, options: ReadOptions, numbers: Iterator[int]) -> Iterator[Image]:
    if isinstance(source, Image):
        yield source
    elif isinstance(source, (str, Path)):
        yield from _images_named(source, options, numbers)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield Image(EncodedPhoto("bytes", bytes(source), options.max_pixels), image_id=next(numbers))
    elif isinstance(source, np.ndarray) or is_tensor(source) or is_pillow(source):
        if getattr(source, "ndim", 3) != 4:
            origin = CallersImage.of(source, options.channels)
            yield Image(source, image_id=next(numbers), origin=origin, channels=options.channels)
            return
        for row, image in enumerate(source):
            origin = CallersImage.of(source, options.channels, row)
            yield Image(image, image_id=next(numbers), origin=origin, channels=options.channels)
    else:
        expected = "a path, folder, pattern, address, webcam's number, bytes, array, tensor or Pillow image"
        raise ValueError(f"images: expected {expected}, or several of them, got {type(source).__qualname__}")


def _images_named(name: str | Path, options: ReadOptions, numbers: Iterator[int]) -> Iterator[Image]:
    """Yield what a path, a pattern, an address or the text of a webcam's number stands for."""
    if isinstance(name, str) and is_address(name):
        if is_video(name_in(name)):
            raise InputError(f"{name}: is a video's address; download it, or give it to `run` or the command line")
        yield Image(WebPhoto(name, options.max_pixels), image_id=next(numbers))
        return
    if isinstance(name, str) and is_webcam(name):
        yield from _frames(int(name), options, numbers)
        return
    for path in find_files([name], recursive=options.recursive) if _stands_for_many(name) else [Path(name)]:
        if is_video(path):
            yield from _frames(path, options, numbers)
        else:
            yield Image(path, image_id=next(numbers))


def _stands_for_many(name: str | Path) -> bool:
    try:
        return Path(name).is_dir() or (not Path(name).exists() and bool(GLOB & set(str(name))))
    except OSError:  # a name that is too long: reading it says so
        return False


def _frames(source: Path | int, options: ReadOptions, numbers: Iterator[int]) -> Iterator[Image]:
    with Video(source) as video:
        number = -1
        for number, pixels in video.frames(options.frames):
            origin = WebcamFrame(source, number) if isinstance(source, int) else VideoFrame(source, number)
            yield Image(pixels, image_id=next(numbers), origin=origin)
        if number < 0:
            raise InputError(f"{source}: holds no frame that can be read")

"""The boards in photos and videos of one camera."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.formats.photos import read_image
from trustpose.formats.video import SUFFIXES, Video
from trustpose.multiview.boards import Board, find_corners


@dataclass(frozen=True, eq=False)
class BoardPhoto:
    """A photo, or a video's frame: its `name`, its width and height `size`, pixels, and the board's `corners` (N, 2) in
    it, as `find_corners`; None where no board was found."""

    name: str
    size: tuple[int, int]
    corners: Float[np.ndarray, "N 2"] | None


def find_boards(paths: Sequence[Path], board: Board, every: float = 1.0) -> Iterator[BoardPhoto]:
    """Yield each photo of one camera, and of each video a frame `every` so many seconds, with its board.

    Raises InputError if a file cannot be read, or has another size than the first.
    """
    first: tuple[str, tuple[int, int]] | None = None
    for name, pixels in _pixels(paths, every):
        size = (pixels.shape[1], pixels.shape[0])
        first = first or (name, size)
        if size != first[1]:
            expected = "{} × {}".format(*first[1])
            raise InputError(f"{name}: has {size[0]} × {size[1]} pixels, expected {expected} as {first[0]} has")
        yield BoardPhoto(name, size, find_corners(pixels, board))


def _pixels(paths: Sequence[Path], every: float) -> Iterator[tuple[str, UInt8[np.ndarray, "H W 3"]]]:
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            yield path.name, read_image(path)
            continue
        with Video(path) as video:
            step = max(1, round(every * video.frame_rate))
            for number, pixels in video.frames():
                if number % step == 0:
                    yield f"{path.name} frame {number}", pixels

"""`Photo`: a photo or video frame whose pixels are read on demand."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8


@runtime_checkable
class Photo(Protocol):
    """A photo or video frame that poses came from; its pixels are read on demand, not kept.

    `name` is for people: a file's path, an address, "clip.mp4, frame 7".
    """

    @property
    def name(self) -> str: ...

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Return the pixels, RGB. Raises InputError if they can no longer be read."""
        ...


def joined_photos(parts: Sequence[Mapping[int, Photo] | None]) -> dict[int, Photo]:
    """Return the photos of all parts by image id, without ids that stand for different photos in two parts."""
    distinct = {id(part): part for part in parts if part is not None}  # slices share their mapping
    joined: dict[int, Photo] = {}
    twice: set[int] = set()
    for part in distinct.values():
        for image_id, photo in part.items():
            if joined.setdefault(image_id, photo) != photo:
                twice.add(image_id)
    return {image_id: photo for image_id, photo in joined.items() if image_id not in twice}

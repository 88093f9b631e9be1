"""The order of frames: which images belong to one clip, and which comes after which."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.images import Images
from trustpose.io.coco.labels import number_in_name


@dataclass(frozen=True, eq=False)
class Frames:
    """F frames, clip by clip and in order: image ids, the number of each frame's clip, from 0 and never falling, and
    its step in the clip, from 0 and rising; a step of 2 is a frame without an image between. `names` are those of the
    clips.
    """

    image_id: Int[np.ndarray, " F"]
    clip: Int[np.ndarray, " F"]
    step: Int[np.ndarray, " F"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.image_id)

    @cached_property
    def _by_id(self) -> Int[np.ndarray, " F"]:
        return np.argsort(self.image_id, kind="stable")

    def rows_of(self, image_id: Int[np.ndarray, " N"]) -> Int[np.ndarray, " N"]:
        """Return the row of each image's frame. Raises ValueError for an id that is not among the frames."""
        places = np.searchsorted(self.image_id, image_id, sorter=self._by_id)
        is_listed = places < len(self)
        rows = self._by_id[np.where(is_listed, places, 0)] if len(self) else places
        is_listed[is_listed] = self.image_id[rows[is_listed]] == image_id[is_listed]
        _check_listed(image_id, is_listed, len(self))
        return rows

    def places(self, image_id: Int[np.ndarray, " N"]) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
        """Return the number of each image's clip, and its step there. Raises ValueError as `rows_of` does."""
        rows = self.rows_of(image_id)
        return self.clip[rows], self.step[rows]


def order_frames(image_id: Int[np.ndarray, " N"], images: Images | None = None) -> Frames:
    """Return the frames that these image ids name, in order.

    Without `images` they are one clip, and the ids are frame numbers; a step is then the greatest common divisor of
    their differences, so that every fifth frame of a video is the next one. With `images` all of them are frames; a
    clip is what has one `camera` and `clip`, or without these, one folder of the file names; and its frames are ordered
    by `time` where all have it, else by the numbers at the end of their file names, else by id. Raises ValueError for
    an id that is not among the images, and naming both images if two are the same frame of a clip.
    """
    if images is None:
        ids = np.unique(image_id)
        return Frames(ids, np.zeros(len(ids), np.int64), _steps(ids), ("",) if len(ids) else ())
    _check_listed(image_id, images.rows_of(image_id) >= 0, len(images))
    names, clip_of_image = _clips(images)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for clip, name in enumerate(names):
        rows = np.flatnonzero(clip_of_image == clip)
        values, is_time = _order_of(images, rows)
        rows, values = rows[np.argsort(values, kind="stable")], np.sort(values, kind="stable")
        twice = np.flatnonzero(np.diff(values) == 0)
        if len(twice):
            first_id, second_id = images.id[rows[twice[0] : twice[0] + 2]]
            moment = f"{'time' if is_time else 'frame'} {values[twice[0]]:g}"
            raise ValueError(
                f"images {first_id} and {second_id} are both {moment} of clip {name!r}; are these two clips?"
            )
        parts.append((images.id[rows], np.arange(len(rows)) if is_time else _steps(values)))
    clips = np.repeat(np.arange(len(parts)), [len(ids) for ids, _ in parts])
    return Frames(
        np.concatenate([ids for ids, _ in parts]) if parts else np.zeros(0, np.int64),
        clips,
        np.concatenate([steps for _, steps in parts]) if parts else np.zeros(0, np.int64),
        tuple(names),
    )


def _check_listed(image_id: Int[np.ndarray, " N"], is_listed: Bool[np.ndarray, " N"], count: int) -> None:
    if not is_listed.all():
        unknown = image_id[~is_listed][0]
        raise ValueError(f"image_id: {unknown} is not among the {count} images, so its position in a clip is unknown")


def _clips(images: Images) -> tuple[list[str], Int[np.ndarray, " I"]]:
    """Return the names of the clips in the order of their first image, and the clip of each image."""
    cells: list[list[str]] = [[] for _ in range(len(images))]
    for column in (images.camera, images.clip):
        for cell, value in zip(cells, () if column is None else column, strict=column is not None):
            cell.append("" if value is None else str(value))
    if images.camera is None and images.clip is None and images.file_name is not None:
        cells = [["" if name is None else str(PurePath(str(name)).parent)] for name in images.file_name]
    names: dict[str, int] = {}
    clip_of_image = [names.setdefault("/".join(filter(None, cell)), len(names)) for cell in cells]
    return list(names), np.array(clip_of_image, dtype=np.int64)


def _order_of(images: Images, rows: np.ndarray) -> tuple[Float[np.ndarray, " F"] | Int[np.ndarray, " F"], bool]:
    """Return the numbers by which the frames of a clip are ordered, and whether they are times."""
    if images.time is not None and np.isfinite(images.time[rows]).all():
        return images.time[rows], True
    if images.file_name is not None:
        texts = [images.file_name[row] for row in rows.tolist()]
        numbers = [None if text is None else number_in_name(str(text)) for text in texts]
        if all(number is not None for number in numbers):
            return np.array(numbers, dtype=np.int64), False
    return images.id[rows], False


def _steps(numbers: Int[np.ndarray, " F"]) -> Int[np.ndarray, " F"]:
    """Return the steps of rising frame numbers: multiples of the greatest common divisor of their differences."""
    if len(numbers) < 2:
        return np.zeros(len(numbers), np.int64)
    return (numbers - numbers[0]) // max(1, int(np.gcd.reduce(np.diff(numbers))))

"""The clips of poses in Parquet: which frames are of one video, without a list of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.formats.parquet_parts import ParquetParts
from trustpose.formats.table_rows import TableRows
from trustpose.formats.video import SUFFIXES

_AT_ONCE = 2**16  # rows of two columns


@dataclass(frozen=True)
class Clip:
    """Frames of one video or folder: its name, the ids of its first and last frame with poses, the greatest common
    divisor of the differences of its ids, a step from one frame to the next (0: it has one frame), and which of the
    table's files have some of them, by number."""

    name: str
    first: int
    last: int
    step: int = 0
    files: frozenset[int] = field(default=frozenset())


def find_clips(parts: ParquetParts) -> list[Clip]:
    """Return the clips of rows in any order, by their first image ids.

    Rows with the same `file_name`, a video's, are of one clip, and others those whose files lie in one folder; without
    `file_name` all are one clip. Frames are ordered by image id. Raises InputError for a clip whose ids have those of
    another between them.
    """
    clip_of_name: dict[str, Clip] = {}
    number = {file: index for index, file in enumerate(parts.files)}
    for name, ids, file in _pieces(parts):
        before = clip_of_name.get(name) or Clip(name, int(ids[0]), int(ids[0]))
        clip_of_name[name] = replace(
            before,
            first=min(before.first, int(ids.min())),
            last=max(before.last, int(ids.max())),
            step=int(np.gcd.reduce(np.abs(ids - before.first), initial=before.step)),
            files=before.files | {number[file]},
        )
    clips = sorted(clip_of_name.values(), key=lambda clip: clip.first)
    for earlier, later in pairwise(clips):
        if later.first <= earlier.last:
            raise InputError(
                f"{parts.path}: field 'file_name': frames of {earlier.name!r} have image ids on both sides of those of "
                f"{later.name!r}, expected each clip's ids together"
            )
    return clips


def clip_name(file_name: Any) -> str:
    """Return the name of a frame's clip: its video's, or its folder's."""
    if file_name is None:
        return ""
    path = PurePath(str(file_name))
    return str(path) if path.suffix.lower() in SUFFIXES else str(path.parent)


def _pieces(parts: ParquetParts) -> Iterator[tuple[str, np.ndarray, Path]]:
    """Yield rows of one clip in one file, by its name and their image ids."""
    names = ["image_id", *(["file_name"] if "file_name" in parts.schema.names else [])]
    for table, file, row in parts.tables(names, _AT_ONCE):
        rows = TableRows(parts.path, parts.noun, table, ((0, file, row),))
        ids = rows.integers("image_id")
        assert ids is not None
        if len(names) == 1:
            yield "", ids, Path(file)
            continue
        texts = table.column("file_name").combine_chunks().dictionary_encode()
        clip_names = [*(clip_name(text) for text in texts.dictionary.to_pylist()), ""]
        clips = list(dict.fromkeys(clip_names))
        of_text = np.array([clips.index(name) for name in clip_names])
        clip_index = of_text[texts.indices.fill_null(len(clip_names) - 1).to_numpy(zero_copy_only=False)]
        for index, name in enumerate(clips):
            if (clip_index == index).any():
                yield name, ids[clip_index == index], Path(file)

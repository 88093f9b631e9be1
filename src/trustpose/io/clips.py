"""Results whose images are the frames of clips: which frames are of one clip, and in which order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile
from trustpose.io.columns import IdTexts
from trustpose.io.parquet import ParquetParts
from trustpose.io.table_rows import TableRows
from trustpose.io.video import SUFFIXES


def listed_ids(file: ResultsFile, texts: IdTexts, images: Path) -> Int[np.ndarray, " N"]:
    """Return the ids that the listed frames have, of results whose ids are texts, or stand for texts in the list."""
    assert file.poses.image_id is not None
    text_of, listed = file.image_texts.text_of, []
    for number in np.unique(file.poses.image_id).tolist():
        text = text_of.get(number, str(number))
        image_id = texts.find(text)
        if image_id is None:
            raise InputError(f"{file.path}: field 'image_id': {text[:40]!r} is not among the images of {images}")
        listed.append(image_id)
    return np.array(listed, dtype=np.int64)[np.unique(file.poses.image_id, return_inverse=True)[1]]


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
    return _joined(_pieces(parts), parts.path, {file: number for number, file in enumerate(parts.files)})


def clips_of_rows(rows: Sequence[Mapping[str, Any]], image_id: Int[np.ndarray, " N"], path: str) -> list[Clip]:
    """Return the clips of rows in memory, as `find_clips` does. Raises InputError."""
    names = [clip_name(row.get("file_name")) for row in rows]
    clips = {name: number for number, name in enumerate(dict.fromkeys(names))}
    number = np.array([clips[name] for name in names])
    return _joined(
        ((name, image_id[number == clip], Path(path)) for name, clip in clips.items()), path, {Path(path): 0}
    )


def places_in(
    clips: Sequence[Clip], image_id: Int[np.ndarray, " N"]
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Return the number of each image's clip among `clips`, which are by their first image ids, and the number of its
    frame there, counted from the first."""
    first = np.array([clip.first for clip in clips])
    clip = np.searchsorted(first, image_id, "right") - 1
    return clip, (image_id - first[clip]) // np.maximum([clip.step for clip in clips], 1)[clip]


def _joined(pieces: Iterable[tuple[str, np.ndarray, Path]], path: str, number: Mapping[Path, int]) -> list[Clip]:
    """Return the clips of pieces of one clip in one file; `number` is that of each file."""
    clip_of_name: dict[str, Clip] = {}
    for name, ids, file in pieces:
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
                f"{path}: field 'file_name': frames of {earlier.name!r} have image ids on both sides of those of "
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

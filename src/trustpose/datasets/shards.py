"""Person crops in tar files: a few large files instead of many small ones, with random access.

A folder of shards holds `people-000000.tar`, `people-000001.tar`, … and `index.json`. The tar files have WebDataset's
layout: `000042.jpg` and `000042.json` are person 42. The JSON is in the JPEG's pixels:

- keypoints: [x, y, v] × K; bbox: [x, y, width, height]; area: square pixels, null if unknown; area_source: its source,
  only if that is not a segment
- affine: [[sx, 0, tx], [0, sy, ty]], from the photo's pixels to these; readers here convert back with it
- image_id, annotation_id; has_joint, has_visibility: lists of K, only if not all true

`index.json` has the number of people and of shards, the skeleton, the options and the sources' sha256, and for every
shard its size, its sha256 and the offset of each file.
"""

import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.datasets.people import People
from trustpose.datasets.shard_labels import labels_from
from trustpose.files import InputError, parse_json, read_json
from trustpose.formats.photos import decode_photo
from trustpose.skeletons import SKELETONS, Skeleton, skeleton_of_object

FORMAT = "trustpose people in shards, 1"
INDEX = "index.json"
_KINDS = {int: "a whole number", str: "a text", list: "a list", dict: "an object"}


@dataclass(frozen=True)
class Shard:
    """One tar file: its size, and offset and length of each person's JPEG and JSON."""

    path: Path
    bytes: int
    sha256: str
    offsets: Int[np.ndarray, "n 4"]


def shard_people(folder: str | Path) -> People:
    """Return the people of a folder of shards.

    Raises InputError if the folder, its index or a shard is invalid; a truncated shard is detected at once.
    """
    folder = Path(folder)
    pixels = ShardPixels(folder)
    path = folder / INDEX
    skeleton = _skeleton(pixels.index, path)
    records, names = pixels.read_labels()
    labels, affine = labels_from(records, len(skeleton), names)
    pixels.affine = affine
    for name, ids in (("image_id", labels.image_id), ("annotation_id", labels.annotation_id)):
        listed = _whole_numbers(pixels.index, name, path)
        if len(listed) != len(labels):
            raise InputError(f"{path}: lists {len(listed)} people, but its shards hold {len(labels)}")
        if (listed != ids).any():
            row = int(np.argmax(listed != ids))
            raise InputError(f"{path}: field '{name}': person {row} is {listed[row]}, but {ids[row]} in its shard")
    return People.of(skeleton, labels, pixels)


class ShardPixels:
    """The pixels of people in a folder of shards, by number: each is one read at a known offset.

    Every process opens its own files, once per shard (also after a fork), and threads take turns.
    """

    affine: Float[np.ndarray, "N 2 3"]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.index = _read_index(folder)
        self.shards = _shards(self.index, folder)
        self._starts = np.cumsum([0, *(len(shard.offsets) for shard in self.shards)])
        self._open_here()

    @property
    def identity(self) -> str:
        """The sha256 of all shards."""
        return " ".join(shard.sha256 for shard in self.shards)

    def pixels(self, row: int) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "2 3"]]:
        """Return a person's JPEG, and the affine from the photo to it. Raises InputError if it is broken."""
        number, offsets = self._offsets_of(row)
        jpeg = self._read(number, *offsets[:2])
        return decode_photo(jpeg, f"{self.shards[number].path}: {row:06d}.jpg"), self.affine[row]

    def read_labels(self) -> tuple[list[Any], list[str]]:
        """Return the JSON of all people, and names for error messages. Raises InputError."""
        records, names = [], []
        for row in range(int(self._starts[-1])):
            number, offsets = self._offsets_of(row)
            names.append(f"{self.shards[number].path}: {row:06d}")
            records.append(parse_json(self._read(number, *offsets[2:]), names[-1] + ".json"))
        return records, names

    def _offsets_of(self, row: int) -> tuple[int, list[int]]:
        """Return a person's shard, and offset and length of its JPEG and JSON."""
        number = int(np.searchsorted(self._starts, row, side="right")) - 1
        return number, self.shards[number].offsets[row - int(self._starts[number])].tolist()

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_files", "_lock", "_process")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        for name, value in state.items():
            setattr(self, name, value)
        self._open_here()

    def _open_here(self) -> None:
        self._process, self._files, self._lock = os.getpid(), {}, threading.Lock()

    def _read(self, number: int, start: int, size: int) -> bytes:
        if self._process != os.getpid():  # a fork shares the parent's file positions, and possibly a held lock
            self._open_here()
        path = self.shards[number].path
        with self._lock:
            try:
                file: IO[bytes] | None = self._files.get(number)
                if file is None:
                    file = self._files[number] = path.open("rb", buffering=0)
                file.seek(start)
                content = file.read(size)
                while len(content) < size and (more := file.read(size - len(content))):
                    content += more
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        if len(content) < size:
            raise InputError(f"{path}: is truncated, expected {size} bytes at {start}")
        return content


def _read_index(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such directory, expected a folder of shards")
    if not (folder / INDEX).is_file():
        raise InputError(f"{folder}: holds no {INDEX}, expected a folder written by `trustpose shard`")
    index = read_json(folder / INDEX)
    if not isinstance(index, dict) or index.get("format") != FORMAT:
        raise InputError(f"{folder / INDEX}: field 'format': expected {FORMAT!r}")
    return index


def _shards(index: dict[str, Any], folder: Path) -> list[Shard]:
    path, shards = folder / INDEX, []
    for entry in _field(index, "shards", list, path):
        if not isinstance(entry, dict):
            raise InputError(f"{path}: field 'shards': expected objects")
        name, size = _field(entry, "file", str, path), _field(entry, "bytes", int, path)
        offsets = _whole_numbers(entry, "places", path, columns=4)
        ends = offsets.reshape(-1, 2, 2)
        is_inside = (ends >= 0).all() and (ends <= size).all() and (ends.sum(axis=2) <= size).all()
        if Path(name).name != name or "\0" in name or not is_inside:
            raise InputError(f"{path}: field 'shards': expected a file name and offsets within the file, in {name!r}")
        shard = Shard(folder / name, size, _field(entry, "sha256", str, path), offsets)
        file_size = shard.path.stat().st_size if shard.path.is_file() else None
        if file_size != shard.bytes:
            reason = "is missing" if file_size is None else f"has {file_size} bytes, it was truncated or changed"
            raise InputError(f"{shard.path}: {reason}, expected {shard.bytes} bytes")
        shards.append(shard)
    return shards


def _skeleton(index: dict[str, Any], path: Path) -> Skeleton:
    skeleton = _field(index, "skeleton", dict, path)
    name, keypoints = _field(skeleton, "name", str, path), tuple(_field(skeleton, "keypoints", list, path))
    if not keypoints or not all(isinstance(keypoint, str) for keypoint in keypoints):
        raise InputError(f"{path}: field 'skeleton.keypoints': expected names")
    known_skeleton = SKELETONS.get(name)
    if known_skeleton is not None and known_skeleton.keypoints == keypoints:
        return known_skeleton
    return skeleton_of_object(skeleton, path, "skeleton")


def _field(value: dict[str, Any], name: str, kind: type, path: Path) -> Any:
    content = value.get(name)
    if type(content) is not kind:  # booleans are not numbers
        raise InputError(f"{path}: field '{name}': expected {_KINDS[kind]}, got {type(content).__name__}")
    return content


def _whole_numbers(
    value: dict[str, Any], name: str, path: Path, columns: int | None = None
) -> Int[np.ndarray, " n"] | Int[np.ndarray, "n 4"]:
    """Return a field's list of integers, or of lists of `columns` of them. Raises InputError."""
    rows = _field(value, name, list, path)
    flat = rows
    if columns is not None:
        flat = [number for row in rows if type(row) is list and len(row) == columns for number in row]
    if set(map(type, flat)) - {int} or len(flat) != len(rows) * (columns or 1):
        expected = "whole numbers" if columns is None else f"lists of {columns} whole numbers"
        raise InputError(f"{path}: field '{name}': expected {expected}")
    try:
        array = np.array(flat, dtype=np.int64)
    except OverflowError:
        raise InputError(f"{path}: field '{name}': expected whole numbers of at most 64 bits") from None
    return array if columns is None else array.reshape(-1, columns)

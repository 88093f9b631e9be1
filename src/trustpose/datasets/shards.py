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

import math
import os
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.datasets.people import People, PersonLabels, PersonSample
from trustpose.files import InputError, read_json
from trustpose.io.photos import decode_photo
from trustpose.json_records import FileName, Int64, OpenRecord, described, of_length, parse_record, read_record, within
from trustpose.poses import SEGMENT
from trustpose.skeletons import registered_skeleton

_FURTHEST = 1e6  # pixels; and 1 / the smallest scale


def labels_of(sample: PersonSample) -> dict[str, Any]:
    """Return the JSON of a person's JPEG."""
    scale, shift = np.diagonal(sample.affine), sample.affine[:, 2]
    low, high = sample.box.reshape(2, 2) * scale + shift
    keypoints = np.c_[sample.xy * scale + shift, sample.v]
    keypoints[sample.v == 0] = 0  # as COCO does for absent ones
    labels: dict[str, Any] = {
        "image_id": sample.image_id,
        "annotation_id": sample.annotation_id,
        "keypoints": keypoints.ravel().tolist(),
        "bbox": [*low.tolist(), *(high - low).tolist()],
        "area": sample.area * float(scale.prod()) if math.isfinite(sample.area) else None,
        "affine": sample.affine.tolist(),
    }
    if sample.area_source != SEGMENT:
        labels["area_source"] = sample.area_source
    for name in ("has_joint", "has_visibility"):
        column: np.ndarray = getattr(sample, name)
        if not column.all():
            labels[name] = column.tolist()
    return labels


_Pixels = Annotated[float, within(-_FURTHEST, _FURTHEST)]
_Row = tuple[_Pixels, _Pixels, _Pixels]


@dataclass(frozen=True)
class _Labels(OpenRecord):
    image_id: Int64
    annotation_id: Int64
    keypoints: tuple[_Pixels, ...]
    bbox: Annotated[tuple[_Pixels, _Pixels, _Pixels, _Pixels], described("4 numbers of pixels")]
    affine: Annotated[tuple[_Row, _Row], described("[[sx, 0, tx], [0, sy, ty]]")]
    area: Annotated[float, within(0, _FURTHEST**2)] | None = None
    area_source: str = SEGMENT
    has_joint: tuple[bool, ...] | None = None
    has_visibility: tuple[bool, ...] | None = None


def labels_from(
    contents: Sequence[bytes], count: int, names: Sequence[str]
) -> tuple[PersonLabels, Float[np.ndarray, "N 2 3"]]:
    """Convert each person's JSON to labels in photo pixels, K = `count`, and affines from photo to JPEG.

    Raises InputError, naming the first of `names` with invalid JSON.
    """
    records = [parse_record(_Labels, content, f"{name}.json") for content, name in zip(contents, names, strict=True)]
    all_true = (True,) * count
    columns: dict[str, list[Any]] = {
        "keypoints": [labels.keypoints for labels in records],
        "has_joint": [labels.has_joint or all_true for labels in records],
        "has_visibility": [labels.has_visibility or all_true for labels in records],
    }
    for field, lists in columns.items():
        length = 3 * count if field == "keypoints" else count
        lengths = list(map(len, lists))
        if set(lengths) - {length}:
            row = next(row for row, other in enumerate(lengths) if other != length)
            raise InputError(
                f"{names[row]}.json: field '{field}': expected a list of {length}, got one of {lengths[row]}"
            )
    affine = np.array([labels.affine for labels in records], dtype=np.float64).reshape(-1, 2, 3)
    keypoints = np.array(columns["keypoints"], dtype=np.float64).reshape(-1, count, 3)
    box = np.array([labels.bbox for labels in records], dtype=np.float64).reshape(-1, 4)
    area = np.array([math.nan if labels.area is None else labels.area for labels in records], dtype=np.float64)
    scale, shift = np.diagonal(affine, axis1=1, axis2=2), affine[..., 2]  # (N, 2)
    is_plain = (scale >= 1 / _FURTHEST).all(axis=1) & (affine[:, 0, 1] == 0) & (affine[:, 1, 0] == 0)
    if not is_plain.all():
        name = names[int(np.argmin(is_plain))]
        raise InputError(f"{name}.json: field 'affine': expected [[sx, 0, tx], [0, sy, ty]] with sx and sy above 0")
    is_v = np.isin(keypoints[..., 2], (0, 1, 2)).all(axis=1)
    if not is_v.all():
        raise InputError(f"{names[int(np.argmin(is_v))]}.json: field 'keypoints': expected v in 0, 1, 2")
    v = keypoints[..., 2].astype(np.int64)
    xy = (keypoints[..., :2] - shift[:, None]) / scale[:, None]
    corners = np.stack([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)  # (N, 2, 2)
    labels = PersonLabels(
        xy=np.where((v > 0)[..., None], xy, 0.0),
        v=v,
        box=((corners - shift[:, None]) / scale[:, None]).reshape(-1, 4),
        area=area / scale.prod(axis=1),
        image_id=np.array([labels.image_id for labels in records], dtype=np.int64),
        annotation_id=np.array([labels.annotation_id for labels in records], dtype=np.int64),
        has_joint=np.array(columns["has_joint"], dtype=np.bool_).reshape(-1, count),
        has_visibility=np.array(columns["has_visibility"], dtype=np.bool_).reshape(-1, count),
        area_source=np.array([labels.area_source for labels in records], dtype=np.str_),
    )
    return labels, affine


FORMAT = "trustpose people in shards, 1"
INDEX = "index.json"


@dataclass(frozen=True)
class ShardEntry:
    """A tar file in the index: its name, its size, and offset and length of each person's JPEG and JSON."""

    file: FileName
    bytes: Int64
    sha256: str
    places: list[Annotated[list[Int64], of_length(4, "whole numbers")]]


@dataclass(frozen=True)
class _Index(OpenRecord):
    """What readers need of a folder's index."""

    format: Literal["trustpose people in shards, 1"]
    skeleton: Mapping[str, Any]
    shards: tuple[ShardEntry, ...]
    image_id: tuple[Int64, ...]
    annotation_id: tuple[Int64, ...]


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
    skeleton = registered_skeleton(pixels.index.skeleton, path, "skeleton")
    contents, names = pixels.read_labels()
    labels, affine = labels_from(contents, len(skeleton), names)
    pixels.affine = affine
    for name, ids in (("image_id", labels.image_id), ("annotation_id", labels.annotation_id)):
        listed = np.array(getattr(pixels.index, name), dtype=np.int64)
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

    def read_labels(self) -> tuple[list[bytes], list[str]]:
        """Return the JSON of all people, and names for error messages. Raises InputError."""
        contents, names = [], []
        for row in range(int(self._starts[-1])):
            number, offsets = self._offsets_of(row)
            names.append(f"{self.shards[number].path}: {row:06d}")
            contents.append(self._read(number, *offsets[2:]))
        return contents, names

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


def _read_index(folder: Path) -> _Index:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such directory, expected a folder of shards")
    path = folder / INDEX
    if not path.is_file():
        raise InputError(f"{folder}: holds no {INDEX}, expected a folder written by `trustpose shard`")
    return read_record(_Index, read_json(path), path)


def _shards(index: _Index, folder: Path) -> list[Shard]:
    shards = []
    for number, entry in enumerate(index.shards):
        offsets = np.array(entry.places, dtype=np.int64).reshape(-1, 4)
        ends = offsets.reshape(-1, 2, 2)
        if (ends < 0).any() or (ends > entry.bytes).any() or (ends.sum(axis=2) > entry.bytes).any():
            field = f"field 'shards.{number}.places'"
            raise InputError(f"{folder / INDEX}: {field}: expected offsets within the file, in {entry.file!r}")
        shard = Shard(folder / entry.file, entry.bytes, entry.sha256, offsets)
        file_size = shard.path.stat().st_size if shard.path.is_file() else None
        if file_size != shard.bytes:
            reason = "is missing" if file_size is None else f"has {file_size} bytes, it was truncated or changed"
            raise InputError(f"{shard.path}: {reason}, expected {shard.bytes} bytes")
        shards.append(shard)
    return shards

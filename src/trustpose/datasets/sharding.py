"""Write a data set's people to shards: what `trustpose shard` does. An interrupted run is resumed."""

import hashlib
import io
import os
import shutil
import tarfile
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import orjson

from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.datasets.lsp import is_extended
from trustpose.datasets.lspet import clean, lspet_people, read_lspet
from trustpose.datasets.people import People, PersonSample
from trustpose.datasets.photo_people import Cut, coco_people, cut_sample, photo_paths
from trustpose.datasets.shards import FORMAT, INDEX, ShardEntry, labels_of
from trustpose.files import InputError, atomic_write, cannot_write, json_bytes, read_bytes, read_json, write_json
from trustpose.json_records import parse_record
from trustpose.skeletons import SKELETONS, Skeleton, skeleton_value

_PLAN = "plan.json"


@dataclass(frozen=True)
class ShardOptions:
    """The part of each photo to keep (`cut`), JPEG quality 1–100, and the maximum bytes of a shard (exceeded only by a
    single larger person). Raises ValueError if a number is out of range."""

    cut: Cut = field(default_factory=Cut)
    quality: int = 90
    shard_size: int = 32_000_000

    def __post_init__(self) -> None:
        if not 1 <= self.quality <= 100:
            raise ValueError(f"quality: expected 1 to 100, got {self.quality}")
        if self.shard_size < 1:
            raise ValueError(f"shard_size: expected at least 1 byte, got {self.shard_size}")


def write_shards(
    people: People,
    folder: str | Path,
    options: ShardOptions,
    sources: dict[str, Any],
    advance: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Write people as a new folder of shards and return its index; `datasets.shards` documents the format.

    It is written to `.NAME.part` and renamed at the end. An interrupted run is resumed after its last complete shard if
    options and `sources` (any JSON value that identifies the data) are the same, else it starts over; in both cases the
    bytes equal those of an uninterrupted run. `advance` is called with the number of people done since the last call.
    Raises InputError if the folder exists already or cannot be written, or if a photo is broken.
    """
    folder = Path(folder)
    if folder.exists():
        raise InputError(f"{folder}: exists already, expected a new folder")
    part = folder.parent / f".{folder.name}.part"
    plan = {
        "format": FORMAT,
        "people": len(people),
        "skeleton": _described(people.skeleton),
        "options": asdict(options),
        "sources": sources,
    }
    shards = _resume(part, orjson.loads(json_bytes(plan)))
    done = sum(len(shard.places) for shard in shards)
    advance(done)
    for shard in _tars(people, part, options, done, len(shards), advance):
        shards.append(shard)
        write_json(part / f"{shard.file}.json", vars(shard))  # marks the tar as complete
    index = {
        **plan,
        "image_id": people.image_id.tolist(),
        "annotation_id": people.annotation_id.tolist(),
        "shards": [vars(shard) for shard in shards],
    }
    write_json(part / INDEX, index)
    for note in (_PLAN, *(f"{shard.file}.json" for shard in shards)):
        (part / note).unlink()
    try:
        part.rename(folder)
    except OSError as error:
        raise cannot_write(folder, error) from None
    return index


def _described(skeleton: Skeleton) -> dict[str, Any]:
    """Describe a known skeleton by name and joints, a custom one by its whole file."""
    if SKELETONS.get(skeleton.name) == skeleton:
        return {"name": skeleton.name, "keypoints": list(skeleton.keypoints)}
    return skeleton_value(skeleton)


def digest_files(paths: Iterable[Path]) -> str:
    """Return one sha256 of the files' names and contents, in order. Raises InputError if one cannot be read."""
    whole = hashlib.sha256()
    for path in paths:
        whole.update(os.fsencode(f"{hashlib.sha256(read_bytes(path)).hexdigest()}  {path.name}\n"))
    return whole.hexdigest()


def _resume(part: Path, plan: dict[str, Any]) -> list[ShardEntry]:
    """Return the shards that an earlier run with the same plan completed, from the first on; remove everything else."""
    shards: list[ShardEntry] = []
    try:
        if part.exists() and ((part / INDEX).exists() or not _is_same(part / _PLAN, plan)):
            shutil.rmtree(part)
        part.mkdir(parents=True, exist_ok=True)
        write_json(part / _PLAN, plan)
        while (note := part / f"{_name(len(shards))}.json").exists():
            shards.append(parse_record(ShardEntry, read_bytes(note), note))
        whole = {_PLAN} | {name for shard in shards for name in (shard.file, f"{shard.file}.json")}
        for entry in part.iterdir():
            if entry.name not in whole:
                entry.unlink()
    except OSError as error:
        raise cannot_write(part, error) from None
    return shards


def _is_same(path: Path, plan: dict[str, Any]) -> bool:
    try:
        return read_json(path) == plan
    except InputError:  # no plan, or an incomplete one
        return False


def _name(number: int) -> str:
    return f"people-{number:06d}.tar"


def _tars(
    people: People, part: Path, options: ShardOptions, first: int, number: int, advance: Callable[[int], None]
) -> Iterable[ShardEntry]:
    """Write tar files one after another, and describe each when it is complete."""
    content, offsets = io.BytesIO(), []
    for index in range(first, len(people)):
        members = _members(people[index], index, options)
        begins = content.tell()
        size = sum(len(header) + len(data) for header, data, _ in members)
        if offsets and begins + size + 1024 > options.shard_size:  # 1024: the end of a tar
            yield _write(part, number, content, offsets)
            number, content, offsets, begins = number + 1, io.BytesIO(), [], 0
        person_offsets: list[int] = []
        for header, data, length in members:
            person_offsets += [begins + len(header), length]
            begins += len(header) + len(data)
            content.write(header)
            content.write(data)
        offsets.append(person_offsets)
        advance(1)
    if offsets:
        yield _write(part, number, content, offsets)


def _members(sample: PersonSample, index: int, options: ShardOptions) -> list[tuple[bytes, bytes, int]]:
    """Return tar header, padded content and its true length, for the JPEG and for the JSON."""
    cut = cut_sample(sample, options.cut)
    is_fine, jpeg = cv2.imencode(
        ".jpg", cv2.cvtColor(cut.pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, options.quality]
    )
    assert is_fine, f"person {index}: {cut.pixels.shape} pixels cannot be encoded"
    members = []
    for suffix, data in (("jpg", jpeg.tobytes()), ("json", orjson.dumps(labels_of(cut)))):
        header = tarfile.TarInfo(f"{index:06d}.{suffix}")
        header.size, header.mode = len(data), 0o644  # without time and owner, so equal input gives equal bytes
        members.append((header.tobuf(tarfile.USTAR_FORMAT), data + bytes(-len(data) % 512), len(data)))
    return members


def _write(part: Path, number: int, content: io.BytesIO, offsets: list[list[int]]) -> ShardEntry:
    content.write(bytes(1024))
    data = content.getbuffer()
    with atomic_write(part / _name(number)) as file:
        file.write(data)
    digest = hashlib.sha256(data).hexdigest()
    return ShardEntry(_name(number), len(data), digest, np.array(offsets).tolist())


_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class Sharded:
    """Numbers of people, photos and shards, and the bytes of all shards."""

    people: int
    photos: int
    shards: int
    bytes: int


def shard_photos(
    gt: Path,
    images: Path,
    out: Path,
    *,
    size: int = 256,
    margin: float = 1.5,
    quality: int = 90,
    shard_size: str = "32MB",
    category: str | None = None,
    progress: Callable[[int], AbstractContextManager[Callable[[int], None]]] = lambda _: nullcontext(lambda _: None),
) -> Sharded:
    """Write person crops with margin, and their labels, as tar shards in WebDataset's layout.

    Args:
        gt: COCO's JSON, or another data set's own labels.
        images: folder of the photos.
        out: the folder to write, which must not exist yet.
        size: maximum height of a person (box made 3:4), pixels.
        margin: side of the square around a person, in units of its height.
        quality: JPEG quality, 1 to 100.
        shard_size: maximum size of a tar file, such as "32MB".
        category: by name or id, if there are several.
        progress: is called with the number of people when they are about to be written; the context gives a function
            to call with the number of people that were written.

    Raises:
        InputError: naming the file or option at fault.
    """
    limit = parse_size(shard_size)
    if out.exists():
        raise InputError(f"{out}: exists already, --out expects a new folder")
    try:
        options = ShardOptions(Cut(size, margin), quality, limit)
    except ValueError as error:
        raise InputError(f"--{error}") from None
    people, labels = _read_people(gt, images, category)
    paths = photo_paths(people)
    photos = {"folder": images.name, "count": len(paths), "sha256": digest_files(paths)}
    with progress(len(people)) as advance:
        index = write_shards(people, out, options, {"labels": labels, "photos": photos}, advance)
    shards = index["shards"]
    return Sharded(len(people), len(paths), len(shards), sum(shard["bytes"] for shard in shards))


def parse_size(text: str) -> int:
    """Convert a size such as 32MB, 1.5GiB or 40000 to bytes. Raises InputError."""
    number = text.strip().rstrip("BbKkMmGgIi")
    unit = text.strip()[len(number) :].strip().upper()
    try:
        size = int(float(number) * _UNITS[unit])
    except (KeyError, ValueError, OverflowError):
        size = 0
    if size < 1:
        raise InputError(f"--shard-size: expected a size such as 32MB, got {text[:40]!r}")
    return size


def _read_people(gt: Path, images: Path, category: str | None) -> tuple[People, dict[str, Any]]:
    """Return the people, and what identifies their labels."""
    if gt.suffix.lower() == ".mat" and is_extended(gt):
        file = read_lspet(gt)
        cleaned = clean(file)
        return lspet_people(cleaned, images), {"file": gt.name, "sha256": file.sha256, "dropped": cleaned.dropped}
    truth = read_ground_truth(gt, category)
    return coco_people(truth, images), {"file": gt.name, "sha256": truth.sha256}

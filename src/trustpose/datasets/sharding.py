"""Write a data set's people to shards, from its files: what `trustpose shard` does."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.datasets.lsp import is_extended
from trustpose.datasets.lspet import clean, lspet_people, read_lspet
from trustpose.datasets.people import People
from trustpose.datasets.photo_people import Cut, coco_people, photo_paths
from trustpose.datasets.shard_writing import ShardOptions, digest_files, write_shards
from trustpose.files import InputError

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

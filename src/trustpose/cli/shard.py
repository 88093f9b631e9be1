"""`trustpose shard`: write person crops and labels to a few large tar files, for training on any machine."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.endings import resumable
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.datasets.people import People

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def shard(
    gt: Annotated[Path, typer.Option(help="Ground truth: COCO's JSON, or another data set's own (as of audit).")],
    images: Annotated[Path, typer.Option(help="Folder of the photos.")],
    out: Annotated[Path, typer.Option(help="The folder to write; must not exist yet.")],
    size: Annotated[int, typer.Option(help="Maximum height of a person (box made 3:4), in pixels.", min=16)] = 256,
    margin: Annotated[float, typer.Option(help="Side of the square around a person, in units of its height.")] = 1.5,
    quality: Annotated[int, typer.Option(help="JPEG quality.", min=1, max=100)] = 90,
    shard_size: Annotated[str, typer.Option(help="Maximum size of a tar file, such as 32MB or 1GiB.")] = "32MB",
    category: Annotated[str | None, typer.Option(help="Category, by name or id, if there are several.")] = None,
) -> None:
    """Write person crops with margin, and their labels, as tar shards in WebDataset's layout.

    An interrupted run is resumed. `index.json` holds counts, options and the sources' SHA-256.
    """
    limit = parse_size(shard_size)
    if out.exists():
        raise InputError(f"{out}: exists already, --out expects a new folder")
    from rich.console import Console

    from trustpose.datasets.photo_people import Cut, photo_paths
    from trustpose.datasets.shard_writing import ShardOptions, digest_files, write_shards

    try:
        options = ShardOptions(Cut(size, margin), quality, limit)
    except ValueError as error:
        raise InputError(f"--{error}") from None
    with Console(stderr=True).status("reading labels and photos …"):
        people, labels = _people(gt, images, category)
        paths = photo_paths(people)
        photos = {"folder": images.name, "count": len(paths), "sha256": digest_files(paths)}
    with resumable("the same command continues"), _progress(len(people)) as advance:
        index = write_shards(people, out, options, {"labels": labels, "photos": photos}, advance)
    shards, total = index["shards"], sum(entry["bytes"] for entry in index["shards"])
    typer.echo(f"{out}: {len(people)} people of {len(paths)} photos in {len(shards)} shards, {total / 1e6:.1f} MB")


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


def _people(gt: Path, images: Path, category: str | None) -> "tuple[People, dict[str, Any]]":
    """Return the people, and what identifies their labels."""
    from trustpose.datasets.lsp import is_extended

    if gt.suffix.lower() == ".mat" and is_extended(gt):
        from trustpose.datasets.lspet import clean, lspet_people, read_lspet

        file = read_lspet(gt)
        cleaned = clean(file)
        return lspet_people(cleaned, images), {"file": gt.name, "sha256": file.sha256, "dropped": cleaned.dropped}
    from trustpose.datasets.ground_truth import read_ground_truth
    from trustpose.datasets.photo_people import coco_people

    truth = read_ground_truth(gt, category)
    return coco_people(truth, images), {"file": gt.name, "sha256": truth.sha256}


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Yield a function that advances a progress bar, shown on a terminal only."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("people"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)

"""`trustpose shard`: write person crops and labels to a few large tar files, for training on any machine."""

from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.progress import progress_bar, resumable
from trustpose.options import option


@dataclass(frozen=True)
class ShardOptions:
    """The arguments of `datasets.sharding.shard_photos`."""

    gt: Path = option(help="Ground truth: COCO's JSON, or another data set's own (as for audit).")
    images: Path = option(help="Folder of the photos.")
    out: Path = option(help="The folder to write; must not exist yet.")
    size: int = option(256, minimum=16, help="Maximum height of a person (box extended to 3:4), in pixels.")
    margin: float = option(1.5, help="Side of the square around a person, in units of its height.")
    quality: int = option(90, minimum=1, maximum=100, help="JPEG quality.")
    shard_size: str = option("32MB", help="Maximum size of a tar file, such as 32MB or 1GiB.")
    category: str | None = option(None, help="Category, by name or id, if there are several.")


@command("trustpose shard --gt gt.json --images photos --out shards")
def shard(options: ShardOptions) -> None:
    """Write person crops with margin, and their labels, as tar shards in WebDataset's layout.

    An interrupted run is resumed. `index.json` holds counts, options and the sources' SHA-256.
    """
    from trustpose.datasets.sharding import shard_photos

    with resumable("run the same command to continue"):
        done = shard_photos(**asdict(options), progress=partial(progress_bar, "people"))
    people = f"{done.people} people of {done.photos} photos"
    typer.echo(f"{options.out}: {people} in {done.shards} shards, {done.bytes / 1e6:.1f} MB")

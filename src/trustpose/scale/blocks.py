"""Write the blocks of a run at scale until none is missing, also when machines leave or join the cluster."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Protocol, TypeVar

from trustpose.scale.cluster import Cluster, ClusterChangedError, Share
from trustpose.scale.table import Counts
from trustpose.scale.units import LAST


class Part(Protocol):
    """A dataclass that describes what one task reads: its number in the run, the digest in its blocks' names, and the
    numbers of the blocks that an earlier run finished."""

    @property
    def number(self) -> int: ...

    @property
    def digest(self) -> str: ...

    @property
    def done(self) -> tuple[int, ...]: ...


P = TypeVar("P", bound=Part)


def write_blocks(
    machines: Cluster,
    workers: tuple[int | None, str | None],
    parts: list[P],
    finished: Iterable[str],
    write: Callable[[Share, list[P]], Iterator[tuple[str, Counts]]],
) -> Iterator[Counts]:
    """Yield the counts of each block that is not among the finished ones, as soon as its file is written.

    workers: their number, None for the cluster's, and their device. write: processes some of the parts, and yields each
    block's name and counts; raises ClusterChangedError if machines leave or join. The rest is then divided among the
    machines of the cluster: Ray would let the blocks of a worker whose machine is lost wait until another machine has
    room for it.
    """
    done = set(finished)
    share = machines.share(*workers)
    while todo := remaining(parts, done):
        try:
            for name, counts in write(share, todo):
                done.add(name)
                yield counts
        except ClusterChangedError:
            share = machines.share_again(*workers)


def remaining(parts: Iterable[P], finished: Iterable[str]) -> list[P]:
    """Return the parts with missing blocks, each with the numbers of its finished blocks. Blocks of other inputs, which
    have other names, do not count."""
    done: dict[str, list[int]] = {}
    last: dict[str, int] = {}
    for name in finished:
        part, number, digest, is_last = name[:7], int(name[8:13]), name[14:26], name.endswith(LAST)
        done.setdefault(f"{part}-{digest}", []).append(number)
        if is_last:
            last[f"{part}-{digest}"] = number
    parts_left = []
    for part in parts:
        key = f"{part.number:07d}-{part.digest}"
        done_numbers = sorted(done.get(key, []))
        if key not in last or len(done_numbers) <= last[key]:
            parts_left.append(replace(part, done=tuple(done_numbers)))  # type: ignore every part is a dataclass
    return parts_left

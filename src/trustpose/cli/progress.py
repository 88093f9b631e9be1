"""Progress bars on standard error, shown on terminals only."""

from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any

Advance = Callable[..., None]


@contextmanager
def progress_bar(unit: str = "", total: int | None = None, *, description: str = "") -> Iterator[Advance]:
    """Show a bar for as long as the block runs.

    Args:
        unit: what is counted, such as "people"; "" to show no count.
        total: how many there are; None if that is not known yet.
        description: what is being done, in front of the bar.

    Yields:
        A function that advances the bar by a count (default: 1), with a new `total`, `description` or `note` (behind
        the unit) by keyword.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    counts = (MofNCompleteColumn(), TextColumn(unit + "{task.fields[note]}")) if unit else ()
    columns = (TextColumn("{task.description}"), BarColumn(), *counts, TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=total, note="")

        def advance(count: int = 1, **changes: Any) -> None:
            progress.update(task, advance=count, **changes)

        yield advance


def with_progress(items: Iterable[Any], description: str) -> Iterator[Any]:
    """Yield the items of a sequence, or of a stream of unknown length, with a bar."""
    total = len(items) if isinstance(items, Sized) else None
    with progress_bar("", total, description=description) as advance:
        for item in items:
            yield item
            advance()

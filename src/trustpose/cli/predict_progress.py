"""What `trustpose predict` shows while it runs, and the line at its end."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from trustpose.predict.run import Done, Step

_MOST_NAMED = 3  # files


@contextmanager
def progress_bar(what: str, *, is_one: bool) -> "Iterator[Callable[[Step], None]]":
    """Yield a callback for each photo or frame: prints a line per problem, shows a bar with people/s on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(what + ", {task.fields[speed]}"), TimeRemainingColumn())
    started, people = time.perf_counter(), 0
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None, speed="")

        def tell(step: "Step") -> None:
            nonlocal people
            if step.problem is not None:
                typer.echo(f"trustpose: {' '.join(step.problem.split())}", err=True)
            people += step.people
            rate = people / (time.perf_counter() - started)
            progress.update(task, advance=1, total=step.total if is_one else None, speed=f"{rate:.0f} people/s")

        yield tell


def print_summary(done: "Done", results: Path, min_presence: float, *, is_video: bool, is_drawn: bool) -> None:
    """Print the lines at the end: how many people, photos and seconds, what was written, and how many people were left
    out."""
    from trustpose.report.numbers import has_visible_joint

    count, rate = len(done.poses), done.predicted / max(done.seconds, 1e-9)
    what = "frames" if is_video else "photos"
    pictures = " and a video" if is_video else f" and {_count(count, 'pictures')}"
    people = "1 person" if done.people == 1 else f"{done.people} people"
    unseen = sum(int((~has_visible_joint(poses)).sum()) for poses in done.poses.values())
    people += f" ({unseen} with no visible joint)" if unseen else ""
    summary = f"{people} on {_count(count, what)} in {done.seconds:.1f} s ({rate:.0f} people/s)"
    typer.echo(f"{summary}: {results}{pictures if is_drawn else ''}")
    if done.left_out:
        left_out = "1 person was" if done.left_out == 1 else f"{done.left_out} people were"
        typer.echo(
            f"{left_out} left out: presence below {min_presence:g}, or a double of another (--min-presence 0 keeps all)"
        )


def say_left(files: list[Path]) -> None:
    """Print in one line which files of the folder are not of this run, which replaced an earlier one."""
    if files:
        named = ", ".join(map(str, files[:_MOST_NAMED])) + ("" if len(files) <= _MOST_NAMED else ", …")
        typer.echo(f"trustpose: {_count(len(files), 'files')} not of this run left as before: {named}", err=True)


def _count(number: int, what: str) -> str:
    return f"{number} {what.removesuffix('s') if number == 1 else what}"

"""`trustpose predict --engine ray`: its options, and what it prints. The work is done in `trustpose.scale`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from trustpose.cli.endings import resumable
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.predict.options import PredictOptions
    from trustpose.scale.run import Progress as Step

ENGINE = typer.Option(metavar="ray", help="Spread the work over a Ray cluster (extra 'ray', docs/scale.md).")
ADDRESS = typer.Option(help="With --engine: of a running cluster, or auto. Default: one is started on this machine.")
WORKERS = typer.Option(min=1, help="With --engine: predictors. Default: one on each GPU, or else for every 4 CPUs.")
BLOCK = typer.Option(min=1, help="With --engine: photos or frames that are written at once. Default: 256.")
COLUMN = typer.Option(help="With --engine: column of Parquet files with the photos' bytes or paths.")


@dataclass(frozen=True)
class How:
    """The options of the engine, as they were given."""

    engine: str | None
    address: str | None
    workers: int | None
    block: int | None
    column: str | None
    resume: bool
    overwrite: bool
    recursive: bool

    def check(self, alone: Mapping[str, Any]) -> bool:
        """Return whether an engine is wanted. Raises InputError for an unknown one, for its options without it, and
        with it for options of one process, `alone`, that were given."""
        own = {"--address": self.address, "--workers": self.workers, "--block": self.block, "--column": self.column}
        if self.engine is None:
            given = next((name for name, value in own.items() if value is not None), None)
            if given is not None:
                raise InputError(f"{given}: is for --engine ray")
            return False
        if self.engine != "ray":
            raise InputError(f"--engine: expected ray, got {self.engine!r}")
        given = next((name for name, value in alone.items() if value not in (None, False)), None)
        if given is not None:
            raise InputError(f"{given}: is not for --engine ray, which detects the people of photos and writes Parquet")
        return True


def run_on_engine(sources: "Sequence[str]", model: str, out: str, options: "PredictOptions", how: How) -> None:
    """Predict, and print a line at the end. Raises InputError; exit code 1 if photos could not be read."""
    from trustpose.scale.folder import ERRORS, POSES
    from trustpose.scale.run import BLOCK as USUAL
    from trustpose.scale.run import LOCAL, ScaleOptions, predict_at_scale

    scale = ScaleOptions(
        address=how.address or LOCAL,
        block=how.block or USUAL,
        workers=how.workers,
        recursive=how.recursive,
        column=how.column,
        resume=how.resume,
        overwrite=how.overwrite,
    )
    with resumable("the same command with --resume continues"), _bar() as tell:
        total = predict_at_scale(model, list(sources), out, options, scale, tell)
    folder = out.partition("?")[0].rstrip("/") if "://" in out else out.rstrip("/")  # an address's options are left out
    typer.echo(f"{total.people} people on {total.photos} photos or frames: {folder}/{POSES}")
    if total.unread:
        where = f"{folder}/{ERRORS}"
        typer.echo(f"trustpose: skipped {len(total.unread)} of {total.photos} photos or frames, see {where}", err=True)
        raise typer.Exit(1)


@contextmanager
def _bar() -> "Iterator[Callable[[Step], None]]":
    """Yield a callback for each finished block: shows a bar with photos on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("photos or frames"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def tell(step: "Step") -> None:
            progress.update(task, advance=step.counts.photos, total=step.total)

        yield tell

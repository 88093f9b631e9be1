"""Progress bars on standard error, and how a command ends after Ctrl-C, SIGTERM or on a full disk: with one line
that says how to resume.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any

from trustpose.files import DiskError

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


class Interrupted(Exception):
    """Ctrl-C or SIGTERM; the message states how to resume. No KeyboardInterrupt, which typer handles itself."""


@contextmanager
def resumable(advice: str, but_not: type[BaseException] | tuple[()] = ()) -> Iterator[None]:
    """Run a resumable block: add the advice how to resume to what interrupts it, but not to exceptions of `but_not`.
    Raises Interrupted, DiskError."""
    try:
        yield
    except but_not:
        raise
    except KeyboardInterrupt:
        raise Interrupted(advice) from None
    except DiskError as error:
        raise DiskError(f"{error}; free some space, then {advice}") from None


class _Interrupt(KeyboardInterrupt):
    """Tells when nothing holds it any longer: it was handled, or dropped."""

    def __init__(self, ended: Callable[[], None]) -> None:
        super().__init__()
        self._ended = ended

    def __del__(self) -> None:
        self._ended()


class Interruption:
    """Inside the block Ctrl-C and SIGTERM raise KeyboardInterrupt, and `came` records it, `code` as an exit code.

    An interrupted import may raise another error instead, such as ImportError. A callback of the interpreter may drop
    it, and a library that tries optional imports may take it for a missing package: then it is raised again, until the
    block ends. A signal that is ignored stays ignored. Signals reach only the main thread; in other threads nothing
    changes.
    """

    came = False
    code = 128 + signal.SIGINT  # as a shell has it; also where a library handled the signal

    def __enter__(self) -> "Interruption":
        is_main = threading.current_thread() is threading.main_thread()
        self._process = os.getpid()
        self._repeat: threading.Timer | None = None
        self._over = False
        self._before: dict[signal.Signals, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM) if is_main else ():
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(self, *_: object) -> None:
        self._over = True
        if self._repeat is not None:
            self._repeat.cancel()
            self._repeat.join()
        sys.unraisablehook = self._hook
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if number == signal.SIGTERM and os.getpid() != self._process:  # a forked worker, whose parent ends it
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.came, self.code = True, 128 + number
        raise _Interrupt(self._again)

    def _again(self) -> None:
        if not self._over:
            # a moment later: here it would be dropped again
            self._repeat = threading.Timer(0.01, signal.pthread_kill, (threading.main_thread().ident, self.code - 128))
            self._repeat.start()

    def _dropped(self, dropped: Any) -> None:
        if not isinstance(dropped.exc_value, _Interrupt):
            self._hook(dropped)

"""How a command ends that is interrupted, or whose disk is full: with one line, which says how to go on."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trustpose.files import DiskError


class Interrupted(Exception):
    """Ctrl-C; the message says how to go on. No KeyboardInterrupt, as typer keeps those to itself."""


@contextmanager
def resumable(how: str) -> Iterator[None]:
    """A run that is worth going on with: what stops it says `how`. Raises Interrupted, DiskError."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(how) from None
    except DiskError as error:
        raise DiskError(f"{error}; with room made, {how}") from None


class Interruption:
    """Inside the block Ctrl-C raises KeyboardInterrupt as ever, and `came` remembers it.

    An import that is interrupted may raise something else in its place, such as ImportError, and a callback of the
    interpreter's may drop it: there it is raised once more. Where Ctrl-C is ignored it stays so; only the main thread
    is told of signals, in another one nothing is changed.
    """

    came = False

    def __enter__(self) -> "Interruption":
        is_main = threading.current_thread() is threading.main_thread()
        self._is_told = is_main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        if self._is_told:
            self._before = signal.signal(signal.SIGINT, self._note)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_told:
            sys.unraisablehook = self._hook
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self.came = True
        raise KeyboardInterrupt

    def _dropped(self, dropped: Any) -> None:
        if self.came and issubclass(dropped.exc_type, KeyboardInterrupt):
            # once the callback is left: here it would be dropped again
            threading.Timer(0.01, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
        else:
            self._hook(dropped)

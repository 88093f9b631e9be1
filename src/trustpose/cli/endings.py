"""How a command ends after Ctrl-C or on a full disk: with one line that states how to resume."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trustpose.files import DiskError


class Interrupted(Exception):
    """Ctrl-C; the message states how to resume. Not a KeyboardInterrupt, because typer handles those itself."""


@contextmanager
def resumable(how: str) -> Iterator[None]:
    """Run a resumable block: add `how` to resume to what interrupts it. Raises Interrupted, DiskError."""
    try:
        yield
    except KeyboardInterrupt:
        raise Interrupted(how) from None
    except DiskError as error:
        raise DiskError(f"{error}; with room made, {how}") from None


class Interruption:
    """Inside the block Ctrl-C raises KeyboardInterrupt as usual, and `came` records it.

    An interrupted import may raise another error instead, such as ImportError, and a callback of the
    interpreter may drop it: then it is raised again. If Ctrl-C is ignored it stays ignored. Signals reach only the main
    thread; in other threads nothing changes.
    """

    came = False

    def __enter__(self) -> "Interruption":
        is_main = threading.current_thread() is threading.main_thread()
        self._is_handled = is_main and signal.getsignal(signal.SIGINT) is not signal.SIG_IGN
        if self._is_handled:
            self._before = signal.signal(signal.SIGINT, self._note)
            self._hook, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_handled:
            sys.unraisablehook = self._hook
            signal.signal(signal.SIGINT, self._before)

    def _note(self, *_: object) -> None:
        self.came = True
        raise KeyboardInterrupt

    def _dropped(self, dropped: Any) -> None:
        if self.came and issubclass(dropped.exc_type, KeyboardInterrupt):
            # raise it after the callback: here it would be dropped again
            threading.Timer(0.01, signal.pthread_kill, (threading.get_ident(), signal.SIGINT)).start()
        else:
            self._hook(dropped)

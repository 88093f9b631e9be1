"""How a command ends after Ctrl-C, SIGTERM or on a full disk: with one line that states how to resume."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from trustpose.files import DiskError


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
        raise DiskError(f"{error}; with room made, {advice}") from None


class Interruption:
    """Inside the block Ctrl-C and SIGTERM raise KeyboardInterrupt, and `came` records it, `code` as an exit code.

    An interrupted import may raise another error instead, such as ImportError, and a callback of the
    interpreter may drop it: then it is raised again. A signal that is ignored stays ignored. Signals reach only the
    main thread; in other threads nothing changes.
    """

    came = False
    code = 128 + signal.SIGINT  # as a shell has it; also where a library handled the signal

    def __enter__(self) -> "Interruption":
        is_main = threading.current_thread() is threading.main_thread()
        self._process = os.getpid()
        self._before: dict[signal.Signals, Any] = {}
        for number in (signal.SIGINT, signal.SIGTERM) if is_main else ():
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._note)
        self._hook, sys.unraisablehook = sys.unraisablehook, self._dropped
        return self

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self._hook
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, _: object) -> None:
        if number == signal.SIGTERM and os.getpid() != self._process:  # a forked worker, whose parent ends it
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self.came, self.code = True, 128 + number
        raise KeyboardInterrupt

    def _dropped(self, dropped: Any) -> None:
        if self.came and issubclass(dropped.exc_type, KeyboardInterrupt):
            # raise it after the callback: here it would be dropped again
            threading.Timer(0.01, signal.pthread_kill, (threading.get_ident(), self.code - 128)).start()
        else:
            self._hook(dropped)

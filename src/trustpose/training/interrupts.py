"""SIGINT and SIGTERM as a wish that the loop looks at between steps, and time that is up."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class InterruptedRun(KeyboardInterrupt):
    """SIGINT or SIGTERM came, and a checkpoint was written."""


class OutOfTime(KeyboardInterrupt):
    """The time that the run was given is over, and what it had done is on disk; the message says how far it is."""


@contextmanager
def asking_to_stop(stop: threading.Event) -> Iterator[None]:
    """Inside the block the first signal sets `stop`; a second one of its kind does what it always does.

    A signal that is ignored stays so. Python hands signals to the main thread alone; in another one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

    def ask(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def interrupted_at(until: float | None, saying: str) -> Iterator[None]:
    """Raises OutOfTime inside the block, wherever it is, once `time.monotonic()` is `until`; None for never.

    For work that has no steps to look at the clock between. Alarms come to the main thread alone, and not on Windows;
    elsewhere nothing is changed.
    """
    if until is None or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_: int, __: object) -> None:
        raise OutOfTime(saying)

    handler = signal.signal(signal.SIGALRM, stop)
    others, interval = signal.setitimer(signal.ITIMER_REAL, max(until - time.monotonic(), 1e-3))  # 0 would mean never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, others, interval)

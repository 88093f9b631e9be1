"""What ends a run early: SIGINT and SIGTERM, a request that the loop checks between steps; the time limit; a loss that
is not finite."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class InterruptedRun(KeyboardInterrupt):
    """A run was interrupted by SIGINT or SIGTERM, after a checkpoint was written."""


class NonFiniteLossError(ArithmeticError):
    """A loss was NaN or infinite; the message names epoch, step and samples."""


class OutOfTime(KeyboardInterrupt):
    """The run's time is up, and its progress is on disk; the message states the progress."""


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Inside the block the first signal sets `stop`; a second one of its kind has its usual effect.

    An ignored signal stays ignored. Python delivers signals to the main thread only; in other threads nothing changes.
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
def time_limit(until: float | None, saying: str) -> Iterator[None]:
    """Raise OutOfTime inside the block, at any point, once `time.monotonic()` reaches `until`; None for never.

    For work without steps between which to check the clock. Alarms reach only the main thread, and do not exist on
    Windows; elsewhere nothing changes.
    """
    if until is None or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_: int, __: object) -> None:
        raise OutOfTime(saying)

    handler = signal.signal(signal.SIGALRM, stop)
    remaining, interval = signal.setitimer(
        signal.ITIMER_REAL, max(until - time.monotonic(), 1e-3)
    )  # 0 would mean never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, remaining, interval)

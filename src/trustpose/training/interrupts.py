"""SIGINT and SIGTERM as a wish that the loop looks at between steps."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class InterruptedRun(KeyboardInterrupt):
    """SIGINT or SIGTERM came, and a checkpoint was written."""


@contextmanager
def asking_to_stop(stop: threading.Event) -> Iterator[None]:
    """Inside the block the first signal sets `stop`; a second one of its kind does what it always does.

    Python hands signals to the main thread alone; in another one nothing is changed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

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

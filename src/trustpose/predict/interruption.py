"""Ctrl-C as an event: a webcam's run ends with it, and its results are written."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event


@contextmanager
def interruption() -> Iterator[Event]:
    """Yield an event that Ctrl-C sets; a second Ctrl-C interrupts as usual. Signals reach only the main thread."""
    event = Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        event.set()
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)

"""Threads that stay from call to call, and objects that a forked process builds again."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from itertools import islice
from typing import Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S")


class PerProcess(Generic[T]):
    """An object that does not survive a fork, such as a session or threads: created again in each forked process."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._built: tuple[int, T] | None = None

    def __call__(self) -> T:
        """Return this process's own object."""
        if self._built is None or self._built[0] != os.getpid():
            self._built = (os.getpid(), self._make())
        return self._built[1]


def worker_threads(count: int, name: str) -> PerProcess[ThreadPoolExecutor]:
    """Return up to `count` threads, which stay from call to call.

    They stay because a thread that ends holds one of OpenCV's locks for a moment: a process forked just then would wait
    for that lock for ever.
    """
    return PerProcess(lambda: ThreadPoolExecutor(count, name))


def cpu_count() -> int:
    """Return the number of CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def in_order(threads: ThreadPoolExecutor, work: Callable[[S], T], items: Iterable[S], ahead: int) -> Iterator[T]:
    """Yield what `work` returns for each item, in their order, while threads work on up to `ahead` items, with the
    caller's settings, such as `numpy.errstate`."""
    submitted = (threads.submit(copy_context().run, work, item) for item in items)
    pending = deque(islice(submitted, ahead))
    while pending:
        done = pending.popleft().result()
        pending.extend(islice(submitted, 1))
        yield done

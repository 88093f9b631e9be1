"""Load batches, and pass on one-line errors from worker processes."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import cv2

from trustpose.files import InputError

T = TypeVar("T")
_NAME = f"{InputError.__module__}.{InputError.__name__}: "


def load_batches(loader: Iterable[T]) -> Iterator[T]:
    """Yield the loader's batches. Raises InputError with the original message, without torch's traceback."""
    try:
        yield from loader
    except InputError as error:
        (message,) = error.args  # with torch's traceback, whole
        raise InputError(message.rpartition(_NAME)[2].strip()) from None


@contextmanager
def single_opencv_thread(workers: int) -> Iterator[None]:
    """Inside the block OpenCV uses one thread in worker processes, as torch does; 0 workers changes nothing.

    The number is set before the fork: a forked process that changes it hangs.
    """
    before = cv2.getNumThreads()
    if workers:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        if workers:
            cv2.setNumThreads(before)

"""Batches out of loaders, and a broken file's one line out of the processes that read it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import cv2

from trustpose.files import InputError

T = TypeVar("T")
_NAME = f"{InputError.__module__}.{InputError.__name__}: "


def loaded(loader: Iterable[T]) -> Iterator[T]:
    """The loader's batches. Raises InputError in the words of whoever raised it: torch puts a traceback before them."""
    try:
        yield from loader
    except InputError as error:
        raise InputError(str(error).rpartition(_NAME)[2].strip()) from None


@contextmanager
def one_thread_each(workers: int) -> Iterator[None]:
    """Inside the block OpenCV uses one thread in processes that make batches, as torch does; 0 changes nothing.

    It is said here, before they are forked: a forked process waits forever where it changes the number itself.
    """
    before = cv2.getNumThreads()
    if workers:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        if workers:
            cv2.setNumThreads(before)

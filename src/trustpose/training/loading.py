"""Batches out of loaders, and a broken file's one line out of the processes that read it."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from trustpose.files import InputError

T = TypeVar("T")
_NAME = f"{InputError.__module__}.{InputError.__name__}: "


def loaded(loader: Iterable[T]) -> Iterator[T]:
    """The loader's batches. Raises InputError in the words of whoever raised it: torch puts a traceback before them."""
    try:
        yield from loader
    except InputError as error:
        raise InputError(str(error).rpartition(_NAME)[2].strip()) from None

"""Threads that work ahead keep the order, and how far ahead they are is bounded."""

import threading
import time
from collections.abc import Iterator

import pytest

from trustpose.threads import in_order, worker_threads

_threads = worker_threads(2, "test")


def test_results_come_in_the_order_of_items() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.02 if item % 2 == 0 else 0)
        return item * item

    assert list(in_order(_threads(), slow_first, range(9), 4)) == [item * item for item in range(9)]
    assert list(in_order(_threads(), slow_first, [], 4)) == []


def test_no_more_items_are_taken_than_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for number in range(1, 100):
            taken = number
            yield number

    results = in_order(_threads(), lambda item: item, items(), 3)
    assert next(results) == 1 and taken == 4
    assert next(results) == 2 and taken == 5


def test_work_is_done_on_other_threads_and_its_error_is_raised() -> None:
    def refuse(item: int) -> int:
        if item == 1:
            raise ValueError("item 1")
        return threading.get_ident()

    results = in_order(_threads(), refuse, range(3), 2)
    assert next(results) != threading.get_ident()
    with pytest.raises(ValueError, match="item 1"):
        next(results)

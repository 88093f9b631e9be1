"""Work ahead in threads: order, how far ahead, errors in their turn."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from trustpose.predict.photos import prefetch


def test_order_and_window():
    drawn, finished = [], threading.Event()

    def items():
        for item in range(20):
            drawn.append(item)
            yield item

    def work(item):
        time.sleep(0.01 if item % 3 == 0 else 0)
        return item * item

    with ThreadPoolExecutor(4) as pool:
        for index, result in enumerate(prefetch(pool, work, items(), 5)):
            assert result == index * index
            assert len(drawn) <= index + 5
            finished.set()
    assert drawn == list(range(20)) and finished.is_set()


def test_an_error_comes_in_its_turn():
    def work(item):
        if item == 2:
            raise OSError("third")
        return item

    results = []
    with ThreadPoolExecutor(2) as pool, pytest.raises(OSError, match="third"):
        results.extend(prefetch(pool, work, range(100), 4))
    with ThreadPoolExecutor(2) as pool, pytest.raises(OSError, match="third"):
        for result in prefetch(pool, work, range(100), 4):
            results.append(result)
    assert results[-2:] == [0, 1]


def test_nothing_to_do():
    with ThreadPoolExecutor(1) as pool:
        assert list(prefetch(pool, str, [], 3)) == []

"""onnxruntime sessions of tests: a graph that was opened before, byte for byte and with the same options, is not made
ready again, which takes longer than most tests. A session keeps nothing from one run to the next.
"""

import hashlib
import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

MOST = 8  # sessions that are kept
WORTH_IT = 300_000, 30_000_000  # bytes of a graph whose session is kept: smaller ones are opened at once
Session = onnxruntime.InferenceSession
_kept: OrderedDict[tuple, Any] = OrderedDict()
_answers: dict[tuple, list[Any]] | None = None


class SharedSession(Session):
    """A session that is the one opened before, if there is such a one in this process."""

    def __new__(
        cls, path_or_bytes: Any, sess_options: Any = None, providers: Any = None, *more: Any, **named: Any
    ) -> Any:
        key = _key(path_or_bytes, sess_options, providers, more, named)
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
        made = super().__new__(cls)
        made.key = key
        return made

    def __init__(self, *given: Any, **named: Any) -> None:
        if self.key in _kept:
            return
        super().__init__(*given, **named)
        if self.key:
            _kept[self.key] = self
            if len(_kept) > MOST:
                _kept.popitem(last=False)

    def run(self, output_names: Any, input_feed: Any, run_options: Any = None) -> Any:
        """The outputs; within `each_run_once` those of before, if there are such ones."""
        if _answers is None or not self.key or not all(isinstance(one, np.ndarray) for one in input_feed.values()):
            return super().run(output_names, input_feed, run_options)
        inputs = [(name, one.dtype.str, one.shape, _digest(one)) for name, one in sorted(input_feed.items())]
        asked = (self.key, tuple(output_names or ()), *inputs)
        if asked not in _answers:
            _answers[asked] = super().run(output_names, input_feed, run_options)
        return [np.copy(one) for one in _answers[asked]]


@contextmanager
def shared_sessions() -> Iterator[None]:
    """All sessions that are opened within are shared."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnxruntime, "InferenceSession", SharedSession)
        yield
    _kept.clear()


@contextmanager
def each_run_once() -> Iterator[None]:
    """A shared session runs on the same inputs once; after that its outputs are known."""
    global _answers
    _answers = {}
    try:
        yield
    finally:
        _answers = None


def _key(graph: Any, options: Any, *more: Any) -> tuple:
    """All that a session depends on; empty for a graph that cannot be read whole, or is not worth it."""
    try:
        content = graph if isinstance(graph, bytes) else Path(graph).read_bytes()
    except (OSError, TypeError, ValueError):
        return ()
    if not WORTH_IT[0] < len(content) < WORTH_IT[1] or b"location" in content:  # the latter: weights in another file
        return ()
    names = [name for name in dir(options) if not name.startswith("_") and not callable(getattr(options, name))]
    settings = tuple((name, repr(getattr(options, name))) for name in names)
    return (os.getpid(), hashlib.sha256(content).digest(), settings, repr(more))


def _digest(array: np.ndarray) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(array)).digest()

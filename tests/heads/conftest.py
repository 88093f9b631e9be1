"""torch and timm are the `train` extra; without it there is nothing to test here."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

collect_ignore_glob = [] if find_spec("torch") and find_spec("timm") else ["*.py"]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Maps this small are computed in no time, but threads that wait for each other on a busy machine are not."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)

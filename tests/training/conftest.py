"""Trainings that are compared bit for bit use one thread."""

import pytest
import torch


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(autouse=True, scope="module")
def narrow_heads():
    """Heads with narrow hidden layers: a million weights are most of the time of a tiny network's training."""
    from trustpose.heads import hpcvnet, oks_net, visibility

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(visibility, "HIDDEN", (64, 32, 16))
        patch.setattr(oks_net, "HIDDEN", 64)
        patch.setattr(hpcvnet, "HIDDEN", 64)
        yield

"""Overfit one batch: gradients reach all parameters, in networks of every family."""

import pytest
import torch

from tests.networks.overfitting import overfit
from trustpose.networks.zoo import build

# One each with one stage, stacks and stages; EfficientNet-B0 shares SimpleBaseline's code. The others take minutes on
# one core and were learnt once, with `benchmarks/networks.py --overfit NAME`; docs/parity.md has the results.
LEARNT_HERE = ("efficientnet-b0", "hourglass-2", "mspn-1", "light-mobilenetv2-050")


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNT_HERE)
def test_one_batch_is_learnt_by_heart(name):
    torch.manual_seed(0)
    network = build(name).to(memory_format=torch.channels_last)  # in which their gradients are computed faster
    mean_oks, _ = overfit(network, steps=120, enough=0.95)
    assert mean_oks > 0.95

"""Overfit one batch: gradients reach all parameters, in networks of every family."""

import pytest
import torch
from torch import nn

from tests.networks.overfitting import overfit
from tests.networks.short import build_short
from trustpose.networks import hourglass, simple_baseline
from trustpose.networks.zoo import build


def small_baseline() -> nn.Module:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(simple_baseline, "FILTERS", 128)
        return simple_baseline.simple_baseline("test_resnet")


def narrow_hourglass() -> nn.Module:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hourglass, "CHANNELS", 128)
        return build("hourglass-2")


# One each with one stage, stacks and stages, as small as the family's code makes them. The zoo's own take minutes on
# one core and were learnt once, with `benchmarks/networks.py --overfit NAME`; docs/parity.md has the results.
LEARNT_HERE = {
    "simple-baseline": small_baseline,
    "hourglass-2": narrow_hourglass,
    "mspn-1": lambda: build_short("mspn-1"),
    "light-mobilenetv2-050": lambda: build("light-mobilenetv2-050"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LEARNT_HERE)
def test_one_batch_is_learnt_by_heart(name):
    torch.manual_seed(0)
    network = LEARNT_HERE[name]().to(memory_format=torch.channels_last)  # in which gradients are computed faster
    mean_oks, _ = overfit(network, steps=120, enough=0.95)
    assert mean_oks > 0.95

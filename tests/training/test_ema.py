"""The moving average of weights."""

import torch
from torch import nn

from trustpose.training.loop import Ema


def test_the_average_follows_its_formula():
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    ema, random = Ema(model, 0.9), torch.Generator().manual_seed(0)
    expected = model[0].weight.detach().double().clone()
    for step in range(1, 101):
        with torch.no_grad():
            model[0].weight.copy_(torch.randn(2, 3, generator=random))
            model[1].running_mean.fill_(step)
            model[1].num_batches_tracked.fill_(step)
        ema.update(model)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model[0].weight.detach().double()
    assert torch.allclose(ema.average["0.weight"].double(), expected, atol=1e-6)
    assert 85 < float(ema.average["1.running_mean"][0]) < 92  # ten steps behind
    assert int(ema.average["1.num_batches_tracked"]) == 100


def test_what_stands_still_stays_bit_for_bit():
    model = nn.Linear(50, 50)
    ema, before = Ema(model, 0.97), model.weight.detach().clone()
    for _ in range(30):
        ema.update(model)
    assert torch.equal(ema.average["weight"], before)


def test_it_is_applied_within_a_block_only():
    model = nn.Linear(2, 2)
    ema, average = Ema(model, 0.5), model.weight.detach().clone()
    with torch.no_grad():
        model.weight.add_(1)
    weight = model.weight.detach().clone()
    with ema.applied(model):
        assert torch.equal(model.weight, average)
    assert torch.equal(model.weight, weight)
    none = Ema(model, 0.0)
    none.update(model)
    with none.applied(model):
        assert torch.equal(model.weight, weight)

"""Order, parts and learning rates."""

import math

import numpy as np
import pytest

from trustpose.files import InputError
from trustpose.heads.stages import OKS_NET, Stage, Strategy
from trustpose.training.loop import batch_parts, learning_rate, sample_order, steps_per_epoch
from trustpose.training.recipe import TrainOptions


def test_each_epoch_has_an_order_of_its_own():
    orders = [sample_order(seed, epoch, 100).tolist() for seed in (0, 1) for epoch in (0, 1, 2)]
    assert all(sorted(order) == list(range(100)) for order in orders)
    assert len({tuple(order) for order in orders}) == 6
    assert sample_order(1, 2, 100).tolist() == orders[-1]


@pytest.mark.parametrize(("accumulate", "processes"), [(1, 1), (2, 1), (1, 2), (3, 2)])
def test_parts_of_all_processes_make_up_the_batches_of_one(accumulate, processes):
    order, options = sample_order(0, 0, 31), TrainOptions(batch_size=12, accumulate=accumulate)
    parts = [batch_parts(order, options, rank, processes) for rank in range(processes)]
    assert steps_per_epoch(31, options) == 2
    joined = [
        number for index in range(2 * accumulate) for rank in range(processes) for number in parts[rank][index]
    ]  # in order of parts, then of processes
    assert joined == order[:24].tolist()
    assert {len(part) for own in parts for part in own} == {12 // accumulate // processes}


def test_too_few_samples_are_reported():
    with pytest.raises(InputError, match=r"^train.batch_size: 32 is more than the 31 available samples"):
        steps_per_epoch(31, TrainOptions())


def test_the_rate_drops_after_the_papers_epochs():
    plan, options = OKS_NET[1], TrainOptions()
    rates = [learning_rate(plan, options, epoch, epoch * 10, 10) for epoch in (0, 169, 170, 219, 220, 249)]
    assert np.allclose(rates, [1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5])


def test_warmup_and_cosine():
    plan = Strategy((Stage(4, 1.0, 0.0),), 0.5, (2,), "scratch")
    cosine = TrainOptions(schedule="cosine")
    for step in (0, 7, 20, 39):
        expected = 0.5 * (1 + math.cos(math.pi * step / 40)) / 2
        assert math.isclose(learning_rate(plan, cosine, step // 10, step, 10), expected)
    warm = TrainOptions(warmup=5)
    assert [learning_rate(plan, warm, 0, step, 10) for step in (0, 1, 4, 5)] == [0.1, 0.2, 0.5, 0.5]


def test_the_cosine_falls_anew_for_each_part_of_a_network():
    plan = Strategy((Stage(2, 1.0, 0.0, part=0), Stage(1, 1.0, 0.0, part=1), Stage(3, 1.0, 0.0)), 0.5, (), "scratch")
    rates = [learning_rate(plan, TrainOptions(schedule="cosine"), step // 10, step, 10) for step in range(60)]
    for first, count in ((0, 20), (20, 10), (30, 30)):
        expected = [0.25 * (1 + math.cos(math.pi * step / count)) for step in range(count)]
        assert np.allclose(rates[first : first + count], expected)

"""Losses, targets and schedules against hand computation, scikit-learn and the papers' text."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss
from sklearn.utils.class_weight import compute_class_weight

from trustpose.geometry import oks as kernel
from trustpose.heads import hpcvnet, oks_net, visibility
from trustpose.heads.stages import METAMODEL, OKS_NET
from trustpose.heads.targets import trust_targets
from trustpose.skeletons import COCO_17

UNIT = st.floats(0, 1, width=32)


def oks_loss(predicted, target, share=0.25):
    """Equation 3 of the predictions; no target is NaN."""
    mask = ~target.isnan()
    errors = (predicted - target.nan_to_num(0.5)).abs()
    return oks_net.oks_loss(errors, mask, oks_net.hard_samples(errors, mask, share))


def test_equation_3_by_hand():
    predicted = torch.tensor([0.5, 0.9, 0.1, 0.7], requires_grad=True)
    loss = oks_loss(predicted, torch.tensor([0.6, 0.9, 0.5, 0.5]))
    assert loss.item() == pytest.approx((0.1 + 0.0 + (math.exp(0.8) - 1) + 0.2) / 4, abs=1e-6)
    loss.backward()
    assert predicted.grad[2] == pytest.approx(-2 * math.exp(0.8) / 4, rel=1e-5)  # the chain rule through e^{2L}
    assert oks_loss(predicted, torch.tensor([0.6, 0.9, 0.5, 0.5]), 0.0).item() == pytest.approx(0.7 / 4)


@given(
    st.lists(st.tuples(UNIT, st.one_of(UNIT, st.just(float("nan")))), min_size=1, max_size=40),
    st.sampled_from([0.25, 0.1, 0.5, 0.0, 1.0]),
)
def test_exactly_the_worst_share_is_enlarged_and_people_without_oks_do_not_count(pairs, share):
    predicted, target = (torch.tensor(column, dtype=torch.float64) for column in zip(*pairs, strict=True))
    mask = ~target.isnan()
    errors = (predicted - target)[mask].abs()
    hard = oks_net.hard_samples((predicted - target).abs().nan_to_num(9.0), mask, share)
    assert int(hard.sum()) == math.ceil(round(share * len(errors), 6))
    assert not (hard & ~mask).any()
    worst = sorted(errors.tolist(), reverse=True)
    count = int(hard.sum())
    expected = sum(map(lambda e: math.exp(2 * e) - 1, worst[:count])) + sum(worst[count:])
    loss = oks_loss(predicted.requires_grad_(), target, share)
    assert loss.item() == pytest.approx(expected / max(len(worst), 1), abs=1e-9)
    loss.backward()
    assert torch.isfinite(predicted.grad).all()
    assert (predicted.grad[~mask] == 0).all()


def test_shares_of_hard_samples_that_are_none():
    with pytest.raises(ValueError, match="share: expected 0 to 1"):
        oks_net.hard_samples(torch.zeros(1), torch.ones(1, dtype=torch.bool), -0.1)


@given(st.lists(st.integers(1, 10**7), min_size=3, max_size=3))
def test_class_weights_are_the_biggest_class_over_each(counts):
    weights = visibility.class_weights(counts)
    assert min(weights) == 1
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=np.repeat(np.arange(3), np.minimum(counts, 50)))
    small = visibility.class_weights([min(count, 50) for count in counts])
    assert np.allclose(np.array(small) / small[0], balanced / balanced[0])  # scikit-learn's, up to a factor
    products = [weight * count for weight, count in zip(weights, counts, strict=True)]
    assert np.allclose(products, max(counts))


def test_class_weights_need_every_class():
    for counts in ((1, 0, 3), (1, 2)):
        with pytest.raises(ValueError, match="counts: expected 3 numbers"):
            visibility.class_weights(counts)


def test_visibility_loss_is_scikit_learns_weighted_log_loss():
    torch.manual_seed(0)
    logits, v = torch.randn(6, 17, 3, dtype=torch.float64), torch.randint(0, 3, (6, 17))
    weights = torch.tensor(visibility.class_weights([40, 7, 53]), dtype=torch.float64)
    expected = log_loss(v.flatten(), logits.softmax(-1).flatten(0, 1), sample_weight=weights[v.flatten()])
    assert float(visibility.visibility_loss(logits, v, weights)) == pytest.approx(expected)


def _people(seed: int = 0):
    random = np.random.default_rng(seed)
    truth = random.uniform(20, 180, (4, 17, 2))
    v = random.integers(0, 3, (4, 17))
    v[3] = 0  # this person has no labels
    return truth + random.normal(size=truth.shape) * 6, truth, v, random.uniform(900, 9000, 4)


def test_targets_are_the_kernels_without_gradients():
    found, truth, v, area = _people()
    xy = torch.tensor(found, requires_grad=True)
    targets = trust_targets(xy, torch.tensor(truth), torch.tensor(v), torch.tensor(area), torch.tensor(COCO_17.sigmas))
    assert not targets.opks.requires_grad and not targets.oks.requires_grad
    squared = ((found - truth) ** 2).sum(-1)
    by_hand = np.exp(-squared / (2 * area[:, None] * (2 * COCO_17.sigmas) ** 2)) * (v > 0)
    assert np.allclose(targets.opks.numpy(), by_hand)
    assert np.allclose(targets.oks.numpy()[:3], by_hand[:3].sum(1) / (v[:3] > 0).sum(1))
    assert math.isnan(targets.oks[3])
    assert torch.equal(targets.visibility, torch.tensor(v))


@given(st.floats(0.2, 5), st.floats(-200, 200))
def test_crop_and_image_pixels_give_the_same_targets(scale, shift):
    found, truth, v, area = (torch.tensor(array) for array in _people())
    affine = torch.tensor([[0.0, -scale, shift], [scale, 0.0, 3.0]], dtype=torch.float64).expand(4, 2, 3)
    in_crop = [xy @ affine[0, :, :2].T + affine[0, :, 2] for xy in (found, truth)]
    sigmas = torch.tensor(COCO_17.sigmas)
    first = trust_targets(found, truth, v, area, sigmas)
    second = trust_targets(*in_crop, v, area * scale**2, sigmas)
    assert torch.allclose(first.opks, second.opks, atol=1e-9)


def test_hpcvnets_losses_against_scikit_learn():
    torch.manual_seed(0)
    found, truth, v, area = (torch.tensor(array) for array in _people())
    targets = trust_targets(found, truth, v, area, torch.tensor(COCO_17.sigmas))
    raw = hpcvnet.KeypointOutputs(torch.rand(4, 17, dtype=torch.float64), torch.randn(4, 17, dtype=torch.float64))
    losses = hpcvnet.hpcvnet_loss(raw, targets)
    labelled = (v > 0).numpy()
    exact = kernel.opks(found.numpy(), truth.numpy(), v.numpy(), area.numpy(), COCO_17.sigmas)
    assert losses["opks"].item() == pytest.approx(np.abs(raw.opks.numpy() - exact)[labelled].mean())
    expected = log_loss(labelled.ravel(), raw.labelled_logits.sigmoid().numpy().ravel())
    assert losses["labelled"].item() == pytest.approx(expected)


def test_without_labels_there_is_no_opks_loss():
    raw = hpcvnet.KeypointOutputs(torch.rand(2, 17, requires_grad=True), torch.randn(2, 17))
    found, truth, v, area = (torch.tensor(array)[:2] for array in _people())
    loss = hpcvnet.hpcvnet_loss(raw, trust_targets(found, truth, v * 0, area, torch.tensor(COCO_17.sigmas)))["opks"]
    loss.backward()
    assert loss.item() == 0
    assert (raw.opks.grad == 0).all()


def test_strategies_match_the_papers():
    first, second, third = (OKS_NET[number] for number in (1, 2, 3))
    assert (first.epochs, second.epochs, third.epochs) == (250, 250, 50)
    assert [second.stage_at(epoch).trust_weight for epoch in (0, 199, 200, 249)] == [0, 0, 1, 1]
    assert {stage.heatmap_weight for strategy in OKS_NET.values() for stage in strategy.stages} == {2000}
    with pytest.raises(ValueError, match="epoch: expected 0 to 249, got 250"):
        second.stage_at(250)
    one, two, three = (METAMODEL[name] for name in ("S1", "S2", "S3"))
    assert (one.epochs, two.epochs, three.epochs) == (140, 220, 220)
    assert one.stage_at(0).trust_weight == 0.25
    assert [two.stage_at(epoch).trust_weight for epoch in (139, 140, 160, 180, 219)] == [0, 0, 0.1, 0.2, 0.3]
    assert {stage.trains for stage in two.stages} == {"all"}
    assert [stage.trains for stage in three.stages] == ["all"] + ["head"] * 4
    for strategy in METAMODEL.values():
        assert all(stage.heatmap_weight + stage.trust_weight == 1 for stage in strategy.stages)

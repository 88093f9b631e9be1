"""Losses and calibration of `KeypointTokens`: scikit-learn's losses, minimal at the true probabilities."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, log_softmax, logsumexp
from sklearn.metrics import log_loss

from trustpose.heads.keypoint_tokens import KeypointTokens, TokenAnswers, tokens_losses
from trustpose.heads.targets import TrustTargets
from trustpose.heads.token_calibration import calibrate, uncalibrated_components

NAN = float("nan")


def random_people(seed: int, people: int = 40, keypoints: int = 5) -> tuple[TokenAnswers, TrustTargets]:
    """Outputs that require gradients, and targets as from `trust_targets`; some people unlabelled."""
    random = np.random.default_rng(seed)
    v = random.choice([0, 1, 2], (people, keypoints), p=[0.3, 0.2, 0.5]) * (random.random((people, 1)) > 0.2)
    opks = random.beta(0.5, 0.5, v.shape) * (v > 0)
    labelled = (v > 0).sum(axis=1)
    oks = np.where(labelled > 0, opks.sum(axis=1) / np.maximum(labelled, 1), NAN)
    shapes = ((people, keypoints, 3), (people, keypoints), (people,))
    logits = [torch.from_numpy(random.normal(size=shape) * 2) for shape in shapes]
    answers = [one.requires_grad_() for one in (*logits[:2], logits[2].sigmoid())]
    return TokenAnswers(*answers), TrustTargets(torch.from_numpy(opks), torch.from_numpy(oks), torch.from_numpy(v))


def as_arrays(raw: TokenAnswers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return raw.visibility.detach().numpy(), raw.opks.detach().numpy(), raw.oks.detach().numpy()


def soft_log_loss(says: np.ndarray, shares: np.ndarray) -> float:
    """scikit-learn's, of targets between 0 and 1: each as two samples, weighed by the target and by its rest."""
    twice, truth = np.tile(says, 2), np.repeat([1, 0], len(says))
    return float(log_loss(truth, twice, sample_weight=np.concatenate([shares, 1 - shares]), labels=[0, 1]))


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_losses_are_scikit_learns(seed):
    raw, targets = random_people(seed)
    losses = {name: float(loss.detach()) for name, loss in tokens_losses(raw, targets).items()}
    visibility, opks, oks = as_arrays(raw)
    v, is_labelled, has_oks = targets.visibility.numpy(), targets.visibility.numpy() > 0, ~targets.oks.isnan().numpy()
    probabilities = np.exp(log_softmax(visibility, axis=2)).reshape(-1, 3)
    assert losses["visibility"] == pytest.approx(log_loss(v.ravel(), probabilities, labels=[0, 1, 2]))
    assert losses["opks"] == pytest.approx(soft_log_loss(expit(opks[is_labelled]), targets.opks.numpy()[is_labelled]))
    assert losses["oks"] == pytest.approx(soft_log_loss(oks[has_oks], targets.oks.numpy()[has_oks]))


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_unknown_joints_and_labels_without_visibility(seed):
    """Leeds Sports people: some joints are missing, and labels have no visibility."""
    raw, targets = random_people(seed)
    random, v = np.random.default_rng(seed), targets.visibility.numpy()
    mask = random.random(v.shape) < 0.7
    v = np.where(mask, v, 0)
    ternary = mask & ((random.random((len(v), 1)) < 0.5) | (v == 0))
    targets = replace(targets, visibility=torch.from_numpy(v))
    losses = tokens_losses(raw, targets, torch.from_numpy(mask), torch.from_numpy(ternary))
    logs = log_softmax(as_arrays(raw)[0], axis=2)
    terms = []
    for index in zip(*np.nonzero(mask), strict=True):
        says = logs[index]
        terms.append(says[v[index]] if ternary[index] or v[index] == 0 else logsumexp(says[1:]))
    assert float(losses["visibility"].detach()) == pytest.approx(-np.mean(terms))
    losses["visibility"].backward()
    gradient = raw.visibility.grad
    assert gradient is not None and (gradient[~mask] == 0).all() and (gradient[mask] != 0).all()
    # "labelled" alone says nothing of occluded against visible: their odds stay
    only = torch.from_numpy(mask & ~ternary)
    share = raw.visibility.detach()[only][:, 1:].softmax(dim=1)
    pulled = gradient[only][:, 1:]
    torch.testing.assert_close(pulled[:, 0] * share[:, 1], pulled[:, 1] * share[:, 0])


def test_without_labels_losses_are_zero_with_finite_gradients():
    raw, targets = random_people(0)
    none = TrustTargets(targets.opks * 0, torch.full_like(targets.oks, NAN), targets.visibility * 0)
    losses = tokens_losses(raw, none, torch.zeros_like(none.visibility, dtype=torch.bool))
    assert {name: float(loss.detach()) for name, loss in losses.items()} == {"visibility": 0, "opks": 0, "oks": 0}
    torch.stack(list(losses.values())).sum().backward()
    for logits in (raw.visibility, raw.opks, raw.oks):
        assert logits.grad is not None and (logits.grad == 0).all()


def test_a_person_without_oks_does_not_count():
    raw, targets = random_people(1)
    has_oks = ~targets.oks.isnan()
    assert 0 < int(has_oks.sum()) < len(has_oks)
    losses = tokens_losses(raw, targets)
    token_answers = TokenAnswers(raw.visibility[has_oks], raw.opks[has_oks], raw.oks[has_oks])
    few = TrustTargets(targets.opks[has_oks], targets.oks[has_oks], targets.visibility[has_oks])
    for name in ("opks", "oks"):
        assert float(losses[name].detach()) == pytest.approx(float(tokens_losses(token_answers, few)[name].detach()))
    losses["oks"].backward()
    assert raw.oks.grad is not None and ((raw.oks.grad != 0) == has_oks).all()


def test_the_losses_are_minimal_at_the_true_probabilities():
    """One prediction for all people: at the minimum it is each class's share, mean OPKS of labelled ones, mean OKS."""
    _, targets = random_people(2, people=200)
    free = [torch.zeros(shape, dtype=torch.float64, requires_grad=True) for shape in ((5, 3), (5,), ())]
    optimiser = torch.optim.LBFGS(free, max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> float:
        optimiser.zero_grad()
        same = TokenAnswers(free[0].expand(200, 5, 3), free[1].expand(200, 5), free[2].sigmoid().expand(200))
        loss = torch.stack(list(tokens_losses(same, targets).values())).sum()
        loss.backward()
        return float(loss.detach())

    optimiser.step(closure)
    v, opks = targets.visibility.numpy(), targets.opks.numpy()
    shares = np.stack([(v == value).mean(axis=0) for value in range(3)], axis=1)
    np.testing.assert_allclose(free[0].detach().softmax(dim=1).numpy(), shares, atol=1e-4)
    mean_opks = [opks[v[:, k] > 0, k].mean() for k in range(5)]
    np.testing.assert_allclose(free[1].detach().sigmoid().numpy(), mean_opks, atol=1e-4)
    assert float(free[2].detach().sigmoid()) == pytest.approx(float(np.nanmean(targets.oks.numpy())), abs=1e-4)


SHAPES = ((4, 4, 4), (6, 10, 8))  # the encoder's map, heatmaps
TRUE = {"visibility": [0.5, 0.3, -0.6, 0.3], "opks": [0.6, 0.5], "oks": [1.5, -0.4]}


def new_head(seed: int = 0) -> KeypointTokens:
    """Random weights, of which the answers spread; calibration at its beginning."""
    torch.manual_seed(seed)
    head = KeypointTokens(*SHAPES[0], keypoints=6, token=16, hidden=24, box=False)
    with torch.no_grad():
        head.from_token.weight.mul_(4)
        head.from_body.weight.mul_(4)
    return head.eval()


def people_of(head: KeypointTokens, count: int, seed: int) -> tuple[tuple[torch.Tensor, ...], TrustTargets]:
    """Pooled inputs, and truths drawn from the predictions of `head` if calibrated by `TRUE`."""
    generator = torch.Generator().manual_seed(seed)
    pooled = head.pool(tuple(torch.randn(count, *shape, generator=generator) for shape in SHAPES))
    honest = copy.deepcopy(head)
    for name, values in TRUE.items():
        getattr(honest, f"calibration_{name}").copy_(torch.tensor(values))
    with torch.no_grad():
        raw = honest.logits(pooled)
    shares = raw.visibility.softmax(dim=2)
    v = torch.multinomial(shares.flatten(0, 1), 1, generator=generator).view(count, 6)
    opks = (torch.rand(count, 6, generator=generator) < raw.opks.sigmoid()) * (v > 0)
    oks = (torch.rand(count, generator=generator) < raw.oks).float()
    return pooled, TrustTargets(opks.float(), oks, v)


def calibration_error(says: torch.Tensor, truth: torch.Tensor) -> float:
    """Expected calibration error in ten bins."""
    cell = np.minimum(says.numpy().ravel() * 10, 9).astype(int)
    gaps = (says - truth).numpy().ravel()
    return float(np.abs(np.bincount(cell, gaps, 10)).sum() / len(gaps))


def errors_of(head: KeypointTokens, pooled: tuple[torch.Tensor, ...], targets: TrustTargets) -> list[float]:
    with torch.no_grad():
        raw = head.logits(pooled)
    labelled = targets.visibility > 0
    pairs = [(raw.visibility.softmax(dim=2)[..., value], (targets.visibility == value).float()) for value in range(3)]
    pairs += [(raw.opks.sigmoid()[labelled], targets.opks[labelled]), (raw.oks, targets.oks)]
    return [calibration_error(says, truth) for says, truth in pairs]


def test_calibration_finds_slopes_and_offsets_that_were_lost():
    head = new_head()
    pooled, targets = people_of(head, 20000, seed=1)
    fresh = people_of(head, 5000, seed=2)
    before, weights = errors_of(head, *fresh), {name: value.clone() for name, value in head.state_dict().items()}
    head.train()
    losses = calibrate(head, uncalibrated_components(head, pooled), targets)
    assert head.training
    head.eval()
    for name, true in TRUE.items():
        found = getattr(head, f"calibration_{name}").clone()
        if name == "visibility":  # one number added to all three offsets changes nothing
            found[1:] -= found[1:].mean()
        np.testing.assert_allclose(found.numpy(), true, rtol=0.05, atol=0.05)
    for name, value in head.state_dict().items():
        assert torch.equal(value, weights[name]) != name.startswith("calibration_"), name
    with torch.no_grad():
        again = {name: float(loss) for name, loss in tokens_losses(head.logits(pooled), targets).items()}
    assert losses == pytest.approx(again, abs=1e-5)
    after = errors_of(head, *fresh)
    assert max(after) < 0.03 and all(first < second / 2 for first, second in zip(after, before, strict=True)), (
        before,
        after,
    )
    fitted = {name: value.clone() for name, value in head.state_dict().items()}
    calibrate(head, uncalibrated_components(head, pooled), targets)  # begins anew, so it is the same
    assert all(torch.equal(value, fitted[name]) for name, value in head.state_dict().items())


@given(
    st.integers(0, 10**6),
    st.sampled_from([1, 3, 30]),
    st.sampled_from(["as drawn", "unlabelled", "visible", "perfect"]),
)
@settings(max_examples=25)
def test_calibration_never_makes_a_loss_worse(seed, people, kind):
    """Of any truth, also one where a class is missing and the best offset is infinite."""
    head = new_head(seed % 7)
    pooled, targets = people_of(head, people, seed)
    _, other = random_people(seed, people, 6)
    v = {"unlabelled": other.visibility * 0, "visible": other.visibility * 0 + 2}.get(kind, other.visibility)
    opks = torch.where(v > 0, torch.ones_like(other.opks) if kind == "perfect" else other.opks, 0.0)
    oks = torch.where((v > 0).any(dim=1), opks.sum(dim=1) / (v > 0).sum(dim=1), NAN)
    targets = TrustTargets(opks.float(), oks.float(), v)
    with torch.no_grad():
        before = {name: float(loss) for name, loss in tokens_losses(head.logits(pooled), targets).items()}
    after = calibrate(head, uncalibrated_components(head, pooled), targets)
    for name in before:
        assert np.isfinite(after[name])
        assert torch.isfinite(getattr(head, f"calibration_{name}")).all()
    for name in ("visibility", "opks"):
        assert after[name] <= before[name] + 1e-5, name
    assert sum(after.values()) <= sum(before.values()) + 1e-5

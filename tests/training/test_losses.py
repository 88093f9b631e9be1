"""The terms are the papers' functions, and parts of a batch add up to the whole."""

import numpy as np
import pytest
import torch

from trustpose.heads.hpcvnet import KeypointOutputs, hpcvnet_loss
from trustpose.heads.oks_net import hard_samples, oks_loss
from trustpose.heads.stages import HPCVNET
from trustpose.heads.targets import TrustTargets, trust_targets
from trustpose.heads.visibility import visibility_loss
from trustpose.training import distributed
from trustpose.training.crops import CropLabels
from trustpose.training.learner import heatmap_loss
from trustpose.training.losses import HEAD_LOSSES, LossOptions

PEOPLE, K = 11, 17
OPTIONS = LossOptions(hard_share=0.25, class_weights=(2.0, 5.0, 1.0))


def case(head: str, seed: int = 0):
    """Answers, targets and labels of eleven people, one without any label."""
    random = torch.Generator().manual_seed(seed)
    v = torch.randint(0, 3, (PEOPLE, K), generator=random)
    v[3] = 0
    truth, near = torch.rand(PEOPLE, K, 2, generator=random) * 40, torch.randn(PEOPLE, K, 2, generator=random) * 3
    area = torch.rand(PEOPLE, generator=random) * 900 + 300
    sigmas = torch.full((K,), 0.08)
    targets = trust_targets(truth + near, truth, v, area, sigmas)
    known = torch.ones(PEOPLE, K, dtype=torch.bool)
    labels = CropLabels(truth, v, area, known, known, torch.ones(PEOPLE))
    shapes = {"oks-net": (PEOPLE,), "metamodel": (PEOPLE, K, 3)}
    if head == "hpcvnet":
        raw = {name: torch.randn(PEOPLE, K, generator=random) for name in ("opks", "labelled_logits")}
    else:
        raw = torch.rand(*shapes[head], generator=random)
    return raw, targets, labels


def cut(value, rows):
    """The same of some people."""
    if isinstance(value, dict):
        return {name: part[rows] for name, part in value.items()}
    if isinstance(value, torch.Tensor):
        return value[rows]
    return type(value)(**{name: part[rows] for name, part in vars(value).items()})


def paper(head: str, raw, targets) -> dict[str, torch.Tensor]:
    if head == "oks-net":
        mask = ~targets.oks.isnan()
        errors = (raw - targets.oks.nan_to_num(0.5)).abs()
        return {"oks": oks_loss(errors, mask, hard_samples(errors, mask))}
    if head == "hpcvnet":
        return hpcvnet_loss(KeypointOutputs(**raw), targets)
    return {"visibility": visibility_loss(raw, targets.visibility, torch.tensor(OPTIONS.class_weights))}


@pytest.mark.parametrize("head", ["oks-net", "hpcvnet", "metamodel"])
def test_one_part_is_the_papers_loss(head):
    raw, targets, labels = case(head)
    loss = HEAD_LOSSES[head]
    terms = loss.terms(raw, targets, labels, loss.counts(labels, OPTIONS), OPTIONS)
    expected = paper(head, raw, targets)
    assert terms.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(terms[name], value, rtol=1e-5), name


def test_the_score_branch_alone_learns_all_keypoints():
    raw, targets, labels = case("hpcvnet")
    del raw["labelled_logits"]
    loss = HEAD_LOSSES["hpcvnet"]
    totals = loss.counts(labels, OPTIONS)
    opks = np.where(targets.visibility > 0, targets.opks, 0)
    expected = np.abs(raw["opks"].numpy() - opks).mean()
    assert loss.terms(raw, targets, labels, totals, OPTIONS)["opks"].item() == pytest.approx(expected)
    terms = [
        loss.terms(cut(raw, rows), cut(targets, rows), cut(labels, rows), totals, OPTIONS)
        for rows in (slice(0, 4), slice(4, 11))
    ]
    assert all(term.keys() == {"opks"} for term in terms)
    assert sum(term["opks"].item() for term in terms) == pytest.approx(expected)


def test_hpcvnets_heatmap_weight_is_that_of_the_public_code():
    """mmpose's JointsMSELoss with loss_weight 2000, as in zhyjiang/mmpose: a mean of squares over people and pixels of
    each keypoint, then over keypoints, without a factor ½."""
    random = np.random.default_rng(0)
    maps, target = random.normal(size=(2, 3, 17, 8, 6))
    weights = (random.random((3, 17)) < 0.8).astype(float)
    keypoints = [np.mean((weights[:, [k], None] * (maps - target)[:, k]) ** 2) for k in range(17)]
    theirs = 2000 * sum(keypoints) / 17
    stage = HPCVNET["joint"].stages[0]
    ours = heatmap_loss([torch.from_numpy(maps)], torch.from_numpy(target), torch.from_numpy(weights), torch.tensor(3))
    assert stage.heatmap_weight / stage.trust_weight * float(ours) == pytest.approx(theirs)


@pytest.mark.parametrize("head", ["hpcvnet", "metamodel", "oks-net"])
def test_parts_add_up_to_the_whole(head):
    raw, targets, labels = case(head)
    options = LossOptions(hard_share=0.0, class_weights=OPTIONS.class_weights)  # the worst are of one part
    loss = HEAD_LOSSES[head]
    totals = loss.counts(labels, options)
    whole = loss.terms(raw, targets, labels, totals, options)
    sums = dict.fromkeys(whole, 0.0)
    for rows in (slice(0, 2), slice(2, 4), slice(4, 11)):
        part = loss.terms(cut(raw, rows), cut(targets, rows), cut(labels, rows), totals, options)
        sums = {name: sums[name] + float(part[name]) for name in sums}
    for name, value in whole.items():
        assert sums[name] == pytest.approx(float(value), rel=1e-5)


def test_the_worst_quarter_is_that_of_all_processes(monkeypatch):
    raw, targets, labels = case("oks-net")
    loss = HEAD_LOSSES["oks-net"]
    totals = loss.counts(labels, OPTIONS)
    whole = float(loss.terms(raw, targets, labels, totals, OPTIONS)["oks"])
    errors = (raw - torch.where(targets.oks.isnan(), raw, targets.oks)).abs()
    mask = ~targets.oks.isnan()
    apart, alone = 0.0, 0.0
    for rank, rows in enumerate((slice(0, 5), slice(5, 10))):  # people 0 to 9 in two processes
        part = (cut(raw, rows), cut(targets, rows), cut(labels, rows), totals, OPTIONS)
        alone += float(loss.terms(*part)["oks"])
        with monkeypatch.context() as patch:
            patch.setattr(distributed, "rank", lambda rank=rank: rank)
            patch.setattr(distributed, "gather", lambda own: (errors if own.dtype.is_floating_point else mask)[:10])
            apart += float(loss.terms(*part)["oks"])
    first = slice(0, 10)
    together = loss.terms(cut(raw, first), cut(targets, first), cut(labels, first), totals, OPTIONS)
    assert apart == pytest.approx(float(together["oks"]), rel=1e-5)
    assert alone != pytest.approx(apart, rel=1e-4)
    assert whole > apart


@pytest.mark.parametrize("head", ["hpcvnet", "metamodel"])
def test_joints_that_the_data_does_not_speak_of_count_nowhere(head):
    raw, targets, labels = case(head)
    mask = torch.rand(PEOPLE, K, generator=torch.Generator().manual_seed(1)) < 0.6
    v = torch.where(mask, labels.v, 0)
    crop_labels = CropLabels(labels.xy, v, labels.area, mask, mask, labels.overlap)
    seen = TrustTargets(torch.where(mask, targets.opks, 0), targets.oks, v)
    loss = HEAD_LOSSES[head]
    terms = loss.terms(raw, seen, crop_labels, loss.counts(crop_labels, OPTIONS), OPTIONS)
    changed = (
        {name: torch.where(mask, value, -9.0) for name, value in raw.items()}
        if isinstance(raw, dict)
        else torch.where(mask[..., None], raw, torch.tensor([9.0, -9.0, 3.0]))
    )
    again = loss.terms(changed, seen, crop_labels, loss.counts(crop_labels, OPTIONS), OPTIONS)
    assert {name: float(value) for name, value in terms.items()} == {n: float(value) for n, value in again.items()}
    nothing = CropLabels(labels.xy, torch.zeros_like(v), labels.area, mask & False, mask & False, labels.overlap)
    none = TrustTargets(seen.opks * 0, seen.oks, torch.zeros_like(v))
    empty = loss.terms(raw, none, nothing, loss.counts(nothing, OPTIONS), OPTIONS)
    assert all(float(value) == 0 for value in empty.values())


def test_heatmap_loss_is_simple_baselines():
    """Against its code's loop: for each joint ½ MSE of what is weighed, then the mean over joints."""
    random = np.random.default_rng(0)
    maps, target = (random.normal(size=(5, 4, 8, 6)).astype(np.float32) for _ in range(2))
    weights = random.integers(0, 2, (5, 4)).astype(np.float32)
    expected = 0.0
    for joint in range(4):
        difference = weights[:, joint, None] * (maps[:, joint].reshape(5, -1) - target[:, joint].reshape(5, -1))
        expected += 0.5 * float(np.mean(difference**2)) / 4
    tensors = [torch.from_numpy(array) for array in (maps, target, weights)]
    loss = heatmap_loss([tensors[0]], tensors[1], tensors[2], torch.tensor(5))
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    twice = heatmap_loss([tensors[0], tensors[0]], tensors[1], tensors[2], torch.tensor(10))
    assert float(twice) == pytest.approx(expected, rel=1e-5)  # two stages, half of the people

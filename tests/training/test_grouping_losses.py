"""Losses of bottom-up networks against sums written out, and what their gradients do."""

import math

import numpy as np
import pytest
import torch

from trustpose.training.losses import stage_loss, tag_losses


def test_stages_are_summed_over_what_counts():
    rng = np.random.default_rng(0)
    stages = [torch.from_numpy(rng.normal(size=(2, 3, 4, 5))) for _ in range(2)]
    target, counted = torch.from_numpy(rng.normal(size=(2, 3, 4, 5))), torch.from_numpy(rng.random((2, 4, 5)) < 0.5)
    for given in (counted, None):
        loss = stage_loss(stages, target, given)
        for photo in range(2):
            total = 0.0
            for stage in stages:
                for channel, row, column in np.ndindex(3, 4, 5):
                    if given is None or given[photo, row, column]:
                        difference = stage[photo, channel, row, column] - target[photo, channel, row, column]
                        total += float(difference) ** 2
            assert float(loss[photo]) == pytest.approx(total)


# Measured with the public code: github.com/HRNet/HigherHRNet-Human-Pose-Estimation at commit aa23881, lib/core/loss.py,
# run beside that file as
#     python -c "
#     import numpy as np, torch, loss
#     loss.make_input = lambda zero: zero.sum()  # on the CPU
#     random = np.random.default_rng(7)
#     tags = torch.from_numpy(random.normal(size=(4, 17, 6, 5)))
#     cell, labelled = random.integers(0, 30, (4, 5, 17)), random.random((4, 5, 17)) < 0.6
#     labelled[1, 3:] = labelled[2, 1:] = labelled[3] = False
#     joints = torch.from_numpy(np.stack([np.arange(17) * 30 + cell, labelled], axis=3))
#     print(*loss.AELoss('exp')(tags.reshape(4, -1, 1), joints))"
PULL = [1.2372387444539814, 0.6351151334220984, 1.3791348611009153, 0.0]
PUSH = [0.4492333413820602, 0.4518111709037618, 0.0, 0.0]


def test_tags_are_pulled_and_pushed_as_in_the_public_code():
    random = np.random.default_rng(7)
    tags = torch.from_numpy(random.normal(size=(4, 17, 6, 5)))
    cell, labelled = random.integers(0, 30, (4, 5, 17)), random.random((4, 5, 17)) < 0.6
    labelled[1, 3:] = labelled[2, 1:] = labelled[3] = False  # three people; one; nobody
    pull, push = tag_losses(tags, torch.from_numpy(cell), torch.from_numpy(labelled))
    assert pull.tolist() == pytest.approx(PULL, abs=1e-9) and push.tolist() == pytest.approx(PUSH, abs=1e-9)


def test_tags_are_pulled_and_pushed_as_the_paper_says():
    rng = np.random.default_rng(1)
    tags = torch.from_numpy(rng.normal(size=(2, 3, 4, 5)))
    cell = torch.from_numpy(rng.integers(0, 20, (2, 4, 3)))
    labelled = torch.from_numpy(rng.random((2, 4, 3)) < 0.7)
    labelled[0, 2:] = False  # two people, and room for two more
    pull, push = tag_losses(tags, cell, labelled, "newell")
    for photo in range(2):
        people = []
        for person in range(4):
            cells = [(k, *divmod(int(cell[photo, person, k]), 5)) for k in range(3) if labelled[photo, person, k]]
            if cells:
                people.append([float(tags[photo, k, row, column]) for k, row, column in cells])
        means = [sum(person) / len(person) for person in people]
        together = sum((tag - mean) ** 2 for person, mean in zip(people, means, strict=True) for tag in person)
        apart = sum(math.exp(-((first - second) ** 2) / 2) for first in means for second in means)
        assert float(pull[photo]) == pytest.approx(together / len(people))
        assert float(push[photo]) == pytest.approx(apart / len(people) ** 2)


def test_only_the_public_formula_separates_people_whose_tags_begin_close_and_noisy():
    """Six people have random marks, seen at each joint with noise of a quarter of their variance; tags are linear."""
    random = torch.Generator().manual_seed(0)
    marks = torch.randn(50, 6, 1, 4, generator=random)
    features = marks + 0.5 * torch.randn(50, 6, 17, 4, generator=random)
    cell, labelled = torch.arange(6)[:, None].expand(50, 6, 17), torch.ones(50, 6, 17, dtype=torch.bool)
    apart = {}
    for formula in ("higherhrnet", "newell"):
        weight = torch.full((4,), 0.05, requires_grad=True)
        learner = torch.optim.Adam([weight], lr=0.02)
        for _ in range(200):
            tags = (features @ weight).permute(0, 2, 1)[:, :, None]  # (B, K, 1, P)
            pull, push = tag_losses(tags, cell, labelled, formula)
            learner.zero_grad()
            (pull + push).mean().backward()
            learner.step()
        mean = (features @ weight.detach()).mean(dim=2)
        first, second = np.triu_indices(6, 1)
        apart[formula] = float(((mean[:, first] - mean[:, second]).abs() > 1).float().mean())
    assert apart["higherhrnet"] > 0.3 and apart["newell"] == 0


def test_learning_separates_people_and_nobody_costs_nothing():
    torch.manual_seed(0)
    tags = torch.randn(1, 2, 3, 3, requires_grad=True)
    cell, labelled = torch.tensor([[[0, 1], [4, 5], [8, 7]]]), torch.ones(1, 3, 2, dtype=torch.bool)
    learner = torch.optim.Adam([tags], lr=0.1)
    for _ in range(200):
        pull, push = tag_losses(tags, cell, labelled)
        learner.zero_grad()
        (pull + push).sum().backward()
        learner.step()
    found = tags.detach().flatten(2)[0].gather(1, cell[0].T).T  # (people, joints)
    assert (found[:, 0] - found[:, 1]).abs().max() < 0.1
    assert min((found[a] - found[b]).abs().min() for a, b in ((0, 1), (0, 2), (1, 2))) > 1
    nobody = tag_losses(tags.detach(), cell, torch.zeros_like(labelled))
    assert [float(one) for one in nobody] == [0.0, 0.0]

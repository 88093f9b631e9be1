"""Losses of bottom-up networks against sums written out, and what their gradients do."""

import math

import numpy as np
import pytest
import torch

from trustpose.training.grouping_losses import stage_loss, tag_losses


def test_stages_are_summed_over_what_counts():
    rng = np.random.default_rng(0)
    stages = [torch.from_numpy(rng.normal(size=(2, 3, 4, 5))) for _ in range(2)]
    target, counted = torch.from_numpy(rng.normal(size=(2, 3, 4, 5))), torch.from_numpy(rng.random((2, 4, 5)) < 0.5)
    for given in (counted, None):
        found = stage_loss(stages, target, given)
        for photo in range(2):
            total = 0.0
            for stage in stages:
                for channel, row, column in np.ndindex(3, 4, 5):
                    if given is None or given[photo, row, column]:
                        difference = stage[photo, channel, row, column] - target[photo, channel, row, column]
                        total += float(difference) ** 2
            assert float(found[photo]) == pytest.approx(total)


def test_tags_are_pulled_and_pushed_as_the_paper_says():
    rng = np.random.default_rng(1)
    tags = torch.from_numpy(rng.normal(size=(2, 3, 4, 5)))
    cell = torch.from_numpy(rng.integers(0, 20, (2, 4, 3)))
    labelled = torch.from_numpy(rng.random((2, 4, 3)) < 0.7)
    labelled[0, 2:] = False  # two people, and room for two more
    pull, push = tag_losses(tags, cell, labelled, sigma=0.8)
    for photo in range(2):
        people = []
        for person in range(4):
            cells = [(k, *divmod(int(cell[photo, person, k]), 5)) for k in range(3) if labelled[photo, person, k]]
            if cells:
                people.append([float(tags[photo, k, row, column]) for k, row, column in cells])
        means = [sum(person) / len(person) for person in people]
        together = sum((tag - mean) ** 2 for person, mean in zip(people, means, strict=True) for tag in person)
        apart = sum(math.exp(-((one - other) ** 2) / (2 * 0.8**2)) for one in means for other in means)
        assert float(pull[photo]) == pytest.approx(together / len(people))
        assert float(push[photo]) == pytest.approx(apart / len(people) ** 2)


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

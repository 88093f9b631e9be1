"""DeepCut's programme against a search of all labels and partitions, and its learnt pairwise terms."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from trustpose.grouping import deepcut
from trustpose.grouping.deepcut import PartProblem, cost_of, deepcut_people, local_search, solve
from trustpose.grouping.deepcut_terms import FAR, FEATURES, fit_pairwise, pair_features


def _problem(seed: int, count: int, classes: int, impossible: float = 0.2) -> PartProblem:
    generator = np.random.default_rng(seed)
    part = generator.uniform(0.02, 0.98, (count, classes)) * (generator.random((count, classes)) > impossible)
    together = 1 / (1 + np.exp(generator.normal(0, 2, (count, count, classes, classes))))
    for d, e in zip(*np.tril_indices(count, -1), strict=True):
        together[d, e] = together[e, d].T
    return PartProblem(part, together)


def _partitions(items: list[int]):
    """Yield all set partitions as lists of lists."""
    if not items:
        yield []
        return
    for rest in _partitions(items[1:]):
        yield [[items[0]], *rest]
        for index, group in enumerate(rest):
            yield [*rest[:index], [items[0], *group], *rest[index + 1 :]]


def _cheapest(problem: PartProblem, single: bool) -> float:
    """The cost as the paper's equations have it, over all x and partitions."""
    count, classes = problem.part.shape
    odds = np.log((1 - problem.together) / problem.together)
    best = 0.0
    for label in product(range(-1, classes), repeat=count):
        chosen = [d for d in range(count) if label[d] >= 0]
        if any(problem.part[d, label[d]] == 0 for d in chosen):
            continue
        alone = sum(np.log((1 - p) / p) for d in chosen if (p := problem.part[d, label[d]]))
        for groups in [[chosen]] if single else _partitions(chosen):
            pairs = [(d, e) for group in groups for d in group for e in group if d < e]
            best = min(best, alone + sum(odds[d, e, label[d], label[e]] for d, e in pairs))
    return float(best)


@pytest.mark.parametrize("single", [False, True])
def test_as_an_exhaustive_search(single):
    """Smaller and fewer than `benchmarks/deepcut.py` searches."""
    for seed in range(14):
        problem = _problem(seed, count=1 + seed % 5, classes=1 + seed % 2)
        solution = solve(problem, single=single)
        assert solution.cost == pytest.approx(_cheapest(problem, single), abs=1e-6)
        assert solution.gap == 0 and solution.cost == pytest.approx(cost_of(problem, solution.part, solution.person))
        assert not single or solution.person.max(initial=-1) <= 0


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 7), st.integers(1, 3))
def test_a_solution_keeps_the_constraints(seed, count, classes):
    problem = _problem(seed, count, classes)
    solution = solve(problem)
    assert ((solution.part < 0) == (solution.person < 0)).all()
    chosen = np.flatnonzero(solution.part >= 0)
    assert (problem.part[chosen, solution.part[chosen]] > 0).all()
    assert sorted(set(solution.person[chosen])) == list(range(solution.person.max(initial=-1) + 1))
    assert solution.gap == 0 and solution.cost <= solve(problem, single=True).cost + 1e-6
    order = np.random.default_rng(seed).permutation(count)
    other_solution = solve(PartProblem(problem.part[order], problem.together[np.ix_(order, order)]))
    assert other_solution.cost == pytest.approx(solution.cost, abs=1e-6)


def test_transitivity_is_added_where_it_is_broken():
    """a–b and b–c belong together, a–c does not: the three are one person or two, never a chain."""
    together = np.full((3, 3, 1, 1), 0.9)
    together[0, 2] = together[2, 0] = 0.02
    problem = PartProblem(np.full((3, 1), 0.9), together)
    solution = solve(problem)
    assert solution.constraints > 0 and solution.gap == 0
    assert solution.person.max() == 1 and solution.cost == pytest.approx(4 * np.log(1 / 9))


def test_out_of_time_says_how_far_it_may_be(monkeypatch):
    """Stopped after the first relaxed programme: its bound, and a solution that no single move makes better."""
    problem = _problem(7, count=7, classes=2)
    best = solve(problem).cost
    clock = iter([0.0, 0.0])
    monkeypatch.setattr(deepcut.time, "monotonic", lambda: next(clock, 1e9))
    stopped = solve(problem)
    assert stopped.rounds == 1 and stopped.gap > 0 and stopped.bound <= best <= stopped.cost < 0
    cost, part, _ = local_search(problem, stopped.part, stopped.person)
    assert cost == pytest.approx(stopped.cost) and (part == stopped.part).all()


def test_improved_never_costs_more():
    for seed in range(5):
        problem, generator = _problem(seed, count=8, classes=2, impossible=0), np.random.default_rng(seed)
        part, person = generator.integers(0, 2, 8), generator.integers(0, 3, 8)
        for single in (False, True):
            start = np.zeros(8, dtype=int) if single else person
            cost, better, of = local_search(problem, part, start, single)
            assert cost < cost_of(problem, part, start)
            assert cost == pytest.approx(cost_of(problem, better, of)) and (not single or of.max() <= 0)


def test_wrong_problems_are_reported():
    part, together = np.full((2, 1), 0.5), np.full((2, 2, 1, 1), 0.5)
    with pytest.raises(ValueError, match="part: expected probabilities"):
        PartProblem(part + 1, together)
    with pytest.raises(ValueError, match="to equal"):
        PartProblem(part, together + np.array([[0, 0.2], [0, 0]])[..., None, None])
    with pytest.raises(ValueError, match="time_limit"):
        solve(PartProblem(part, together), time_limit=0)
    assert solve(PartProblem(np.zeros((2, 1)), together)).part.tolist() == [-1, -1]


def _people(seed: int, photos: int, classes: int = 3):
    """Two people in each photo, beside each other: joints in a column, with a little noise; each twice."""
    generator = np.random.default_rng(seed)
    photo, person, part, _ = (axis.ravel() for axis in np.indices((photos, 2, classes, 2)))
    scale = generator.uniform(20, 200, photos)[photo]
    position = np.stack([person * generator.choice([-1.0, 1.0], photos)[photo], part * 0.5], axis=1)
    xy = (position + generator.normal(0, 0.05, position.shape)) * scale[:, None]
    return xy, scale, part, person, photo


def test_learnt_terms_group_new_people():
    terms = fit_pairwise(*_people(0, 40), classes=3)
    xy, scale, part, person, _ = _people(1, 1)
    together = terms.together(xy, scale)
    np.testing.assert_allclose(together, together.transpose(1, 0, 3, 2))
    solution = solve(PartProblem(np.eye(3)[part] * 0.9, together))
    assert solution.gap == 0 and (solution.part == part).all()
    assert ((solution.person[:, None] == solution.person) == (person[:, None] == person)).all()
    farther = terms.together(xy * 3, scale * 3)
    np.testing.assert_allclose(farther, together, atol=1e-9)  # only positions relative to the scale count


def test_terms_are_the_regression_of_their_pairs():
    xy, scale, part, person, photo = _people(0, 40)
    terms = fit_pairwise(xy, scale, part, person, photo, classes=3)
    first, second = (np.flatnonzero(part == c) for c in (0, 2))
    one, other = (at.ravel() for at in np.meshgrid(first, second, indexing="ij"))
    inside = photo[one] == photo[other]
    one, other = one[inside], other[inside]
    values = pair_features(xy[one], xy[other], scale[one])
    mean, std = values.mean(axis=0), values.std(axis=0)
    same = person[one] == person[other]
    reference = LogisticRegression(class_weight="balanced", max_iter=1000).fit((values - mean) / std, same)
    expected = reference.predict_proba((values[:1] - mean) / std)[0, 1]
    pair = [one[0], other[0]]
    assert terms.together(xy[pair], scale[pair])[0, 1, 0, 2] == pytest.approx(expected, abs=1e-4)


def test_features_end_far_away_and_unknown_pairs_say_nothing():
    far = pair_features(np.zeros((2, 2)), np.array([[8.0, 6.0], [80.0, 60.0]]), np.ones(2))
    assert far.shape == (2, FEATURES) and (far[0] == pytest.approx(far[1])) and far[0, 2] == FAR
    xy, scale, part, person, photo = _people(0, 2)
    few = fit_pairwise(xy, scale, part, person, photo, classes=3)
    assert (few.together(xy, scale) == 0.5).all()


def test_people_of_a_photo():
    """Two people in two candidates a joint, and one false candidate far away."""
    terms = fit_pairwise(*_people(0, 40), classes=3)
    xy, scale, part, person, _ = _people(3, 1)
    xy, scale = np.concatenate([xy, xy[:1] + 50 * scale[0]]), np.append(scale, scale[0])
    probability = np.append(np.random.default_rng(0).uniform(0.6, 0.9, len(part)), 0.2)
    people, found = deepcut_people(xy, probability, np.append(part, 0), scale, terms)
    assert found.person[-1] == -1 and people.xy.shape == (2, 3, 2) and not people.missing.any()
    for number in range(2):
        for joint in range(3):
            rows = np.flatnonzero((found.person[:-1] == number) & (part == joint))
            assert len(rows) == 2 and len(set(person[rows])) == 1
            best = rows[probability[rows].argmax()]
            assert people.xy[number, joint].tolist() == xy[best].tolist()
            assert people.score[number, joint] == probability[best]
    nobody, _ = deepcut_people(xy[:0], probability[:0], part[:0], scale[:0], terms)
    assert nobody.xy.shape == (0, 3, 2)

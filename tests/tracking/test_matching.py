"""Matching: by hand, against every possible assignment, and what must hold for any distances."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from trustpose.tracking.tracker import MATCHINGS, match

sizes = st.tuples(st.integers(0, 5), st.integers(0, 5))
distances = sizes.flatmap(lambda shape: arrays(np.float64, shape, elements=st.floats(0, 1), unique=True))


def test_greedy_takes_the_nearest_pair_and_hungarian_the_best_sum() -> None:
    distance = np.array([[0.1, 0.2], [0.2, 0.7]])
    assert match(distance, 0.5, "greedy").tolist() == [0, -1]  # the rest of 0.7 is too far
    assert match(distance, 0.5, "hungarian").tolist() == [1, 0]


def test_what_is_not_finite_or_too_far_is_not_matched() -> None:
    for matching in MATCHINGS:
        assert match(np.array([[np.nan, np.inf, 0.51, 0.5]]), 0.5, matching).tolist() == [-1, -1, -1, 0]
        assert match(np.zeros((0, 3)), 0.5, matching).tolist() == [-1, -1, -1]
    with pytest.raises(ValueError, match="matching: expected one of hungarian, greedy, got 'nearest'"):
        match(np.zeros((1, 1)), 0.5, "nearest")


@settings(max_examples=60, deadline=None)
@given(distances, st.floats(0, 1), st.sampled_from(MATCHINGS), st.randoms(use_true_random=False))
def test_order_does_not_matter_and_each_is_matched_at_most_once(distance, most, how, random) -> None:
    matches = match(distance, most, how)
    taken = matches[matches >= 0]
    assert len(set(taken.tolist())) == len(taken)
    assert (distance[matches[matches >= 0], np.flatnonzero(matches >= 0)] <= most).all()
    rows, columns = ([*range(size)] for size in distance.shape)
    random.shuffle(rows)
    random.shuffle(columns)
    turned = match(distance[np.ix_(rows, columns)], most, how)
    same = np.array([rows[row] if row >= 0 else -1 for row in turned.tolist()], dtype=int)
    if how == "greedy":
        np.testing.assert_array_equal(same, matches[columns])
    else:  # two assignments may be equally good
        gained = [_gained(distance, most, matches), _gained(distance[:, columns], most, same)]
        np.testing.assert_allclose(*gained, atol=1e-8)


def _gained(distance: np.ndarray, most: float, found: np.ndarray) -> float:
    rows = np.flatnonzero(found >= 0)
    return float((most - distance[found[rows], rows]).sum())


@settings(max_examples=40, deadline=None)
@given(distances, st.floats(0, 1))
def test_hungarian_is_the_best_of_all_assignments(distance, most) -> None:
    gain = np.maximum(most - distance, 0)
    gain = gain if gain.shape[0] >= gain.shape[1] else gain.T
    tall, wide = gain.shape
    best = max(sum(gain[row, column] for column, row in enumerate(rows)) for rows in permutations(range(tall), wide))
    matches = match(distance, most, "hungarian")
    np.testing.assert_allclose(_gained(distance, most, matches), best, atol=1e-8)


def test_sure_pairs_outweigh_doubtful_ones() -> None:
    distance = np.array([[0.3, 0.5], [0.1, 0.99]])
    weight = np.array([[0.9, 0.4], [0.1, 0.1]])
    for matching in MATCHINGS:
        assert match(distance, 0.95, matching).tolist() == [1, 0]
        assert match(distance, 0.95, matching, weight).tolist() == [0, -1]
        assert match(distance, 0.95, matching, np.full((2, 2), 7.0)).tolist() == [1, 0]


@settings(max_examples=40, deadline=None)
@given(distances, st.floats(0, 1), st.integers(0, 100))
def test_hungarian_with_weights_is_the_best_of_all_assignments(distance, most, seed) -> None:
    weight = np.random.default_rng(seed).uniform(0.1, 1, distance.shape)
    gain = np.maximum(most - distance, 0) * weight
    matches = match(distance, most, "hungarian", weight)
    indices = np.flatnonzero(matches >= 0)
    gain_of_found = gain[matches[indices], indices].sum()
    gain = gain if gain.shape[0] >= gain.shape[1] else gain.T
    tall, wide = gain.shape
    best = max(sum(gain[row, column] for column, row in enumerate(rows)) for rows in permutations(range(tall), wide))
    np.testing.assert_allclose(gain_of_found, best, atol=1e-8)

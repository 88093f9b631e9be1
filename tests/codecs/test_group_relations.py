"""What a photo's other people say of a group: copies, halves, strangers; the same at any size and place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trustpose.codecs.group_tokens import RELATIONS, relations

IOU, INSIDE, ON_BETTER, ON_OTHER, TO_BETTER, TO_OTHER, COMPLETED, BY_BETTER, SIZE, ORDER, COUNT = range(RELATIONS)
BODY = np.array([[20.0, 0], [10, 20], [30, 20], [10, 60], [30, 60], [10, 100], [30, 100]])
ALL = np.zeros(len(BODY), np.bool_)


def _found(people):
    """Numbers of people given as (xy, missing), the best first."""
    xy, missing = (np.array(column) for column in zip(*people, strict=True))
    low = np.where(missing[..., None], np.inf, xy).min(axis=1)
    high = np.where(missing[..., None], -np.inf, xy).max(axis=1)
    return relations(xy, missing, np.concatenate([low, high], axis=1))


def test_a_copy_is_told_from_the_better_one():
    better, copy, far = _found([(BODY, ALL), (BODY + 0.5, ALL), (BODY + 400, ALL)])
    assert copy[ON_BETTER] > 0.9 and copy[ON_OTHER] == better[ON_OTHER] > 0.9 and better[ON_BETTER] == 0
    assert copy[IOU] > 0.9 and copy[INSIDE] > 0.9 and copy[TO_BETTER] == 0 and better[TO_BETTER] == 3
    assert far[ON_OTHER] < 1e-9 and far[IOU] == 0 and far[TO_OTHER] > 2
    assert copy[COMPLETED] == 0  # the other lacks nothing
    np.testing.assert_allclose([better[ORDER], copy[ORDER], far[ORDER]], [0, 1 / 3, 2 / 3])
    np.testing.assert_allclose(far[COUNT], np.log(4))


def test_halves_of_a_person_complete_each_other():
    upper = np.arange(len(BODY)) > 4
    top, legs, other = _found([(BODY, upper), (BODY, ~upper), (BODY + np.array([300, 0]), ALL)])
    distance = 40 / np.hypot(20, 60)  # knees at 60 are of the upper half, feet at 100
    np.testing.assert_allclose(legs[TO_BETTER], distance)
    np.testing.assert_allclose(legs[[COMPLETED, BY_BETTER]], np.exp(-4 * distance))
    assert top[COMPLETED] > 0 and top[BY_BETTER] == 0 and other[COMPLETED] < 1e-3
    assert legs[ON_OTHER] == 0 and legs[SIZE] < 0


def test_alone_in_a_photo():
    (one,) = _found([(BODY, ALL)])
    np.testing.assert_allclose(one, [0, 0, 0, 0, 3, 3, 0, 0, 0, 0, np.log(2)])


def test_nobody():
    assert relations(np.zeros((0, 7, 2)), np.zeros((0, 7), np.bool_), np.zeros((0, 4))).shape == (0, RELATIONS)


@given(st.integers(0, 2**31), st.floats(0.5, 8), st.floats(-500, 500))
def test_size_and_place_of_the_photo_do_not_matter(seed, scale, shift):
    rng = np.random.default_rng(seed)
    people = [(BODY * rng.uniform(0.5, 3) + rng.uniform(0, 200, 2), rng.random(len(BODY)) < 0.3) for _ in range(4)]
    people = [(xy, missing if (~missing).sum() > 2 else ALL) for xy, missing in people]
    moved = [(xy * scale + shift, missing) for xy, missing in people]
    np.testing.assert_allclose(_found(moved), _found(people), rtol=1e-6, atol=1e-6)

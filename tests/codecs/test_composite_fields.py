"""Composite fields: encoded as the paper's sections say, one cell at a time, and added up as its equation 1 says."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.codecs import Grid
from trustpose.codecs.composite_fields import CompositeCodec, Votes, joint_sizes
from trustpose.grouping.pifpaf import CompositeGrouping
from trustpose.skeletons import COCO_17

LIMBS = ((0, 1), (1, 2), (0, 2))
K, WIDTH, HEIGHT = 3, 20, 15
CODEC = CompositeCodec(LIMBS, Grid((8.0, 8.0), 3.5))


def people(seed: int, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    xy, labelled = random.uniform(-20, 180, (count, K, 2)), random.random((count, K)) < 0.8
    xy[~labelled] = np.nan
    return xy, labelled, random.uniform(2, 20, (count, K))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_each_cell_points_to_the_nearest_joint_within_reach(seed: int, count: int) -> None:
    xy, labelled, size = people(seed, count)
    intensity, _ = CODEC.encode(xy, labelled, size, WIDTH, HEIGHT)
    assert intensity.shape == (K, 5, HEIGHT, WIDTH) and intensity.dtype == np.float32
    cells = (xy - 3.5) / 8
    for joint, y, x in np.ndindex(K, HEIGHT, WIDTH):
        near = [
            person
            for person in range(count)
            if labelled[person, joint] and (np.abs(cells[person, joint] - (x, y)) <= 2).all()
        ]
        if not near:
            assert not intensity[joint, :, y, x].any()
            continue
        nearest = min(near, key=lambda person: np.linalg.norm(cells[person, joint] - (x, y)))
        vector = cells[nearest, joint] - (x, y)
        np.testing.assert_allclose(
            intensity[joint, :, y, x], [1, *vector, 1, size[nearest, joint] / 8], rtol=1e-5, atol=1e-5
        )


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_each_cell_on_a_limb_points_to_both_ends_of_the_person_with_the_nearer_end(seed: int, count: int) -> None:
    xy, labelled, size = people(seed, count)
    _, association = CODEC.encode(xy, labelled, size, WIDTH, HEIGHT)
    cells = (xy - 3.5) / 8
    for limb, (start, end) in enumerate(LIMBS):
        for y, x in np.ndindex(HEIGHT, WIDTH):
            on_limb: dict[int, float] = {}
            for person in range(count):
                if labelled[person, start] and labelled[person, end]:
                    low, high = cells[person, start], cells[person, end]
                    share = np.clip(((x, y) - low) @ (high - low) / ((high - low) @ (high - low)), 0, 1)
                    if np.linalg.norm(low + share * (high - low) - (x, y)) <= 1.5:
                        on_limb[person] = min(np.linalg.norm(low - (x, y)), np.linalg.norm(high - (x, y)))
            if not on_limb:
                assert not association[limb, :, y, x].any()
                continue
            person = min(on_limb, key=lambda key: on_limb[key])
            low, high = (cells[person, joint] - (x, y) for joint in (start, end))
            np.testing.assert_allclose(association[limb, :, y, x], [1, *low, 1, *high, 1], rtol=1e-4, atol=1e-4)


def test_votes_add_up_to_equation_1() -> None:
    random = np.random.default_rng(0)
    votes = Votes(
        np.array([0, 0, 1]), random.uniform(5, 35, (3, 2)), np.array([3.0, 0.2, 5.0]), np.array([1, 0.5, 9.0])
    )
    confidence = CODEC.accumulate(votes, 2, 40, 30)
    x, y = np.meshgrid(np.arange(40), np.arange(30))
    for joint in range(2):
        expected = np.zeros((30, 40))
        for number, (at_x, at_y), size, weight in zip(*votes, strict=True):
            if number == joint:
                squares = (x - at_x) ** 2 + (y - at_y) ** 2
                expected += weight / 16 * np.exp(-squares / (2 * max(size, 1) ** 2))
        np.testing.assert_allclose(confidence[joint], np.minimum(expected, 1), atol=0.012)  # cut at three widths
    assert (confidence > 0).any(axis=(1, 2)).all()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3))
def test_people_apart_come_back_as_they_were_labelled(seed: int, count: int) -> None:
    """Three joints with limbs between all: whoever has two has a limb."""
    random = np.random.default_rng(seed)
    corner = np.array([[20.0 + 160 * number, 20] for number in range(count)]).reshape(-1, 1, 2)
    xy = corner + random.uniform(0, 110, (count, K, 2))
    labelled = random.random((count, K)) < 0.8
    xy[~labelled] = np.nan
    size = joint_sizes(np.full(count, 110.0**2), np.full(K, 0.05))
    intensity, association = CODEC.encode(xy, labelled, size, 64, 20)
    votes = CODEC.votes(intensity)
    confidence = CODEC.accumulate(votes, K, 512, 160)
    grown = CompositeGrouping(LIMBS).group(votes, CODEC.associations(association), confidence)
    expected = xy[labelled.any(axis=1)]
    assert len(grown.xy) == len(expected)
    order = np.argsort(np.where(grown.missing, np.inf, grown.xy[..., 0]).min(axis=1))
    has_joint = labelled[labelled.any(axis=1)]
    np.testing.assert_array_equal(~grown.missing[order], has_joint)
    np.testing.assert_allclose(grown.xy[order][has_joint], expected[has_joint], atol=1e-3)
    assert (grown.score[order][has_joint] > 0.9).all()


def test_sizes_are_those_of_oks() -> None:
    np.testing.assert_allclose(joint_sizes(np.array([100.0]), COCO_17.sigmas), 10 * COCO_17.sigmas[None])

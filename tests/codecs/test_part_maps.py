"""DeepCut's part maps: encoding and decoding people, by hypothesis; duplicates, shared cells, scales."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from trustpose.codecs.part_maps import PartCodec, PartMaps
from trustpose.geometry.crops import Grid

CODEC = PartCodec(Grid((4.0, 4.0)))
WIDTH, HEIGHT = 40, 30


def _people(seed: int, count: int = 3, joints: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People of 40 to 150 pixels in 160 × 120 pixels; one joint in five is not labelled."""
    random = np.random.default_rng(seed)
    xy = random.uniform(0, (WIDTH * 4 - 5, HEIGHT * 4 - 5), (count, joints, 2))
    return xy, random.random((count, joints)) < 0.8, random.uniform(40, 150, count)


@given(st.integers(0, 1000))
def test_every_joint_comes_back_or_lies_on_a_neighbour(seed):
    """Exactly, with its person's scale; joints of one part within the radius of each other are one."""
    xy, labelled, scale = _people(seed)
    found = CODEC.candidates(CODEC.encode(xy, labelled, scale, WIDTH, HEIGHT))
    assert (found.score == 1).all()
    for joint in range(xy.shape[1]):
        people = np.flatnonzero(labelled[:, joint])
        rows = np.flatnonzero(found.joint == joint)
        assert len(rows) <= len(people)
        if len(people):
            away = cdist(found.xy[rows], xy[people, joint])
            assert away.min(axis=1).max() < 1e-4  # candidates are joints
            assert (away.min(axis=0) <= CODEC.radius(scale).max() + 6).all()  # and none is far from one
        for row in rows:
            assert found.scale[row] in scale.astype(np.float32)


@given(st.integers(0, 1000))
def test_cells_of_a_part_are_those_within_its_radius(seed):
    xy, labelled, scale = _people(seed)
    maps = CODEC.encode(xy, labelled, scale, WIDTH, HEIGHT)
    cells = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), axis=-1) * 4.0
    for joint in range(xy.shape[1]):
        near = np.zeros((HEIGHT, WIDTH), bool)
        for person in np.flatnonzero(labelled[:, joint]):
            near |= np.linalg.norm(cells - xy[person, joint], axis=2) <= max(0.07 * scale[person], 4.0)
        np.testing.assert_array_equal(maps.part[joint] > 0, near)
    assert ((maps.scale > 0) == (maps.part > 0).any(axis=0)).all()


def test_a_cell_may_belong_to_several_parts_but_points_to_the_nearest_of_each():
    xy = np.array([[[40.0, 40.0], [42.0, 40.0]], [[45.0, 40.0], [90.0, 90.0]]])
    maps = CODEC.encode(xy, np.ones((2, 2), bool), np.array([100.0, 100.0]), WIDTH, HEIGHT)
    assert maps.part[:, 10, 10].tolist() == [1, 1]
    np.testing.assert_allclose(maps.refinement[:, :, 10, 10], [[0, 0], [2, 0]])
    np.testing.assert_allclose(maps.refinement[0, :, 10, 11], [1, 0])  # of the second person, one pixel away


def test_of_cells_that_point_to_one_joint_the_best_stays():
    part, refinement = np.zeros((1, HEIGHT, WIDTH), np.float32), np.zeros((1, 2, HEIGHT, WIDTH), np.float32)
    scale = np.full((HEIGHT, WIDTH), 100.0, np.float32)
    part[0, 5, 5], part[0, 5, 8], part[0, 5, 20], part[0, 20, 20] = 0.9, 0.8, 0.7, 0.1
    refinement[0, 0, 5, 5], refinement[0, 0, 5, 8] = 6, -6
    found = CODEC.candidates(PartMaps(part, refinement, scale), min_score=0.2)
    np.testing.assert_allclose(found.xy, [[26, 20], [80, 20]])
    np.testing.assert_allclose(found.score, [0.9, 0.7], rtol=1e-6)
    assert len(CODEC.candidates(PartMaps(part, refinement, scale), min_score=0.2, max_per_part=1).xy) == 1


def test_nobody():
    nobody = CODEC.encode(np.zeros((0, 5, 2)), np.zeros((0, 5), bool), np.zeros(0), WIDTH, HEIGHT)
    assert not nobody.part.any() and len(CODEC.candidates(nobody).xy) == 0

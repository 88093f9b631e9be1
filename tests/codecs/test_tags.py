"""Tags encoded from labels against a search over all cells, and joints filled in by tag against one over all pixels."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.codecs import Grid, Outputs
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.codecs.tags import APART, best_by_tag, encode_tags

GRID = Grid((4.0, 4.0), 1.0)


@settings(max_examples=20)
@given(st.integers(0, 10**6), st.integers(0, 4), st.sampled_from([1.0, 2.0, 2.5]))
def test_every_cell_has_the_nearest_persons_tag(seed: int, people: int, reach: float) -> None:
    rng = np.random.default_rng(seed)
    xy, labelled = rng.uniform(-8, 70, (people, 2, 2)), rng.random((people, 2)) < 0.8
    tags = encode_tags(xy, labelled, GRID, 16, 14, reach)
    for joint, y, x in np.ndindex(2, 14, 16):
        distance = np.linalg.norm((xy[:, joint] - 1) / 4 - (x, y), axis=1)
        near = [index for index in range(people) if labelled[index, joint] and distance[index] <= reach]
        expected = APART * min(near, key=lambda index: distance[index]) if near else 0
        assert tags[joint, y, x] == expected


def test_tags_are_read_at_the_peaks_of_their_people() -> None:
    xy = np.random.default_rng(1).uniform(20, 200, (5, 3, 2))
    codec = HeatmapCodec(60, 60, 4.0, sigma=1.0, decoding="dark")
    labelled = np.ones((5, 3), bool)
    outputs = Outputs(
        [codec.encode_people(xy, labelled)[None]],
        extra={"tags": encode_tags(xy, labelled, codec.grid, 60, 60)[None]},
    )
    candidates = codec.candidates(outputs, min_score=0.5)
    assert candidates.tags is not None and len(candidates) == 15
    person = (candidates.tags[:, 0] / APART).astype(int)
    np.testing.assert_allclose(candidates.xy, xy[person, candidates.joint], atol=0.05)


def test_missing_joints_are_filled_in_from_their_own_person() -> None:
    rng = np.random.default_rng(0)
    heatmaps = rng.random((3, 9, 8)).astype(np.float32)
    tags = rng.normal(0, 2, (3, 2, 9, 8)).astype(np.float32)
    people = rng.normal(0, 2, (4, 2))
    best = best_by_tag(heatmaps, tags, people)
    for person, joint in np.ndindex(4, 3):
        worth = {
            (y, x): heatmaps[joint, y, x] - round(float(np.linalg.norm(tags[joint, :, y, x] - people[person])))
            for y, x in np.ndindex(9, 8)
        }
        y, x = max(worth, key=lambda index: worth[index])
        assert best.score[person, joint] == heatmaps[joint, y, x]
        moved = best.xy[person, joint] - (x, y)
        assert set(np.abs(moved).tolist()) <= {0.0, 0.25}
        if 0 < x < 7 and 0 < y < 8:
            across = np.sign(heatmaps[joint, y, x + 1] - heatmaps[joint, y, x - 1])
            down = np.sign(heatmaps[joint, y + 1, x] - heatmaps[joint, y - 1, x])
            np.testing.assert_array_equal(moved, [across / 4, down / 4])

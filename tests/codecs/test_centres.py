"""People as points: labels through the maps and back, and joints moved to the peaks that are allowed."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.codecs.centres import CentreMaps, CentrePoseCodec
from trustpose.codecs.heatmaps import HeatmapCodec

CODEC = CentrePoseCodec(HeatmapCodec(60, 50, 4.0, sigma=1.0, decoding="dark"))


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(0, 4))
def test_labels_come_back(seed: int, people: int) -> None:
    rng = np.random.default_rng(seed)
    low = np.array([[10.0 + 55 * index, 20] for index in range(people)]).reshape(-1, 2)
    box = np.concatenate([low, low + rng.uniform([30, 60], [45, 140], (people, 2))], axis=1)
    xy = rng.uniform(0, 1, (people, 3, 2)) * (box[:, 2:] - box[:, :2])[:, None] + low[:, None]
    labelled = rng.random((people, 3)) < 0.8
    xy[~labelled] = np.nan
    maps, learnt = CODEC.encode(box, xy, labelled)
    assert learnt.sum() == labelled.sum() and not np.isnan(maps.joints).any()
    decoded = CODEC.decode(maps)
    assert len(decoded.xy) == people and (decoded.person_score == 1).all()
    order = np.argsort(decoded.box[:, 0])
    np.testing.assert_allclose(decoded.box[order], box, atol=1e-3)
    error = np.linalg.norm(decoded.xy[order] - xy, axis=2)
    distance = np.linalg.norm(xy[:, None] - xy[None], axis=3)  # (people, people, 3), NaN where one has no label
    distance[np.arange(people), np.arange(people)] = np.nan
    has_neighbour = (distance < 24).any(axis=1)  # px: the slope of the other person's bump moves the peak
    assert (error[labelled & ~has_neighbour] < 0.2).all()  # a twentieth of a map pixel
    assert (error[labelled] < 2).all()
    assert (decoded.score[order][labelled] > 0.7).all()


def _maps(way: tuple[float, float], peak: tuple[int, int], height: float) -> CentreMaps:
    """One person, centre in cell (20, 20) at 82, 82, box 42 … 122; its joint `way` from there; one peak."""
    centre, heatmaps = np.zeros((50, 60), np.float32), np.zeros((1, 50, 60), np.float32)
    centre[20, 20], heatmaps[0, peak[1], peak[0]] = 0.9, height
    sides, joints = np.full((4, 50, 60), 40, np.float32), np.zeros((2, 50, 60), np.float32)
    joints[:, 20, 20] = way
    return CentreMaps(centre, sides, joints, heatmaps)


def test_joints_move_to_allowed_peaks_only() -> None:
    for way, peak, height, moved in (
        ((10.0, 0.0), (25, 20), 0.5, True),
        ((10.0, 0.0), (25, 20), 0.05, False),  # too low
        ((38.0, 0.0), (31, 20), 0.5, False),  # 124, 80 is outside the box
        ((-35.0, 0.0), (25, 20), 0.5, False),  # 53 pixels away, above 0.3 of the longer side
    ):
        decoded = CODEC.decode(_maps(way, peak, height))
        expected = np.array(peak) * 4.0 if moved else np.array([82.0, 82]) + way
        np.testing.assert_allclose(decoded.xy[0, 0], expected, atol=1e-6)
        np.testing.assert_array_equal(decoded.box, [[42, 42, 122, 122]])
        assert decoded.person_score[0] == np.float32(0.9)


def test_nobody() -> None:
    empty = np.zeros((0, 3, 2))
    maps, learnt = CODEC.encode(np.zeros((0, 4)), empty, np.zeros((0, 3), bool))
    assert not learnt.any() and CODEC.decode(maps).xy.shape == (0, 3, 2)


def test_people_in_a_better_ones_box_are_dropped():
    """Two centres of one person, eight cells apart: the paper keeps both."""
    box = np.array([[40.0, 40, 120, 160], [72, 44, 152, 164], [190, 40, 230, 160]])
    xy = np.stack([box[:, :2] + 10, box[:, 2:] - 10], axis=1)
    maps, _ = CODEC.encode(box, xy, np.ones((3, 2), bool))
    maps.centre[...] *= np.where(np.arange(maps.centre.shape[1]) * 4 < 100, 0.9, 1.0)  # the second is the better one
    assert len(CODEC.decode(maps).box) == 3
    decoded = replace(CODEC, overlap=0.3).decode(maps)
    np.testing.assert_allclose(np.sort(decoded.box[:, 0]), [72, 190], atol=1e-3)
    assert len(replace(CODEC, overlap=0.9).decode(maps).box) == 3

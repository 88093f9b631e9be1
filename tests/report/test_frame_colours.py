"""Colours that stay from frame to frame: for any order of people, moving people, and missed people."""

import numpy as np
import pytest

from trustpose.poses import MISSING_ID, Poses
from trustpose.report.scene import PEOPLE
from trustpose.report.video import FrameColours


def _frame(lefts, order=None, **columns):
    """People 100 px wide that start at `lefts`, found in an order."""
    left = np.asarray(lefts, dtype=np.float64)
    poses = Poses(
        xy=np.zeros((len(left), 17, 2)),
        box=np.stack([left, np.full(len(left), 50.0), left + 100, np.full(len(left), 350.0)], axis=1),
        **columns,
    )
    return poses if order is None else poses[np.asarray(order)]


def test_people_keep_their_colours_in_any_order():
    colours, rng = FrameColours(), np.random.default_rng(0)
    first = colours.next(_frame([0, 150, 300, 450]))
    assert len(set(first.tolist())) == 4
    for step in range(1, 60):
        order = rng.permutation(4)
        now = colours.next(_frame(np.array([0, 150, 300, 450]) + 25 * step, order))
        np.testing.assert_array_equal(now, first[order])


def test_a_person_missed_for_some_frames_keeps_the_colour():
    colours = FrameColours()
    first = colours.next(_frame([0, 200]))
    for _ in range(10):
        assert colours.next(_frame([200])) == first[1]
    np.testing.assert_array_equal(colours.next(_frame([5, 200])), first)
    for _ in range(40):
        colours.next(_frame([200]))
    assert len(set(colours.next(_frame([900, 200])).tolist())) == 2


def test_a_newcomer_has_a_colour_of_its_own():
    colours = FrameColours()
    first = colours.next(_frame([0, 200, 400]))
    second = colours.next(_frame([600, 400, 200, 0]))
    np.testing.assert_array_equal(second[1:], first[::-1])
    assert second[0] not in first


def test_an_earlier_person_is_matched_once():
    """Two people that overlap one of the frame before: the closer one keeps the colour."""
    colours = FrameColours()
    first = colours.next(_frame([100]))
    far, near = colours.next(_frame([130, 105]))
    assert near == first[0] and far != near


def test_tracks_decide_where_there_are_some():
    colours = FrameColours()
    colours.next(_frame([0, 200], track_id=np.array([3, 9])))
    swapped = colours.next(_frame([0, 200, 400], track_id=np.array([9, 3, MISSING_ID])))
    np.testing.assert_array_equal(swapped[:2], np.array([9, 3]) % len(PEOPLE))
    assert swapped[2] not in swapped[:2]


def test_without_boxes_joints_are_used():
    colours = FrameColours()
    xy = np.random.default_rng(0).uniform(0, 50, (2, 17, 2)) + np.array([[[0, 0]], [[300, 0]]])
    first = colours.next(Poses(xy=xy))
    np.testing.assert_array_equal(colours.next(Poses(xy=xy[::-1] + 3)), first[::-1])
    assert len(colours.next(Poses(xy=xy[:0]))) == 0


@pytest.mark.parametrize("count", [0, 1, 40])
def test_any_number_of_people(count):
    colours = FrameColours()
    for _ in range(3):
        positions = colours.next(_frame(np.arange(count) * 20.0))
        assert len(positions) == count and ((positions >= 0) & (positions < len(PEOPLE))).all()

"""Tokens of grouped people against the same numbers read one by one."""

import numpy as np

from trustpose.codecs.fields import Support
from trustpose.codecs.group_tokens import GROUP_NUMBERS, PLACE, WINDOW, group_tokens, relations
from trustpose.codecs.people import DetectedPeople
from trustpose.geometry.crops import Grid

GRID = Grid((4.0, 4.0), 1.5)
KEYPOINTS, CHANNELS = 5, 3


def made_up(people: int = 3):
    rng = np.random.default_rng(people)
    features = rng.normal(size=(CHANNELS, 6, 8)).astype(np.float32)  # half of the heatmaps' resolution
    heatmaps = rng.random((KEYPOINTS, 12, 16)).astype(np.float32)
    xy = rng.uniform((0, 0), (64, 48), (people, KEYPOINTS, 2))
    missing = np.zeros((people, KEYPOINTS), bool)
    missing[1:2, 2] = True
    missing[2:] = True  # the last was found nowhere
    score = np.where(missing, 0.0, rng.random((people, KEYPOINTS)))
    return features, heatmaps, DetectedPeople(xy, score, None, rng.random(people), missing)


def test_tokens_are_read_at_each_keypoint():
    features, heatmaps, found = made_up()
    tokens, _ = group_tokens(features, heatmaps, found, GRID, 64.0)
    assert tokens.shape == (3, KEYPOINTS, CHANNELS + GROUP_NUMBERS + WINDOW + PLACE) and tokens.dtype == np.float32
    for person, joint in np.ndindex(2, KEYPOINTS):
        if found.missing[person, joint]:
            assert (tokens[person, joint] == 0).all()
            continue
        x, y = np.floor((found.xy[person, joint] - 1.5) / 4 + 0.5).astype(int).clip(0, (15, 11))
        own = tokens[person, joint]
        np.testing.assert_array_equal(own[:CHANNELS], features[:, y // 2, x // 2])
        around = own[CHANNELS + GROUP_NUMBERS :][:49].reshape(7, 7)
        for down, right in np.ndindex(7, 7):
            row, column = y + down - 3, x + right - 3
            is_inside = 0 <= row < 12 and 0 <= column < 16
            assert around[down, right] == (heatmaps[joint, row, column] if is_inside else 0)
        assert own[-PLACE - 1] == heatmaps[joint, y, x] and (0 <= own[-PLACE:]).all() and (own[-PLACE:] <= 1).all()
    seen = tokens[0, :, -PLACE:]
    assert seen.min() == 0 and seen.max() == 1  # the box touches its joints
    assert (tokens[2] == 0).all()


def test_the_whole_knows_the_group_and_those_before_it():
    features, heatmaps, detected_people = made_up()
    xy = np.array([[[10, 10], [30, 40]], [[10, 10], [20, 40]], [[50, 10], [60, 20.0]]])
    detected_people = DetectedPeople(xy, np.full((3, 2), 0.5), None, np.array([0.9, 0.8, 0.7]))
    tokens, whole = group_tokens(features, heatmaps[:2], detected_people, GRID, 64.0)
    numbers = whole[:, CHANNELS:]
    np.testing.assert_allclose(numbers[:, 0], [0.9, 0.8, 0.7], rtol=1e-6)
    np.testing.assert_allclose(numbers[0, 1:7], [1, 0.5, 20 / 64, 30 / 64, 0, 0], rtol=1e-6)  # nobody better
    np.testing.assert_allclose(numbers[1, 5:7], [0.5, 1.0], rtol=1e-6)  # half of the first's box, and within it
    np.testing.assert_allclose(numbers[2, 5:7], 0)
    further = relations(xy, np.zeros((3, 2), np.bool_), np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1))
    np.testing.assert_allclose(numbers[:, 7:], further, rtol=1e-6, atol=1e-9)
    np.testing.assert_array_equal(tokens[1, 0, CHANNELS : CHANNELS + GROUP_NUMBERS], numbers[1])
    low, high = np.floor((xy[0] - 1.5) / 8 + 0.5).astype(int)
    mean = features[:, low[1] : high[1] + 1, low[0] : high[0] + 1].mean(axis=(1, 2))
    np.testing.assert_allclose(whole[0, :CHANNELS], mean, rtol=1e-5)


def test_nobody_gives_no_tokens():
    features, heatmaps, found = made_up(0)
    tokens, whole = group_tokens(features, heatmaps, found, GRID, 64.0)
    assert tokens.shape[:2] == (0, KEYPOINTS) and whole.shape == (0, CHANNELS + GROUP_NUMBERS)


def test_further_support_stands_after_the_features():
    features, heatmaps, found = made_up()
    rng = np.random.default_rng(5)
    support = Support(np.where(found.missing[..., None], 0.0, rng.random((3, KEYPOINTS, 2))), rng.random((3, 4)))
    plain, whole = group_tokens(features, heatmaps, found, GRID, 64.0)
    tokens, further = group_tokens(features, heatmaps, found, GRID, 64.0, support)
    np.testing.assert_array_equal(np.delete(tokens, np.s_[CHANNELS : CHANNELS + 6], axis=2), plain)
    np.testing.assert_array_equal(np.delete(further, np.s_[CHANNELS : CHANNELS + 6], axis=1), whole)
    np.testing.assert_allclose(tokens[0, :, CHANNELS : CHANNELS + 2], support.of_joints[0], rtol=1e-6)
    np.testing.assert_allclose(tokens[0, 1, CHANNELS + 2 : CHANNELS + 6], support.of_group[0], rtol=1e-6)
    expected = np.concatenate([support.of_joints.mean(axis=1), support.of_group], axis=1)
    np.testing.assert_allclose(further[:, CHANNELS : CHANNELS + 6], expected, rtol=1e-6)
    assert (tokens[found.missing] == 0).all()

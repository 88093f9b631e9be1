"""Presence targets: against a sequential matching written on its own, and by hand for crowds and incomplete photos."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trustpose.metrics.classification import presence_targets
from trustpose.poses import Poses, Truth


def _poses(box: np.ndarray, image_id: np.ndarray) -> Poses:
    return Poses(xy=np.zeros((len(box), 3, 2)), box=box, image_id=image_id)


def _truth(box: np.ndarray, image_id: np.ndarray, iscrowd: np.ndarray | None = None) -> Truth:
    v = np.zeros((len(box), 3), np.int64)
    return Truth(xy=np.zeros((len(box), 3, 2)), v=v, box=box, image_id=image_id, iscrowd=iscrowd)


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    wide, high = (min(a[2 + index], b[2 + index]) - max(a[index], b[index]) for index in (0, 1))
    inside = max(wide, 0) * max(high, 0)
    return inside / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inside)


@given(st.integers(0, 10_000))
def test_people_are_taken_one_to_one_in_the_order_of_the_score(seed: int) -> None:
    random = np.random.default_rng(seed)
    people, photos = random.uniform(0, 60, (6, 2)), random.integers(0, 2, 6)
    true = np.concatenate([people, people + random.uniform(20, 60, (6, 2))], axis=1)
    rows = random.integers(0, 6, 12)
    box, image, score = true[rows] + random.normal(0, 4, (12, 4)), photos[rows], random.permutation(12) / 12
    person, counts = presence_targets(_poses(box, image), _truth(true, photos), score, np.array([0, 1]))
    free = set(range(6))
    for row in np.argsort(-score):
        overlaps = {index: _iou(box[row], true[index]) for index in free if photos[index] == image[row]}
        best = max(overlaps, key=overlaps.__getitem__, default=None)
        expected = -1 if best is None or overlaps[best] < 0.5 else best
        assert person[row] == expected
        free.discard(expected)
    assert counts.all()


def test_the_double_with_the_lower_score_is_not_the_one_box() -> None:
    box = np.array([[0.0, 0, 10, 20], [0, 0, 10, 19]])
    person, _ = presence_targets(
        _poses(box, np.ones(2, int)), _truth(box[1:], np.ones(1, int)), np.array([0.9, 0.8]), np.array([1])
    )
    assert person.tolist() == [0, -1]


def test_boxes_in_crowds_and_in_photos_with_people_without_boxes_do_not_count() -> None:
    crowd = np.array([[0.0, 0, 100, 100], [200, 0, 210, 20]])
    truth = _truth(crowd, np.ones(2, int), iscrowd=np.array([True, False]))
    box = np.array([[10.0, 10, 20, 30], [95, 0, 115, 20], [200, 0, 210, 20], [0, 0, 10, 10]])
    image = np.array([1, 1, 1, 2])
    person, counts = presence_targets(_poses(box, image), truth, np.full(4, 0.5), np.array([1]))
    assert person.tolist() == [-1, -1, 1, -1]
    assert counts.tolist() == [False, True, True, False]


def test_an_iou_of_a_half_is_enough_and_half_a_box_in_a_crowd_is_too_much() -> None:
    truth = _truth(np.array([[0.0, 0, 10, 20]]), np.ones(1, int))
    for height, person in ((10.0, 0), (9.8, -1)):
        box = np.array([[0.0, 0, 10, height]])
        assert presence_targets(_poses(box, np.ones(1, int)), truth, np.ones(1), np.array([1]))[0].tolist() == [person]
    crowd = _truth(np.array([[0.0, 0, 100, 100]]), np.ones(1, int), iscrowd=np.array([True]))
    box = np.array([[90.0, 0, 110, 20], [91, 0, 111, 20]])  # shares .5 and .45 inside
    assert presence_targets(_poses(box, np.ones(2, int)), crowd, np.ones(2), np.array([1]))[1].tolist() == [False, True]


def test_a_box_on_a_person_counts_in_a_crowd_and_a_crowd_is_no_person() -> None:
    box = np.array([[0.0, 0, 100, 100], [10, 10, 20, 30]])
    truth = _truth(box, np.ones(2, int), iscrowd=np.array([True, False]))
    person, counts = presence_targets(_poses(box, np.ones(2, int)), truth, np.ones(2), np.array([1]))
    assert person.tolist() == [-1, 1] and counts.tolist() == [False, True]

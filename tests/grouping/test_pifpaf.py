"""PifPaf's decoder: equation 2, the order of the frontier, reverse matching, and joints that two people claim."""

import numpy as np
import pytest

from trustpose.codecs.composite_fields import Association, Votes
from trustpose.grouping.pifpaf import CompositeGrouping

LIMBS = ((0, 1), (1, 2))


def association(*rows: tuple[float, tuple[float, float], tuple[float, float]], spread: float = 4.0) -> Association:
    confidence, *ends = (np.array(column, float) for column in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 3
    ends = np.stack([end.reshape(-1, 2) for end in ends], axis=1)
    return Association(confidence, ends, np.full((len(confidence), 2), spread))


def confidence_of(*joints: tuple[int, int, int, float]) -> np.ndarray:
    """Flat squares of 11 × 11 pixels about each (joint, x, y, height)."""
    maps = np.zeros((3, 60, 200), np.float32)
    for joint, x, y, height in joints:
        maps[joint, y - 5 : y + 6, x - 5 : x + 6] = height
    return maps


def seeds(*rows: tuple[int, float, float]) -> Votes:
    joint, x, y = (np.array(column) for column in zip(*rows, strict=True))
    return Votes(joint, np.stack([x, y], axis=1).astype(float), np.full(len(joint), 2.0), np.ones(len(joint)))


def test_the_association_with_the_highest_score_of_equation_2_is_followed() -> None:
    confidence = confidence_of((0, 20, 20, 1.0), (1, 60, 20, 0.5), (1, 100, 20, 0.9))
    sure = (0.9, (20, 20), (60, 20))  # .9 × exp(0) × .5
    beside = (1.0, (20, 22), (100, 20))  # 1 × exp(−2 / spread) × .9
    for spread, expected in ((1.0, 60), (4.0, 100)):
        fields = [association(sure, beside, spread=spread), association()]
        people = CompositeGrouping(LIMBS).group(seeds((0, 20, 20)), fields, confidence)
        assert people.xy[0, :2].tolist() == [[20, 20], [expected, 20]]
    assert people.missing.tolist() == [[False, False, True]]
    np.testing.assert_allclose(people.score, [[1.0, 0.9, 0.0]], rtol=1e-6)
    assert people.person_score[0] == pytest.approx(1.9 / 3)


def test_the_best_way_is_taken_first_and_a_joint_that_is_set_stays() -> None:
    limbs = ((0, 1), (1, 2), (0, 2))
    confidence = confidence_of((0, 20, 20, 1.0), (1, 60, 20, 1.0), (2, 100, 20, 1.0), (2, 140, 40, 1.0))
    fields = [
        association((0.9, (20, 20), (60, 20))),
        association((0.8, (60, 20), (100, 20))),
        association((0.3, (20, 20), (140, 40))),
    ]
    assert CompositeGrouping(limbs).group(seeds((0, 20, 20)), fields, confidence).xy[0, 2].tolist() == [100, 20]
    fields[2] = association((0.95, (20, 20), (140, 40)))
    assert CompositeGrouping(limbs).group(seeds((0, 20, 20)), fields, confidence).xy[0, 2].tolist() == [140, 40]


def test_a_joint_that_leads_back_to_somebody_else_is_refused() -> None:
    confidence = confidence_of((0, 20, 20, 1.0), (0, 100, 20, 0.8), (1, 60, 20, 1.0))
    fields = [association((0.5, (20, 20), (60, 20)), (0.9, (100, 20), (60, 20))), association()]
    rows = seeds((0, 20, 20), (0, 100, 20), (1, 60, 20))
    people = CompositeGrouping(LIMBS).group(rows, fields, confidence)
    assert people.xy[:, 0, 0].tolist() == [100, 20]  # the second has both joints, the first stays alone
    assert people.missing.tolist() == [[False, False, True], [False, True, True]]
    people = CompositeGrouping(LIMBS, reverse=False).group(rows, fields, confidence)
    assert people.xy[:, 0, 0].tolist() == [20, 100]  # both lead to the joint, and the better person keeps it
    assert people.missing.tolist() == [[False, False, True], [False, True, True]]
    assert people.person_score.tolist() == pytest.approx([2 / 3, 0.8 / 3])
    assert len(CompositeGrouping(LIMBS, min_parts=2).group(rows, fields, confidence).xy) == 1


def test_a_seed_in_the_disk_of_a_joint_begins_nobody() -> None:
    confidence = confidence_of((0, 20, 20, 1.0), (0, 40, 20, 0.9))
    fields = [association(), association()]
    rows = seeds((0, 20, 20), (0, 23, 20), (0, 40, 20))
    assert CompositeGrouping(LIMBS).group(rows, fields, confidence).xy[:, 0, 0].tolist() == [20, 40]
    wide = CompositeGrouping(LIMBS, suppression=11.0)  # times the size 2
    assert wide.group(rows, fields, confidence).xy[:, 0, 0].tolist() == [20]
    low = CompositeGrouping(LIMBS, min_seed=0.95)
    assert low.group(rows, fields, confidence).xy[:, 0, 0].tolist() == [20]


def test_nobody_in_an_empty_photo() -> None:
    nothing = Votes(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    people = CompositeGrouping(LIMBS).group(nothing, [association()] * 2, np.zeros((3, 8, 8), np.float32))
    assert people.xy.shape == (0, 3, 2) and people.person_score.shape == (0,)

"""PCK, PCKh, PDJ and PCP against loops that spell out their definitions, and MPII's published predictions.

Files: mpii/ of the data, ground truth and two stacked hourglasses' predictions on the validation people.
"""

import math

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.correct_parts import (
    Limb,
    body_limbs,
    limb_distance,
    limb_groups,
    limb_lengths,
    pcp,
)
from trustpose.metrics.localisation import (
    area_under_curve,
    box_side,
    correct_joints,
    head_size,
    joints_box,
    left_right_groups,
    normalised_distance,
    pck,
    replicate_correct,
    torso_diameter,
)
from trustpose.skeletons import COCO_17, FLIC_11, LSP_14, MPII_16

# whole and half pixels, so that many distances are exactly at a limit
PLACES = st.integers(-8, 8).map(lambda value: value / 2)
LIMBS = (Limb("a", (0,), (1,)), Limb("b", (1, 2), (3,)), Limb("c", (3,), (2,)))
TOTAL_14 = [index for index, name in enumerate(MPII_16.keypoints) if name not in ("pelvis", "thorax")]


@st.composite
def people(draw):
    """Predictions with holes, labels, which are labelled, reference lengths with unusable ones."""
    n = draw(st.integers(0, 6))
    xy, true_xy = (draw(hnp.arrays(np.float64, (n, 4, 2), elements=PLACES)) for _ in range(2))
    holes = draw(hnp.arrays(np.int8, (n, 4), elements=st.integers(0, 9)))
    xy[holes == 0] = np.nan
    xy[holes == 1, 0] = np.inf
    labelled = draw(hnp.arrays(np.bool_, (n, 4)))
    reference = draw(hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 0.5, 1.0, 2.0, 4.0, np.nan, -1.0])))
    return xy, true_xy, labelled, reference


@examples(max_examples=60)
@given(people(), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_joints_against_a_loop(drawn, fraction):
    xy, true_xy, labelled, reference = drawn
    for joint, found in enumerate(pck(xy, true_xy, labelled, reference, fraction)):
        right = total = 0
        for person in range(len(xy)):
            if not labelled[person, joint] or not reference[person] > 0:
                continue
            total += 1
            x, y = xy[person, joint] - true_xy[person, joint]
            if math.isfinite(x) and math.isfinite(y) and math.sqrt(x * x + y * y) <= fraction * reference[person]:
                right += 1
        assert found == right / total if total else math.isnan(found)


@examples(max_examples=60)
@given(people(), st.sampled_from([0.25, 0.5, 1.0]), st.sampled_from(["strict", "loose"]))
def test_parts_against_a_loop(drawn, fraction, rule):
    xy, true_xy, labelled, _ = drawn
    for limb, found in zip(LIMBS, pcp(xy, true_xy, labelled, LIMBS, rule, fraction), strict=True):
        right = total = 0
        for person in range(len(xy)):
            if not all(labelled[person, joint] for joint in limb.start + limb.end):
                continue
            start, end = (sum(true_xy[person, joint] for joint in ends) / len(ends) for ends in (limb.start, limb.end))
            length = math.dist(start, end)
            if not length:
                continue
            total += 1
            ends = [sum(xy[person, joint] for joint in ends) / len(ends) for ends in (limb.start, limb.end)]
            if not np.isfinite(ends).all():
                continue
            first, second = math.dist(ends[0], start), math.dist(ends[1], end)
            if rule == "strict":
                right += first / length <= fraction and second / length <= fraction
            else:
                right += (first + second) / 2 / length <= fraction
        assert found == right / total if total else math.isnan(found)


def test_a_dropped_joint_is_wrong_and_an_unlabelled_one_never_counts():
    xy, true_xy = np.array([[[0.0, 0], [np.nan, 0]], [[0, 0], [0, 0]]]), np.zeros((2, 2, 2))
    labelled = np.array([[True, True], [True, False]])
    counted = correct_joints(normalised_distance(xy, true_xy, labelled, np.ones(2)), [0.0, 1e9])
    assert counted.count.tolist() == [2, 1]
    assert counted.rate.tolist() == [[1, 0], [1, 0]]
    assert counted.pooled().tolist() == [2 / 3, 2 / 3]
    assert counted.mean().tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="fractions"):
        correct_joints(np.zeros((1, 1)), [-0.1])


def test_reference_lengths():
    xy = np.zeros((2, 14, 2))
    xy[:, LSP_14.index("left_shoulder")] = 30, 0
    xy[:, LSP_14.index("right_hip")] = 0, 40
    xy[:, LSP_14.index("left_hip")] = 0, 5
    labelled = np.ones((2, 14), dtype=np.bool_)
    labelled[1, LSP_14.index("left_shoulder")] = False
    assert np.array_equal(torso_diameter(xy, labelled, LSP_14), [50, np.nan], equal_nan=True)
    assert torso_diameter(xy, labelled, LSP_14, either_diagonal=True).tolist() == [50, 5]
    assert np.array_equal(joints_box(xy, labelled)[0], [0, 0, 30, 40])
    assert np.isnan(joints_box(xy, np.zeros_like(labelled))).all()
    box = np.array([[10.0, 10, 40, 50], [0, 0, 0, 0], [np.nan] * 4])
    assert np.array_equal(box_side(box), [40, np.nan, np.nan], equal_nan=True)
    assert np.array_equal(head_size(box), [30, np.nan, np.nan], equal_nan=True)


def test_left_and_right_together():
    groups = left_right_groups(MPII_16)
    assert groups["shoulder"] == (12, 13)
    assert groups["pelvis"] == (6,)
    assert sorted(joint for joints in groups.values() for joint in joints) == list(range(16))
    assert [len(body_limbs(one)) for one in (LSP_14, MPII_16, FLIC_11, COCO_17)] == [10, 10, 5, 9]
    assert limb_groups(body_limbs(LSP_14))["upper_arm"] == (0, 1)


def test_area_under_a_straight_line():
    fractions = np.linspace(0, 0.5, 6)
    assert area_under_curve(fractions, 2 * fractions) == pytest.approx(0.5)
    with pytest.raises(ValueError, match="ascending"):
        area_under_curve(np.array([0.5, 0.5]), np.ones(2))


def test_draws_of_people_equal_people_repeated_by_hand():
    random = np.random.default_rng(0)
    distance = np.where(random.random((20, 3)) < 0.2, np.nan, random.random((20, 3)))
    counts = resample_counts(20, 5, seed=1)
    correct, labelled = replicate_correct(counts, distance, 0.5, np.arange(20))
    for row, drawn in zip(correct / labelled, counts, strict=True):
        again = np.repeat(distance, drawn, axis=0)
        np.testing.assert_allclose(row, correct_joints(again, 0.5).rate[0])


def test_lengths_replace_those_of_the_people():
    true_xy = np.array([[[0.0, 0], [4, 0]], [[0, 0], [8, 0]]])
    labelled, limbs = np.ones((2, 2), dtype=np.bool_), (Limb("arm", (0,), (1,)),)
    assert limb_lengths(true_xy, labelled, limbs).ravel().tolist() == [4, 8]
    lengths = np.full((2, 1), 6.0)
    off = limb_distance(true_xy + 3, true_xy, labelled, limbs, lengths=lengths)
    assert off.ravel().tolist() == pytest.approx([math.sqrt(18) / 6] * 2)


# mmpose's keypoint_pck_accuracy on the same arrays, in percent; run outside of the repository, docs/parity.md
PCKH = {
    "ours": [78.91, 83.46, 87.99, 86.98, 82.73, 79.24, 92.08, 97.95, 97.51, 95.87, 83.27, 88.42, 94.23, 95.14, 88.64,
             83.50],
    "example": [72.96, 77.79, 83.21, 82.79, 78.25, 72.82, 87.84, 96.42, 96.11, 93.83, 78.01, 84.46, 91.88, 92.60, 84.52,
                77.83],
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "all_joints", "total", "auc"), [("ours", 0.890, 88.04, 58.8), ("example", 0.850, 83.94, 51.9)]
)
def test_pckh_of_real_predictions(data_dir, name, all_joints, total, auc):
    if not (data_dir / "mpii").is_dir():
        pytest.skip(f"no mpii/ at {data_dir}")
    with h5py.File(data_dir / "mpii/annot/valid.h5") as file:
        true_xy, head = (file[field][:] for field in ("part", "normalize"))
    with h5py.File(data_dir / f"mpii/preds/valid-{name}.h5") as file:
        xy = file["preds"][:]
    labelled = (true_xy != 0).any(axis=2)  # no label is written as 0, 0
    counted = correct_joints(normalised_distance(xy, true_xy, labelled, head), np.arange(51) / 100)
    assert round(counted.pooled()[-1], 3) == all_joints  # as the data's README gives it
    assert np.round(100 * counted.rate[-1], 2).tolist() == PCKH[name]
    assert round(100 * counted.pooled(TOTAL_14)[-1], 2) == total
    assert round(100 * area_under_curve(counted.fractions, counted.pooled(TOTAL_14)), 1) == auc

"""Features computed by hand, on any skeleton, and independent of the order of rows."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.calibration.features import (
    FAR,
    FeatureInputs,
    find_neighbours,
    keypoint_features,
    pose_features,
    read_people,
)
from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.skeletons import BLAZEPOSE_33, COCO_17, CROWDPOSE_14, Skeleton

NAMELESS = Skeleton("nameless", ("a", "b", "c"), ())


def _poses(people: int, k: int, seed: int = 0) -> Poses:
    random = np.random.default_rng(seed)
    low = random.uniform(0, 100, (people, 2))
    score = random.random((people, k))
    return Poses(
        xy=random.uniform(0, 200, (people, k, 2)),
        score=score,
        pose_score=score.mean(axis=1),
        box=np.concatenate([low, low + random.uniform(20, 120, (people, 2))], axis=1),
        image_id=random.integers(0, max(people // 3, 1), people),
    )


def _tables(poses: Poses, skeleton: Skeleton) -> dict[str, np.ndarray]:
    people = read_people(poses, skeleton, FeatureInputs.of(poses))
    return {f"pose {name}": row for name, row in pose_features(people).items()} | keypoint_features(people)


@pytest.mark.parametrize("skeleton", [COCO_17, CROWDPOSE_14, BLAZEPOSE_33, NAMELESS])
def test_any_skeleton_has_finite_features(skeleton) -> None:
    for name, column in _tables(_poses(40, len(skeleton)), skeleton).items():
        assert np.isfinite(column).all(), name
        assert column.dtype == np.float32, name
        assert column.shape == ((40,) if name.startswith("pose ") else (len(skeleton), 40)), name


def test_what_a_skeleton_lacks_is_absent() -> None:
    named, nameless = _tables(_poses(9, 17), COCO_17), _tables(_poses(9, 3), NAMELESS)
    assert "pose trunk length" in named and "pose trunk length" not in nameless
    assert "pose length left_hip–left_knee" in named and "limbs" not in nameless
    assert not any("mirror distance" in name for name in nameless if name.startswith("pose "))


@given(st.integers(0, 10**6), st.integers(2, 30))
@settings(max_examples=25)
def test_rows_can_stand_in_any_order(seed: int, people: int) -> None:
    poses = _poses(people, 17, seed)
    order = np.random.default_rng(seed).permutation(people)
    tables, moved = _tables(poses, COCO_17), _tables(poses[order], COCO_17)
    for name, column in tables.items():
        np.testing.assert_array_equal(column[..., order], moved[name], err_msg=name)


def test_by_hand() -> None:
    """One person, a box of 100 by 25 at (10, 20), so √area is 50."""
    xy = np.full((1, 17, 2), (10.0, 20.0))
    xy[0, 5], xy[0, 6], xy[0, 11], xy[0, 12] = (20, 30), (40, 30), (20, 70), (40, 70)  # shoulders and hips
    xy[0, 7] = (20, 45)  # left elbow
    score = np.linspace(0, 1, 17)[None]
    poses = Poses(xy=xy, score=score, pose_score=np.array([0.3]), box=np.array([[10.0, 20, 110, 45]]))
    tables = _tables(poses, COCO_17)
    assert tables["pose trunk length"] == pytest.approx(40 / 50)
    assert tables["pose length left_shoulder–left_elbow"] == pytest.approx(15 / 50)
    assert tables["pose down left_shoulder–left_elbow"] == pytest.approx(1)
    assert tables["pose across left_shoulder–left_elbow"] == pytest.approx(0)
    assert tables["pose box shape"] == pytest.approx(np.log(4))
    assert tables["pose box size"] == pytest.approx(np.log(50))
    assert tables["pose x left_shoulder"] == pytest.approx(0.1)
    assert tables["pose y left_hip"] == pytest.approx(2)
    assert tables["pose joints outside"] == pytest.approx(2 / 17)  # both hips
    assert tables["pose 1. lowest score"] == 0 and tables["pose 17. lowest score"] == 1
    assert tables["mirror distance"][5] == pytest.approx(20 / 50)
    assert tables["nearest joint"][7] == pytest.approx(15 / 50)
    assert tables["depth in box"][11] == pytest.approx(-25 / 50)
    assert tables["mirror's score"][5] == pytest.approx(6 / 16)
    assert tables["joined scores"][7] == pytest.approx((5 + 9) / 2 / 16)  # shoulder and wrist
    assert tables["longest limb"][7] == pytest.approx(max(15, np.hypot(10, 25)) / 50)
    assert tables["pose others in photo"] == 0 and tables["pose nearest neighbour's joint"] == FAR


def test_neighbours_by_hand() -> None:
    """Three people of one photo: the second overlaps the first by half, the third none; a fourth of another photo."""
    box = np.array([[0.0, 0, 10, 10], [5, 0, 15, 10], [100, 0, 110, 10], [0, 0, 10, 10]])
    xy = np.zeros((4, 3, 2)) + np.array([0.0, 3, 50, 0])[:, None, None]
    poses = Poses(xy=xy, image_id=np.array([7, 7, 7, 8]))
    near = find_neighbours(poses, box, np.array([0.5, 0.9, 0.1, 0.2]), np.array([0, 2, 1]))
    assert near.count.tolist() == [2, 2, 2, 0]
    np.testing.assert_allclose(near.overlap, [1 / 3, 1 / 3, 0, 0], rtol=1e-6)
    assert near.above.tolist() == [1, 0, 2, 0]
    np.testing.assert_allclose(near.rival, [0.4, -0.4, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(near.nearest_same[:, 0], np.hypot(3, 3) / 10, rtol=1e-6)
    assert (near.nearest_same[:, 2:] == FAR).all() and (near.nearest_mirror[:, 2:] == FAR).all()


def test_crowds_are_processed_in_parts(monkeypatch) -> None:
    poses = _poses(200, 17)
    people = read_people(poses, COCO_17, FeatureInputs.of(poses)).near
    monkeypatch.setattr("trustpose.calibration.features._MAX_PAIRS", 40)
    again = read_people(poses, COCO_17, FeatureInputs.of(poses)).near
    for name, column in vars(people).items():
        np.testing.assert_array_equal(column, getattr(again, name), err_msg=name)


def test_a_constant_box_score_is_not_required() -> None:
    poses = replace(_poses(5, 17), box_score=np.ones(5))
    assert FeatureInputs.of(poses) == FeatureInputs(box=True, box_score=False)
    assert FeatureInputs.of(replace(poses, box_score=np.arange(5.0))).box_score
    gone = replace(poses, box=np.full((5, 4), np.nan))
    assert not FeatureInputs.of(gone).box


def test_fields_used_at_fitting_are_required() -> None:
    poses = _poses(5, 17)
    source = FeatureInputs.of(poses)
    source.check(poses)
    with pytest.raises(InputError, match="poses have no box"):
        source.check(replace(poses, box=None))
    assert poses.box is not None
    hole = poses.box.copy()
    hole[3, 1] = np.nan
    with pytest.raises(InputError, match="box of pose 3 is missing"):
        source.check(replace(poses, box=hole))
    with pytest.raises(InputError, match="poses have no pose_score"):
        source.check(replace(poses, pose_score=None))


def test_neighbours_count_up_to_four_of_the_persons_own_sizes() -> None:
    """A person of 10 × 10 pixels, beside one whose large box touches it and whose joint is 30 or 50 pixels away."""
    box = np.array([[0.0, 0, 10, 10], [5, 0, 85, 80]])
    for away, expected in ((30, 3.0), (50, 4.0)):
        poses = Poses(np.array([[[5.0, 5]], [[5.0 + away, 5]]]), image_id=np.zeros(2, int))
        near = find_neighbours(poses, box, np.ones(2), np.array([0]))
        assert near.nearest_same[0, 0] == pytest.approx(expected)

"""Pose NMS against AlphaPose's own code on recorded cases, the choice of its parameters, and properties."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.files import InputError
from trustpose.grouping.pose_nms import (
    ALPHAPOSE,
    ALPHAPOSE_THRESHOLD,
    PoseDistance,
    choose_parameters,
    merge,
    pose_similarity,
)
from trustpose.grouping.suppression import POSE_THRESHOLD, merge_dropped, suppress, suppressor
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17

# Measured with the reference: github.com/MVIG-SJTU/AlphaPose at commit c60106d, alphapose/utils/pPose_nms.py, run
# unopened outside this repo with its own constants, on made-up poses: 2 to 9 of one photo. "distance" is its
# get_parametric_distance to the first pose, "matches" its PCK_match, "kept" what pose_nms keeps, which ranks by the
# mean of the keypoints' scores, and "merged" the poses that it returns, by the row that is kept. 300 such photos of up
# to 24 poses gave equal results, positions to 7e-5 pixels. It computes in float32.
CASES = json.loads((Path(__file__).parent / "alphapose_nms.json").read_text())


def _case(case):
    xy, score, box = (np.array(case[name]) for name in ("xy", "score", "box"))
    return xy, score, box, box[:, 2:] - box[:, :2]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['xy'])} poses")
def test_as_alphapose(case):
    xy, score, box, size = _case(case)
    alike = pose_similarity(xy, score, size, ALPHAPOSE)[0]
    assert np.isinf(alike).tolist() == [count >= 5 for count in case["matches"]]
    seen = np.isfinite(alike)
    np.testing.assert_allclose(alike[seen] * 17 * 2.7, np.array(case["distance"])[seen], rtol=1e-5, atol=1e-5)
    poses = Poses(xy=xy, score=score, box=box, image_id=np.zeros(len(xy), np.int64))
    options = {"method": "pose-nms", "threshold": ALPHAPOSE_THRESHOLD, "sigmas": COCO_17.sigmas, "area": "box"}
    suppressed = suppress(poses, score.mean(axis=1), **options, distance=ALPHAPOSE)
    assert np.flatnonzero(suppressed.keep).tolist() == case["kept"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['xy'])} poses")
def test_merging_as_alphapose(case):
    xy, score, box, _ = _case(case)
    poses = Poses(xy=xy, score=score, box=box, image_id=np.zeros(len(xy), np.int64))
    options = {"method": "pose-nms", "threshold": ALPHAPOSE_THRESHOLD, "sigmas": COCO_17.sigmas, "area": "box"}
    suppressed = suppress(poses, score.mean(axis=1), **options, distance=ALPHAPOSE)
    merged = merge_dropped(poses, suppressed, "box")
    assert sorted(reference["row"] for reference in case["merged"]) == case["kept"]
    for reference in case["merged"]:
        np.testing.assert_allclose(merged.xy[reference["row"]], reference["xy"], atol=1e-3)
        np.testing.assert_allclose(merged.score[reference["row"]], reference["score"], atol=1e-4)


@settings(max_examples=50)
@given(st.integers(0, 10**6))
def test_merged_keypoints_lie_between_those_they_are_made_of(seed):
    generator = np.random.default_rng(seed)
    n = int(generator.integers(1, 8))
    instead = generator.integers(0, n, n)
    instead = np.where(instead[instead] == instead, instead, np.arange(n))  # kept ones stand for themselves
    xy, score = generator.normal(0, 4, (n, 5, 2)), generator.uniform(-0.1, 1, (n, 5))
    xy[generator.random((n, 5)) < 0.2] = np.nan
    merged, merged_score = merge(xy, score, instead, np.full((n, 2), 60.0))
    for row in np.flatnonzero(instead == np.arange(n)):
        for joint in range(5):
            if np.isnan(xy[row, joint]).any():
                assert np.isnan(merged[row, joint]).all() and merged_score[row, joint] == score[row, joint]
                continue
            near = [
                index
                for index in np.flatnonzero(instead == row)
                if np.hypot(*(xy[index, joint] - xy[row, joint])) <= 6.0  # a tenth of 60
            ]
            weight = np.maximum(score[near, joint], 1e-5)
            expected = (weight[:, None] * xy[near, joint]).sum(axis=0) / weight.sum()
            np.testing.assert_allclose(merged[row, joint], expected, atol=1e-9)


def test_trust_is_of_the_positions_before_merging():
    poses = Poses(np.zeros((2, 17, 2)), np.ones((2, 17)), image_id=np.zeros(2, int), box=np.ones((2, 4)))
    poses = replace(poses, pose_quality=np.ones(2))
    options = {"method": "pose-nms", "threshold": 0.5, "sigmas": COCO_17.sigmas, "area": "box"}
    with pytest.raises(ValueError, match="pose_quality, which is of positions before merging"):
        merge_dropped(poses, suppress(poses, np.ones(2), **options), "box")


def test_cases_keep_and_drop():
    assert sum(len(case["kept"]) for case in CASES) > len(CASES)
    assert sum(len(case["xy"]) - len(case["kept"]) for case in CASES) > len(CASES)
    assert any(0 < sum(count >= 5 for count in case["matches"]) < len(case["xy"]) for case in CASES)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.05, 5), st.floats(0.05, 5), st.floats(0, 5))
def test_similarity_whatever_the_poses(seed, score_scale, distance_scale, balance):
    generator, pose_distance = np.random.default_rng(seed), PoseDistance(score_scale, distance_scale, balance)
    n = int(generator.integers(1, 6))
    xy = generator.normal(0, 20, (1, 17, 2)) + generator.normal(0, 3, (n, 17, 2))
    score, size = generator.uniform(-0.1, 1, (n, 17)), generator.uniform(50, 200, (n, 2))
    alike = pose_similarity(xy, score, size, pose_distance)
    assert (alike >= 0).all() and (alike <= 1 + 1e-12).all()
    assert (alike <= np.diag(alike)[:, None] + np.abs(score).max() / score_scale).all()
    np.testing.assert_allclose(pose_similarity(xy * 3 + 7, score, size * 3, pose_distance), alike, rtol=1e-9)  # no unit
    lowered = pose_similarity(xy, score * 0.5, size, pose_distance)
    assert (lowered <= alike + 1e-12).all()
    far = xy.copy()
    far[0] += 1e4
    assert (pose_similarity(far, score, size, pose_distance)[0, 1:] == 0).all()


def test_the_window_is_a_tenth_of_the_references_box():
    """Along x 10 pixels of 200, along y 5 of 100; the other pose's box is not read."""
    xy, size = np.zeros((2, 1, 2)), np.array([[200.0, 100.0], [1.0, 1.0]])
    only_matches = PoseDistance(score_scale=0.01, balance=0.0)

    def alike(x, y):
        return pose_similarity(np.array([[[0.0, 0.0]], [[x, y]]]), np.ones((2, 1)), size, only_matches)[0, 1]

    assert [alike(9.9, 4.9), alike(10.1, 0), alike(0, 5.1)] == [1, 0, 0]
    tenths = PoseDistance(score_scale=1e6, distance_scale=2.0, balance=1.0)
    xy[1] = [30, 40]
    assert pose_similarity(xy, np.ones((2, 1)), size, tenths)[0, 1] == pytest.approx(np.exp(-2500 / 200 / 2) / 2)


def test_keypoints_that_are_not_in_both_do_not_count():
    xy, score, size = np.zeros((2, 3, 2)), np.full((2, 3), 9.0), np.full((2, 2), 10.0)
    xy[1, 2] = np.nan
    counted = np.array([[True, True, True], [False, True, True]])
    pose_distance = PoseDistance(score_scale=0.1)
    assert pose_similarity(xy, score, size, pose_distance)[0, 1] == pytest.approx(1)
    assert pose_similarity(xy, score, size, pose_distance, counted)[0, 1] == pytest.approx(1)
    assert pose_similarity(xy, score, size, pose_distance, counted & [False, False, True])[0, 1] == 0


def test_parameters_are_chosen_two_at_a_time():
    """A measure with one best place, which turns over two parameters reach."""
    asked = []

    def measure(how, threshold):
        asked.append((how, threshold))
        scales = (how.score_scale - 3) ** 2 + (how.distance_scale - how.balance) ** 2 / 10
        return -scales - (how.balance - 2) ** 2 - (threshold - 0.5) ** 2

    grid = {name: (1.0, 2.0, 3.0) for name in ("score_scale", "distance_scale", "balance")}
    grid |= {"threshold": (0.1, 0.5, 0.9)}
    how, threshold, value = choose_parameters(measure, PoseDistance(1.0, 1.0, 1.0), 0.1, grid)
    assert (how, threshold, value) == (PoseDistance(3.0, 2.0, 2.0), 0.5, 0.0)
    assert len(set(asked)) < 3**4  # not all were tried


def test_as_a_method_of_suppression():
    xy, score, box, _ = _case(CASES[-1])
    poses = Poses(xy=xy, score=score, box=box, image_id=np.zeros(len(xy), np.int64), skeleton=COCO_17)
    suppressed = suppressor("pose-nms", None, "crop", COCO_17)(poses, score.mean(axis=1))
    same = suppressor("pose-nms", POSE_THRESHOLD, "crop", COCO_17)(poses, score.mean(axis=1))
    assert suppressed.keep.tolist() == same.keep.tolist() and 0 < suppressed.keep.sum() < len(xy)
    with pytest.raises(InputError, match="expects a similarity from 0 to 1, got 2"):
        suppressor("pose-nms", 2.0, "crop", COCO_17)
    with pytest.raises(InputError, match="pose-nms needs the keypoints' scores"):
        suppressor("pose-nms", None, "crop", COCO_17)(replace(poses, score=None), score.mean(axis=1))
    with pytest.raises(ValueError, match="distance_scale: expected a number above 0, got 0"):
        PoseDistance(distance_scale=0.0)

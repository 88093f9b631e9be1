"""OKS-NMS and soft-NMS against HRNet's own code, a plain loop, and properties that hold for any poses."""

import json
from dataclasses import replace
from math import exp, tanh
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.geometry.crops import grow_box
from trustpose.geometry.oks import oks_between
from trustpose.grouping.pose_nms import PoseDistance
from trustpose.grouping.suppression import METHODS, greedy_nms, suppress
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17

# Measured with the reference: github.com/leoxiaobin/deep-high-resolution-net.pytorch at commit 6f69e46, lib/nms/nms.py,
# Python 3.11, numpy 2.4.6, run on a copy outside this repo; its compiled box NMS, which plays no part, was left out.
# "linear" is what its `rescore` does when told so, which its own loop never does. Each case: 1 to 28 poses of one
# photo, all with the same keypoint scores, since its `in_vis_thre` looks at those of one pose alone. Kept rows are in
# the order in which they were taken; its soft-NMS stops after 20.
CASES = json.loads((Path(__file__).parent / "hrnet_nms.json").read_text())
SIGMAS = COCO_17.sigmas
HOW = {"sigmas": SIGMAS, "area": "box"}
DISTANCE = PoseDistance()


def _poses(case) -> Poses:
    """The case's poses with boxes that have its areas."""
    xy, area = np.array(case["xy"]), np.array(case["area"])
    box = np.stack([np.zeros(len(area)), np.zeros(len(area)), np.full(len(area), 64.0), area / 64], axis=1)
    score = np.broadcast_to(case["keypoint_score"], xy.shape[:2]).astype(np.float64)
    return Poses(xy=xy, score=score, box=box, image_id=np.full(len(xy), 3))


def _taken(kept, score) -> list[int]:
    """Kept rows in the order of their scores."""
    return [int(row) for row in np.argsort(-score, kind="stable") if kept[row]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['score'])} poses")
def test_as_hrnet(case):
    poses, score = _poses(case), np.array(case["score"])
    overlap = oks_between(poses.xy, np.array(case["area"]), SIGMAS)
    np.testing.assert_allclose(overlap[0], case["oks_of_first"], rtol=1e-12)
    counted = poses.score > 0.3
    overlap = oks_between(poses.xy, np.array(case["area"]), SIGMAS, counted)
    np.testing.assert_allclose(overlap[0], case["oks_of_first_in_vis_0.3"], rtol=1e-12)
    for threshold, rows in case["oks_nms"].items():
        suppressed = suppress(poses, score, method="oks-nms", threshold=float(threshold), **HOW)
        assert _taken(suppressed.keep, suppressed.score) == rows
        np.testing.assert_array_equal(suppressed.score, score)
    suppressed = suppress(poses, score, method="oks-nms", threshold=0.5, in_vis_threshold=0.3, **HOW)
    assert _taken(suppressed.keep, score) == case["oks_nms_in_vis_0.3"]
    for method in ("soft-oks-nms", "soft-oks-nms-linear"):
        for threshold, rows in case[method.replace("-", "_")].items():
            suppressed = suppress(poses, score, method=method, threshold=float(threshold), **HOW)
            assert suppressed.keep.all() and _taken(suppressed.keep, suppressed.score)[:20] == rows


def _alike(poses, grown, a, b, in_vis_threshold):
    """The similarity of pose NMS, keypoint by keypoint."""
    width, height = grown[2:] - grown[:2]
    total, count = 0.0, 0
    for k in range(poses.keypoint_count):
        scores = [max(poses.score[row, k], 0) for row in (a, b)]
        if in_vis_threshold is not None and min(scores) <= in_vis_threshold:
            continue
        count += 1
        x, y = abs(poses.xy[a, k] - poses.xy[b, k])
        if x <= width / 20 and y <= height / 20:
            total += tanh(scores[0] / DISTANCE.score_scale) * tanh(scores[1] / DISTANCE.score_scale)
        tenths = (x * x + y * y) / (width * height / 100)
        total += DISTANCE.balance * exp(-tenths / DISTANCE.distance_scale)
    return total / count / (1 + DISTANCE.balance) if count else 0.0


def _by_loop(poses, score, method, threshold, in_vis_threshold=None):
    """The same written pose by pose, on plain numbers, with the crop's area."""
    kept, final = [False] * len(poses), [float(one) for one in score]
    grown = [grow_box(box, 1.25, 0.75) for box in poses.box]
    area = [(box[2] - box[0]) * (box[3] - box[1]) for box in grown]

    def overlap(a, b):
        if method == "pose-nms":
            return _alike(poses, grown[a], a, b, in_vis_threshold)
        terms = []
        for k in range(poses.keypoint_count):
            if in_vis_threshold is not None and min(poses.score[a, k], poses.score[b, k]) <= in_vis_threshold:
                continue
            distance = sum((poses.xy[a, k] - poses.xy[b, k]) ** 2)
            terms.append(exp(-distance / (2 * (area[a] + area[b]) / 2 * (2 * SIGMAS[k]) ** 2)))
        return sum(terms) / len(terms) if terms else 0.0

    for image in set(poses.image_id.tolist()):
        waiting = [row for row in range(len(poses)) if poses.image_id[row] == image]
        while waiting:
            best = max(waiting, key=lambda row: (final[row], -row))
            waiting.remove(best)
            kept[best] = True
            for row in list(waiting):
                near = overlap(best, row)
                if method in ("oks-nms", "pose-nms") and near > threshold:
                    waiting.remove(row)
                if method == "soft-oks-nms" and final[row] > 0:
                    final[row] *= exp(-near * near / threshold)
                if method == "soft-oks-nms-linear" and near >= threshold and final[row] > 0:
                    final[row] *= 1 - near
    return kept, final


def _crowd(seed: int, images: int = 3, most: int = 8) -> tuple[Poses, np.ndarray]:
    """Poses of some people several times, images' rows mixed; scores that differ, of which some are below 0."""
    generator = np.random.default_rng(seed)
    count = generator.integers(1, most + 1, images)
    image_id = generator.permutation(np.repeat(generator.permutation(100)[:images], count))
    n = len(image_id)
    person = generator.normal(0, 40, (3, 17, 2)) + generator.uniform(0, 200, (3, 1, 2))
    noise = generator.normal(0, 8, (n, 17, 2)) * generator.choice([0, 0.3, 1], (n, 1, 1))
    xy = person[generator.integers(0, 3, n)] + noise
    box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    poses = Poses(xy=xy, score=generator.uniform(0, 1, (n, 17)), box=box, image_id=image_id)
    return poses, generator.permutation(np.linspace(-0.1, 1, n))


@pytest.mark.parametrize("in_vis_threshold", [None, 0.4])
@pytest.mark.parametrize("method", METHODS)
def test_as_a_plain_loop(method, in_vis_threshold):
    changed = 0
    for seed in range(12):
        poses, score = _crowd(seed)
        for threshold in (0.3, 0.8):
            options = {"method": method, "threshold": threshold, "in_vis_threshold": in_vis_threshold}
            suppressed = suppress(poses, score, sigmas=SIGMAS, area="crop", **options)
            kept, final = (None, score) if method == "none" else _by_loop(poses, score, **options)
            assert kept is None or suppressed.keep.tolist() == kept
            np.testing.assert_allclose(suppressed.score, final, rtol=1e-9, atol=1e-300)
            changed += (~suppressed.keep).sum() + (suppressed.score != score).sum()
    assert (changed > 0) == (method != "none")


def test_equal_scores_keep_the_earlier_row():
    poses, _ = _crowd(1, images=1, most=6)
    poses = Poses.concatenate([poses, poses])
    n = len(poses)
    suppressed = suppress(poses, np.full(n, 0.5), method="oks-nms", threshold=0.99, **HOW)
    assert not suppressed.keep[n // 2 :].any() and suppressed.keep[0]
    soft = suppress(poses, np.full(n, 0.5), method="soft-oks-nms", threshold=0.5, **HOW).score
    assert soft[0] == 0.5 and (soft[n // 2 :] <= soft[: n // 2]).all()


def test_many_photos_are_as_one_by_one(monkeypatch):
    poses, score = _crowd(5, images=40, most=6)
    assert (np.diff(poses.image_id) != 0).mean() > 0.5  # the rows of a photo do not stand together
    for method in METHODS[1:]:
        together = suppress(poses, score, method=method, threshold=0.5, **HOW)
        for image in np.unique(poses.image_id):
            rows = np.flatnonzero(poses.image_id == image)
            alone = suppress(poses[rows], score[rows], method=method, threshold=0.5, **HOW)
            np.testing.assert_array_equal(together.keep[rows], alone.keep)
            np.testing.assert_array_equal(together.score[rows], alone.score)
        with monkeypatch.context() as patch:
            patch.setattr("trustpose.grouping.suppression._PAIRS", 40)
            again = suppress(poses, score, method=method, threshold=0.5, **HOW)
        np.testing.assert_array_equal(again.score, together.score)
        np.testing.assert_array_equal(again.keep, together.keep)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(0, 1), st.sampled_from(METHODS))
def test_whatever_the_poses(seed, threshold, method):
    poses, score = _crowd(seed)
    before = {name: None if column is None else column.copy() for name, column in vars(poses).items()}
    given_score = score.copy()
    suppressed = suppress(poses, score, method=method, threshold=max(threshold, 1e-3), **HOW)
    assert (suppressed.score <= score).all() and (np.sign(suppressed.score) >= np.minimum(np.sign(score), 0)).all()
    assert all(suppressed.keep[poses.image_id == image].any() for image in np.unique(poses.image_id))
    np.testing.assert_array_equal(score, given_score)
    for name, column in before.items():
        np.testing.assert_array_equal(getattr(poses, name), column)
    order = np.random.default_rng(seed).permutation(len(poses))
    other_suppressed = suppress(poses[order], score[order], method=method, threshold=max(threshold, 1e-3), **HOW)
    np.testing.assert_array_equal(other_suppressed.keep, suppressed.keep[order])
    np.testing.assert_allclose(other_suppressed.score, suppressed.score[order], rtol=1e-12)
    if method in ("oks-nms", "pose-nms"):
        rest = np.flatnonzero(suppressed.keep)
        assert suppress(poses[rest], score[rest], method=method, threshold=max(threshold, 1e-3), **HOW).keep.all()


def test_thresholds_at_their_ends():
    """Three people far apart, each five times: one of each is left at 0; at 1 all are kept, even identical poses."""
    generator = np.random.default_rng(2)
    person = generator.normal(0, 40, (3, 17, 2)) + np.array([0, 1e5, 2e5])[:, None, None]
    xy = np.repeat(person, 5, axis=0) + generator.normal(0, 4, (15, 17, 2))
    poses = Poses(xy=np.concatenate([xy, xy]), image_id=np.zeros(30, dtype=np.int64))
    options = {"sigmas": SIGMAS, "area": "keypoints"}
    score = generator.permutation(30) / 30
    suppressed = suppress(poses, score, method="oks-nms", threshold=0.0, **options)
    best = [np.where(np.arange(30) % 15 // 5 == index, score, 0).argmax() for index in range(3)]
    assert np.flatnonzero(suppressed.keep).tolist() == sorted(best)
    assert suppress(poses, score, method="oks-nms", threshold=1.0, **options).keep.all()
    linear = suppress(poses, score, method="soft-oks-nms-linear", threshold=1.0, **options)
    assert ((linear.score == 0) | (linear.score == score)).all()  # an identical pose is lowered fully


def test_a_crowd_of_hundreds():
    generator = np.random.default_rng(3)
    xy = generator.normal(0, 30, (600, 17, 2)) + generator.uniform(0, 2000, (600, 1, 2))
    overlap = oks_between(xy, np.full(600, 1e4), SIGMAS)
    score = generator.permutation(600) / 600
    kept = greedy_nms(overlap, score, 0.1)
    assert 0 < kept.sum() < 600
    assert (overlap[np.ix_(kept, kept)] - np.eye(kept.sum()) <= 0.1).all()
    gone = np.flatnonzero(~kept)
    better = kept[None] & (score[None] > score[gone, None]) & (overlap[gone] > 0.1)
    assert better.any(axis=1).all()


def test_no_poses():
    nobody = Poses(xy=np.zeros((0, 17, 2)), box=np.zeros((0, 4)), image_id=np.zeros(0, np.int64))
    for method in METHODS:
        suppressed = suppress(nobody, np.zeros(0), method=method, threshold=0.5, **HOW)
        assert len(suppressed.keep) == len(suppressed.score) == 0


def test_wrong_arguments_are_reported():
    poses, score = _crowd(0)

    def refused(match, poses=poses, score=score, **changes):
        with pytest.raises(ValueError, match=match):
            suppress(poses, score, **{"method": "oks-nms", "threshold": 0.5, **HOW, **changes})

    refused("expects an OKS from 0 to 1, got 1.5", threshold=1.5)
    refused("oks-nms expects an OKS", threshold=float("nan"))
    refused("expects a number above 0, got 0", method="soft-oks-nms", threshold=0.0)
    refused("score: expected", score=np.where(score > 0.5, np.nan, score))
    refused("image_id is None", poses=replace(poses, image_id=None))
    refused("sigmas: expected 17 numbers", sigmas=np.ones(3))
    refused("Poses.score is None", poses=replace(poses, score=None), in_vis_threshold=0.2)


def test_missing_keypoints_do_not_make_poses_similar():
    """Two people with most joints dropped to (0, 0): those agree perfectly, and blow the area up to the corner."""
    random = np.random.default_rng(0)
    xy, missing = np.zeros((2, 17, 2)), np.ones((2, 17), dtype=bool)
    xy[:, :5], missing[:, :5] = random.uniform(0, 40, (5, 2)) + 600, False
    xy[1, :5, 0] += 20  # beside each other
    poses = Poses(xy=xy, missing=missing, image_id=np.zeros(2, dtype=int))
    score, options = np.array([0.9, 0.8]), {"method": "oks-nms", "threshold": 0.9, "sigmas": COCO_17.sigmas}
    assert suppress(poses, score, **options, area="keypoints").keep.tolist() == [True, True]
    assert suppress(replace(poses, missing=None), score, **options, area="keypoints").keep.tolist() == [True, False]
    twice = replace(poses, xy=xy[[0, 0]], missing=missing | (np.arange(17) < [[2], [0]]))  # two joints fewer in one
    assert suppress(twice, score, **options, area="keypoints").keep.tolist() == [True, False]

"""Average precision in draws of photos, beside evaluations of copied photos and a plain loop over draws and curves."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics import precision_draws
from trustpose.metrics.average_precision import RECALL_THRESHOLDS, evaluate
from trustpose.metrics.precision_draws import RankedCurves, average_precision_replicates
from trustpose.poses import Poses, Truth


def test_a_draw_of_every_image_once_is_the_evaluation_and_a_draw_is_an_evaluation_of_copies(data_dir: Path) -> None:
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    results = read_results(data_dir / "results" / "simplepose.dev.json", truth=truth)
    options = {"sigmas": truth.skeleton.sigmas, "area": "file"}
    evaluation = evaluate(results.poses, truth.truth, results.score, **options)
    images = np.sort(truth.images.id)
    pose_image = np.searchsorted(images, results.poses.image_id)
    person_image = np.searchsorted(images, truth.truth.image_id)
    counts = np.stack([np.ones(len(images), dtype=int), np.random.default_rng(0).integers(0, 3, len(images))])
    draws = average_precision_replicates(evaluation, counts, pose_image, person_image)
    for name, value in asdict(evaluation.summary()).items():
        assert draws[name][0] == pytest.approx(value, abs=1e-12)

    copied_poses, copied_people, scores = [], [], []
    for copy_number in range(counts[1].max()):
        shift = 10**7 * copy_number
        rows = np.flatnonzero(counts[1][pose_image] > copy_number)
        people = np.flatnonzero(counts[1][person_image] > copy_number)
        copied_poses.append(results.poses[rows])
        copied_people.append(truth.truth[people])
        object.__setattr__(copied_poses[-1], "image_id", copied_poses[-1].image_id + shift)
        object.__setattr__(copied_people[-1], "image_id", copied_people[-1].image_id + shift)
        scores.append(results.score[rows])
    expected = evaluate(
        Poses.concatenate(copied_poses), Truth.concatenate(copied_people), np.concatenate(scores), **options
    ).summary()
    for name, value in asdict(expected).items():
        # copies of a photo have equal scores; the order among them moves precision a little
        assert draws[name][1] == pytest.approx(value, abs=5e-3)


@pytest.mark.parametrize("kind", ["falling", "perfect", "flat", "near", "rising"])
@pytest.mark.parametrize("poses", [1, 7, 300, 2500])
@pytest.mark.parametrize("few", [0, 2**17])
@pytest.mark.parametrize(("size", "at_once", "draws_at_once"), [(1, 1, 4), (4, 1000, 128), (64, 2**16, 2)])
def test_draws_of_precision_are_those_of_every_pose_looked_at(
    kind: str, poses: int, few: int, size: int, at_once: int, draws_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision_draws, "_BLOCKS", (size, size))
    monkeypatch.setattr(precision_draws, "_AT_ONCE", at_once)
    monkeypatch.setattr(precision_draws._Blocks, "draws_at_once", draws_at_once)
    monkeypatch.setattr(precision_draws, "_FEW", few)
    random = np.random.default_rng(poses)
    rank, image, images = np.linspace(0, 1, poses)[:, None], random.integers(0, 90, poses), 90
    right = {
        "falling": 1 - rank * [0.6, 0.9, 0.2],
        "perfect": rank < [0.5, 0.1, 1],
        "flat": 0.5,
        "near": 0.999,
        "rising": rank * [0.9, 0.3, 1],
    }[kind]
    hits = random.random((poses, 3)) < right
    ignored = ~hits & (random.random((poses, 3)) < 0.1)
    ignored[:, 2] = ignored[:, 0] & ~hits[:, 2]
    counts = np.stack([np.bincount(random.integers(0, images, images), minlength=images) for _ in range(6)])
    people = counts @ np.array([np.bincount(image[column], minlength=images) + 1 for column in hits.T]).T
    people[5] = 0
    pieces = np.array_split(np.arange(poses), min(3, poses))
    curves = RankedCurves((image[piece], hits[piece], ignored[piece]) for piece in pieces)
    drawn = curves.in_draws(counts.astype(np.int8), people.astype(np.float64))
    expected, recall = np.full((2, *people.shape), np.nan)
    for draw, curve in np.ndindex(5, 3):
        weight = counts[draw][image]
        hits_so_far = np.cumsum(weight * hits[:, curve])
        precision = hits_so_far / np.maximum(np.cumsum(weight * ~ignored[:, curve]), 1)
        reached = hits_so_far / people[draw, curve] >= RECALL_THRESHOLDS[:, None]
        interpolated = np.where(reached, precision, 0).max(axis=1)
        expected[draw, curve] = np.ascontiguousarray(interpolated[::-1]).mean()
        recall[draw, curve] = hits_so_far[-1] / people[draw, curve]
    np.testing.assert_array_equal(drawn.recall, recall)
    np.testing.assert_array_equal(drawn.precision, expected)


def test_no_poses_and_no_draws_have_their_shape() -> None:
    nothing = RankedCurves([])
    drawn = nothing.in_draws(np.ones((2, 3), np.int8), np.array([[2.0, 0.0], [1.0, 3.0]]))
    np.testing.assert_array_equal(drawn.precision, [[0, np.nan], [0, 0]])
    np.testing.assert_array_equal(drawn.recall, drawn.precision)
    one = RankedCurves([(np.zeros(1, np.int64), np.ones((1, 2), bool), np.zeros((1, 2), bool))])
    assert one.in_draws(np.ones((0, 3), np.int8), np.zeros((0, 2))).precision.shape == (0, 2)

"""Accuracy without labels: intervals hold for people that nothing was fitted on, and grow where people are unlike."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.calibration.accuracy import (
    SHIFT_ERROR,
    AccuracyShift,
    Expectation,
    ExpectedAccuracy,
    ShiftError,
    fit_accuracy,
)
from trustpose.geometry.oks import oks
from trustpose.metrics.average_precision import evaluate
from trustpose.poses import ErrorModel, Poses, Truth
from trustpose.poses.accuracy_errors import AccuracyErrors
from trustpose.skeletons import COCO_17

NO_SHIFT = ShiftError(floor=0, quality=0, shape=0, bias=0, tail=1)


def sampled(seed: int, photos: int, *, harder: float = 0.0) -> tuple[Poses, np.ndarray, np.ndarray, np.ndarray]:
    """Poses of photos with one to five people whose OKS scatters around what is expected, together within a photo; with
    the OKS, OPKS and v of each."""
    random = np.random.default_rng(seed)
    image_id = np.repeat(np.arange(photos), random.integers(1, 6, photos))
    people = len(image_id)
    expected = np.clip(random.beta(4, 1.5, people) - harder, 0.02, 0.98)
    together = random.normal(0, 0.05, photos)[image_id]
    similarity = np.clip(expected + together + random.normal(0, 0.1, people) * np.sqrt(expected * (1 - expected)), 0, 1)
    quality = np.clip(expected[:, None] + random.normal(0, 0.05, (people, 17)), 0.01, 0.99)
    opks = random.beta(4 * quality, 4 * (1 - quality))
    v = np.where(random.random((people, 17)) < 0.8, 2, 0)
    poses = Poses(
        xy=random.uniform(0, 100, (people, 17, 2)),
        quality=quality * 0.8,
        visibility=np.tile([0.2, 0.1, 0.7], (people, 17, 1)),
        pose_quality=expected,
        image_id=image_id,
        skeleton=COCO_17,
    )
    return poses, similarity, opks, v


def fitted() -> AccuracyErrors:
    errors = fit_accuracy(*sampled(0, 1500), COCO_17)
    assert errors is not None
    return errors


def test_intervals_hold_on_sets_of_other_photos() -> None:
    errors, held, keypoints = fitted(), [], []
    for seed in range(1, 121):
        poses, similarity, opks, v = sampled(seed, 50)
        accuracy = ExpectedAccuracy(errors, poses, COCO_17)
        estimate = accuracy.mean_oks().interval(AccuracyShift(0, 0), NO_SHIFT)
        held.append(estimate.low <= similarity.mean() <= estimate.high)
        expected = accuracy.keypoint(9, poses.quality[:, 9] / 0.8, np.full(len(poses), 0.8))
        wrist, labelled = expected.interval(AccuracyShift(0, 0), NO_SHIFT), v[:, 9] > 0
        keypoints.append(wrist.low <= opks[labelled, 9].mean() <= wrist.high)
    assert 0.90 <= np.mean(held) <= 0.99  # 120 sets: .95 with a standard deviation of .02
    assert 0.89 <= np.mean(keypoints) <= 1


def test_average_precision_and_shares_are_those_of_oks() -> None:
    """With OKS that is what was expected of each person, AP is COCO's, by the evaluation of such poses."""
    poses, *_ = sampled(3, 300)
    quality = poses.pose_quality
    cells = np.quantile(quality, np.arange(1, 16) / 16)
    errors = replace(fitted(), borders=tuple(cells.tolist()), oks=((0.5,) * 20,) * 16)  # no scatter
    random = np.random.default_rng(0)
    score = random.random(len(poses))
    accuracy = ExpectedAccuracy(errors, poses, COCO_17)
    side, area = 100.0, 1e4
    k = COCO_17.sigmas * 2
    direction = np.sqrt(-2 * np.log(quality)[:, None] * area) * k  # equal OPKS at every joint
    truth = Truth(
        xy=np.tile(np.arange(len(poses))[:, None, None] * 1e4, (1, 17, 2)),  # far from each other
        v=np.full((len(poses), 17), 2),
        area=np.full(len(poses), area),
        box=np.tile([0, 0, side, side], (len(poses), 1)),
        image_id=poses.image_id,
        annotation_id=np.arange(len(poses)),
        skeleton=COCO_17,
    )
    xy = truth.xy + np.stack([direction, np.zeros_like(direction)], axis=2)
    assert oks(xy, truth.xy, truth.v, truth.area, COCO_17.sigmas) == pytest.approx(quality)
    placed = replace(poses, xy=xy)
    measured = evaluate(placed, truth, score, sigmas=COCO_17.sigmas, area="file").summary().AP
    assert accuracy.average_precision(score, poses.image_id).value == pytest.approx(measured, abs=2e-3)
    assert accuracy.share_above(0.75).value == pytest.approx((quality > 0.75).mean(), abs=0.05)
    assert accuracy.mean_oks().value == pytest.approx(quality.mean())


def test_people_who_are_unlike_widen_the_interval() -> None:
    errors = fitted()
    poses, *_ = sampled(5, 400)
    harder, *_ = sampled(5, 400, harder=0.3)
    near, far = (ExpectedAccuracy(errors, people, COCO_17) for people in (poses, harder))
    assert near.shift.quality < 0.03 and near.shift.shape < 0.03 and far.shift.quality > 0.3
    widths = [item.mean_oks().interval(item.shift) for item in (near, far)]
    assert widths[1].high - widths[1].low > 3 * (widths[0].high - widths[0].low)
    turned = replace(poses, xy=poses.xy[..., ::-1] * (1, 0.2) + np.arange(17)[:, None] * 3)
    assert ExpectedAccuracy(errors, turned, COCO_17).shift.shape > 0.1


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 1), st.floats(0, 0.1), st.floats(-1, 2), st.floats(0, 1), st.floats(0, 1))
def test_intervals_lie_around_their_number(
    value: float, variance: float, slope: float, quality: float, shape: float
) -> None:
    estimate = Expectation(value, variance, slope).interval(AccuracyShift(quality, shape), SHIFT_ERROR)
    assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


def test_weights_count_people_by_presence() -> None:
    """People who are surely not there change nothing but the missing share of AP."""
    errors = fitted()
    poses, *_ = sampled(6, 100)
    ghosts, *_ = sampled(7, 100, harder=0.5)
    both = Poses.concatenate([poses, replace(ghosts, image_id=ghosts.image_id + 1000)])
    weight = np.concatenate([np.ones(len(poses)), np.zeros(len(ghosts))])
    alone, weighted = ExpectedAccuracy(errors, poses, COCO_17), ExpectedAccuracy(errors, both, COCO_17, weight)
    assert weighted.mean_oks().value == pytest.approx(alone.mean_oks().value)
    assert weighted.mean_oks().variance == pytest.approx(alone.mean_oks().variance)
    assert weighted.shift.quality == pytest.approx(alone.shift.quality, abs=1e-9)
    score = np.concatenate([np.linspace(1, 0.5, len(poses)), np.full(len(ghosts), 0.1)])
    last = weighted.average_precision(score, both.image_id).value
    assert last == pytest.approx(alone.average_precision(score[: len(poses)], poses.image_id).value, abs=0.01)
    first = weighted.average_precision(1 - score, both.image_id).value
    assert first < last - 0.1


def test_the_record_is_checked_and_survives_json() -> None:
    errors = fitted()
    model = ErrorModel((0.5,), (), (), (), 10, 100, "made-up people", accuracy=errors)
    assert ErrorModel.of_json(model.to_json()) == model
    wrong = {"borders": (0.5, 0.4), "oks": ((2.0,),), "spread": (1.0,), "recall": 0.0, "people": 0}
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=field):
            replace(errors, **{field: value})


def test_few_people_say_nothing() -> None:
    poses, similarity, opks, v = sampled(0, 5)
    assert fit_accuracy(poses, similarity, opks, v, COCO_17) is None

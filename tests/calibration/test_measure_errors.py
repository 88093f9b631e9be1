"""Errors of measures: intervals hold for people that they were not fitted on; forests equal LightGBM's; the record."""

import json
from dataclasses import asdict, replace
from functools import cache

import lightgbm
import numpy as np
import pytest

from trustpose.calibration.measure_errors import (
    MeasureIntervals,
    PoseErrors,
    fit_measure_errors,
    forest_of,
    propagated,
    value_of,
)
from trustpose.files import InputError
from trustpose.geometry.expected_error import area_of_person, error_of
from trustpose.geometry.measures import Measure, built_in_measures, fitted_measures, read
from trustpose.poses import ErrorModel, Poses, Truth
from trustpose.poses.measure_errors import Forest, MeasureErrors
from trustpose.skeletons import COCO_17

STANDING = np.array(
    [[50, 8], [55, 5], [45, 5], [60, 7], [40, 7], [70, 20], [30, 20], [80, 38], [20, 38], [85, 54], [15, 54], [62, 54],
     [38, 54], [62, 76], [38, 76], [62, 96], [38, 96]]
)  # fmt: skip
LEVELS = (0.5, 0.8, 0.9, 0.95)
COUNT = 3000


@cache
def people(seed: int, count: int = COUNT) -> tuple[Poses, Truth]:
    """Poses of various limbs, whose errors have a heavier tail than the mixture, go together along the arm, and are
    twice as large at low quality; the labels of those of odd numbers lack the wrists."""
    generator = np.random.default_rng(seed)
    xy = STANDING * generator.uniform(1, 3, (count, 1, 1)) + generator.normal(0, 12, (count, 17, 2))
    quality = generator.uniform(0.15, 0.97, (count, 17))
    box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
    poses = Poses(
        xy=xy,
        score=quality,
        quality=quality,
        visibility=np.tile([0.02, 0.1, 0.88], (count, 17, 1)),
        pose_quality=quality.mean(axis=1),
        box=box,
        image_id=np.arange(count),
        skeleton=COCO_17,
    )
    std = error_of(quality, COCO_17.sigmas, area_of_person(poses)).std * np.where(quality < 0.5, 2.0, 1.0)
    noise = generator.standard_t(3, (count, 17, 2))
    noise[:, [7, 9]] += noise[:, [5]]
    noise[:, [8, 10]] += noise[:, [6]]
    v = np.full((count, 17), 2)
    v[1::2, [9, 10]] = 0
    return replace(poses, xy=xy), Truth(
        xy=xy + noise * std[..., None], v=v, image_id=np.arange(count), skeleton=COCO_17
    )


@cache
def fitted() -> MeasureErrors:
    model = fit_measure_errors(*people(0), np.arange(COUNT), COCO_17)
    assert model is not None
    return model


def coverage(measure: Measure, model: MeasureErrors | None) -> np.ndarray:
    poses, truth = people(1)
    errors = PoseErrors.of(poses, COCO_17)
    assert errors is not None
    reading, label = read(measure, COCO_17, poses.xy), read(measure, COCO_17, truth.xy)
    low, high = MeasureIntervals(model, COCO_17)(measure, reading, errors, LEVELS).swapaxes(0, 1)
    labelled = reading.value + measure.difference(label.value, reading.value)
    return ((labelled >= low - 1e-9) & (labelled <= high + 1e-9)).mean(axis=1)


@pytest.mark.parametrize("measure", fitted_measures(COCO_17), ids=lambda measure: measure.name)
def test_intervals_hold_for_others(measure: Measure) -> None:
    np.testing.assert_allclose(coverage(measure, fitted()), LEVELS, atol=0.04)


def test_plain_propagation_does_not_hold_for_them() -> None:
    measures = fitted_measures(COCO_17)
    off = [np.abs(coverage(measure, None) - LEVELS).max() for measure in measures]
    assert np.mean(off) > 0.06


def test_a_flexion_has_its_angles_error() -> None:
    names = {measure.name: measure for measure in built_in_measures(COCO_17)}
    poses, _ = people(1)
    errors, intervals = PoseErrors.of(poses, COCO_17), MeasureIntervals(fitted(), COCO_17)
    assert errors is not None and intervals.is_fitted(names["left_knee_flexion"])
    angle, flexion = (
        intervals(names[name], read(names[name], COCO_17, poses.xy), errors, LEVELS)
        for name in ("left_knee", "left_knee_flexion")
    )
    np.testing.assert_allclose(flexion, 180 - angle[:, ::-1])


def test_measures_that_nothing_was_learnt_of_are_propagated_with_the_correlation() -> None:
    arm = Measure("left_arm", "distance", (("left_shoulder",), ("left_wrist",)))
    intervals, model = MeasureIntervals(fitted(), COCO_17), fitted()
    assert not intervals.is_fitted(arm)
    correlation = np.array(model.correlation)
    assert correlation[5, 7] > 0.3 and correlation[5, 9] > 0.3 and abs(correlation[5, 14]) < 0.1
    poses, _ = people(1)
    reading, std = read(arm, COCO_17, poses.xy), np.ones((COUNT, 17))
    independent, together = propagated(reading, std, None), propagated(reading, std, correlation)
    np.testing.assert_allclose(independent, np.sqrt(2))  # two joints of one pixel each along the arm
    np.testing.assert_allclose(together, np.sqrt(2 - 2 * correlation[5, 9]))
    assert (np.diff(coverage(arm, model)) > 0).all() and coverage(arm, model)[1] > 0.7


def test_another_measure_of_a_built_in_name_is_not_taken_for_it() -> None:
    other = Measure("left_knee", "angle", (("left_hip",), ("left_knee",), ("right_ankle",)))
    assert not MeasureIntervals(fitted(), COCO_17).is_fitted(other)


def test_forests_are_lightgbms() -> None:
    generator = np.random.default_rng(0)
    features = generator.normal(size=(5, 2000)).astype(np.float32)
    target = features[0] * features[1] + np.abs(features[2])
    options = {"objective": "regression", "num_leaves": 8, "verbose": -1}
    booster = lightgbm.train(options, lightgbm.Dataset(features.T.astype(np.float64), target), 30)
    values = value_of(forest_of(booster.dump_model()), features)
    difference = np.abs(values - booster.predict(features.T))
    assert np.mean(difference < 1e-3) > 0.99  # the others lie between a threshold and its four digits


def test_the_record_survives_json_and_refuses_what_does_not_fit() -> None:
    errors = ErrorModel((0.5,), (), (), (), 10, 100, "made-up people", measures=fitted())
    written = json.loads(json.dumps(errors.to_json()))
    assert ErrorModel.of_json(written) == errors
    for field, value, message in (
        ("shares", [0.9, 0.5], "shares': expected ascending numbers between 0 and 1"),
        ("families", ["knee"], "families': expected as many as borders, upper and lower have"),
        ("correlation", [[2.0]], "correlation': expected a number for each two joints"),
        ("other", [], "other': expected a number for each share in each cell"),
    ):
        damaged = written | {"measures": written["measures"] | {field: value}}
        with pytest.raises(InputError, match=message):
            ErrorModel.of_json(damaged, "errors.json")


@pytest.mark.parametrize(
    ("field", "value"),
    [("left", ((0,),)), ("left", ((~5,),)), ("value", ((1.0,),)), ("threshold", ()), ("right", ((~0,),))],
)
def test_trees_that_are_none_are_refused(field: str, value: tuple) -> None:
    stump = Forest(((0,),), ((0.5,),), ((~0,),), ((~1,),), ((1.0, 2.0),))
    with pytest.raises(ValueError, match="expected"):
        Forest(**asdict(stump) | {field: value})


def test_too_few_people_teach_nothing() -> None:
    poses, truth = people(0)
    assert fit_measure_errors(poses[:50], truth[:50], np.arange(50), COCO_17) is None
    assert fit_measure_errors(poses, truth, np.full(COUNT, -1), COCO_17) is None


@pytest.mark.filterwarnings("error")
def test_people_whose_joints_lie_on_a_point_do_not_spoil_a_fit():
    poses, truth = people(0)
    box = poses.box.copy()
    box[:5] = 7
    model = fit_measure_errors(replace(poses, box=box), truth, np.arange(COUNT), COCO_17)
    assert model is not None and all(
        np.isfinite(forest.value).all() for forest in (model.shift, model.above, model.below)
    )

"""Measures: values known from geometry, derivatives equal to finite differences, what a skeleton has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.geometry.measures import KINDS, Measure, built_in_measures, fitted_measures, read, wrapped
from trustpose.skeletons import COCO_17, OPENPOSE_BODY_25, Skeleton

POINTS = Skeleton("points", tuple("abcdef"), ())


def value(kind: str, *points: tuple[float, float]) -> float:
    xy = np.zeros((1, 6, 2))
    xy[0, : len(points)] = points
    measure = Measure("m", kind, tuple((name,) for name in "abcdef"[: len(points)]))
    return float(read(measure, POINTS, xy).value[0])


def test_values_known_from_geometry() -> None:
    assert value("angle", (0, 0), (1, 0), (2, 0)) == pytest.approx(180)  # a straight limb
    assert value("angle", (0, 1), (0, 0), (1, 0)) == pytest.approx(90)
    assert value("flexion", (0, 0), (1, 0), (2, 0)) == pytest.approx(0)
    assert value("tilt", (0, 0), (0, -1)) == pytest.approx(0)  # up
    assert value("tilt", (0, 0), (1, 0)) == pytest.approx(90)  # to the right
    assert value("tilt", (0, 0), (-1, -1)) == pytest.approx(-45)
    assert value("distance", (0, 0), (3, 4)) == pytest.approx(5)
    assert value("ratio", (0, 0), (3, 4), (0, 0), (0, 2)) == pytest.approx(2.5)
    assert value("line to point", (0, 0), (0, -2), (3, -1)) == pytest.approx(3)  # to the right of the way up
    assert value("angle difference", (0, 0), (1, 0), (2, 0), (0, 1), (0, 0), (1, 0)) == pytest.approx(90)
    np.testing.assert_allclose(wrapped(np.array([190.0, -190.0, 179.0])), [-170, 170, 179])


def test_a_limb_without_length_has_no_angle() -> None:
    assert np.isnan(value("angle", (1, 0), (1, 0), (2, 0))) and np.isnan(value("tilt", (1, 1), (1, 1)))


@given(st.sampled_from(sorted(KINDS)), st.integers(0, 10_000))
def test_the_derivative_is_that_of_the_value(kind: str, seed: int) -> None:
    """A joint may be part of several points."""
    generator = np.random.default_rng(seed)
    xy = generator.normal(0, 100, (1, 6, 2))
    points = tuple(tuple(generator.choice(list("abcdef"), size, replace=False)) for size in (1, 2, 1, 1, 1, 2))
    measure = Measure("m", kind, points[: KINDS[kind][0]])
    reading = read(measure, POINTS, xy)
    if not reading.shortest[0] > 5:
        return  # close to a limb of no length the value is far from linear
    step, expected = 1e-4, np.zeros_like(reading.gradient[0])
    for row, joint in enumerate(reading.joints.tolist()):
        for axis in (0, 1):
            ends = []
            for sign in (1, -1):
                moved = xy.copy()
                moved[0, joint, axis] += sign * step
                ends.append(read(measure, POINTS, moved).value)
            expected[row, axis] = measure.difference(*ends)[0] / (2 * step)
    if kind in ("angle", "flexion", "angle difference") and np.abs(expected - reading.gradient[0]).max() > 1e-3:
        assert min(abs(reading.value[0] - end) for end in (0, 180)) < 0.1 or kind == "angle difference"  # a fold
        return
    np.testing.assert_allclose(reading.gradient[0], expected, rtol=1e-3, atol=1e-5)


@given(st.integers(0, 10_000), st.floats(-180, 180), st.floats(0.1, 10))
def test_angles_do_not_depend_on_where_and_how_large_a_person_is(seed: int, turn: float, scale: float) -> None:
    xy = np.random.default_rng(seed).normal(0, 100, (1, 17, 2))
    sine, cosine = np.sin(np.radians(turn)), np.cos(np.radians(turn))
    moved = scale * xy @ np.array([[cosine, sine], [-sine, cosine]]) + (300, 200)  # clockwise, as y points down
    for measure in fitted_measures(COCO_17):
        before, after = (read(measure, COCO_17, keypoints).value for keypoints in (xy, moved))
        if measure.kind == "angle":
            np.testing.assert_allclose(after, before, atol=1e-6)
        elif measure.kind == "tilt":
            np.testing.assert_allclose(measure.difference(after, before + turn), 0, atol=1e-6)
        else:
            np.testing.assert_allclose(after, scale * before, rtol=1e-9)


def test_skeletons_have_the_measures_of_their_joints() -> None:
    names = [measure.name for measure in built_in_measures(COCO_17)]
    assert names[:8] == [
        f"{side}_{joint}" for joint in ("elbow", "shoulder", "hip", "knee") for side in ("left", "right")
    ]
    assert "left_ankle" not in names and {"trunk", "neck", "left_thigh", "right_knee_flexion"} <= set(names)
    assert "left_ankle" in [measure.name for measure in built_in_measures(OPENPOSE_BODY_25)]
    assert not built_in_measures(Skeleton("hand", ("wrist", "thumb"), ()))


def test_wrong_measures_are_refused() -> None:
    with pytest.raises(ValueError, match=r"knee: angle: expected 3 points, got 2"):
        Measure("knee", "angle", (("a",), ("b",)))
    with pytest.raises(ValueError, match=r"knee: expected one of .*angle.*got 'angel'"):
        Measure("knee", "angel", (("a",), ("b",), ("c",)))

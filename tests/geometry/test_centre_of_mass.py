"""The centre of mass: the table's own sums, and the mean of segments computed one by one."""

import numpy as np
import pytest

from trustpose.geometry.centre_of_mass import SIDES, WINTER, weights_of_joints
from trustpose.geometry.measures import CENTRE_OF_MASS, Measure, read
from trustpose.skeletons import COCO_17


def test_the_masses_are_a_whole_body() -> None:
    """Winter's table 4.1: 0.578 of trunk, head and neck, twice 0.050 of an arm and 0.161 of a leg."""
    assert sum(weights_of_joints().values()) == pytest.approx(1)
    arm = sum(part.mass for part in WINTER if part.start in ("shoulder", "elbow"))
    leg = sum(part.mass for part in WINTER if part.start in ("hip", "knee") and not part.is_middle)
    assert (arm, leg) == (pytest.approx(0.050), pytest.approx(0.161))


def test_it_is_the_mean_of_the_segments_centres() -> None:
    xy = np.random.default_rng(0).normal(0, 100, (5, 17, 2))
    joint = {name: xy[:, COCO_17.index(name)] for name in COCO_17.keypoints}
    total = np.zeros((5, 2))
    for part in WINTER:
        if part.is_middle:
            start, end = ((joint[f"left_{name}"] + joint[f"right_{name}"]) / 2 for name in (part.start, part.end))
            total += part.mass * (start + part.centre * (end - start))
            continue
        for side in SIDES:
            start, end = joint[f"{side}_{part.start}"], joint[f"{side}_{part.end}"]
            total += part.mass * (start + part.centre * (end - start))
    for axis, kind in enumerate("xy"):
        reading = read(Measure("c", kind, ((CENTRE_OF_MASS,),)), COCO_17, xy)
        np.testing.assert_allclose(reading.value, total[:, axis])
        assert reading.gradient.sum() == pytest.approx(5)

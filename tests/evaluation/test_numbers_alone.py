"""An audit's first numbers alone are the audit's."""

from dataclasses import replace

import numpy as np
import pytest

from tests.calibration.cases import made_up
from trustpose.evaluation.audit import audit, audit_numbers


@pytest.mark.parametrize("has_trust", [False, True])
@pytest.mark.parametrize("area", ["segment", "box"])
def test_they_are_those_of_the_audit(has_trust: bool, area: str) -> None:
    truth, results = made_up(30)
    if has_trust:
        random, poses = np.random.default_rng(0), results.poses
        visibility = random.dirichlet(np.ones(3), poses.xy.shape[:2])
        quality = random.uniform(0, 1, poses.xy.shape[:2])
        results = replace(results, poses=replace(poses, quality=quality, visibility=visibility))
    numbers, whole = audit_numbers(truth, results, area=area), audit(truth, results, area=area, draws=0)
    for name in numbers.__dataclass_fields__:
        assert getattr(numbers, name) == getattr(whole, name), name
    assert numbers.keypoint.source == ("keypoint_quality" if has_trust else "keypoints[2::3]")
    assert (numbers.number("visibility.ternary.total.f1") is not None) == has_trust
    assert numbers.number("ap.AP") == whole.number("ap.AP") and numbers.pose.ece is not None
    with pytest.raises(KeyError, match="errors"):
        numbers.number("errors.miss")

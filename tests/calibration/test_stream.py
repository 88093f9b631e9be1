"""A calibrator applied in batches gives the trust and the warnings of a single call, to the last bit."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from tests.calibration.cases import made_up
from trustpose.calibration.calibrator import Calibrator
from trustpose.files import InputError
from trustpose.poses import Poses


@pytest.fixture(scope="module")
def calibrator() -> Calibrator:
    return Calibrator.fit(*made_up(160), method="trees", folds=2, goal="likelihood")


def in_batches(calibrator: Calibrator, poses: Poses, random: np.random.Generator) -> tuple[Poses, tuple[str, ...]]:
    """Whole photos at a time, at random places."""
    applied = calibrator.stream(len(poses))
    photos = np.flatnonzero(np.diff(poses.image_id)) + 1  # type: ignore[arg-type]
    cuts = [0, *sorted(random.choice(photos, 5, replace=False).tolist()), len(poses)]
    parts = [applied(poses[start:end]) for start, end in pairwise(cuts)]
    return Poses.concatenate(parts), applied.warnings()


@pytest.mark.parametrize("missing", [False, True])
def test_trust_and_warnings_of_a_single_call(calibrator: Calibrator, missing: bool, monkeypatch) -> None:
    monkeypatch.setattr("trustpose.calibration.calibrator._SAMPLE", 40)
    poses = made_up(200, 3)[1].poses
    poses = replace(poses, xy=poses.xy * [1, 3])  # unlike the fitted ones
    if missing:
        poses = replace(poses, missing=np.random.default_rng(0).random(poses.score.shape) < 0.02)  # type: ignore[union-attr]
    whole = calibrator.apply(poses)
    found, warnings = in_batches(calibrator, poses, np.random.default_rng(1))
    assert warnings == whole.warnings and warnings
    for name in ("quality", "visibility", "pose_quality", "visibility_label"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole.poses, name))


def test_another_scale_is_found_over_all_batches(calibrator: Calibrator) -> None:
    poses = made_up(60, 2)[1].poses
    assert poses.score is not None
    poses = replace(poses, score=np.where(np.arange(60)[:, None] < 30, poses.score, poses.score * 100))
    with pytest.raises(InputError, match="another estimator, or another scale"):
        in_batches(calibrator, poses, np.random.default_rng(0))
    with pytest.raises(InputError, match="another estimator, or another scale"):
        calibrator(poses)


def test_a_pose_alone_has_the_trust_that_it_has_among_others(calibrator: Calibrator) -> None:
    poses = replace(made_up(80, 5)[1].poses, image_id=np.arange(80))
    whole, applied = calibrator(poses), calibrator.stream(len(poses))
    found = Poses.concatenate([applied(poses[index : index + 1]) for index in range(80)])
    for name in ("quality", "visibility", "pose_quality"):
        np.testing.assert_array_equal(getattr(found, name), getattr(whole, name))

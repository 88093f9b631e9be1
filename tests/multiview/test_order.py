"""Poses in another order than their cameras, or of other cameras, are recognised by their epipolar geometry."""

import numpy as np
import pytest

from tests.multiview.rings import ring
from tests.multiview.test_people import seen_by, walkers
from trustpose.geometry.cameras import Cameras
from trustpose.multiview.frames import match_frames
from trustpose.multiview.shifts import describe_misfit, fit_order


@pytest.fixture(scope="module")
def views():
    return seen_by(ring(4), walkers(), missed=0.1)[0]


def test_the_right_order_fits(views):
    assert describe_misfit(views, match_frames(views), ring(4)) is None


@pytest.mark.slow
@pytest.mark.parametrize("order", [(1, 0, 2, 3), (0, 1, 3, 2), (2, 1, 0, 3)])
def test_another_order_is_named(views, order):
    mixed = [views[index] for index in order]
    fit = fit_order(mixed, match_frames(mixed), ring(4))
    assert fit.order == order and fit.best > fit.current + 0.1
    said = describe_misfit(mixed, match_frames(mixed), ring(4))
    assert said is not None and "a different order" in said
    for index, row in enumerate(order):
        assert (f"those given for 'cam{index}' fit 'cam{row}'" in said) == (index != row)


def test_a_calibration_of_another_size_does_not_fit(views):
    larger = Cameras(tuple(camera.resized(2560, 1920) for camera in ring(4)))
    said = describe_misfit(views, match_frames(views), larger)
    assert said is not None and "do not match the cameras" in said


def test_without_common_moments_nothing_is_said(views):
    apart = [view[view.image_id % 4 == index] for index, view in enumerate(views)]
    assert describe_misfit(apart, match_frames(apart), ring(4)) is None
    assert np.isnan(fit_order(apart, match_frames(apart), ring(4)).current)

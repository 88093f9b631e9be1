"""A camera whose clip is shifted in time is named, with how far, and the others are not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.multiview.rings import ring
from tests.multiview.test_people import seen_by
from tests.multiview.test_placing import walk
from tests.multiview.test_synchronisation import later
from trustpose.io.cameras import read_cameras
from trustpose.multiview.recordings import read_views
from trustpose.multiview.shifts import _is_sure, describe_shifts, fit_times

_SHIFTS = [(0, 0, 0, 0), (9, 0, 0, 0), (0, 0, 13, 0), (0, 14, 0, 6, 0)]


def walking(frames: int = 80) -> np.ndarray:
    """Two people (2, frames, 17, 3) who walk 3 cm a frame, and turn."""
    along = np.linspace(-1.2, 1.2, frames)[:, None, None]
    return walk(1) + np.stack([along * [1, 0.3, 0], np.array([0, 0.8, 0]) - along * [0.8, -0.2, 0]])


@pytest.mark.parametrize("shift", _SHIFTS)
def test_shifted_views_of_people_who_walk(shift) -> None:
    cameras = ring(len(shift))
    views = seen_by(cameras, walking(), missed=0.1, strangers=1)[0]
    moved = [later(view, frames) for view, frames in zip(views, shift, strict=True)]
    fit = fit_times(moved, cameras)
    assert np.abs(fit.shift - shift).max() <= 1 and ((fit.shift != 0) == (np.array(shift) != 0)).all()
    said = describe_shifts(fit, cameras.names)
    assert (said is None) == (not any(shift))
    for index, one in enumerate(shift):
        assert (f"'cam{index}'" in (said or "")) == (one > 0)


def test_rates_and_offsets_count() -> None:
    """One camera takes every second frame and begins later; with the right times nothing is shifted."""
    views = seen_by(ring(3), walking())[0]
    slow = views[1][(views[1].image_id % 2 == 0) & (views[1].image_id >= 10)]
    views[1] = replace(slow, image_id=(slow.image_id - 10) // 2)
    assert not fit_times(views, ring(3), (50, 25, 50), (0, 0.2, 0)).shift.any()
    assert np.abs(fit_times(views, ring(3), (50, 25, 50)).shift - [0, 10, 0]).max() <= 1


def test_who_stands_still_tells_nothing() -> None:
    still = np.repeat(walking(1), 60, axis=1)
    views = seen_by(ring(3), still)[0]
    assert not fit_times([views[0], later(views[1], 20), views[2]], ring(3)).shift.any()
    empty = [view[view.image_id < 0] for view in views]
    assert np.isnan(fit_times(empty, ring(3)).current).all()


def test_a_real_trial(data_dir: Path) -> None:
    """The clips as they are pass; a shift of 8 frames of 60 a second is named, to two frames."""
    folder = data_dir / "multiview/pose2sim"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    cameras = read_cameras(folder / "Calib.qca.txt")
    views = read_views([folder / f"balancing/pose/cam0{number}_json" for number in (1, 2, 3, 4)])[0]
    assert not fit_times(views, cameras, weight="scores").shift.any()
    for index in (0, 2):
        moved = [later(view, 8 * (number == index)) for number, view in enumerate(views)]
        fit = fit_times(moved, cameras, weight="scores")
        assert np.flatnonzero(fit.shift).tolist() == [index] and abs(fit.shift[index] - 8) <= 2
        assert fit.best[index] < 0.8 * fit.current[index]


def test_a_fall_must_be_three_standard_errors_over_six_blocks() -> None:
    """Falls of 0.3 ± 0.1 a in six blocks have the standard error 0.1 a √(6 / 5) / √6 = 0.0447 a: 0.3 is three of them
    for a = 2.236."""
    before = [np.ones(60)]
    for a, is_sure in ((2.1, True), (2.4, False)):
        falls = 0.3 + 0.1 * a * np.repeat([1, -1, 1, -1, 1, -1], 10)
        assert _is_sure(before, [1 - falls]) == is_sure, a

"""The time between clips: shifted copies of a real trial, and made-up people."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.multiview.rings import ring
from tests.multiview.test_placing import walk
from trustpose.multiview.recordings import read_views
from trustpose.multiview.synchronisation import synchronise
from trustpose.poses import Poses


def later(view: Poses, frames: int) -> Poses:
    """The same clip, begun so many frames later."""
    assert view.image_id is not None
    kept = view[view.image_id >= frames]
    assert kept.image_id is not None
    return replace(kept, image_id=kept.image_id - frames)


def jumping(rate: float, start: float, camera: int) -> Poses:
    """Somebody who moves arms and knees, seen by a camera that begins at `start` seconds."""
    times = np.arange(int(4 * rate)) / rate + start
    body = walk(1)[0]
    up = 0.2 * np.sin(7 * times) * np.exp(-((times % 1.7) ** 2)) + 0.1 * np.sin(2.3 * (times + 1) ** 1.3)
    moved = np.repeat(body[None], len(times), axis=0)
    moved[:, 7:11, 2] += up[:, None] * (1, -0.5, 2, 1)
    moved[:, :5, 2] += 0.3 * up[:, None]
    xy = ring(3)[camera].project(moved)
    return Poses(xy=xy + np.random.default_rng(camera).normal(0, 0.5, xy.shape), image_id=np.arange(len(times)))


def test_fractions_of_frames_and_other_rates() -> None:
    starts, rates = (0.0, 0.217, -0.1), (60.0, 60.0, 30.0)
    views = [jumping(rate, start, index) for index, (rate, start) in enumerate(zip(rates, starts, strict=True))]
    synchronised = synchronise(views, rates, "none", longest=1.0)
    assert np.abs(synchronised.offset - starts).max() < 0.006  # seconds: a third of a frame
    assert (synchronised.correlation > 0.8).all()
    assert np.allclose(synchronised.pairs, -synchronised.pairs.T, equal_nan=True)


def test_who_moves_otherwise_is_named() -> None:
    views = [jumping(60, 0, 0), jumping(60, 0.1, 1)]
    generator = np.random.default_rng(0)
    still = replace(views[1], xy=views[1].xy[:1] + generator.normal(0, 1, views[1].xy.shape))
    with pytest.raises(ValueError, match="camera 1: its people move differently from those of every other"):
        synchronise([views[0], still], (60, 60), "none")


def test_shifted_copies_of_a_real_trial(data_dir: Path) -> None:
    folder = data_dir / "multiview/pose2sim/balancing/pose"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    views = read_views([folder / f"cam0{number}_json" for number in (1, 2, 3, 4)])[0]
    before = synchronise(views, [60] * 4, "scores").offset
    same = synchronise([views[2], later(views[2], 9)], [60, 60], "scores").offset
    assert abs(same[1] * 60 - 9) < 0.1
    for shift in ((0, 7, 2, 15), (0, 0, 20, 5)):
        moved = [later(view, frames) for view, frames in zip(views, shift, strict=True)]
        synchronised = synchronise(moved, [60] * 4, "scores")
        assert np.abs((synchronised.offset - before) * 60 - shift).max() < 1.0
        assert (synchronised.correlation > 0.8).all()

"""Smoothing of tracks with known truth: errors as their expected OPKS says, gaps, frames, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from trustpose.geometry.expected_error import expected_error
from trustpose.images import Images
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17
from trustpose.tracking import smooth

FRAMES = 90
STANDING = np.random.default_rng(7).uniform(0, 200, (17, 2))


def walk(seed: int, start: float = 0.0, frames: int = FRAMES) -> tuple[Poses, np.ndarray]:
    """One person who walks, with made-up quality and errors as it says: gross ones, and of good ones half the variance
    stays all the time. Returns also the truth (F, 17, 2)."""
    generator = np.random.default_rng(seed)
    time = np.arange(frames)
    way = np.stack([start + 3 * time + 20 * np.sin(time / 9), 100 + 10 * np.cos(time / 7)], axis=1)
    true = STANDING + way[:, None]
    quality = np.clip(generator.beta(6, 1.5, (frames, 17)), 0.05, 0.97)
    visibility = np.tile([0.0, 0.0, 1.0], (frames, 17, 1))
    poses = Poses(
        xy=true,
        score=quality,
        pose_score=quality.mean(axis=1),
        quality=quality,
        visibility=visibility,
        pose_quality=quality.mean(axis=1),
        box=np.concatenate([true.min(axis=1), true.max(axis=1)], axis=1),
        image_id=time,
        track_id=np.full(frames, 5),
        skeleton=COCO_17,
    )
    error = expected_error(poses)
    assert error is not None
    steady = generator.normal(size=(1, 17, 2))
    good = np.sqrt(0.5) * (steady + generator.normal(size=true.shape)) * error.std[..., None]
    gross = generator.normal(size=true.shape) * error.gross_std[..., None]
    is_gross = generator.uniform(size=quality.shape) < error.gross
    return replace(poses, xy=true + np.where(is_gross[..., None], gross, good)), true


def mean_error(poses: Poses, true: np.ndarray) -> float:
    return float(np.linalg.norm(poses.xy - true, axis=2).mean())


def test_trust_is_better_than_constant_noise_and_both_better_than_nothing() -> None:
    gains = []
    for seed in range(3):
        poses, true = walk(seed)
        trust, constant, bare = (
            mean_error(smooth(poses, **options).poses, true)
            for options in ({"noise": "trust"}, {"noise": "constant"}, {"noise": "constant", "gross_errors": False})
        )
        assert trust < constant < bare < mean_error(poses, true)
        gains.append(trust / constant)
    assert np.mean(gains) < 0.9


def test_std_is_that_of_the_error() -> None:
    """With errors that stay, which the smoother cannot see, but expected OPKS tells of."""
    squares = []
    for seed in range(4):
        poses, true = walk(seed)
        done = smooth(poses)
        squares.append(((done.poses.xy - true) ** 2).mean(axis=2) / done.std**2)
    assert 0.6 < np.median(squares) / np.log(2) < 1.6  # of an exponential distribution: half the squared error is χ²(2)


def test_scores_stay_and_quality_too_where_nothing_is_replaced() -> None:
    poses, _ = walk(0)
    done = smooth(poses)
    for name in ("score", "pose_score", "visibility", "pose_quality", "box", "image_id", "track_id"):
        np.testing.assert_array_equal(getattr(done.poses, name), getattr(poses, name))
    assert done.noise == "trust" and 0.02 < done.replaced.mean() < 0.2
    np.testing.assert_array_equal(done.poses.quality[~done.replaced], poses.quality[~done.replaced])
    assert done.poses.quality[done.replaced].mean() > poses.quality[done.replaced].mean()


def test_gaps_are_filled_with_their_uncertainty() -> None:
    poses, true = walk(0)
    frames = np.flatnonzero((poses.image_id < 40) | (poses.image_id >= 48))
    missing = np.zeros((FRAMES, 17), bool)
    missing[20:26, 9] = True
    holed = replace(poses, missing=missing, xy=np.where(missing[..., None], 0.0, poses.xy))[frames]
    done = smooth(holed)
    assert len(done.poses) == FRAMES and done.poses.missing is None
    np.testing.assert_array_equal(done.poses.image_id[len(frames) :], np.arange(40, 48))
    np.testing.assert_array_equal(done.source[len(frames) :], 39)
    assert (done.poses.track_id == 5).all() and done.replaced[len(frames) :].all() and done.replaced[20:26, 9].all()
    by_frame = np.argsort(done.poses.image_id)
    std, quality = done.std[by_frame], done.poses.quality[by_frame]
    inner, outer = std[43:45].mean(axis=0), std[[38, 39, 48, 49]].mean(axis=0)
    assert (inner > outer).mean() > 0.9 and inner.mean() > 1.1 * outer.mean()
    assert quality[43:45].mean() < quality[[38, 39, 48, 49]].mean()
    assert std[22, 9] > std[17, 9] and np.linalg.norm(done.poses.xy[22, 9] - true[22, 9]) < 30
    assert len(smooth(holed, fill=0).poses) == len(frames)
    assert len(smooth(holed, fill=7).poses) == len(frames), "a longer gap stays"
    np.testing.assert_allclose(smooth(holed, fill=7).poses.xy, done.poses.xy[: len(frames)], atol=2.0)


def test_people_are_smoothed_apart_in_any_order() -> None:
    first, true = walk(1)
    second, _ = walk(2, start=500.0, frames=31)
    second = replace(second, track_id=np.full(31, 2))
    both = Poses.concatenate([first, second])
    order = np.random.default_rng(0).permutation(len(both))
    done = smooth(both[order])
    alone = smooth(first)
    back = np.argsort(order)
    assert mean_error(done.poses[back[:FRAMES]], true) == pytest.approx(mean_error(alone.poses, true), rel=0.15)
    nobody = replace(both, track_id=np.r_[np.full(FRAMES, 5), np.full(31, -1)])
    done = smooth(nobody)
    assert np.isnan(done.std[FRAMES:]).all() and np.isfinite(done.std[:FRAMES]).all()
    np.testing.assert_array_equal(done.poses.xy[FRAMES:], nobody.xy[FRAMES:])


def test_frames_have_times_and_clips() -> None:
    """Every second frame lost by a camera with times: the same as with steps of 2."""
    poses, _ = walk(0, frames=40)
    ids = np.r_[np.arange(20), np.arange(20, 60, 2)]
    poses = replace(poses, image_id=ids)
    images = Images(ids, time=ids / 25.0)
    np.testing.assert_allclose(smooth(poses, images).poses.xy, smooth(poses, fill=0).poses.xy, atol=1e-6)
    assert len(smooth(poses).poses) == 60 - 1 and len(smooth(poses, images).poses) == 40
    clips = Images(np.arange(2 * FRAMES), clip=["a"] * FRAMES + ["b"] * FRAMES)
    first, second = walk(0)[0], walk(3)[0]
    second = replace(second, image_id=second.image_id + FRAMES)
    done = smooth(Poses.concatenate([first, second]), clips)
    np.testing.assert_allclose(done.poses.xy[:FRAMES], smooth(first).poses.xy, atol=2.0)


def _flick(offsets: np.ndarray) -> tuple[Poses, np.ndarray, np.ndarray]:
    """A person who all but lies still, jittering by a pixel, and whose left wrist is off by `offsets` (n, 2) pixels in
    frames 60 to 60 + n; the truth without the jitter, and with the offsets; and which keypoints these are."""
    still = np.tile(STANDING, (120, 1, 1))
    moved = np.zeros(still.shape[:2], bool)
    moved[60 : 60 + len(offsets), COCO_17.index("left_wrist")] = True
    true = still.copy()
    true[moved] += offsets
    jitter = np.random.default_rng(3).normal(0, 1, still.shape)
    poses = Poses(true + jitter, score=np.ones(moved.shape), image_id=np.arange(120), skeleton=COCO_17)
    return poses, true, moved


@pytest.mark.parametrize("motion", ["velocity", "acceleration"])
@pytest.mark.parametrize("frames", [3, 4, 5])
def test_a_fast_movement_is_no_gross_error(frames, motion) -> None:
    """As of a limb that flicks 33 pixels away and back, where several networks agree that it did."""
    there_and_back = np.sin(np.pi * (np.arange(frames) + 0.5) / frames)[:, None] * [27.0, -19.0]
    poses, true, moved = _flick(there_and_back)
    done = smooth(poses, motion=motion)
    assert not done.replaced[moved].any()
    assert np.linalg.norm(done.poses.xy - true, axis=2)[moved].max() < 5
    assert (done.std[moved] < 5).all() and done.replaced.mean() < 0.01


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8])
def test_a_jump_is_one_however_long_it_lasts(frames) -> None:
    poses, true, moved = _flick(np.tile([27.0, -19.0], (frames, 1)))
    done = smooth(poses)
    assert done.replaced[moved].all()
    true[moved] -= [27.0, -19.0]
    assert np.linalg.norm(done.poses.xy - true, axis=2)[moved].max() < 3


def test_without_quality_noise_is_constant_and_without_tracks_one_person_is_enough() -> None:
    poses, true = walk(0)
    bare = replace(poses, quality=None, visibility=None, pose_quality=None, track_id=None)
    done = smooth(bare)
    assert done.noise == "constant" and done.poses.quality is None
    assert mean_error(done.poses, true) < mean_error(poses, true)
    with pytest.raises(ValueError, match="keypoint_quality: expected in the poses"):
        smooth(bare, noise="trust")
    with pytest.raises(ValueError, match=r"image 0 has two poses .* track them first"):
        smooth(Poses.concatenate([bare, bare]))
    with pytest.raises(ValueError, match="image 0 has two poses of track 5"):
        smooth(Poses.concatenate([poses, poses]))
    half = replace(poses, quality=np.where(np.arange(FRAMES)[:, None] < 3, np.nan, poses.quality))
    with pytest.raises(ValueError, match="3 of 90 poses have none"):
        smooth(half, noise="trust")
    assert smooth(half).noise == "constant"


@pytest.mark.parametrize("options", [{"noise": "loud"}, {"motion": "jerk"}, {"fill": -1}])
def test_options_are_checked(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        smooth(walk(0, frames=5)[0], **options)


def test_next_to_nothing() -> None:
    poses, _ = walk(0)
    assert len(smooth(poses[:0]).poses) == 0
    few = smooth(poses[[0, 3]])
    assert np.isnan(few.std).all() and len(few.poses) == 2
    np.testing.assert_array_equal(few.poses.xy, poses.xy[[0, 3]])
    unknown = np.zeros((FRAMES, 17), bool)
    unknown[:, 0] = True
    done = smooth(replace(poses, missing=unknown))
    assert np.isnan(done.std[:, 0]).all() and done.poses.missing[:, 0].all() and not done.poses.missing[:, 1:].any()


def test_a_position_that_cannot_be_counts_as_not_found() -> None:
    poses, true = walk(0)
    xy = poses.xy.copy()
    xy[30, 4], xy[31, :] = 1e300, -1e18
    done = smooth(replace(poses, xy=xy, box=None))
    assert done.replaced[30, 4] and done.replaced[31].all() and np.isfinite(done.poses.xy).all()
    assert np.linalg.norm(done.poses.xy[31] - true[31], axis=1).mean() < 40
    assert ((done.poses.quality >= 0) & (done.poses.quality <= 1)).all()

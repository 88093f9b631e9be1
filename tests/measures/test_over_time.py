"""Speeds and accelerations: equal to SciPy's, with gaps and other frame rates; intervals that hold in simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import savgol_filter

import trustpose as tp
from trustpose.files import InputError
from trustpose.images import Images
from trustpose.measures.error_over_time import LAGS, SHARES, TABLES, difference_quantiles
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17


def clip(xy: np.ndarray, *, quality: float | None = None, **columns: np.ndarray) -> Poses:
    """One person in frames 0, 1, …: xy (T, 17, 2)."""
    count = len(xy)
    ids = {"image_id": np.arange(count), "track_id": np.ones(count, np.int64)} | columns
    trust = None if quality is None else np.full((count, 17), quality)
    return Poses(xy, np.ones((count, 17)), quality=trust, skeleton=COCO_17, **ids)


def swinging(count: int = 60, seed: int = 0) -> np.ndarray:
    """A body whose joints move in slow waves, (T, 17, 2) pixels."""
    generator = np.random.default_rng(seed)
    base = generator.uniform(100, 400, (17, 2))
    phase = generator.uniform(0, 6, (17, 2)) + np.linspace(0, 6, count)[:, None, None]
    return base + 30 * np.sin(phase)


def test_velocity_and_acceleration_are_scipys() -> None:
    """A window of two frames is a Savitzky–Golay filter of three points and the second order, which SciPy has."""
    xy, fps = swinging(), 50.0
    read = tp.measure(
        clip(xy),
        ["left_knee", "left_knee_velocity", "left_knee_acceleration", "left_wrist_speed", "left_wrist_acceleration"],
        fps=fps,
        window=0.04,
        intervals=False,
    )
    inner = slice(1, -1)
    knee = read["left_knee"].value
    for order, name in ((1, "left_knee_velocity"), (2, "left_knee_acceleration")):
        expected = savgol_filter(knee, 3, 2, deriv=order, delta=1 / fps)
        np.testing.assert_allclose(read[name].value[inner], expected[inner], rtol=1e-6, atol=1e-6)
        assert list(np.flatnonzero(~read[name].readable)) == [0, 59]
    wrist = COCO_17.index("left_wrist")
    for order, name in ((1, "left_wrist_speed"), (2, "left_wrist_acceleration")):
        both = savgol_filter(xy[:, wrist], 3, 2, deriv=order, delta=1 / fps, axis=0)
        np.testing.assert_allclose(read[name].value[inner], np.hypot(*both.T)[inner], rtol=1e-6, atol=1e-6)
    assert [column.unit for column in read.measures] == [
        *("degrees", "degrees/s", "degrees/s²", "pixels/s", "pixels/s²")
    ]
    assert read["left_knee_velocity"].reason[0] == "no frame of the track 0.02 s before"


@given(st.integers(0, 1000), st.floats(0.5, 20), st.floats(-3, 3), st.floats(-5, 5))
@settings(deadline=None, max_examples=25)
def test_motion_with_constant_acceleration_is_read_exactly_at_uneven_times(
    seed: int, interval: float, speed: float, bend: float
) -> None:
    """Central differences of a parabola at even times are exact; the acceleration is at uneven times, too."""
    generator = np.random.default_rng(seed)
    times = np.cumsum(generator.uniform(0.9, 1.1, 12)) * interval
    x = 50 + speed * times + bend * times**2 / 2
    xy = np.zeros((12, 17, 2))
    xy[:, COCO_17.index("nose"), 0] = x
    read = tp.measure(
        clip(xy), ["nose_acceleration"], Images(np.arange(12), time=times), window=2 * interval, intervals=False
    )
    assert np.isfinite(read.value[1:-1]).all()
    np.testing.assert_allclose(read.value[1:-1, 0], abs(bend), rtol=1e-5, atol=1e-6)


def test_an_inclination_goes_the_shorter_way_round() -> None:
    degrees = np.arange(150, 210, 4.0)  # past 180, where inclinations jump to −180
    xy = np.zeros((len(degrees), 17, 2))
    xy[:, COCO_17.index("left_ankle")] = 100
    xy[:, COCO_17.index("left_knee")] = 100 - 50 * np.stack(
        [np.sin(np.radians(degrees)), -np.cos(np.radians(degrees))], axis=1
    )
    read = tp.measure(clip(xy), ["left_shank_velocity"], fps=10.0, window=0.2, intervals=False)
    np.testing.assert_allclose(read.value[1:-1, 0], 40, rtol=1e-6)


def test_gaps_and_tracks_are_not_bridged() -> None:
    xy = swinging(20)
    poses = clip(np.concatenate([xy, xy + 50]), image_id=np.tile(np.arange(20), 2), track_id=np.repeat([1, 2], 20))
    whole = tp.measure(poses, ["left_wrist_speed"], fps=30.0, window=4 / 30, intervals=False)
    keep = np.array([row for row in range(40) if row not in (7, 30)])
    order = np.random.default_rng(0).permutation(len(keep))
    part = tp.measure(poses[keep[order]], ["left_wrist_speed"], fps=30.0, window=4 / 30, intervals=False)
    expected = whole.value[keep[order], 0].copy()
    lost = np.isin(keep[order], (5, 9, 28, 32))  # two frames from a lost one
    expected[lost] = np.nan
    np.testing.assert_allclose(part.value[:, 0], expected)
    assert np.isnan(whole.value[[0, 1, 18, 19, 20, 21, 38, 39], 0]).all()
    assert set(part.reason[lost, 0]) <= {
        "no frame of the track 0.0667 s before",
        "no frame of the track 0.0667 s after",
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "poses: measures over time need the time of each frame"),
        ({"fps": 0.0}, "fps: expected frames a second, above 0, got 0"),
        ({"fps": 30.0, "window": -1.0}, "window: expected seconds above 0, got -1"),
        ({"images": Images(np.arange(5), time=np.arange(5) / 5)}, "frame 5 has no time"),
    ],
)
def test_frames_without_time_are_refused_in_one_line(options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as caught:
        tp.measure(clip(swinging(8)), ["left_knee_velocity"], intervals=False, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_two_people_in_a_frame_without_tracks_are_refused() -> None:
    poses = clip(swinging(4), image_id=np.array([0, 0, 1, 1]), track_id=None)
    with pytest.raises(InputError, match="image 0 has two poses of the same category"):
        tp.measure(poses, ["left_knee_velocity"], fps=30.0, intervals=False)


def test_quantiles_rise_with_the_share_and_the_distance_in_frames() -> None:
    assert len(TABLES) == 8
    for name, table in TABLES.items():
        rows = np.array(table)
        assert rows.shape == (len(LAGS), len(SHARES)) and (np.diff(rows, axis=1) > 0).all(), name
        options = {
            "of_point": "point" in name,
            "is_double": "second" in name,
            "smoothed": name.startswith("smoothed"),
        }
        np.testing.assert_allclose(difference_quantiles(SHARES, np.array(LAGS), **options), rows.T)
        beyond = difference_quantiles((0.1, 0.5, 0.9, 0.99), np.array([1, 4, 500]), **options)
        assert (np.diff(beyond, axis=0) > 0).all() and (beyond[:, 1] > beyond[:, 0]).all()
    assert difference_quantiles([0.6827], np.array([1]))[0, 0] < 0.6  # independent errors would be 1


@pytest.mark.parametrize(("name", "is_double"), [("left_wrist_speed", False), ("left_wrist_acceleration", True)])
def test_intervals_hold_for_errors_that_go_together_as_the_table_says(name: str, is_double: bool) -> None:
    """Errors of which most stays over time: what changes is as large as the table's quantile of one sigma says."""
    generator = np.random.default_rng(3)
    lag = 1 if is_double else 2
    jitter = difference_quantiles([0.6827], np.array([lag]), of_point=True, is_double=is_double)[0, 0]
    options = {"fps": 30.0, "window": 2 / 30}
    off, sd, inside = [], [], []
    for seed in range(40):
        truth = swinging(40, seed)
        truth[:, [9, 10]] += np.linspace(0, 4000, 40)[:, None, None]  # fast, so that errors along the way count alone
        std = clip(truth, quality=0.8).expected_error().total_std[..., None]
        staying, changing = generator.normal(size=(1, 17, 2)), generator.normal(size=truth.shape)
        measured = tp.measure(clip(truth + std * (staying + jitter * changing), quality=0.8), [name], **options)
        labelled = tp.measure(clip(truth), [name], intervals=False, **options).value[1:-1, 0]
        off.append(np.abs(measured.value[1:-1, 0] - labelled))
        sd.append(measured.sd[1:-1, 0])
        ends = measured.low[1:-1, 0], measured.high[1:-1, 0]
        inside.append((ends[0] <= labelled[:, None]) & (labelled[:, None] <= ends[1]))
    if not is_double:  # an acceleration of almost nothing is never below 0
        assert np.mean(np.concatenate(off) <= np.concatenate(sd)) == pytest.approx(0.6827, abs=0.04)
    share = np.concatenate(inside).mean(axis=0)
    assert (share > np.array(measured.levels) - 0.05).all(), share


def test_smoothed_joints_have_intervals_of_their_own() -> None:
    generator = np.random.default_rng(1)
    truth = swinging(60)
    noisy = clip(truth + generator.normal(0, 4, truth.shape), quality=0.8)
    smoothed = tp.smooth(noisy)
    alone = tp.measure(noisy, ["left_knee", "left_wrist_speed"], fps=30.0)
    after = tp.measure(smoothed, ["left_knee", "left_wrist_speed"], fps=30.0)
    as_found = tp.measure(smoothed.poses, ["left_knee", "left_wrist_speed"], fps=30.0)
    ratio = after["left_knee"].sd / as_found["left_knee"].sd
    assert np.isfinite(ratio).all() and np.std(ratio) > 0  # stretched by each joint's own std
    error = {
        name: np.nanmean(np.abs(read["left_wrist_speed"].value - true["left_wrist_speed"].value))
        for true in [tp.measure(clip(truth), ["left_wrist_speed"], fps=30.0, intervals=False)]
        for name, read in {"alone": alone, "after": after}.items()
    }
    assert error["after"] < error["alone"]
    assert np.nanmedian(after["left_wrist_speed"].sd) < np.nanmedian(alone["left_wrist_speed"].sd)

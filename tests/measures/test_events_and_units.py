"""Jumps, releases, units, the floor, the view, exchanged sides, and a user's own measures over time."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import trustpose as tp
from tests.cli.cases import run
from tests.measures.test_measure import poses_of_people, table
from tests.measures.test_over_time import clip, swinging
from tests.tracking.test_exchanged_sides import exchanged, walking
from trustpose.files import InputError
from trustpose.io.tables import write_table
from trustpose.measures.events import GRAVITY
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17

FPS, PIXELS_PER_METRE, HEIGHT = 120.0, 400.0, 1.8
STANDING = {"shoulder": 0.818, "elbow": 0.63, "wrist": 0.485, "hip": 0.53, "knee": 0.285, "ankle": 0.039}


def jump(height: float, seed: int = 0, noise: float = 0.0) -> np.ndarray:
    """A person seen from the side who stands, jumps straight up by `height` metres, and stands, (T, 17, 2) pixels."""
    flight = np.sqrt(8 * height / GRAVITY)
    times = np.arange(0, 2 + flight, 1 / FPS) - 1
    lift = np.where((times > 0) & (times < flight), GRAVITY / 2 * times * (flight - times), 0)
    xy = np.zeros((len(times), 17, 2))
    for joint, share in {**STANDING, **dict.fromkeys(("nose", "eye", "ear"), 0.93)}.items():
        for name in COCO_17.keypoints:
            if name.endswith(joint):
                xy[:, COCO_17.index(name)] = [500, 1000 - PIXELS_PER_METRE * HEIGHT * share]
                xy[:, COCO_17.index(name), 0] += 3 if name.startswith("left") else -3
    xy[:, :, 1] -= PIXELS_PER_METRE * lift[:, None]
    return xy + np.random.default_rng(seed).normal(0, noise, xy.shape)


@pytest.mark.parametrize("height", [0.15, 0.3, 0.6])
def test_both_heights_of_a_jump(height: float) -> None:
    poses = clip(jump(height), quality=0.9)
    read = tp.measure(poses, ["jump_height", "jump_height_by_flight"], fps=FPS, units="metres", height=HEIGHT)
    assert [measure.unit for measure in read.measures] == ["metres", "metres"]
    top = np.flatnonzero(read["jump_height"].readable)
    assert len(top) == 1 and abs(top[0] / FPS - 1 - np.sqrt(2 * height / GRAVITY)) < 0.02
    assert set(read["jump_height"].reason) == {"", "not the top of a jump"}
    assert read["jump_height"].value[top[0]] == pytest.approx(height, abs=0.01)
    assert read["jump_height_by_flight"].value[top[0]] == pytest.approx(height, abs=0.01)
    in_pixels = tp.measure(poses, ["jump_height"], fps=FPS)["jump_height"]
    assert in_pixels.value[top[0]] == pytest.approx(height * PIXELS_PER_METRE, rel=0.02)
    assert in_pixels.measure.unit == "pixels"


def test_the_error_of_a_jump_by_flight_is_that_of_noisy_frames() -> None:
    """95 % intervals from the scatter of noisy ankles, over jumps drawn anew."""
    inside = []
    for seed in range(60):
        read = tp.measure(clip(jump(0.3, seed, 4.0), quality=0.97), ["jump_height_by_flight"], fps=FPS)
        knee = read["jump_height_by_flight"]
        (top,) = np.flatnonzero(knee.readable)
        inside.append(knee.low[top, 3] <= 0.3 <= knee.high[top, 3])
    assert np.mean(inside) >= 0.85, np.mean(inside)


def test_a_person_who_stands_does_not_jump() -> None:
    read = tp.measure(clip(jump(1e-6, 1, 2.0), quality=0.9), ["jump_height"], fps=FPS)
    assert not read.readable.any()


@pytest.mark.parametrize("degrees", [-20, 0, 35, 80])
def test_the_release_angle_is_that_of_the_fastest_frame(degrees: float) -> None:
    times = np.arange(40) / 60
    way = 300 * np.exp(-(((times - 0.3) / 0.08) ** 2))  # speed along the line, highest at 0.3 s
    along = np.cumsum(way) / 60
    xy = np.repeat(swinging(1), 40, axis=0)
    xy[:, COCO_17.index("right_wrist")] += along[:, None] * [np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))]
    read = tp.measure(clip(xy, quality=0.9), ["right_release_angle"], fps=60.0)
    (frame,) = np.flatnonzero(read.readable[:, 0])
    assert abs(times[frame] - 0.3) < 0.03
    assert read.value[frame, 0] == pytest.approx(degrees, abs=1)
    assert read.low[frame, 0, 3] < degrees < read.high[frame, 0, 3] <= 90


def test_units_of_lengths_and_speeds() -> None:
    xy = jump(0.3)
    names = ["left_thigh_length", "left_wrist_speed", "left_knee", "left_knee_velocity"]
    pixels = tp.measure(clip(xy, quality=0.9), names, fps=FPS)
    metres = tp.measure(clip(xy, quality=0.9), names, fps=FPS, units="metres", height=HEIGHT)
    bodies = tp.measure(clip(xy, quality=0.9), names, fps=FPS, units="body-heights")
    squarely = tp.measure(clip(xy, quality=0.9), names, fps=FPS, units="metres", distance="0,0,400,0,1")
    assert [m.unit for m in metres.measures] == ["metres", "metres/s", "degrees", "degrees/s"]
    assert [m.unit for m in bodies.measures] == ["body heights", "body heights/s", "degrees", "degrees/s"]
    thigh = 0.245 * HEIGHT
    np.testing.assert_allclose(metres.value[:, 0], thigh, rtol=0.005)
    np.testing.assert_allclose(squarely.value[:, 0], thigh, rtol=1e-6)
    np.testing.assert_allclose(bodies.value[:, 0], 0.245, rtol=0.005)
    np.testing.assert_allclose(metres.value[:, 1], pixels.value[:, 1] / PIXELS_PER_METRE, rtol=0.005)
    for other in (metres, bodies, squarely):  # angles stay, errors too
        np.testing.assert_allclose(other.high[:, 2:], pixels.high[:, 2:])
    relative = [read["left_thigh_length"].sd / read["left_thigh_length"].value for read in (pixels, metres, squarely)]
    np.testing.assert_allclose(relative[1], np.hypot(relative[0], 0.05), rtol=1e-6)  # of the body's proportions
    np.testing.assert_allclose(relative[2], relative[0], rtol=1e-6)
    assert (metres.low[:, 0] <= metres.value[:, 0, None]).all() and (metres.low[:, 0] >= 0).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--units", "metres"), "units: metres need the person's height in metres"),
        (("--units", "metres", "--height", "180"), "height: expected metres between 0 and 3, got 180"),
        (("--height", "1.8"), "units: a height or distance makes metres, got the unit pixels"),
        (("--units", "feet"), "expected one of pixels, body-heights, metres"),
        (("--units", "metres", "--distance", "1,2,3"), "distance: expected x1,y1,x2,y2,metres, got '1,2,3'"),
        (("--units", "metres", "--distance", "1,2,1,2,3"), "distance: expected two different points"),
        (("--floor", "5,0,5,10"), "floor: expected two points of the floor beside each other"),
        (("--floor", "a,0,5,10"), "floor: expected x1,y1,x2,y2, got 'a,0,5,10'"),
        (("--measures", "left_knee_velocity"), "measures over time need the time of each frame"),
        (("--measures", "left_knee_velocity", "--fps", "0"), "fps: expected frames a second"),
        (("--measures", "left_knee_velocty", "--fps", "30"), "unknown measure 'left_knee_velocty' (did you mean"),
        (("--fps", "30", "--measures", "jump_height"), "image 1 has two poses of the same category"),
    ],
)
def test_what_cannot_be_had_is_refused_in_one_line(
    arguments: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results, out = tmp_path / "results.json", tmp_path / "out.csv"
    write_table(results, poses_of_people())
    assert run("measure", results, *arguments, "--out", out) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "\n" not in error and not out.exists()


def test_a_floor_that_slopes_turns_inclinations_and_gives_heights(tmp_path: Path) -> None:
    angle = np.radians(12)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    xy = swinging(3)
    own = tmp_path / "own.json"
    own.write_text(json.dumps({"up": {"height": ["nose"]}, "lean": {"tilt": ["left_hip", "left_shoulder"]}}))
    level = tp.measure(clip(xy), own, intervals=False, floor="0,900,100,900")
    end = np.array([0, 900]) @ turn, np.array([100, 900]) @ turn
    floor = ",".join(f"{number:.6f}" for point in end for number in point)
    turned = tp.measure(clip(xy @ turn), own, intervals=False, floor=floor)
    np.testing.assert_allclose(turned.value, level.value, atol=1e-3)
    np.testing.assert_allclose(level["up"].value, 900 - xy[:, 0, 1], atol=1e-6)
    with pytest.raises(InputError, match="heights need a floor line"):
        tp.measure(clip(xy), own, intervals=False)


def test_ones_own_measures_over_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, results, out = tmp_path / "own.json", tmp_path / "clip.json", tmp_path / "out.csv"
    write_table(results, replace(clip(swinging(20), quality=0.9), pose_score=np.ones(20)))
    own.write_text(
        json.dumps(
            {
                "hand": {"speed": [["left_wrist", "right_wrist"]]},
                "mass": {"speed": ["centre_of_mass"]},
                "bend": {"velocity": "left_knee"},
                "again": {"velocity": {"angle": ["left_hip", "left_knee", "left_ankle"]}},
                "force": {"acceleration": ["centre_of_mass"]},
                "throw": {"release angle": ["right_wrist"]},
            }
        )
    )
    assert run("measure", results, "--measures", own, "--fps", "30", "--out", out) == 0, capsys.readouterr().err
    rows = table(out)
    units = {row["measure"]: row["unit"] for row in rows}
    assert units == {
        "hand": "pixels/s", "mass": "pixels/s", "bend": "degrees/s", "again": "degrees/s", "force": "pixels/s²",
        "throw": "degrees",
    }  # fmt: skip
    values = {name: [row["value"] for row in rows if row["measure"] == name] for name in units}
    assert values["bend"] == values["again"] and sum(map(bool, values["throw"])) == 1
    assert [row["time"] for row in rows[::6]][:3] == ["0.0", "0.0333", "0.0667"]
    for wrong, message in (
        ({"a": {"velocity": ["left_wrist"]}}, "a.velocity: expected a measure"),
        ({"a": {"speed": "left_wrist"}}, "a.speed: expected a list with one point"),
        ({"a": {"speed": [[]]}}, "expected a joint or a list of joints"),
        ({"a": {"velocity": "left_kne"}}, "unknown measure 'left_kne' (did you mean"),
        ({"a": {"velocity": {"speed": ["nose"]}}}, "expected a measure of a frame"),
        ({"a": {"speed": ["centre_of_mas"]}}, "has no joint 'centre_of_mas' (did you mean 'centre_of_mass'"),
    ):
        own.write_text(json.dumps(wrong))
        assert run("measure", results, "--measures", own, "--fps", "30", "--out", out) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert message in error, error


def test_readings_of_exchanged_legs_are_not_readable() -> None:
    poses = clip(exchanged(walking(), "legs", slice(20, 26)), quality=0.9)
    read = tp.measure(poses, ["left_knee", "left_elbow", "trunk", "left_knee_velocity"], fps=30.0)
    knee = read["left_knee"]
    frames = np.flatnonzero(~knee.readable)
    assert 4 <= len(frames) and set(frames) <= set(range(19, 27))
    assert set(knee.reason[frames]) == {"left and right legs are exchanged in this frame"}
    assert np.isfinite(knee.value).all()
    assert read["trunk"].readable.all() and read["left_elbow"].readable.all()
    velocity = read["left_knee_velocity"]
    assert not velocity.readable[frames.min() - 2] and np.isnan(velocity.value[frames.min() - 2])


def standing(width: float, thigh: float = 0.245) -> Poses:
    """A body of this width at the shoulders and hips, of that of people who face the camera."""
    xy = np.zeros((1, 17, 2))
    for joint, share in STANDING.items():
        for side, sign in (("left", 1), ("right", -1)):
            half = {"shoulder": 0.45, "elbow": 0.5, "wrist": 0.5}.get(joint, 0.275) * 0.288 * 500 * width
            up = share if joint not in ("knee", "ankle") else share + 0.245 - thigh
            xy[0, COCO_17.index(f"{side}_{joint}")] = [300 + sign * half, 700 - 500 * up]
    return clip(xy, quality=0.9)


def test_the_view_makes_readings_doubtful_that_stay_readable() -> None:
    names = ["left_knee", "left_elbow", "trunk", "left_thigh_length"]
    for width, is_doubtful in ((1.0, True), (0.2, False)):
        read = tp.measure(standing(width), names)
        assert read["left_knee"].readable[0] and np.isfinite(read["left_knee"].sd[0])
        assert read["left_knee"].reason[0].startswith("seen from the front or back") is is_doubtful
        assert not any(read[name].reason[0] for name in names[1:])
        assert any("the view makes" in note for note in read.notes) is is_doubtful
        assert not tp.measure(standing(width), names, view=False)["left_knee"].reason[0]
    read = tp.measure(standing(0.2, thigh=0.1), names)
    assert read["left_knee"].reason[0] == "the left thigh points to or from the camera" and read.readable.all()


def test_smoothed_results_keep_their_error_model_and_their_own_intervals(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people = poses_of_people()
    generator = np.random.default_rng(0)
    poses = replace(
        clip(walking(40) + generator.normal(0, 3, (40, 17, 2)), quality=0.8),
        pose_score=np.ones(40),
        error_model=people.error_model,
    )
    results, tracked, smooth = (tmp_path / name for name in ("clip.json", "tracked.json", "smooth.json"))
    write_table(results, poses)
    assert run("track", results, "--out", tracked) == 0 and run("smooth", tracked, "--out", smooth) == 0
    assert tp.read_poses(smooth).error_model == people.error_model == tp.read_poses(tracked).error_model
    out = tmp_path / "out.csv"
    assert run("measure", smooth, "--measures", "left_knee", "--fps", "30", "--out", out) == 0
    capsys.readouterr()
    of_file = [float(row["sd"]) for row in table(out)]
    from_python = tp.measure(smooth, ["left_knee"], fps=30.0)["left_knee"].sd
    np.testing.assert_allclose(of_file, from_python, atol=1e-4)
    rows = json.loads(smooth.read_text())
    alone = [{name: cell for name, cell in row.items() if name != "keypoint_std"} for row in rows]
    plain = tmp_path / "plain.json"
    plain.write_text(json.dumps(alone))
    assert not np.allclose(tp.measure(plain, ["left_knee"], fps=30.0)["left_knee"].sd, from_python)
    rows[3]["keypoint_std"] = [1.0, 2.0]
    plain.write_text(json.dumps(rows))
    assert run("measure", plain, "--out", out) == 2
    assert (
        "result 3: field 'keypoint_std': expected a number above 0, or null, for each of 17" in capsys.readouterr().err
    )

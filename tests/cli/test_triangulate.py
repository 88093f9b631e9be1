"""`trustpose triangulate`: files in and out, what is said, what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest

from tests.cli.cases import run
from tests.multiview.rings import ring
from tests.multiview.test_people import FRAMES, seen_by, walkers
from tests.multiview.test_shifts import walking
from tests.multiview.test_synchronisation import later
from trustpose.geometry.cameras import Cameras
from trustpose.io.cameras import write_cameras
from trustpose.io.poses3d import read_poses3d
from trustpose.io.video import Video
from trustpose.poses import write_results
from trustpose.report.video import VideoWriter
from trustpose.skeletons import COCO_17


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Cameras and four results files of three people."""
    folder = tmp_path_factory.mktemp("rig")
    write_cameras(ring(4), folder / "cameras.json")
    for index, view in enumerate(seen_by(ring(4), walkers())[0]):
        score = view.score.mean(axis=1)
        write_results(folder / f"{index}.json", replace(view, pose_score=score, skeleton=None))
    return folder


def command(files, *more, out="people.json", results=("0", "1", "2", "3")):
    named = [files / f"{result}.json" for result in results]
    return run("triangulate", "--cameras", files / "cameras.json", *named, "--out", files / out, *more)


def test_people_in_every_format(files, capsys):
    assert command(files) == 0
    said = capsys.readouterr()
    assert "3 people in 30 frames" in said.err and "people.json: people in 3D" in said.out
    poses3d = read_poses3d(files / "people.json")
    assert len(poses3d) == 3 * FRAMES and poses3d.skeleton == COCO_17 and poses3d.covariance is not None
    truth = walkers()[:, poses3d.frame].swapaxes(0, 1)
    apart = np.linalg.norm(poses3d.xyz[:, None] - truth, axis=-1).mean(axis=2).min(axis=1)
    assert np.median(apart) < 0.02
    assert command(files, "--people", "1", "--fps", "50", "--y-up", out="one.trc") == 0
    one = read_poses3d(files / "one.trc")
    assert len(one) == FRAMES and one.time[1] == pytest.approx(0.02)
    assert command(files, "--weight", "none", "--method", "linear", out="people.csv") == 0
    assert read_poses3d(files / "people.csv").covariance is None


def test_frames_missing_in_one_view(files):
    rows = json.loads((files / "2.json").read_text())
    (files / "short.json").write_text(json.dumps([row for row in rows if row["image_id"] < 10]))
    assert command(files, results=("0", "1", "short", "3")) == 0
    poses3d = read_poses3d(files / "people.json")
    assert len(poses3d) == 3 * FRAMES
    assert (poses3d.camera_count[poses3d.frame >= 10] <= 3).all() and (
        poses3d.camera_count[poses3d.frame < 10] == 4
    ).any()


def test_no_common_moment(files, capsys):
    for index in range(4):
        rows = json.loads((files / f"{index}.json").read_text())
        later = [row | {"image_id": row["image_id"] + 100 * index} for row in rows]
        (files / f"late{index}.json").write_text(json.dumps(later))
    assert command(files, results=("late0", "late1", "late2", "late3")) == 2
    error = capsys.readouterr().err
    assert "no moment is in the poses of two cameras: late0.json has frames 0 to 29, late1.json has frames 100" in error
    offsets = ["--fps", "100", "--offset", "0,-1,-2,-3"]
    assert command(files, *offsets, results=("late0", "late1", "late2", "late3")) == 0


def test_a_shifted_clip_is_named(tmp_path, capsys):
    """People walk 3 cm a frame; one camera's clip begins 16 frames later, or 3."""
    write_cameras(ring(4), tmp_path / "cameras.json")
    for index, view in enumerate(seen_by(ring(4), walking(80)[:1])[0]):
        for begun in (0, 3, 16):
            moved = later(view, begun)
            write_results(tmp_path / f"{index}-{begun}.json", replace(moved, pose_score=moved.score.mean(axis=1)))
    results = ("0-0", "1-0", "2-16", "3-0")
    assert command(tmp_path, results=results) == 2
    error = capsys.readouterr().err
    assert "the cameras' frames were not taken at the same times: 'cam2' fits the others best 16 frames later" in error
    assert "with --fps R, --offset 0,0,16/R,0 would fix it (--unchecked continues anyway)" in error
    assert command(tmp_path, "--fps", "50", "--offset", "0,0,0,0", results=results) == 2
    assert "--offset 0,0,0.32,0 would fix it" in capsys.readouterr().err
    assert command(tmp_path, "--fps", "50", "--offset", "0,0,0.32,0", results=results) == 0
    assert "same times" not in capsys.readouterr().err
    assert command(tmp_path, "--unchecked", results=results) == 0
    capsys.readouterr()
    assert command(tmp_path, results=("0-0", "1-0", "2-3", "3-0")) == 0  # said, and not refused
    assert "'cam2' fits the others best 3 frames later" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "results", "message"),
    [
        ([], "012", "holds 4 cameras (cam0, cam1, cam2, cam3), but poses of 3 are given"),
        ([], "1023", "those given for 'cam0' fit 'cam1', those given for 'cam1' fit 'cam0'"),
        (["--method", "best"], "0123", "--method: expected one of linear"),
        (["--weight", "luck"], "0123", "--weight: expected one of auto"),
        (["--fps", "25,50"], "0123", "--fps: expected 4 numbers, one for each camera, got 2"),
        (["--offset", "0,0,0,1"], "0123", "offset: needs fps too"),
        (["--out", "people.xls"], "0123", "people.xls: expected a file ending in .json"),
        (["--out", "people.trc"], "0123", "needs the frame rate; give it with --fps"),
        (["--y-up"], "0123", "y_up is for .trc and .c3d"),
    ],
)
def test_wrong_input_is_one_line(files, capsys, more, results, message):
    assert command(files, *more, results=results) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


@pytest.mark.parametrize("command_of", ["triangulate", "cameras place", "cameras synchronise"])
def test_weights_that_a_file_lacks_are_named(files, capsys, command_of):
    for index in range(4):
        rows = json.loads((files / f"{index}.json").read_text())
        plain = [{name: row[name] for name in row if index != 2 or name != "keypoint_quality"} for row in rows]
        (files / f"plain{index}.json").write_text(json.dumps(plain))
    named = [files / f"plain{number}.json" for number in range(4)]
    rig, repeated = files / "cameras.json", [word for path in named for word in ("--results", path)]
    rest = {
        "triangulate": ["--cameras", rig, *named, "--out", files / "no.json"],
        "cameras place": [rig, *repeated, "--height", "1.7m", "--out", files / "no.json"],
        "cameras synchronise": [*named, "--fps", "25"],
    }[command_of]
    assert run(*command_of.split(), *rest, "--weight", "trust") == 2
    error = capsys.readouterr().err
    assert "plain2.json: has no keypoint_quality, expected with --weight trust; add it with `trustpose cal" in error
    assert error.count("\n") == 1 and not (files / "no.json").exists()


def test_a_skeleton_told_by_its_limbs_is_said_once(tmp_path, capsys, data_dir):
    folder = data_dir / "multiview/pose2sim"
    if not (folder / "two_people/pose/cam01_json").is_dir():
        pytest.skip(f"no trial in {folder}")
    views = [folder / f"two_people/pose/cam0{index}_json" for index in (1, 2, 3, 4)]
    assert run("triangulate", "--cameras", folder / "Calib.qca.txt", *views, "--out", tmp_path / "people.json") == 0
    assert capsys.readouterr().err.count("read as openpose_body25b, not openpose_body25, by the lengths of limbs") == 1
    poses3d = read_poses3d(tmp_path / "people.json")
    assert poses3d.skeleton is not None and poses3d.skeleton.name == "openpose_body25b"


def test_a_calibration_for_another_size(files, capsys):
    write_cameras(Cameras(tuple(camera.resized(320, 240) for camera in ring(4))), files / "small.json")
    named = [files / f"{index}.json" for index in range(4)]
    assert run("triangulate", "--cameras", files / "small.json", *named, "--out", files / "no.json") == 2
    assert "lie outside the 320 × 240 image that camera 'cam0' was calibrated for" in capsys.readouterr().err
    assert not (files / "no.json").exists()


def test_unchecked_goes_on(files):
    assert command(files, "--unchecked", results="1023") == 0


def test_a_page_and_a_video(files, capsys, monkeypatch):
    """Each camera's frames, with people drawn in them, and the view in 3D beside them."""
    monkeypatch.setattr("trustpose.report.world.HEIGHT", 120)  # for time
    clips = []
    for index in range(4):
        with VideoWriter(files / f"{index}.mp4", 320, 240, 25.0) as writer:
            for number in range(FRAMES):
                writer.write(np.full((240, 320, 3), 40 + number, np.uint8))
        clips += ["--clip", files / f"{index}.mp4"]
    assert command(files, "--page", files / "p.html", "--video", files / "v.mp4", *clips) == 0
    assert "a video of the people in each camera and in 3D" in capsys.readouterr().out
    assert "3 people, 30 frames, 4 cameras" in (files / "p.html").read_text()
    with Video(files / "v.mp4") as video:
        frames = dict(video.frames())
        assert len(frames) == FRAMES and (video.width, video.height) == (5 * 160, 120)
    first = frames[0][:, :160].astype(int)
    assert np.abs(np.median(first) - 40) < 6 and (np.abs(first - 40).max(axis=2) > 60).mean() > 0.005
    assert np.abs(np.median(frames[FRAMES - 1][:, :160]) - 40 - FRAMES + 1) < 6
    assert command(files, "--video", files / "v.mp4", *clips[:4]) == 2
    assert "--clip: expected 4 videos with --video" in capsys.readouterr().err

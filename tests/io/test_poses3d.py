"""People in the world, written and read again; TRC and C3D also read by other readers."""

import importlib.util

import numpy as np
import pytest

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.io.poses3d import read_poses3d, trc, write_poses3d
from trustpose.poses import Poses3D
from trustpose.skeletons import COCO_17, Skeleton

needs_c3d = pytest.mark.skipif(importlib.util.find_spec("c3d") is None, reason=not_installed("c3d", "cameras"))


def some(people: int = 1, frames: int = 6, skeleton: Skeleton | None = COCO_17) -> Poses3D:
    rng, n, k = np.random.default_rng(0), people * frames, 17
    xyz = rng.normal(0, 1, (n, k, 3))
    xyz[1, 3] = np.nan
    half = rng.normal(size=(n, k, 3, 3))
    frame = np.tile(np.arange(frames) * 2 + 4, people)  # every second frame of the clip
    return Poses3D(
        xyz,
        quality=rng.random((n, k)),
        covariance=half @ half.swapaxes(2, 3),
        error=np.where(np.isnan(xyz[..., 0]), np.nan, 3.0),
        camera_count=rng.integers(2, 5, (n, k)),
        frame=frame,
        time=frame / 60,
        track_id=np.repeat(np.arange(people) + 1, frames),
        skeleton=skeleton,
    )


def same(poses3d: Poses3D, other_poses3d: Poses3D) -> None:
    for name, column in poses3d.columns().items():
        np.testing.assert_array_equal(other_poses3d.columns()[name], column, err_msg=name)


@pytest.mark.parametrize("suffix", (".json", ".csv", ".parquet"))
@pytest.mark.parametrize("skeleton", (COCO_17, None))
def test_round_trip(tmp_path, suffix, skeleton):
    if suffix == ".parquet":
        pytest.importorskip("pyarrow")
    poses = some(2, skeleton=skeleton)
    assert write_poses3d(tmp_path / f"a{suffix}", poses) == [tmp_path / f"a{suffix}"]
    again = read_poses3d(tmp_path / f"a{suffix}")
    same(poses, again)
    assert again.skeleton == skeleton
    poses3d = Poses3D(poses.xyz)
    write_poses3d(tmp_path / f"b{suffix}", poses3d)
    same(poses3d, read_poses3d(tmp_path / f"b{suffix}"))


def test_trc_has_all_frames_and_a_file_for_each_person(tmp_path):
    poses = some(2)
    for name in ("run.trc", "run_1.trc"):
        (tmp_path / name).write_text("another's")
    with pytest.raises(InputError, match=r"run.trc: TRC holds one person, and there are 2: run_{person}.trc writes"):
        write_poses3d(tmp_path / "run.trc", poses)
    assert all((tmp_path / name).read_text() == "another's" for name in ("run.trc", "run_1.trc"))
    files = write_poses3d(tmp_path / "run_{person}.trc", poses)
    assert [file.name for file in files] == ["run_1.trc", "run_2.trc"]
    lines = files[0].read_text().splitlines()
    assert lines[0] == "PathFileType\t4\t(X/Y/Z)\trun_1.trc"
    assert lines[2].split("\t")[:5] == ["60", "60", "11", "17", "m"]
    assert lines[3].split("\t")[:6] == ["Frame#", "Time", "Nose", "", "", "LEye"]
    assert len(lines) == 6 + 11  # frames 4 to 14, every second one empty
    again = read_poses3d(files[0])
    assert again.skeleton == COCO_17
    np.testing.assert_array_equal(again.frame, np.arange(4, 15))
    np.testing.assert_allclose(again.xyz[::2], poses.xyz[:6], atol=1e-6)
    assert np.isnan(again.xyz[1::2]).all()


def test_trc_is_what_opensim_and_pose2sim_read(tmp_path):
    """A last marker that is missing, and the header's tabs: their own readers, where they are installed."""
    poses = some()
    poses.xyz[2, -1] = np.nan  # right_ankle, whose empty cells would end the line
    (file,) = write_poses3d(tmp_path / "run.trc", poses)
    lines = file.read_text().split("\n")
    assert lines[3].endswith("RAnkle\t\t\t") and lines[4].endswith("Z17\t")
    assert all(len(line.split("\t")) == 2 + 3 * 17 and line.strip() == line for line in lines[6:-1])
    opensim = pytest.importorskip("opensim", reason="OpenSim is not installed: pip install opensim")
    table = opensim.TimeSeriesTableVec3(str(file))
    assert table.getNumColumns() == 17 and table.getNumRows() == 11
    assert list(table.getColumnLabels())[-1] == "RAnkle"
    hip = table.getDependentColumn("RHip")
    assert [hip[0][axis] for axis in range(3)] == pytest.approx(poses.xyz[0, 12], abs=1e-6)


def test_markers_are_named_as_pose2sim_names_them():
    names = {"right_hip": "RHip", "left_big_toe": "LBigToe", "left_heel": "LHeel", "nose": "Nose", "neck": "Neck"}
    assert {joint: trc.marker_of(joint) for joint in names} == names
    assert trc.marker_of("keypoint_3") == "keypoint_3"


def test_trc_with_commas_is_read(tmp_path):
    """As OpenSim's users save it from spreadsheets, with a mark of UTF-8."""
    write_poses3d(tmp_path / "run.trc", some())
    text = (tmp_path / "run.trc").read_text().replace("\t", ",").replace("\n\n", "\n,,,,,\n")
    (tmp_path / "commas.trc").write_text(text, "utf-8-sig")
    first_poses3d, second_poses3d = (read_poses3d(tmp_path / name) for name in ("run.trc", "commas.trc"))
    assert first_poses3d.skeleton == second_poses3d.skeleton == COCO_17
    same(first_poses3d, second_poses3d)


def test_y_up_keeps_hands_right(tmp_path):
    poses = some()
    write_poses3d(tmp_path / "run.trc", poses, y_up=True)
    turned = read_poses3d(tmp_path / "run.trc").xyz[::2]
    np.testing.assert_allclose(turned[..., 1], poses.xyz[..., 2], atol=1e-6)
    axes = np.linalg.lstsq(poses.xyz[0], turned[0], rcond=None)[0]
    assert np.linalg.det(axes) == pytest.approx(1, abs=1e-4)


@needs_c3d
def test_c3d(tmp_path):
    poses = some(1)
    write_poses3d(tmp_path / "run.c3d", poses)
    again = read_poses3d(tmp_path / "run.c3d")
    assert again.skeleton == COCO_17
    np.testing.assert_array_equal(again.frame, np.arange(4, 15))
    np.testing.assert_allclose(again.xyz[::2], poses.xyz, atol=1e-6)
    assert again.time is not None and again.time[0] == pytest.approx(4 / 60)
    write_poses3d(tmp_path / "two.c3d", some(2))
    both = read_poses3d(tmp_path / "two.c3d")
    assert both.skeleton is not None and both.skeleton.keypoints[17] == "person2_nose"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xyz", "", "expected a file ending in .json"),
        ("a.json", "[]", r"a\.json: expected an object, got \[\]"),
        ("a.json", "{}", "field 'poses3d' is missing, expected 1, the version of a file of 3D poses"),
        (
            "a.json",
            '{"poses3d": 1, "unit": "m", "keypoint_count": 0}',
            "field 'keypoint_count': expected a whole number",
        ),
        ("a.json", '{"poses3d": 1, "unit": "mm", "poses": []}', "field 'unit'"),
        ("a.csv", "pose,x\n1,2\n", "column 'keypoint' is missing"),
        ("a.csv", "pose,keypoint,name,x,y,z\n0,0,nose,1,2,here\n", "column 'z': expected numbers"),
        ("a.trc", "a\nb\nc\nd\ne\n", "line 1: expected 'PathFileType'"),
        pytest.param("a.c3d", "not binary", "not a readable C3D", marks=needs_c3d),
    ],
)
def test_wrong_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        read_poses3d(tmp_path / name)


def test_markers_need_a_rate(tmp_path):
    with pytest.raises(InputError, match="--fps"):
        write_poses3d(tmp_path / "a.trc", Poses3D(np.zeros((2, 17, 3)), frame=np.arange(2)))

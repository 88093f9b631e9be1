"""Human3.6M's layout: joints, cameras and boxes against OpenCV's projection; what a wrong file is told."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.human36m_cases import FOCAL, SIZE, cameras, write_human36m
from trustpose.datasets.human36m import PROTOCOLS, ROOT, read_human36m
from trustpose.files import InputError
from trustpose.poses import Poses3D


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_human36m(tmp_path_factory.mktemp("human36m") / "data", (9, 11), (0, 5, 64))


def test_joints_are_where_opencv_projects_them(folder):
    data = read_human36m(folder, (9, 11), 64)
    assert len(data) == 2 * 2 * 2 and data.subject.tolist() == [9] * 4 + [11] * 4
    assert data.frame.tolist() == [0, 0, 64, 64] * 2
    matrix = np.array([[FOCAL, 0, SIZE / 2], [0, FOCAL, SIZE / 2], [0, 0, 1]])
    for row in range(len(data)):
        camera = cameras()[data.cameras[data.camera[row]].name[-1]]
        file = folder / "annotations" / f"Human36M_subject{data.subject[row]}_joint_3d.json"
        world = np.array(json.loads(file.read_text())["2"]["1"][str(data.frame[row])])
        turn = cv2.Rodrigues(np.array(camera["R"]))[0]
        xy = cv2.projectPoints(world, turn, np.array(camera["t"], float), matrix, None)[0][:, 0]
        np.testing.assert_allclose(data.truth.xy[row], xy, atol=1e-6)
        depth = (world @ np.array(camera["R"]).T + camera["t"])[:, 2] / 1000
        np.testing.assert_allclose(data.depth[row], depth - depth[ROOT], atol=1e-9)
    np.testing.assert_allclose(data.at_depth(data.truth.xy, data.depth), data.xyz, atol=1e-9)


def test_poses_in_the_world_are_the_same_for_both_cameras(folder):
    data = read_human36m(folder, (9,), 1)
    poses = data.poses()
    assert isinstance(poses, Poses3D) and poses.skeleton is not None and poses.skeleton.name == "human36m17"
    np.testing.assert_allclose(poses.xyz[::2], poses.xyz[1::2], atol=1e-9)
    world = json.loads((folder / "annotations/Human36M_subject9_joint_3d.json").read_text())["2"]["1"]["5"]
    np.testing.assert_allclose(poses.xyz[2], np.array(world) / 1000, atol=1e-9)


def test_root_boxes_are_two_metres_at_the_roots_depth(folder):
    data = read_human36m(folder, (11,), 1)
    box = data.root_boxes(2.0)
    np.testing.assert_allclose((box[:, :2] + box[:, 2:]) / 2, data.truth.xy[:, ROOT], atol=1e-9)
    expected = 2.0 * FOCAL / data.root_depth
    np.testing.assert_allclose(box[:, 2:] - box[:, :2], np.stack([expected, expected], axis=1))


def test_photos_belong_to_the_people(folder):
    data = read_human36m(folder, (11,), 64)
    people = data.people(folder)
    for index, sample in enumerate(people):
        assert sample.pixels.shape == (SIZE, SIZE, 3)
        x, y = np.rint(sample.xy[np.argmin(data.xyz[index, :, 2])]).astype(int)  # the nearest dot is in front
        assert sample.pixels[y, x].max() > 100
    assert people.labels.v.min() == 2 and people.skeleton.name == "human36m17"


def test_protocols_test_whom_they_do_not_train_on():
    assert PROTOCOLS["1"].alignment == "procrustes" and PROTOCOLS["2"].alignment == "root"
    for protocol in PROTOCOLS.values():
        assert not set(protocol.training) & set(protocol.test) and protocol.test_every == 64


def _change(folder: Path, kind: str, change) -> Path:
    path = folder / "annotations" / f"Human36M_subject9_{kind}.json"
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    return path


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        ("data", lambda value: value["images"][0].pop("cam_idx"), "image 0: field 'cam_idx' is missing"),
        ("data", lambda value: value["annotations"][1].update(bbox=[1, 2]), "annotation 1: field 'bbox': expected 4"),
        ("data", lambda value: value.pop("images"), "expected a list of images"),
        ("camera", lambda value: value.pop("2"), "field '2' is missing, expected the camera"),
        ("camera", lambda value: value["1"].update(f=[1]), "field '1.f': expected 2 numbers"),
        ("camera", lambda value: value["1"].update(R=np.ones((3, 3)).tolist()), "'1.*rotation"),
        ("camera", lambda value: [c.update(t=[9000, 0, 4000]) for c in value.values()], "people outside of their box"),
        ("joint_3d", lambda value: value["2"]["1"].pop("64"), "field '2.1.64' is missing, expected the joints of"),
        ("joint_3d", lambda value: value["2"]["1"]["0"].pop(), "field '2.1.0': expected 17 × 3 numbers"),
    ],
)
def test_a_wrong_file_is_named_with_its_field(tmp_path, kind, change, message):
    folder = write_human36m(tmp_path / "data", (9,))
    path = _change(folder, kind, change)
    with pytest.raises(InputError, match=message) as told:
        read_human36m(folder, (9,), 64)
    assert str(path) in str(told.value) and "\n" not in str(told.value)


def test_without_the_data_it_says_who_gives_a_licence(tmp_path):
    with pytest.raises(InputError, match=r"subject1_data.json: no such file.*licence from http://vision.imar.ro"):
        read_human36m(tmp_path, (1, 5))
    folder = write_human36m(tmp_path / "data", (9,), (1, 2))
    with pytest.raises(InputError, match=r"has nobody in every 64. frame"):
        read_human36m(folder, (9,), 64)

"""Hands and faces beside bodies: in Python, in results, in drawings, in videos."""

import csv
import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.predict.tiny_parts import write_part
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.cli import app
from trustpose.files import InputError
from trustpose.predict.load import load
from trustpose.predict.whole_body import predict_parts
from trustpose.report.draw import draw_poses
from trustpose.skeletons import COCO_17, COCO_WHOLEBODY_133, FACE_68, FACE_70, LSP_14
from trustpose.skeletons.whole_body import with_parts


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    return write_network(folder / "b"), write_part(folder / "h", "hand21", 21), write_part(folder / "f", "face70", 70)


@pytest.fixture(scope="module")
def photo():
    return photo_of_people(2)[0]


def test_the_skeleton_is_coco_wholebody_without_feet():
    whole = with_parts(COCO_17, hands=True, face=FACE_68)
    feet = COCO_WHOLEBODY_133.keypoints[17:23]
    assert whole.keypoints == tuple(name for name in COCO_WHOLEBODY_133.keypoints if name not in feet)
    index = whole.index_in(COCO_WHOLEBODY_133, missing="mark")
    mask = index >= 0
    np.testing.assert_array_equal(whole.sigmas[index[mask]], COCO_WHOLEBODY_133.sigmas[mask])
    for first, second in ((whole, COCO_WHOLEBODY_133), (COCO_WHOLEBODY_133, whole)):
        mirrored = {(first.keypoints[left], first.keypoints[right]) for left, right in first.flip_pairs}
        known = {(second.keypoints[left], second.keypoints[right]) for left, right in second.flip_pairs}
        assert {pair for pair in mirrored if not {*pair} & {*feet}} <= known
    assert whole.parts == (("face_kpts", 68), ("lefthand_kpts", 21), ("righthand_kpts", 21)) and whole.body_count == 17
    assert not with_parts(COCO_17, face=FACE_70).has_sigmas and len(with_parts(LSP_14, hands=True)) == 56
    with pytest.raises(ValueError, match="a keypoint name occurs twice"):
        with_parts(COCO_WHOLEBODY_133, hands=True)


def test_parts_are_those_of_predict_parts(models, photo):
    body, hands, face = models
    alone, whole = load(body, detector="whole"), load(body, detector="whole", hands=hands, face=face)
    found, bodies = whole(photo), alone(photo)
    assert found.skeleton == whole.skeleton and found.missing is not None and found.score is not None
    np.testing.assert_array_equal(found.xy[:, :17], bodies.xy)
    np.testing.assert_array_equal(found.pose_score, bodies.pose_score)
    networks = (load(hands, detector="whole"), load(face, detector="whole"))
    parts = {name: part for network in networks for name, part in predict_parts(network, photo, bodies).items()}
    starts = {"face": 17, "left_hand": 87, "right_hand": 108}
    assert sum(len(part.person) for part in parts.values())
    for name, part in parts.items():
        joints = slice(starts[name], starts[name] + part.poses.keypoint_count)
        np.testing.assert_array_equal(found.xy[part.person, joints], part.poses.xy)
        np.testing.assert_array_equal(found.score[part.person, joints], part.poses.score)
        others = np.setdiff1d(np.arange(len(found)), part.person)
        assert found.missing[others, joints].all() and not found.missing[part.person, joints].any()
    empty = whole([photo], boxes=[np.zeros((0, 4))])
    assert empty.xy.shape == (0, 129, 2)


def test_trust_stays_the_bodys(models, photo):
    _, hands, face = models
    boxes = np.array([[0.0, 0, 240, 320]])
    poses = load("default", hands=hands, face=face)(photo, boxes=boxes)
    bodies = load("default")(photo, boxes=boxes)
    assert poses.quality is not None and poses.visibility is not None and np.isnan(poses.quality[:, 17:]).all()
    np.testing.assert_array_equal(poses.quality[:, :17], bodies.quality)
    (row,), (alone,) = poses.to_coco(), bodies.to_coco()
    assert {name: row[name] for name in alone} == alone
    assert {name: len(row[name]) for name in row if name not in alone} == {
        "face_kpts": 210,
        "lefthand_kpts": 63,
        "righthand_kpts": 63,
    }
    assert draw_poses(photo, poses).shape == photo.shape


def test_command_line(models, photo, tmp_path):
    body, hands, face = models
    cv2.imwrite(str(tmp_path / "1.png"), photo[..., ::-1])
    command = ["predict", str(tmp_path / "1.png"), "--model", str(body), "--detector", "whole", "--hands", str(hands)]
    command += ["--face", str(face), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    (row,) = json.loads((tmp_path / "results.json").read_text())
    poses = load(body, detector="whole", hands=hands, face=face)(tmp_path / "1.png")
    assert poses.score is not None
    every = np.concatenate([row[name] for name in ("keypoints", "face_kpts", "lefthand_kpts", "righthand_kpts")])
    np.testing.assert_array_equal(every.reshape(-1, 3), np.dstack([poses.xy, poses.score])[0])
    assert (tmp_path / "1-poses.jpg").exists() or len(list(tmp_path.glob("1*"))) == 2
    assert CliRunner().invoke(app, [*command, "--format", "csv", "--tidy", "--no-draw"]).exit_code == 0
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == list(poses.skeleton.keypoints)
    np.testing.assert_allclose([float(row["x"]) for row in rows], poses.xy[0, :, 0])


def test_tracks_are_the_bodys(models, photo, tmp_path):
    body, hands, _ = models
    video = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 10, photo.shape[1::-1])
    for _ in range(2):
        video.write(photo[..., ::-1])
    video.release()
    for options, out in (({}, "alone"), ({"hands": hands}, "whole")):
        load(body, detector="whole", **options).run(tmp_path / "a.avi", tmp_path / out, track=True)
    alone, whole = (json.loads((tmp_path / out / "results.json").read_text()) for out in ("alone", "whole"))
    assert [row["track_id"] for row in whole] == [row["track_id"] for row in alone] and "lefthand_kpts" in whole[1]


def test_wrong_models_are_named(models):
    body, hands, face = models
    with pytest.raises(InputError, match=r"--hands: .* gives face70"):
        load(body, hands=face)
    with pytest.raises(InputError, match="gives coco17, expected a network for hand21, face68 or face70"):
        load(body, face=body)
    with pytest.raises(InputError, match=r"a keypoint name occurs twice|has no joints for left_hand"):
        load(hands, hands=hands)

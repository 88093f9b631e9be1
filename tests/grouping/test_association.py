"""CrowdPose's association in the pipeline: by hand, in Python and on the command line."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.tiny_onnx import photo_of_people, write_network
from trustpose.cli import app, main
from trustpose.files import InputError
from trustpose.grouping.crowdpose import ASSOCIATIONS, Association, JointCandidates, associated
from trustpose.poses import Poses
from trustpose.predict.boxes import Boxes
from trustpose.predict.load import load

SIGMAS = np.array([0.05, 0.05])
A, B = [10.0, 10], [90.0, 90]


def _photo(box_score: list[float]):
    """Two boxes with the same best place of joint 0, of which only the second knows another; joint 1 is found by the
    first box alone. Columns: x, y, σ, height, box, joint."""
    table = np.array([[*A, 4, 0.9, 0, 0], [*A, 4, 0.8, 1, 0], [*B, 4, 0.6, 1, 0], [50, 10, 4, 0.7, 0, 1]])
    candidates = JointCandidates(table[:, :2], *table[:, 2:4].T, *table[:, 4:].T.astype(int))
    poses = Poses(
        xy=np.array([[A, [50.0, 10]], [A, [70.0, 70]]]),
        score=np.array([[0.9, 0.7], [0.8, 0.01]]),
        pose_score=np.array([0.8, 0.405]),
        box=np.array([[0.0, 0, 100, 100]] * 2),
        box_score=np.array(box_score),
        image_id=np.zeros(2, int),
    )
    return poses, candidates


def test_each_joint_goes_to_one_person():
    poses, candidates = _photo([1.0, 1.0])
    left = associated(poses, candidates, ASSOCIATIONS["global"], SIGMAS)
    np.testing.assert_array_equal(left.xy, [[A, [50, 10]], [B, [70, 70]]])  # who gets no joint keeps its place
    np.testing.assert_array_equal(left.score, [[0.9, 0.7], [0.6, 0]])
    np.testing.assert_allclose(left.pose_score, [0.8, 0.3])
    paper = associated(poses, candidates, ASSOCIATIONS["crowdpose"], SIGMAS)
    np.testing.assert_array_equal(paper.missing, [[False, False], [False, True]])
    np.testing.assert_array_equal(paper.xy, [[A, [50, 10]], [B, [0, 0]]])
    alone = associated(poses, candidates, ASSOCIATIONS["crowdpose"], SIGMAS, np.array([False, True]))
    np.testing.assert_array_equal(alone.xy, [[A, [0, 0]]])  # nobody else wants the better one


def test_scores_of_boxes_and_duplicates():
    poses, candidates = _photo([0.1, 1.0])
    left = associated(poses, candidates, Association(overlap=None), SIGMAS)
    np.testing.assert_array_equal(left.xy[1, 0], A)  # 0.8 × 1 is more than 0.9 × 0.1 + 0.6 × 1
    np.testing.assert_array_equal(left.score[0], [0, 0.7])
    ignored = associated(poses, candidates, Association(overlap=None, by_box=False), SIGMAS)
    np.testing.assert_array_equal(ignored.xy[1, 0], B)
    only = associated(poses, candidates, Association(overlap=0.1), SIGMAS)
    np.testing.assert_array_equal(only.box_score, [1.0])
    nobody = associated(poses, candidates, Association(overlap=None, min_score=0.95, keeps_place=False), SIGMAS)
    assert len(nobody) == 0
    with pytest.raises(ValueError, match="overlap: expected an OKS from 0 to 1, got 2"):
        Association(overlap=2)


def test_predicted_in_python_and_on_the_command_line(tmp_path, capsys):
    photo, xy, boxes = photo_of_people(2)
    boxes[1] = [boxes[0, 0], boxes[0, 1], boxes[1, 2], boxes[1, 3]]  # sees both people
    cv2.imwrite(str(tmp_path / "1.png"), photo[..., ::-1])
    network = write_network(tmp_path)
    given = Boxes(boxes, np.zeros(2, np.int64))
    wide = replace(ASSOCIATIONS["crowdpose"], distance=1.5)  # the wide box sees half as sharply
    ways = ("none", wide, "crowdpose")
    alone, apart, shared = (load(network, association=how, threads=2)(photo, boxes=given) for how in ways)
    same = [np.linalg.norm(found.xy[0] - found.xy[1], axis=1) < 15 for found in (alone, apart)]
    assert same[0].sum() >= 4 and same[1].sum() == 0  # without, the wide box takes joints of the first person
    own = [(np.linalg.norm(found.xy[1] - xy[1], axis=1) < 15).sum() for found in (alone, apart)]
    assert own[1] > own[0]
    np.testing.assert_array_equal(apart.xy[0], alone.xy[0])
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()
    rows = [{"image_id": 1, "category_id": 1, "bbox": one, "score": 1.0} for one in sides]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    command = ["predict", str(tmp_path / "1.png"), "--model", str(network), "--boxes", str(tmp_path / "boxes.json")]
    command += ["--no-draw", "--suppression", "none"]
    assert CliRunner().invoke(app, [*command, "--association", "crowdpose", "--out", str(tmp_path)]).exit_code == 0
    written = json.loads((tmp_path / "results.json").read_text())
    np.testing.assert_allclose(np.reshape([row["keypoints"] for row in written], (2, 17, 3))[..., :2], shared.xy)
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main([*command, "--association", "all", "--out", str(tmp_path / "other")])
    assert done.value.code == 2 and "association: expected one of global, crowdpose, none" in capsys.readouterr().err


def test_not_for_every_model(tmp_path):
    with pytest.raises(InputError, match="decodes by integral; association expects one of argmax-quarter, dark, udp"):
        load(write_network(tmp_path), association="global", decoding="integral")
    with pytest.raises(InputError, match="second_crop: averages one place a joint"):
        load(write_network(tmp_path), association="global", second_crop=1.15)
    with pytest.warns(UserWarning, match="association moves joints; no trust is written"):
        predictor = load("default", association="global")
    with pytest.raises(InputError, match="load it without association"):
        predictor.judge(np.zeros((8, 8, 3), np.uint8), Poses(np.zeros((0, 17, 2))))

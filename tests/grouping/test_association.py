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
from trustpose.grouping.association import ASSOCIATIONS
from trustpose.grouping.crowdpose import Association, JointCandidates, assign_joints
from trustpose.grouping.deepcut import DeepCut
from trustpose.grouping.deepcut_terms import PairwiseTerms, shipped_terms
from trustpose.poses import Poses
from trustpose.predict.boxes import Boxes
from trustpose.predict.load import load
from trustpose.skeletons import COCO_17, HAND_21

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
    assigned = assign_joints(poses, candidates, ASSOCIATIONS["global"], SIGMAS)
    np.testing.assert_array_equal(assigned.xy, [[A, [50, 10]], [B, [70, 70]]])  # who gets no joint keeps its place
    np.testing.assert_array_equal(assigned.score, [[0.9, 0.7], [0.6, 0]])
    np.testing.assert_allclose(assigned.pose_score, [0.8, 0.3])
    paper = assign_joints(poses, candidates, ASSOCIATIONS["crowdpose"], SIGMAS)
    np.testing.assert_array_equal(paper.missing, [[False, False], [False, True]])
    np.testing.assert_array_equal(paper.xy, [[A, [50, 10]], [B, [0, 0]]])
    alone = assign_joints(poses, candidates, ASSOCIATIONS["crowdpose"], SIGMAS, np.array([False, True]))
    np.testing.assert_array_equal(alone.xy, [[A, [0, 0]]])  # nobody else wants the better one


def test_scores_of_boxes_and_duplicates():
    poses, candidates = _photo([0.1, 1.0])
    assigned = assign_joints(poses, candidates, Association(overlap=None), SIGMAS)
    np.testing.assert_array_equal(assigned.xy[1, 0], A)  # 0.8 × 1 is more than 0.9 × 0.1 + 0.6 × 1
    np.testing.assert_array_equal(assigned.score[0], [0, 0.7])
    ignored = assign_joints(poses, candidates, Association(overlap=None, by_box=False), SIGMAS)
    np.testing.assert_array_equal(ignored.xy[1, 0], B)
    only = assign_joints(poses, candidates, Association(overlap=0.1), SIGMAS)
    np.testing.assert_array_equal(only.box_score, [1.0])
    nobody = assign_joints(poses, candidates, Association(overlap=None, min_score=0.95, keep_unassigned=False), SIGMAS)
    assert len(nobody) == 0
    with pytest.raises(ValueError, match="overlap: expected an OKS from 0 to 1, got 2"):
        Association(overlap=2)


STANDING = np.array(  # of a body of 1 × 2, COCO's joints
    [
        *((0.5, 0.15), (0.55, 0.1), (0.45, 0.1), (0.62, 0.13), (0.38, 0.13), (0.75, 0.4), (0.25, 0.4), (0.85, 0.7)),
        *((0.15, 0.7), (0.9, 1.0), (0.1, 1.0), (0.65, 1.0), (0.35, 1.0), (0.65, 1.45), (0.35, 1.45), (0.65, 1.9)),
        (0.35, 1.9),
    ]
)


def test_deepcut_groups_candidates_whichever_box_they_come_from():
    """Two people 60 pixels apart, each seen by both boxes; some candidates stand twice, one is nobody's."""
    xy = STANDING * 100 + np.array([[[20.0, 0]], [[180.0, 0]]])
    box = np.array([[0.0, 0, 300, 200], [20, 0, 120, 200]])
    person, joint = np.divmod(np.arange(34), 17)
    random = np.random.default_rng(0)
    seen = np.concatenate([xy.reshape(-1, 2), xy[0, :5] + 0.5, [[150, 195.0]]])
    of_box = np.concatenate([(joint + person) % 2, np.ones(5, int), [0]])
    joint = np.concatenate([joint, np.arange(5), [0]])
    score = np.concatenate([random.uniform(0.6, 0.9, 34), np.full(5, 0.3), [0.15]])
    candidates = JointCandidates(seen, np.full(40, 8.0), score, of_box, joint)
    far = np.zeros((2, 17, 2))
    far[1] += 100
    poses = Poses(far, np.ones((2, 17)), np.ones(2), box=box, box_score=np.array([0.9, 0.8]), image_id=np.full(2, 7))
    people = DeepCut(distance=0.5).apply(poses, candidates, COCO_17)
    order = np.argsort(people.xy[:, 0, 0])
    np.testing.assert_array_equal(people.xy[order], xy)
    np.testing.assert_array_equal(people.score[order], score[:34].reshape(2, 17))
    assert not people.missing.any() and (people.image_id == 7).all() and (people.box_score == 0.9).all()
    few = DeepCut(min_score=0.8).apply(poses, candidates, COCO_17)
    np.testing.assert_array_equal(np.sort(few.score[~few.missing]), np.sort(score[score >= 0.8]))
    with pytest.warns(UserWarning, match=r"not proven optimal within 1e-06 s"):
        DeepCut(time_limit=1e-6).apply(poses, candidates, COCO_17)
    with pytest.raises(InputError, match="for coco17, none for hand21"):
        shipped_terms(HAND_21)


def test_pairwise_terms_in_a_file(tmp_path):
    terms = shipped_terms(COCO_17)
    terms.save(tmp_path / "terms.npz")
    again = PairwiseTerms.load(tmp_path / "terms.npz")
    np.testing.assert_array_equal(again.weights, terms.weights)
    np.testing.assert_array_equal(again.bias, terms.bias)
    xy = STANDING * 100
    together = terms.together(xy, np.full(17, 141.0))
    assert np.median(together[np.arange(17)[:, None], np.arange(17), np.arange(17)[:, None], np.arange(17)]) > 0.6
    (tmp_path / "none.npz").write_bytes(b"nothing")
    with pytest.raises(InputError, match="is not a file of pairwise terms"):
        PairwiseTerms.load(tmp_path / "none.npz")


def test_predicted_in_python_and_on_the_command_line(tmp_path, capsys):
    photo, xy, boxes = photo_of_people(2)
    boxes[1] = [boxes[0, 0], boxes[0, 1], boxes[1, 2], boxes[1, 3]]  # sees both people
    cv2.imwrite(str(tmp_path / "1.png"), photo[..., ::-1])
    network = write_network(tmp_path)
    given = Boxes(boxes, np.zeros(2, np.int64))
    wide = replace(ASSOCIATIONS["crowdpose"], distance=1.5)  # the wide box sees half as sharply
    ways = ("none", wide, "crowdpose")
    alone, second_poses, shared = (load(network, association=way, threads=2)(photo, boxes=given) for way in ways)
    same = [np.linalg.norm(found.xy[0] - found.xy[1], axis=1) < 15 for found in (alone, second_poses)]
    assert same[0].sum() >= 4 and same[1].sum() == 0  # without, the wide box takes joints of the first person
    own = [(np.linalg.norm(found.xy[1] - xy[1], axis=1) < 15).sum() for found in (alone, second_poses)]
    assert own[1] > own[0]
    np.testing.assert_array_equal(second_poses.xy[0], alone.xy[0])
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1).tolist()
    rows = [{"image_id": 1, "category_id": 1, "bbox": side, "score": 1.0} for side in sides]
    (tmp_path / "boxes.json").write_text(json.dumps(rows))
    command = ["predict", str(tmp_path / "1.png"), "--model", str(network), "--boxes", str(tmp_path / "boxes.json")]
    command += ["--no-draw", "--suppression", "none"]
    assert CliRunner().invoke(app, [*command, "--association", "crowdpose", "--out", str(tmp_path)]).exit_code == 0
    written = json.loads((tmp_path / "results.json").read_text())
    np.testing.assert_allclose(np.reshape([row["keypoints"] for row in written], (2, 17, 3))[..., :2], shared.xy)
    capsys.readouterr()
    with pytest.raises(SystemExit) as done:
        main([*command, "--association", "all", "--out", str(tmp_path / "other")])
    assert (
        done.value.code == 2
        and "--association: expected one of none, global, crowdpose, deepcut" in capsys.readouterr().err
    )


def test_not_for_every_model(tmp_path):
    with pytest.raises(InputError, match="decodes by integral; association expects one of argmax-quarter, dark, udp"):
        load(write_network(tmp_path), association="global", codec="integral")
    with pytest.raises(InputError, match="second_crop: averages one position per joint"):
        load(write_network(tmp_path), association="global", second_crop=1.15)
    with pytest.warns(UserWarning, match="association moves joints; no trust is written"):
        predictor = load("default", association="global")
    with pytest.raises(InputError, match="load it without association"):
        predictor.judge(np.zeros((8, 8, 3), np.uint8), Poses(np.zeros((0, 17, 2))))

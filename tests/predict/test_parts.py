"""Hands and faces of known bodies: boxes from the joints, and networks that see them there, left hands mirrored."""

import numpy as np
import pytest

from tests.predict.tiny_parts import write_part
from trustpose.files import InputError
from trustpose.geometry.boxes import face_boxes, hand_boxes
from trustpose.poses import Poses
from trustpose.predict.load import load
from trustpose.predict.predictor import Predictor
from trustpose.predict.whole_body import part_boxes, predict_parts
from trustpose.skeletons import COCO_17, LSP_14, OPENPOSE_COCO_18, OPENPOSE_MPI_15


@pytest.fixture(scope="module")
def hands(tmp_path_factory) -> Predictor:
    network = load(write_part(tmp_path_factory.mktemp("parts") / "hand", "hand21", 21))
    assert isinstance(network, Predictor)
    return network


def _body(**moved: tuple[float, float]) -> Poses:
    """One COCO person of 400 × 400 pixels who holds both arms out."""
    positions = {
        **{"left_shoulder": (240, 150), "left_elbow": (300, 150), "left_wrist": (340, 150)},
        **{"right_shoulder": (160, 150), "right_elbow": (100, 150), "right_wrist": (60, 150)},
        **{"nose": (200, 100), "left_eye": (215, 85), "right_eye": (185, 85), "left_ear": (230, 90)},
        "right_ear": (170, 90),
    } | moved
    xy = np.array([[positions.get(name, (0, 0)) for name in COCO_17.keypoints]], float)
    missing = np.array([[name not in positions for name in COCO_17.keypoints]])
    return Poses(xy, score=np.ones((1, 17)), missing=missing, track_id=np.array([4]), skeleton=COCO_17)


def test_boxes_of_any_skeleton():
    body = _body()
    boxes = part_boxes(body)
    at = {name: body.xy[:, COCO_17.index(name)] for name in COCO_17.keypoints}
    expected = hand_boxes(at["left_wrist"], at["left_elbow"], at["left_shoulder"])
    np.testing.assert_allclose(expected, [[312.7, 109.5, 393.7, 190.5]])  # 54 × 1.5 wide: 0.9 × the upper arm's 60
    np.testing.assert_allclose(boxes["left_hand"], expected)
    np.testing.assert_allclose(boxes["right_hand"], [[6.3, 109.5, 87.3, 190.5]])
    eyes, ears = (np.stack([at[f"left_{name}"], at[f"right_{name}"]], axis=1) for name in ("eye", "ear"))
    expected = face_boxes(np.array([[200.0, 150]]), at["nose"], eyes, ears)  # the neck between the shoulders
    np.testing.assert_allclose(boxes["face"], expected)
    assert np.isnan(part_boxes(body, min_score=1.0)["face"]).all()
    absent = np.zeros((1, 17, 3))
    absent[..., 2] = 1
    absent[0, COCO_17.index("left_wrist")] = [1, 0, 0]
    unseen = part_boxes(Poses(body.xy, visibility=absent, missing=body.missing, skeleton=COCO_17))
    assert np.isnan(unseen["left_hand"]).all() and np.isfinite(unseen["right_hand"]).all()
    no_scores = part_boxes(Poses(body.xy, missing=body.missing, skeleton=COCO_17), min_score=1.0)
    np.testing.assert_array_equal(no_scores["face"], boxes["face"])
    one = np.ones((1, 1, 2))
    assert [*part_boxes(Poses(np.tile(one, (1, 14, 1)), skeleton=LSP_14))] == ["left_hand", "right_hand"]
    assert [*part_boxes(Poses(np.tile(one, (1, 18, 1)), skeleton=OPENPOSE_COCO_18))][-1] == "face"
    assert [*part_boxes(Poses(np.tile(one, (1, 15, 1)), skeleton=OPENPOSE_MPI_15))][-1] == "face"
    with pytest.raises(ValueError, match="expected one that names the joints"):
        part_boxes(Poses(np.ones((1, 17, 2))))


def test_hands_are_where_their_pixels_are(hands):
    """One red dot near each wrist; all joints stand on it, on the left as on the right, in each of two photos."""
    photos = np.zeros((2, 300, 400, 3), np.uint8)
    dots = np.array([[[360, 160], [25, 140]], [[340, 130], [70, 165]]])  # left and right of each photo
    for photo, (left, right) in zip(photos, dots, strict=True):
        for x, y in (left, right):
            photo[y - 4 : y + 5, x - 4 : x + 5, 0] = 200
    bodies = Poses.concatenate([_body(), _body(right_wrist=(500.0, 150.0)), _body()])
    bodies = Poses(**{**vars(bodies), "image_id": np.array([1, 1, 0]), "track_id": np.array([7, 8, 9])})
    parts = predict_parts(hands, list(photos), bodies)
    assert list(parts) == ["left_hand", "right_hand"]
    for index, (part, people) in enumerate(zip(parts.values(), ([2, 0, 1], [2, 0]), strict=True)):
        person, poses = part  # the second person's right hand is outside the photo
        assert person.tolist() == people and poses.skeleton is not None and poses.skeleton.name == "hand21"
        assert poses.image_id is not None and poses.track_id is not None and poses.box is not None
        assert (
            poses.image_id.tolist() == [0, 1, 1][: len(people)] and poses.track_id.tolist() == [9, 7, 8][: len(people)]
        )
        expected = dots[poses.image_id, index]
        np.testing.assert_allclose(
            poses.xy, np.broadcast_to(expected[:, None], poses.xy.shape), atol=2.6
        )  # half a cell
        boxes = part_boxes(bodies)[["left_hand", "right_hand"][index]][person]
        np.testing.assert_allclose(poses.box, boxes)
        np.testing.assert_allclose(poses.score[:, 20] / poses.score[:, 0], 1.2, rtol=1e-5)


def test_faces_that_are_too_small_are_left_out(tmp_path):
    network = load(write_part(tmp_path / "face", "face70", 70))
    small = _body()
    small = Poses(small.xy / 8, missing=small.missing, skeleton=COCO_17)
    photo = np.zeros((300, 400, 3), np.uint8)
    assert list(predict_parts(network, photo, _body())["face"].person) == [0]
    part = predict_parts(network, photo, small)["face"]
    assert part.person.shape == (0,) and part.poses.xy.shape == (0, 70, 2)


def test_wrong_networks_and_bodies_are_named(hands, tmp_path):
    photo = np.zeros((300, 400, 3), np.uint8)
    with pytest.raises(InputError, match="gives coco17, expected a network for hand21, face68 or face70"):
        predict_parts(load("default"), photo, _body())
    with pytest.raises(ValueError, match=r"image_id: expected numbers from 0 to 1"):
        predict_parts(hands, [photo, photo], _body())
    face = load(write_part(tmp_path / "face", "face70", 70))
    with pytest.raises(InputError, match="the skeleton lsp14 has no joints for face"):
        predict_parts(face, photo, Poses(np.ones((1, 14, 2)), skeleton=LSP_14))

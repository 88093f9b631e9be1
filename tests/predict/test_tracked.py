"""Boxes carried from frame to frame, joined with the detector's; people followed where the detector misses them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.tiny_onnx import photo_of_people, write_network
from tests.tracking.cases import walking
from trustpose.geometry.crops import Boxes
from trustpose.poses import Poses
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.predict.tracked import default_tracker, inside, joined, tracked_predictions
from trustpose.tracking import both_distance, box_distance

LAST = replace(walking([0, 300], [0, 0], 1), box_score=np.array([0.9, 0.99]))
AROUND = LAST.keypoint_box()


def _boxes(*rows: np.ndarray, score: list[float]) -> Boxes:
    return Boxes(np.array(rows).reshape(-1, 4), np.zeros(len(rows), np.int64), np.array(score))


def test_the_better_box_of_a_person_stays() -> None:
    found = joined(_boxes(AROUND[0], AROUND[1], score=[0.5, 0.95]), LAST, 7)
    assert found.score is not None and found.image_id.tolist() == [7, 7]
    np.testing.assert_allclose(found.score, [0.95, 0.81])  # 0.99 × 0.9 is less than 0.95, and 0.9 × 0.9 more than 0.5
    size = AROUND[0, 2:] - AROUND[0, :2]
    np.testing.assert_allclose(found.xyxy[1, 2:] - found.xyxy[1, :2], size * 1.15)
    np.testing.assert_array_equal(found.xyxy[0], AROUND[1])


def test_a_missed_person_is_carried_until_the_score_has_faded() -> None:
    nobody, score, frames = _boxes(score=[]), LAST.box_score, 0
    while len(found := joined(nobody, replace(LAST, box_score=score), 0)):
        score, frames = np.resize(found.score, 2), frames + 1
    assert frames == 3  # 0.99 × 0.9³ is the last above 0.7
    doubtful = replace(LAST, box_score=np.array([0.3, 0.77]))
    assert not len(joined(nobody, doubtful, 0))


def test_what_has_no_score_or_place_is_not_carried() -> None:
    plain = Boxes(AROUND, np.zeros(2, np.int64))
    assert joined(plain, LAST, 0) is plain
    boxes = _boxes(AROUND[0], score=[0.5])
    assert joined(boxes, None, 0) is boxes and joined(boxes, replace(LAST, box_score=None), 0) is boxes
    nowhere = replace(LAST, missing=np.ones((2, 17), bool))
    assert len(joined(boxes, nowhere, 0)) == 1


def test_boxes_end_at_the_frame() -> None:
    boxes = _boxes(np.array([-5.0, 10, 20, 30]), np.array([99.0, 0, 120, 50]), score=[0.5, 0.6])
    assert inside(boxes, 100, 100).xyxy.tolist() == [[0, 10, 20, 30]]


@pytest.fixture
def frames(tmp_path):
    """A photo of two people that moves by 6 pixels a frame, and a detector that sees them in the first three frames
    and the last two."""
    write_network(tmp_path)
    photo, _, boxes = photo_of_people(2)
    moved = [
        cv2.warpAffine(photo, np.array([[1.0, 0, 6 * index], [0, 1, 0]]), photo.shape[1::-1]) for index in range(8)
    ]
    by_pixels = {one.tobytes(): index for index, one in enumerate(moved)}

    def detector(pixels: np.ndarray) -> Boxes:
        at = by_pixels[pixels.tobytes()]
        seen = len(boxes) if at in (0, 1, 2, 6, 7) else 0
        rows = (boxes + np.array([6 * at, 0, 6 * at, 0]))[:seen]
        return Boxes(rows.astype(float), np.zeros(seen, np.int64), np.full(seen, 0.99))

    predictor = load(tmp_path / "colours.onnx", detector=detector)
    return predictor, [Image(pixels, image_id=index) for index, pixels in enumerate(moved)]


def _tracked(predictor, photos, **options) -> list[Poses]:
    tracker = default_tracker(predictor)
    return [prediction.poses for prediction in tracked_predictions(predictor, photos, tracker, **options)]


def test_people_are_followed_where_the_detector_misses_them(frames) -> None:
    predictor, photos = frames
    without = _tracked(predictor, photos)
    assert [len(one) for one in without] == [2, 2, 2, 0, 0, 0, 2, 2]
    followed = _tracked(predictor, photos, flow=True)
    assert [len(one) for one in followed] == [2] * 8
    assert all(set(one.track_id.tolist()) == {1, 2} for one in followed)
    for index in range(3, 6):  # they stand still in the photo
        order = np.argsort(followed[index].track_id)
        first = np.argsort(followed[0].track_id)
        off = followed[index].xy[order] - followed[0].xy[first] - np.array([6 * index, 0])
        assert np.median(np.abs(off)) < 4
    np.testing.assert_allclose(followed[5].box_score, 0.99 * 0.9**3)


def test_known_frames_give_the_same_ids(frames) -> None:
    predictor, photos = frames
    whole = _tracked(predictor, photos, flow=True)
    known = {index: replace(whole[index], skeleton=None) for index in range(4)}
    blank = Boxes(np.zeros((0, 4)), np.zeros(0, np.int64))
    again = [replace(photo, boxes=blank) if index in known else photo for index, photo in enumerate(photos)]
    resumed = _tracked(predictor, again, flow=True, earlier_poses=known)
    for first, second in zip(whole, resumed, strict=True):
        np.testing.assert_array_equal(first.track_id, second.track_id)
        np.testing.assert_array_equal(first.xy, second.xy)


def test_without_sigmas_boxes_are_compared(frames) -> None:
    predictor, _ = frames
    assert default_tracker(predictor).distance is both_distance
    predictor.skeleton = replace(predictor.skeleton, _sigmas=None, sigmas_source=None)
    assert default_tracker(predictor).distance is box_distance

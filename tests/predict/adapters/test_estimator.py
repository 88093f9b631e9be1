"""The predictor around an estimator, with a stand-in for the estimator; and the names that open the real ones."""

import re
import threading
from dataclasses import replace

import numpy as np
import pytest

import trustpose as tp
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.adapters.estimator import EstimatorPredictor, PeopleFrom, package
from trustpose.predict.boxes import Boxes, whole_photo
from trustpose.skeletons import BLAZEPOSE_33, COCO_17


class Colours:
    """An estimator that sees as many people as the photo's first pixel is red, each with scores of its own."""

    def __init__(self, people: PeopleFrom = "photo", skeleton=COCO_17):
        self.name, self.licence, self.skeleton, self.people = "colours", "Apache-2.0", skeleton, people
        self.running = threading.Lock()

    def __call__(self, pixels, boxes=None):
        assert self.running.acquire(blocking=False), "called from two threads at once"
        count = int(pixels[0, 0, 0]) if boxes is None else len(boxes)
        k = len(self.skeleton)
        xy = np.arange(count * k * 2, dtype=float).reshape(count, k, 2) + pixels[0, 0, 1]
        score = -xy[..., 0]
        poses = Poses(xy=xy, score=score, pose_score=np.linspace(0.0, 1.0, count) if count else np.zeros(0))
        if boxes is not None:
            poses = replace(poses, box=boxes.xyxy, box_score=boxes.score, annotation_id=boxes.annotation_id)
        self.running.release()
        return poses


def photo(people, shade=0):
    pixels = np.zeros((4, 6, 3), np.uint8)
    pixels[0, 0] = [people, shade, 0]
    return pixels


def test_image_by_image_whatever_the_threads():
    photos = [photo(people, shade) for shade, people in enumerate([2, 0, 1, 3, 0, 1])]
    first_poses, many = (EstimatorPredictor(Colours(), threads=threads)(photos) for threads in (1, 4))
    assert first_poses.image_id.tolist() == many.image_id.tolist() == [0, 0, 2, 3, 3, 3, 5]
    np.testing.assert_array_equal(first_poses.xy, many.xy)
    np.testing.assert_array_equal(first_poses.xy[2], Colours()(photo(1, 2)).xy[0])
    nobody = EstimatorPredictor(Colours())(photo(0))
    assert len(nobody) == 0 and nobody.keypoint_count == 17


def test_people_are_dropped_only_with_min_score():
    assert len(EstimatorPredictor(Colours())(photo(5))) == 5
    assert EstimatorPredictor(Colours(), min_score=0.5)(photo(5)).pose_score.tolist() == [0.5, 0.75, 1.0]
    boxes = np.array([[0.0, 0, 2, 2], [1, 1, 3, 3]])
    assert len(EstimatorPredictor(Colours("either"), min_score=0.5)(photo(5), boxes=boxes)) == 2


def test_boxes_detectors_and_whole_photos():
    boxes = Boxes(np.array([[0.0, 0, 2, 2], [1, 1, 3, 3]]), np.array([1, 0]), np.array([0.5, 0.6]), np.array([7, 9]))
    poses = EstimatorPredictor(Colours("boxes"))([photo(9), photo(9)], boxes=boxes)
    assert poses.annotation_id.tolist() == [9, 7] and poses.box_score.tolist() == [0.6, 0.5]
    np.testing.assert_array_equal(EstimatorPredictor(Colours("boxes"))(photo(9)).box, [[0, 0, 6, 4]])
    assert len(EstimatorPredictor(Colours("either"))(photo(3))) == 3
    assert len(EstimatorPredictor(Colours("either"), detector=whole_photo)(photo(3))) == 1
    assert len(EstimatorPredictor(Colours("boxes"))(photo(3), boxes=np.zeros((0, 4)))) == 0
    with pytest.raises(InputError, match="colours: finds the people of whole photos by itself; it takes no detector"):
        EstimatorPredictor(Colours(), detector=whole_photo)


def test_another_skeleton():
    predictor = EstimatorPredictor(Colours(skeleton=BLAZEPOSE_33), skeleton=COCO_17)
    assert predictor.skeleton == COCO_17 and predictor(photo(0)).keypoint_count == 17
    poses = EstimatorPredictor(Colours(skeleton=BLAZEPOSE_33))(photo(2))
    indexes = [BLAZEPOSE_33.keypoints.index(name) for name in COCO_17.keypoints]
    np.testing.assert_array_equal(predictor(photo(2)).xy, poses.xy[:, indexes])


def test_a_photo_that_cannot_be_read(tmp_path):
    (tmp_path / "broken.jpg").write_text("no photo")
    with pytest.raises(InputError, match=r"broken\.jpg"):
        EstimatorPredictor(Colours())([photo(1), tmp_path / "broken.jpg"])


def test_names():
    for name in ("network.onnx", "./mediapipe"):  # the second one a file
        with pytest.raises(InputError, match=f"^{re.escape(name)}: no such file"):
            tp.load(name)


@pytest.mark.parametrize("prefix", sorted(ADAPTERS))
def test_without_the_package(prefix, monkeypatch, tmp_path):
    """One line that says what to install."""
    adapter = ADAPTERS[prefix]
    real = __import__("importlib").import_module

    def missing(name, *rest):
        if name.partition(".")[0] == adapter.package or name.endswith((".vitpose", ".keypoint_rcnn")):
            raise ModuleNotFoundError(f"No module named {adapter.package!r}", name=adapter.package)
        return real(name, *rest)

    monkeypatch.setattr("trustpose.predict.adapters.import_module", missing)
    monkeypatch.setattr("trustpose.predict.adapters.estimator.import_module", missing)
    (tmp_path / "file").write_text("there")
    with pytest.raises(InputError, match=f"^{re.escape(not_installed(adapter.package, adapter.extra))}$"):
        tp.load(f"{prefix}:{tmp_path / 'file'}")


def test_a_package_that_lacks_one_of_its_own():
    with pytest.raises(InputError, match=f"^{re.escape(not_installed('nothing_like_it', 'train'))}$"):
        package("nothing_like_it.inside", "train")

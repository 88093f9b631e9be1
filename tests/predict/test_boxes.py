"""Boxes from ground truth and from detections, the selected people, and faults of files."""

import json

import numpy as np
import pytest

from trustpose.files import InputError
from trustpose.io.coco.truth import read_coco_truth
from trustpose.poses import Truth
from trustpose.predict.boxes import Boxes, boxes_from_detections, boxes_from_truth, check_boxes


def _truth(**columns):
    v = np.array([[2, 1], [0, 0], [2, 0], [1, 1]])
    box = np.array([[0.0, 0, 5, 5], [1, 1, 2, 2], [3, 3, 9, 9], [np.nan] * 4])
    return Truth(
        **{
            "xy": np.zeros((4, 2, 2)),
            "v": v,
            "box": box,
            "image_id": np.array([7, 7, 5, 5]),
            "annotation_id": np.array([1, 2, 3, 4]),
            **columns,
        }
    )


def test_boxes_of_the_selected_people():
    assert boxes_from_truth(_truth()).annotation_id.tolist() == [1, 3]
    assert boxes_from_truth(_truth(), "boxed").annotation_id.tolist() == [1, 2, 3]
    crowd = _truth(iscrowd=np.array([True, False, False, False]))
    assert boxes_from_truth(crowd, "boxed").annotation_id.tolist() == [2, 3]
    with pytest.raises(InputError, match="bbox"):
        boxes_from_truth(_truth(box=None))


def test_by_image_in_the_order_of_the_rows():
    boxes = boxes_from_truth(_truth(), "boxed")
    parts = boxes.of_images(np.array([5, 6, 7]))
    assert [part.annotation_id.tolist() for part in parts] == [[3], [], [1, 2]]
    np.testing.assert_array_equal(parts[2].xyxy, boxes.xyxy[:2])


def test_the_protocol_of_the_published_table(data_dir):
    """990 of the 1,496 people in dev have a labelled keypoint."""
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json").truth
    rows = json.loads((data_dir / "results" / "simplepose.dev.json").read_bytes())
    assert sorted(boxes_from_truth(truth).annotation_id) == sorted(row["annotation_id"] for row in rows)
    assert len(boxes_from_truth(truth, "boxed")) == 1496


def _detections(tmp_path, rows):
    path = tmp_path / "detections.json"
    path.write_text(json.dumps(rows))
    return path


def test_detections(tmp_path):
    rows = [
        {"image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9},
        {"image_id": 3, "category_id": 18, "bbox": [0, 0, 1, 1], "score": 0.8},
        {"image_id": 1, "category_id": 1, "bbox": [5, 5, 0, 1.5], "score": 0.1},
    ]
    boxes = boxes_from_detections(_detections(tmp_path, rows))
    np.testing.assert_array_equal(boxes.xyxy, [[1, 2, 4, 6], [5, 5, 5, 6.5]])
    assert boxes.score.tolist() == [0.9, 0.1] and boxes.image_id.tolist() == [3, 1] and boxes.annotation_id is None
    assert len(boxes_from_detections(_detections(tmp_path, rows), min_score=0.5)) == 1
    assert isinstance(boxes[np.array([0])], Boxes)


def test_real_detections(data_dir):
    boxes = boxes_from_detections(data_dir / "coco" / "dev_detections.json")
    assert len(boxes) == 2106 and len(np.unique(boxes.image_id)) == 70


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"bbox": [1, 2, 3]}, "bbox"),
        ({"bbox": [1, 2, -3, 4]}, "bbox"),
        ({"bbox": None}, "bbox"),
        ({"score": "high"}, "score"),
        ({"image_id": 1.5}, "image_id"),
        ({"category_id": None}, "category_id"),
    ],
)
def test_wrong_detections_are_named(tmp_path, change, field):
    good = {"image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.9}
    with pytest.raises(InputError, match=rf"detections\.json: detection 1: field '{field}'"):
        boxes_from_detections(_detections(tmp_path, [good, good | change]))


@pytest.mark.parametrize("content", ["[]", "{}", "[1]", "", "[{}]", '[{"image_id": NaN}]'])
def test_files_without_detections(tmp_path, content):
    path = tmp_path / "detections.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"detections\.json"):
        boxes_from_detections(path)


def test_no_detections_of_the_category(tmp_path):
    row = {"image_id": 3, "category_id": 2, "bbox": [1, 2, 3, 4], "score": 0.9}
    with pytest.raises(InputError, match="category 1"):
        boxes_from_detections(_detections(tmp_path, [row]))


def test_a_file_of_normalised_or_negative_boxes_is_refused(tmp_path):
    row = {"image_id": 1, "category_id": 1, "score": 0.5}
    path = _detections(tmp_path, [row | {"bbox": [0.1, 0.2, 0.3, 0.4]}, row | {"bbox": [0.5, 0.5, 0.5, 0.5]}])
    with pytest.raises(InputError, match=r"detection 0: field 'bbox': all boxes lie within 0 to 1: expected pixels"):
        boxes_from_detections(path)
    path = _detections(tmp_path, [row | {"bbox": [10, 20, 30, 40]}, row | {"bbox": [90, 20, -30, 40]}])
    with pytest.raises(InputError, match=r"detection 1: field 'bbox': expected a width and height of at least 0, got"):
        boxes_from_detections(path)


def test_xyxy_boxes_in_a_file_are_detected_by_the_photos_size(tmp_path):
    """A COCO file has xywh; [300, 100, 600, 400] in a photo of 640 x 480 is xyxy."""
    row = {"image_id": 1, "category_id": 1, "score": 0.5}
    xyxy = [row | {"bbox": [300, 100, 600, 400]}, row | {"bbox": [10, 20, 110, 220]}]
    boxes = boxes_from_detections(_detections(tmp_path, xyxy))
    with pytest.raises(InputError, match=r"detections.json: a.jpg: boxes\[0\]: ends at 900, 500, .*; is it xyxy\?"):
        check_boxes(boxes, 640, 480, "a.jpg")
    check_boxes(boxes[np.array([1])], 640, 480, "a.jpg")  # by itself it could be either
    xywh = [row | {"bbox": [300, 100, 300, 300]}, row | {"bbox": [10, 20, 660, 200]}]  # sticks out a little
    check_boxes(boxes_from_detections(_detections(tmp_path, xywh)), 640, 480, "a.jpg")

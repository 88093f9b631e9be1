"""A detector's boxes as training people: pycocotools' IoU decides whose labels a box gets."""

import json

import numpy as np
import pytest
from pycocotools import mask

from tests.people_cases import write_coco
from trustpose.datasets.detected_boxes import PRESENT, detected_people
from trustpose.files import InputError
from trustpose.geometry.boxes import xyxy_to_xywh
from trustpose.geometry.crops import Boxes
from trustpose.io.coco.truth import read_coco_truth

PHOTOS = 4


@pytest.fixture
def case(tmp_path):
    """(ground truth's path, photos, boxes): labelled boxes moved by a little or a lot, some of them on no person."""
    path, folder = write_coco(tmp_path, photos=PHOTOS)
    truth, random = read_coco_truth(path).truth, np.random.default_rng(0)
    xyxy = np.concatenate([truth.box + random.normal(size=truth.box.shape) * spread for spread in (3, 15, 80)])
    xyxy = np.concatenate([np.minimum(xyxy[:, :2], xyxy[:, 2:] - 4), xyxy[:, 2:]], axis=1)
    image_id = np.tile(truth.image_id, 3)
    return path, folder, Boxes(xyxy, image_id, random.random(len(xyxy)), source="boxes.json")


def test_a_box_has_the_labels_of_the_person_that_it_overlaps_most(case):
    path, folder, boxes = case
    file = read_coco_truth(path)
    truth, people = file.truth, detected_people(file, folder, boxes)
    assert len(people) == len(boxes)
    labels, seen = people.labels, {"labelled": 0, "unlabelled person": 0, "nobody": 0}
    np.testing.assert_array_equal(labels.box, boxes.xyxy)
    np.testing.assert_array_equal(labels.image_id, boxes.image_id)
    for row in range(len(boxes)):
        rows = np.flatnonzero(truth.image_id == boxes.image_id[row])
        iou = mask.iou(xyxy_to_xywh(boxes.xyxy[[row]]), xyxy_to_xywh(truth.box[rows]), [0] * len(rows))[0]
        person = rows[iou.argmax()]
        assert labels.overlap[row] == pytest.approx(iou.max(), abs=1e-9)
        is_labelled = iou.max() >= PRESENT and truth.num_keypoints[person] > 0
        assert (labels.has_joint[row] == is_labelled).all()
        assert labels.annotation_id[row] == (truth.annotation_id[person] if is_labelled else 0)
        if is_labelled:
            np.testing.assert_array_equal(labels.v[row], truth.v[person])
            np.testing.assert_array_equal(labels.xy[row][truth.v[person] > 0], truth.xy[person][truth.v[person] > 0])
            assert (labels.area[row], labels.area_source[row]) == (truth.area[person], "segment")
        else:
            assert not labels.v[row].any() and labels.area_source[row] != "segment"
        seen["labelled" if is_labelled else "unlabelled person" if iou.max() >= PRESENT else "nobody"] += 1
    assert min(seen.values()) >= 3, seen
    assert people[0].pixels.ndim == 3 and people[0].overlap == labels.overlap[0]


def test_boxes_inside_a_crowd_are_left_out(case):
    path, folder, boxes = case
    content = json.loads(path.read_text())
    crowd = dict(content["annotations"][0], id=999, iscrowd=1, bbox=[0, 0, 1000, 1000], num_keypoints=0)
    content["annotations"].append(crowd | {"keypoints": [0] * 51})
    path.write_text(json.dumps(content))
    people = detected_people(read_coco_truth(path), folder, boxes)
    is_outside = boxes.image_id != crowd["image_id"]
    assert 0 < is_outside.sum() < len(boxes)
    np.testing.assert_array_equal(people.labels.box, boxes.xyxy[is_outside])


def test_a_box_of_an_unknown_photo_is_refused_by_name(case):
    path, folder, boxes = case
    stray = Boxes(boxes.xyxy[:1], np.array([77]), boxes.score[:1], source="boxes.json")
    with pytest.raises(InputError, match=r"boxes\.json: image 77: is not a photo of .*gt\.json"):
        detected_people(read_coco_truth(path), folder, stray)

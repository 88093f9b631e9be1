"""COCO's numbers of boxes, as pycocotools gives them."""

import contextlib
import io
import json
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from trustpose.geometry.boxes import xywh_to_xyxy
from trustpose.metrics.average_precision import IOU_THRESHOLDS, MAX_BOXES, BoxPrecision, box_average_precision


def by_pycocotools(box, score, image_id, true_box, true_image_id, iscrowd, images) -> np.ndarray:
    """AP, AP50, AP75, AR and the recall at 0.50 of boxes xywh."""
    truth, coco = COCO(), COCO()
    category = [{"id": 1, "name": "person"}]
    people = [
        {
            "id": index + 1,
            "image_id": int(image),
            "category_id": 1,
            "bbox": b,
            "area": b[2] * b[3],
            "iscrowd": int(crowd),
        }
        for index, (b, image, crowd) in enumerate(zip(true_box.tolist(), true_image_id, iscrowd, strict=True))
    ]
    truth.dataset = {"images": [{"id": int(image)} for image in images], "categories": category, "annotations": people}
    rows = zip(box.tolist(), image_id, score.tolist(), strict=True)
    options = [
        {
            "id": index + 1,
            "image_id": int(image),
            "category_id": 1,
            "bbox": b,
            "area": b[2] * b[3],
            "score": s,
            "iscrowd": 0,
        }
        for index, (b, image, s) in enumerate(rows)
    ]
    coco.dataset = truth.dataset | {"annotations": options}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        coco.createIndex()
        evaluation = COCOeval(truth, coco, "bbox")
        evaluation.params.imgIds = [int(image) for image in images]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    stats, recall = evaluation.stats, evaluation.eval["recall"][0, 0, 0, -1]
    return np.array([*stats[:3], stats[8], recall])


def ours(box, score, image_id, true_box, true_image_id, iscrowd) -> np.ndarray:
    people = xywh_to_xyxy(true_box), true_image_id, np.asarray(iscrowd, dtype=np.bool_)
    return np.array(astuple(box_average_precision(xywh_to_xyxy(box), score, image_id, *people)))


@st.composite
def cases(draw):
    """Boxes by few numbers, so that scores and overlaps tie; images without people, boxes without images."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    images = np.sort(random.choice(1000, draw(st.integers(1, 6)), replace=False)) + 1
    people, drawn = draw(st.integers(0, 12)), draw(st.integers(0, 25))
    true_box = np.c_[random.integers(0, 5, (people, 2)) * 8, random.integers(1, 5, (people, 2)) * 8].astype(float)
    true_image = random.choice(images[: max(1, len(images) - 1)], people)
    iscrowd = random.random(people) < 0.25
    box = np.c_[random.integers(0, 20, (drawn, 2)) * 2, random.integers(1, 18, (drawn, 2)) * 2].astype(float)
    near = random.random(drawn) < 0.6 if people else np.zeros(drawn, dtype=bool)
    if near.any():
        chosen = random.integers(0, people, near.sum())
        box[near] = np.maximum(true_box[chosen] + random.integers(-1, 2, (near.sum(), 4)) * 2, [0, 0, 1, 1])
    image = random.choice(images, drawn)
    if near.any():
        image[near] = true_image[chosen]
    return box, random.integers(0, 6, drawn) / 5, image, true_box, true_image, iscrowd, images


@given(cases())
def test_as_pycocotools(case):
    expected, got = by_pycocotools(*case), ours(*case[:-1])
    if not (~case[5]).any():
        assert np.isnan(got).all() and (expected == -1).all()
    else:
        np.testing.assert_allclose(got, expected, atol=1e-12)


def test_more_than_a_hundred_boxes_in_an_image():
    """Those beyond the hundred best count for nothing, here the only right one."""
    box = np.tile([[50.0, 50, 10, 10]], (MAX_BOXES + 1, 1))
    box[-1] = [0, 0, 10, 10]
    true, score = np.array([[0.0, 0, 10, 10]]), np.linspace(1, 0.5, MAX_BOXES + 1)
    one, image = np.ones(1, int), np.ones(MAX_BOXES + 1, int)
    assert ours(box, score, image, true, one, [False])[0] == 0
    assert ours(box[1:], score[1:], image[1:], true, one, [False])[0] == pytest.approx(1 / MAX_BOXES)


def test_a_small_case_in_full():
    """Right, wrong, then right by an overlap of 0.8: precision 1 to half of the recall, then 2/3."""
    true, images = np.array([[0.0, 0, 10, 10], [0, 0, 10, 10]]), np.array([1, 2])
    box = np.array([[0.0, 0, 10, 10], [50, 50, 10, 10], [0, 0, 10, 8]])
    xyxy, true = xywh_to_xyxy(box), xywh_to_xyxy(true)
    got = box_average_precision(xyxy, np.array([0.9, 0.8, 0.7]), np.array([1, 1, 2]), true, images)
    assert (got.AP50, got.AP75) == pytest.approx(((51 + 50 * 2 / 3) / 101,) * 2)
    assert got.AP == pytest.approx(0.7 * got.AP50 + 0.3 * 51 / 101)  # 0.50 to 0.80 are reached, 0.85 to 0.95 are not
    assert (got.AR, got.recall50) == pytest.approx((0.7 + 0.3 / 2, 1))


def test_no_labels_and_no_detections():
    none, no_images = np.zeros((0, 4)), np.zeros(0, dtype=np.int64)
    one, image = np.array([[0.0, 0, 5, 5]]), np.array([1])
    assert np.isnan(astuple(box_average_precision(one, np.ones(1), image, none, no_images))).all()
    assert box_average_precision(none, np.zeros(0), no_images, one, image) == BoxPrecision(*[0.0] * 5)


def test_thresholds_are_cocos():
    np.testing.assert_array_equal(IOU_THRESHOLDS, COCOeval(iouType="bbox").params.iouThrs)


def test_a_real_detector(data_dir):
    """Faster R-CNN's boxes of people on those development photos that have some."""
    truth = json.loads((data_dir / "coco/dev_gt.json").read_bytes())
    content = json.loads((data_dir / "coco/dev_detections.json").read_bytes())
    images = sorted({one["image_id"] for one in content})
    people = [annotation for annotation in truth["annotations"] if annotation["image_id"] in images]
    case = (
        np.array([one["bbox"] for one in content], dtype=float),
        np.array([one["score"] for one in content]),
        np.array([one["image_id"] for one in content]),
        np.array([person["bbox"] for person in people], dtype=float),
        np.array([person["image_id"] for person in people]),
        np.array([person["iscrowd"] for person in people], dtype=bool),
    )
    got = ours(*case)
    np.testing.assert_allclose(got, by_pycocotools(*case, images), atol=1e-12)
    assert got[0] > 0.3

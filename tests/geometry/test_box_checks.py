"""Impossible boxes are named; possible ones are never refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.geometry.boxes import box_fault, centre_fault, format_fault, xywh_fault

VGA = np.array([[640, 480]])


@pytest.mark.parametrize(
    ("boxes", "row", "message_start"),
    [
        ([[10, 10, 50, 60], [40, 20, 12, 80]], 1, "x1 12 < x0 40: expected xyxy; is it xywh?"),
        ([[10, 300, 50, 60]], 0, "y1 60 < y0 300: expected xyxy; is it xywh?"),
        ([[0.1, 0.2, 0.5, 0.9], [0, 0, 1, 1]], 0, "all boxes lie within 0 to 1: expected pixels, not fractions"),
        ([[10, 10, 50, 60], [700, 20, 800, 80]], 1, "(700, 20, 800, 80) lies outside the 640 x 480 photo"),
        ([[10, -90, 50, -60]], 0, "(10, -90, 50, -60) lies outside the 640 x 480 photo"),
        ([[10, 10, 50, np.nan]], 0, "expected finite numbers"),
    ],
)
def test_faults_are_reported(boxes: list[list[float]], row: int, message_start: str) -> None:
    fault = box_fault(np.array(boxes, dtype=float), np.repeat(VGA, len(boxes), axis=0))
    assert fault is not None
    assert fault[0] == row
    assert fault[1].startswith(message_start)


@st.composite
def boxes_in_photos(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """xywh boxes that touch their photo, stick out at most 10 % of it, and one of them larger than 2 pixels."""
    count = draw(st.integers(1, 5))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    size = random.integers(32, 2000, (count, 2))
    low = random.uniform(-0.09, 0.95, (count, 2)) * size
    far = random.uniform(np.maximum(low, 3.0), 1.09 * size)
    return np.concatenate([low, far - low], axis=1), size


@given(boxes_in_photos())
def test_boxes_that_stick_out_a_little_are_fine(case: tuple[np.ndarray, np.ndarray]) -> None:
    box, size = case
    assert xywh_fault(box, size) is None
    assert box_fault(np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1), size) is None
    assert xywh_fault(box, np.zeros_like(size)) is None  # photos of unknown size


@given(boxes_in_photos())
def test_fractions_are_distinguished_from_pixels(case: tuple[np.ndarray, np.ndarray]) -> None:
    box, size = case
    shares = np.abs(box) / np.tile(size, 2)
    for known in (size, np.zeros_like(size)):
        fault = xywh_fault(shares, known)
        assert fault is not None
        assert "expected pixels, not fractions of the photo" in fault[1]


def test_boxes_of_no_size_and_none_at_all_are_fine() -> None:
    assert box_fault(np.zeros((0, 4)), np.zeros((0, 2), int)) is None
    assert xywh_fault(np.zeros((0, 4)), np.zeros((0, 2), int)) is None
    assert box_fault(np.zeros((1, 4))) is None
    assert box_fault(np.array([[0.0, 0, 1, 1]]), np.array([[8, 8]])) is None  # a photo of eight pixels


def test_real_boxes_are_fine(data_dir) -> None:
    """Files: coco/*_gt.json, crowdpose/crowdpose_val.json."""
    for name in ("coco/dev_gt.json", "coco/val2017_gt.json", "crowdpose/crowdpose_val.json"):
        truth = json.loads((data_dir / name).read_bytes())
        size = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
        box = np.array([annotation["bbox"] for annotation in truth["annotations"]], dtype=float)
        of_photo = np.array([size[annotation["image_id"]] for annotation in truth["annotations"]])
        assert xywh_fault(box, of_photo) is None
        xyxy = np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1)
        fault = xywh_fault(xyxy, of_photo)  # as if corners had been written
        assert fault is not None


def as_centres(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:, :2] + box[:, 2:] / 2, box[:, 2:]], axis=1)


def test_centres_are_noticed_in_real_boxes_by_photo_and_by_keypoints(data_dir) -> None:
    """Files: coco/dev_gt.json, crowdpose/crowdpose_val.json, results/movenet-thunder.dev.json."""
    truth = json.loads((data_dir / "coco/dev_gt.json").read_bytes())
    size = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    box = np.array([annotation["bbox"] for annotation in truth["annotations"]], dtype=float)
    fault = format_fault(
        as_centres(box), np.array([size[annotation["image_id"]] for annotation in truth["annotations"]])
    )
    assert fault is not None and fault[1].endswith("is it centre x, centre y, width, height?")
    for name in ("coco/dev_gt.json", "crowdpose/crowdpose_val.json", "results/movenet-thunder.dev.json"):
        value = json.loads((data_dir / name).read_bytes())
        rows = value["annotations"] if isinstance(value, dict) else value
        keypoints = np.array([np.reshape(row["keypoints"], (-1, 3)) for row in rows], dtype=float)
        box = np.array([row["bbox"] for row in rows], dtype=float)
        xy, located = keypoints[..., :2], keypoints[..., 2] > 0
        assert centre_fault(box, xy, located) is None
        for first in range(0, 100, 10):  # few people, too
            some = slice(first, first + 10)
            assert centre_fault(box[some], xy[some], located[some]) is None
        fault = centre_fault(as_centres(box), xy, located)
        assert fault is not None and "expected x, y, width, height with the upper left corner" in fault[1]


def test_two_keypoints_and_nine_people_show_nothing_of_a_box() -> None:
    box, xy = np.full((10, 4), [50.0, 50, 40, 40]), np.tile([[35.0, 35], [40, 36], [0, 0]], (10, 1, 1))
    assert centre_fault(box, xy, np.tile([True, True, False], (10, 1))) is None
    xy[:, 2] = 48, 48
    assert centre_fault(box[:9], xy[:9], np.ones((9, 3), bool)) is None
    fault = centre_fault(box, xy, np.ones((10, 3), bool))
    assert fault is not None and fault[1].startswith(
        "0% of the people's keypoints lie in their boxes, 100% if x, y is the centre"
    )

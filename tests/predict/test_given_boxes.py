"""Boxes given by users: their forms, and those that are refused or give a warning."""

import warnings

import numpy as np
import pytest

import trustpose as tp
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.predict.boxes import Boxes


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    return tp.load(write_network(tmp_path_factory.mktemp("network")))


@pytest.fixture(scope="module")
def case():
    """A photo of two people and their boxes, whole numbers."""
    photo, _, boxes = photo_of_people(2)
    return photo, np.rint(boxes)


def test_every_form_of_the_boxes_of_one_image(predictor, case):
    photo, boxes = case
    expected = predictor(photo, boxes)
    assert len(expected) == 2
    xywh = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    forms = (
        boxes.tolist(),
        [tuple(row) for row in boxes.tolist()],
        list(boxes),
        [boxes],
        [boxes.tolist()],
        boxes[None],
    )
    for form in (*forms, boxes.astype(np.float32), boxes.astype(int), Boxes(boxes, np.zeros(2, np.int64))):
        np.testing.assert_array_equal(predictor(photo, form).xy, expected.xy)
    for form in (xywh, xywh.tolist(), [xywh]):
        poses = predictor(photo, form, box_format="xywh")
        np.testing.assert_array_equal(poses.xy, expected.xy)
        np.testing.assert_array_equal(poses.box, boxes)
    for nobody in ([], np.zeros((0, 4)), [[]]):
        assert len(predictor(photo, nobody)) == 0


def test_the_boxes_of_several_images(predictor, case):
    photo, boxes = case
    expected = predictor([photo, photo, photo], [boxes, boxes[:0], boxes[:1]])
    assert expected.image_id.tolist() == [0, 0, 2]
    for form in ([boxes.tolist(), [], boxes[:1].tolist()], ([*boxes], [], [boxes[0]])):
        np.testing.assert_array_equal(predictor([photo] * 3, form).xy, expected.xy)
    np.testing.assert_array_equal(predictor(np.stack([photo] * 2), np.stack([boxes, boxes])).xy[2:], expected.xy[:2])
    np.testing.assert_array_equal(predictor([photo], boxes[None].tolist()).xy, expected.xy[:2])


@pytest.mark.parametrize(
    ("boxes", "options", "message"),
    [
        ([[10, 10, 10, 60]], {}, r"boxes of image 0: boxes\[0\]: is empty, \[10.*\], expected x1 > x0 and y1 > y0"),
        ([[1, 1, 9, 9], [10, 30, 50, 30]], {}, r"boxes\[1\]: is empty"),
        ([[10, 10, 0, 60]], {"box_format": "xywh"}, r"is empty, .*, expected a width and height above 0"),
        ([[10, 10, 5, 60]], {}, r"image 0: boxes\[0\]: x1 5 < x0 10: expected xyxy; is it xywh\?"),
        ([[10, 10, -5, 60]], {"box_format": "xywh"}, "expected a width and height of at least 0, got -5"),
        ([[300, 200, 490, 320]], {"box_format": "xywh"}, "expected x, y, width, height; is it xyxy"),
        ([[0.1, 0.1, 0.5, 0.9]], {}, "expected pixels, not fractions of the photo"),
        ([[5000, 10, 5100, 60]], {}, r"\(5000, 10, 5100, 60\) lies outside the 497 x 330 photo"),
        ([[10, 10, np.nan, 60]], {}, "expected finite xyxy"),
        ([[10, 10, 50]], {}, r"boxes of image 0: expected finite xyxy of shape \(N, 4\), got \(1, 3\)"),
        ([[10, 10, 50, 60], [10]], {}, r"boxes of image 0: expected numbers \(N, 4\)"),
        ([["a", "b", "c", "d"]], {}, r"boxes of image 0: expected numbers \(N, 4\)"),
        (7, {}, "boxes"),
        ([[1, 2, 30, 40]], {"box_format": "cxcywh"}, "box_format: expected 'xyxy' or 'xywh', got 'cxcywh'"),
        (Boxes(np.array([[1.0, 2, 30, 40]]), np.zeros(1, np.int64)), {"box_format": "xywh"}, "`Boxes` are xyxy"),
    ],
)
def test_wrong_boxes(predictor, case, boxes, options, message):
    with pytest.raises(ValueError, match=message) as error:
        predictor(case[0], boxes, **options)
    assert "\n" not in str(error.value)


def test_a_box_mostly_outside_gives_a_warning(predictor, case):
    photo, boxes = case
    with pytest.warns(UserWarning, match=r"image 0: boxes\[1\]: \(400, 10, 1000, 60\) lies mostly outside the 497"):
        predictor(photo, [[400, 10, 470, 60], [400, 10, 1000, 60]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        predictor(photo, boxes)
        predictor(photo, [[-40, 10, 100, 60]])  # less than half of it


def test_boxes_are_for_photos(predictor, case, tmp_path):
    from tests.predict.test_inputs import write_video

    video = write_video(tmp_path / "clip.mp4")
    with pytest.raises(ValueError, match=r"boxes: are for photos, not for .*clip\.mp4, frame 0; `run` takes a file"):
        predictor(video, [[1, 2, 30, 40]])
    with pytest.raises(ValueError, match=r"one array .* for each of the 2 images, got 1"):
        predictor([case[0]] * 2, [case[1]])

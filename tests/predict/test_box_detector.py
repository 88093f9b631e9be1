"""Boxes of people in photos of any size and shape, in the photo's own pixels; mismatches give one line."""

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.predict.tiny_boxes import LONGEST, SIDES, STRIDE, photo_of_dots, write_boxes
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.files import InputError
from trustpose.models.runtime.backends import BoxDetector
from trustpose.models.spec import ModelSpec
from trustpose.predict.detectors import load_detector
from trustpose.predict.load import load


@pytest.fixture
def detector(tmp_path):
    return BoxDetector(ModelSpec.read(write_boxes(tmp_path)))


@pytest.mark.parametrize(
    ("width", "height"), [(320, 320), (640, 480), (90, 500), (1500, 180), (47, 31), (2400, 1601), (321, 319)]
)
def test_photos_of_any_size(detector, width, height):
    pixel = max(width, height) / LONGEST  # photo pixels for one input pixel
    x, y = width * 0.57, height * 0.44
    detections = detector(photo_of_dots(width, height, (x, y, 250)))
    assert len(detections) == 1 and detections.image_id.tolist() == [0] and 0.3 < detections.score[0] <= 1
    expected = np.array([x, y, x, y]) + SIDES * [-pixel, -pixel, pixel, pixel]
    clipped = np.clip(expected, 0, [width, height, width, height])
    assert np.abs(detections.xyxy[0] - clipped).max() <= (STRIDE / 2 + 1) * pixel  # to the nearest cell's middle
    inside = (expected[:2] > 5 * pixel) & (expected[2:] < np.array([width, height]) - 5 * pixel)
    size, wanted = detections.xyxy[0, 2:] - detections.xyxy[0, :2], (SIDES[:2] + SIDES[2:]) * pixel
    np.testing.assert_allclose(size[inside], wanted[inside], rtol=1e-6)


def test_cells_are_read_exactly(detector):
    """A photo of the network's own size: the middle of the brightest cell, and its four sides."""
    photo = np.zeros((LONGEST, LONGEST, 3), np.uint8)
    photo[120:128, 80:88, 0] = 204  # cell 15, 10
    photo[200:208, 240:248, 0] = 102
    detections = detector(photo)
    np.testing.assert_allclose(detections.score, [0.8, 0.4], atol=1e-6)
    np.testing.assert_allclose(detections.xyxy[0], [84 - 20, 124 - 30, 84 + 24, 124 + 36], atol=1e-4)
    np.testing.assert_allclose(detections.xyxy[1], [244 - 20, 204 - 30, 244 + 24, 204 + 36], atol=1e-4)


def test_no_people_and_the_score_threshold(detector, tmp_path):
    photo = photo_of_dots(400, 300, (100, 100, 250), (300, 200, 90))
    assert len(detector(np.full((200, 300, 3), (0, 120, 255), np.uint8))) == 0
    assert detector(np.zeros((1, 1, 3), np.uint8)).xyxy.shape == (0, 4)
    scores = BoxDetector(detector.spec, min_score=0.05)(photo).score
    assert len(scores) == 2 and scores[0] > 0.3 > scores[1]
    assert len(detector(photo)) == 1 and len(BoxDetector(detector.spec, min_score=0.99)(photo)) == 0
    by_name = load_detector(str(tmp_path / "boxes.onnx"), min_score=0.05)
    assert isinstance(by_name, BoxDetector) and len(by_name(photo)) == 2
    assert load_detector(str(tmp_path / "boxes.json")).min_score == 0.3


def test_a_folder_by_name(tmp_path):
    write_boxes(tmp_path / "detector", "model")
    detector = load_detector(str(tmp_path / "detector"))
    assert isinstance(detector, BoxDetector) and len(detector(photo_of_dots(200, 100, (50, 50, 255)))) == 1
    with pytest.raises(InputError, match="apply only to torchvision's detectors"):
        load_detector(str(tmp_path / "detector"), tmp_path / "weights.pth")


def test_many_threads(detector):
    photos = [photo_of_dots(200 + 20 * index, 150, (60 + 10 * index, 75, 250)) for index in range(8)]
    alone = [detector(photo).xyxy for photo in photos]
    with ThreadPoolExecutor(4) as threads:
        for first, second in zip(alone, threads.map(detector, photos), strict=True):
            np.testing.assert_array_equal(first, second.xyxy)


def test_as_a_predictors_detector(tmp_path):
    """Poses in its boxes; no poses without boxes."""
    predictor = load(write_network(tmp_path), detector=BoxDetector(ModelSpec.read(write_boxes(tmp_path)), 0.2))
    photo, _, _ = photo_of_people(1)
    dots = photo_of_dots(photo.shape[1], photo.shape[0], (120, 160, 250))
    poses = predictor([np.maximum(photo, dots), np.zeros_like(photo)])
    assert len(poses) >= 1 and poses.box_score is not None and poses.box is not None
    assert set(poses.image_id.tolist()) == {0}
    assert len(predictor(np.zeros_like(photo))) == 0


def test_mismatches_are_reported(tmp_path):
    photo = photo_of_dots(200, 100, (50, 50, 255))
    spec = ModelSpec.read(write_boxes(tmp_path / "stride", stride=16))
    with pytest.raises(InputError, match=r"boxes\.onnx: gave an output \(1, 5, 10, 20\), expected \(1, 5, 20, 40\)"):
        BoxDetector(spec)(photo)
    spec = ModelSpec.read(write_boxes(tmp_path / "nan", fill=float("nan")))
    with pytest.raises(InputError, match="gave numbers that are not finite"):
        BoxDetector(spec)(photo)
    path = write_boxes(tmp_path)
    whole = json.loads(path.with_suffix(".json").read_text())
    for part, name, message in (
        ("input", "pixels", "'input.name' says 'pixels'"),
        ("output", "maps", "field 'output.name' says 'maps'"),
    ):
        write_boxes(tmp_path, **{part: whole[part] | {"name": name}})
        with pytest.raises(InputError, match=message):
            load_detector(str(path))
    path = write_boxes(tmp_path)
    path.unlink()
    with pytest.raises(InputError, match=r"boxes\.onnx: "):
        load_detector(str(path))

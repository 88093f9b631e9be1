"""PicoDet, whose graph lists boxes before NMS: its boxes are those that PaddleDetection's steps give."""

import json
import shutil

import cv2
import numpy as np
import pytest

from tests.predict.tiny_boxes import PICODET
from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.geometry.crops import stretch
from trustpose.models.runtime.backends import BoxDetector
from trustpose.models.runtime.sessions import open_session
from trustpose.models.spec import ModelSpec
from trustpose.predict.detectors import load_detector
from trustpose.predict.load import load
from trustpose.predict.model_lists import describe_model


@pytest.fixture
def picodet(data_dir, tmp_path):
    """The JSON of PicoDet-S with its network beside it."""
    shutil.copyfile(data_dir / "small-networks" / "picodet-s.onnx", tmp_path / "picodet-s.onnx")
    (tmp_path / "picodet-s.json").write_text(json.dumps(PICODET))
    return tmp_path / "picodet-s.json"


def plain(session, pixels, min_score, most_overlap=0.6):
    """PaddleDetection's steps, one by one: resize, normalise, the graph, hard NMS, back to photo pixels."""
    small = cv2.resize(pixels, (320, 320), interpolation=cv2.INTER_CUBIC).astype(np.float32) / 255
    image = (small - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])
    scores, boxes = session.run(
        ["transpose_8.tmp_0", "concat_8.tmp_0"], {"image": image.transpose(2, 0, 1)[None].astype(np.float32)}
    )
    left = [index for index in np.argsort(-scores[0, 0], kind="stable") if scores[0, 0, index] >= min_score]
    bests = []
    while left:
        best, *left = left
        bests.append(best)
        x0, y0, x1, y1 = boxes[0, best].astype(np.float64)
        indexes = []
        for index in left:
            u0, v0, u1, v1 = boxes[0, index].astype(np.float64)
            common = max(0, min(x1, u1) - max(x0, u0)) * max(0, min(y1, v1) - max(y0, v0))
            if common / ((x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - common) <= most_overlap:
                indexes.append(index)
        left = indexes
    height, width = pixels.shape[:2]
    box = boxes[0, bests] * [width / 320, height / 320, width / 320, height / 320]
    return np.clip(box, 0, [width, height, width, height]), scores[0, 0, bests]


def test_its_boxes_are_paddledetections(picodet, data_dir):
    session, detector = open_session(picodet.with_suffix(".onnx"), 1), BoxDetector(ModelSpec.read(picodet))
    for path in sorted((data_dir / "coco" / "dev").glob("*.jpg"))[:3]:
        pixels = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
        box, score = plain(session, pixels, 0.15)
        detections = detector(pixels)
        assert len(box) and detections.score is not None
        np.testing.assert_allclose(detections.score, score, atol=1e-5)
        np.testing.assert_allclose(detections.xyxy, box, atol=0.01)  # photo pixels


def test_photos_of_any_size(picodet, data_dir):
    """The same photo enlarged or squeezed has the same people in it."""
    detector = load_detector(str(picodet), min_score=0.5)
    pixels = cv2.cvtColor(cv2.imread(str(min((data_dir / "coco" / "dev").glob("*.jpg")))), cv2.COLOR_BGR2RGB)
    whole = detector(pixels)
    assert isinstance(detector, BoxDetector) and len(whole) and detector.min_score == 0.5
    height, width = pixels.shape[:2]
    for wide, high in ((3 * width, 3 * height), (width, 2 * height), (5 * width, 6 * height)):
        detections = detector(cv2.resize(pixels, (wide, high), interpolation=cv2.INTER_CUBIC))
        assert len(detections) == len(whole)
        back = detections.xyxy / [wide / width, high / height, wide / width, high / height]
        np.testing.assert_allclose(back[0], whole.xyxy[0], atol=0.03 * max(width, height))
    tiny = detector(np.zeros((1, 1, 3), np.uint8)).xyxy
    assert tiny.shape[1:] == (4,) and tiny.min(initial=0) >= 0 and tiny.max(initial=0) <= 1


def test_as_a_networks_detector(picodet, tmp_path):
    predictor = load(write_network(tmp_path), detector=str(picodet))
    assert isinstance(predictor.detector, BoxDetector) and predictor.detector.min_score == 0.15
    poses, detector = predictor(grey := np.full((90, 60, 3), 99, np.uint8)), BoxDetector(ModelSpec.read(picodet))
    np.testing.assert_array_equal(poses.box, detector(grey).xyxy)


def test_validate_describes_it(picodet):
    described = describe_model(picodet)
    assert described["kind"] == "box-list"
    assert described["outputs"] == "transpose_8.tmp_0 1 × 1 × 2125; concat_8.tmp_0 1 × 2125 × 4"
    assert described["input"] == "image: 320×320, photo stretched, NCHW, float32, RGB"


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"person": 1}, r"gave scores \(1, 1, 2125\), expected \(1, classes, N\) with more than 1 classes"),
        (
            {"scores": "concat_8.tmp_0", "boxes": "transpose_8.tmp_0"},
            r"gave boxes \(1, 1, 2125\), expected \(1, 4, 4\)",
        ),
        ({"scores": "scores"}, r"field 'output\.scores' says 'scores'"),
        ({"boxes": "boxes"}, r"field 'output\.boxes' says 'boxes'"),
    ],
)
def test_mismatches_are_reported(picodet, output, message):
    picodet.write_text(json.dumps(PICODET | {"output": PICODET["output"] | output}))
    with pytest.raises(InputError, match=message):
        BoxDetector(ModelSpec.read(picodet))(np.zeros((90, 60, 3), np.uint8))


@pytest.mark.parametrize(("width", "height"), [(640, 480), (31, 7), (4000, 3000), (320, 4000), (1, 1)])
def test_a_stretched_photo_keeps_its_corners(width, height):
    """A photo that brightens evenly to the right and below does so when stretched too, to half a level a pixel."""
    across, down = (np.arange(length) + 0.5 for length in (width, height))
    photo = np.stack(np.broadcast_arrays(across / width * 250, (down / height * 250)[:, None], 99.0), axis=2)
    small = stretch(photo.round().astype(np.uint8), 32, 24)
    assert small.shape == (24, 32, 3)
    if min(width, height) < 24:
        return
    expected = np.broadcast_arrays((np.arange(32) + 0.5) / 32 * 250, ((np.arange(24) + 0.5) / 24 * 250)[:, None], 99.0)
    assert np.abs(small - np.stack(expected, axis=2))[2:-2, 2:-2].max() <= 2

"""`tp.load`: bundled models by name, files by path; here with tiny networks."""

from pathlib import Path

import numpy as np
import pytest

import trustpose
from tests.predict.tiny_boxes import photo_of_dots
from tests.predict.tiny_people import write_people
from tests.predict.tiny_shipped import write_shipped
from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.models import spec
from trustpose.models.runtime.backends import BoxDetector
from trustpose.models.spec import default_folder, shipped_folders
from trustpose.predict.boxes import whole_photo
from trustpose.predict.detectors import default_detector, load_detector
from trustpose.predict.load import load
from trustpose.predict.predictor import Predictor
from trustpose.predict.single_stage import SingleStagePredictor


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(spec, "_SHIPPED", write_shipped(tmp_path / "models"))
    return tmp_path / "models"


def test_a_limit_of_pixels(tmp_path):
    (tmp_path / "photo.pgm").write_bytes(b"P5 20 10 255 " + bytes(200))
    for path, options in ((write_network(tmp_path), {"detector": "whole"}), (write_people(tmp_path), {})):
        assert len(load(path, **options)(tmp_path / "photo.pgm")) > 0
        with pytest.raises(InputError, match=r"photo.pgm: has 20 × 10 pixels, more than the limit of 199"):
            load(path, max_pixels=199, **options)(tmp_path / "photo.pgm")


def test_the_default_finds_people_by_itself(folder):
    photo = photo_of_dots(400, 300, (150, 150, 250))
    predictor = trustpose.load("default")
    assert isinstance(predictor, Predictor) and predictor.spec.onnx == folder / "default" / "model.onnx"
    poses = predictor(photo)
    assert len(poses) == 1 and poses.box_score is not None
    np.testing.assert_array_equal(poses.box, default_detector()(photo).xyxy)
    assert len(predictor(np.zeros_like(photo))) == 0
    assert (
        len(predictor(photo, boxes=np.array([[0.0, 0, 50, 50], [20, 20, 300, 280]]))) == 2
    )  # those that are given count


def test_options_and_another_detector(folder):
    photo = photo_of_dots(400, 300, (150, 150, 250))
    whole = load("default", detector=whole_photo, flip=True)
    assert isinstance(whole, Predictor)
    np.testing.assert_array_equal(whole(photo).box, [[0, 0, 400, 300]])
    assert len(load("default", detector=default_detector(min_score=0.999))(photo)) == 0
    by_name = load_detector("default", min_score=0.5)
    assert isinstance(by_name, BoxDetector) and by_name.min_score == 0.5 and load_detector("default").min_score == 0.3
    assert by_name.spec.onnx == folder / "default-detector" / "model.onnx"


def test_files_and_folders(folder, tmp_path, monkeypatch):
    assert isinstance(load(write_network(tmp_path)), Predictor)
    assert isinstance(load(str(write_people(tmp_path))), SingleStagePredictor)
    photo = photo_of_dots(400, 300, (150, 150, 250))
    detections = default_detector()(photo)
    np.testing.assert_array_equal(load(folder / "default")(photo).box, detections.xyxy)  # whatever the model
    np.testing.assert_array_equal(
        load(folder / "default", min_box_score=0.5)(photo).box, detections.xyxy[detections.score >= 0.5]
    )
    for detector in ("whole", whole_photo, Path("whole")):
        np.testing.assert_array_equal(load(folder / "default", detector=detector)(photo).box, [[0, 0, 400, 300]])
    alone = Predictor(load(folder / "default").runtime, detector="whole")
    np.testing.assert_array_equal(alone(photo).box, [[0, 0, 400, 300]])
    (tmp_path / "here" / "default").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match=r"default/model\.json: no such file|default: .*model folder"):
        load("./default")


def test_bundled_models(folder, tmp_path, monkeypatch):
    assert shipped_folders() == [folder / "default", folder / "default-detector"]
    assert default_folder() == folder / "default"
    monkeypatch.setattr(spec, "_SHIPPED", tmp_path / "none")
    assert shipped_folders() == []
    for missing in (lambda: load("default"), lambda: load_detector("default"), default_folder):
        with pytest.raises(InputError, match="is missing in this installation of trustpose, install it again") as error:
            missing()
        assert "\n" not in str(error.value)

"""`trustpose predict` with the bundled models, here tiny networks: photos are the only argument needed."""

import json

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.predict.tiny_boxes import photo_of_dots
from tests.predict.tiny_shipped import write_shipped
from tests.tiny_onnx import write_network
from trustpose.cli.models import models
from trustpose.cli.predict import predict
from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.models import spec
from trustpose.predict.detectors import default_detector

app = typer.Typer()
app.command("predict")(predict)
app.command("models")(models)


def _run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two people on one photo, none on the other."""
    monkeypatch.setattr(spec, "_SHIPPED", write_shipped(tmp_path / "models"))
    (tmp_path / "photos").mkdir()
    photo = photo_of_dots(640, 400, (150, 200, 250), (480, 200, 150))
    cv2.imwrite(str(tmp_path / "photos" / "two.png"), photo[..., ::-1])
    cv2.imwrite(str(tmp_path / "photos" / "none.png"), np.zeros_like(photo))
    return tmp_path / "photos"


def test_photos_alone(photos, tmp_path):
    code, output = _run("predict", photos, "--out", tmp_path / "out")
    assert code == 0 and "2 people on 2 photos" in output
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    names = json.loads((tmp_path / "out" / "images.json").read_text())
    assert len(rows) == 2 and {len(row["keypoints"]) for row in rows} == {51} and len(names) == 2
    poses = read_results(tmp_path / "out" / "results.json").poses
    boxes = default_detector()(cv2.imread(str(photos / "two.png"))[..., ::-1].copy())
    np.testing.assert_allclose(poses.box, boxes.xyxy, atol=1e-6)
    np.testing.assert_allclose(poses.box_score, boxes.score, atol=1e-6)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "images.json", "none.jpg", "results.json", "two.jpg",
    ]  # fmt: skip


def test_one_of_the_two_and_its_lowest_score(photos, tmp_path):
    """Another network with the default detector, the default network with another detector."""
    network = write_network(tmp_path)
    for number, (options, people) in enumerate(
        (
            (("--model", network), 2),
            (("--model", network, "--min-box-score", "0.8"), 1),
            (("--detector", "whole"), 2),
            (("--detector", tmp_path / "models" / "default-detector"), 2),
            (("--detector", "default", "--min-box-score", "0.99"), 0),
        )
    ):
        code, output = _run("predict", photos, "--no-draw", "--out", tmp_path / f"out{number}", *options)
        assert code == 0 and f"{people} {'person' if people == 1 else 'people'} on 2 photos" in output, options


def test_boxes_that_are_given_need_no_detector(photos, tmp_path):
    box = {"image_id": 7, "category_id": 1, "bbox": [10.0, 10, 200, 300], "score": 0.9}
    (tmp_path / "boxes.json").write_text(json.dumps([box]))
    (photos / "two.png").rename(photos / "photo_7.png")
    (tmp_path / "models" / "default-detector" / "model.json").unlink()
    code, output = _run(
        "predict", photos / "photo_7.png", "--boxes", tmp_path / "boxes.json", "--out", tmp_path / "out"
    )
    assert code == 0 and "1 person on 1 photo" in output


def test_an_installation_without_them(photos, tmp_path):
    (tmp_path / "models" / "default-detector" / "model.json").unlink()
    for name, options in (("default-detector", ()), ("default", ("--detector", "whole"))):
        if name == "default":
            (tmp_path / "models" / "default" / "model.json").unlink()
        with pytest.raises(InputError, match=f"{name}: is missing in this installation of trustpose"):
            _run("predict", photos, "--out", tmp_path / "out", *options)
    assert not (tmp_path / "out").exists()


def test_models_that_come_with_the_package(photos):  # noqa: ARG001  # it puts them there
    code, output = _run("models", "--shipped", "--json")
    network, detector, *calibrators = json.loads(output)
    assert len(calibrators) == 5 and all(row["model"].startswith("shipped:") for row in calibrators)
    assert code == 0 and (network["model"], detector["model"]) == ("default", "default-detector")
    assert network["gives"].startswith("heatmaps 48×64 of one person") and network["skeleton"] == "coco17 (17)"
    assert detector["gives"] == "boxes of the people of a photo" and detector["skeleton"] == ""
    assert detector["input"] == "any multiple of 32, longest side 320" and detector["name"] == "red people"
    code, table = _run("models", "--shipped")
    assert code == 0 and all(word in table for word in ("default-detector", "red people", "seventeen colours"))

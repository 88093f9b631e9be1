"""`trustpose predict --model` with another package's estimator: MediaPipe's package with networks of constants."""

import json

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.predict.adapters.tiny_task import write_task
from trustpose.cli.predict import predict
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.predict.adapters.mediapipe import MediaPipePose
from trustpose.predict.load import load

pytest.importorskip("mediapipe", reason=not_installed("mediapipe", "mediapipe"))
app = typer.Typer()
app.command()(predict)
LANDMARKS = np.full((33, 5), 0.5)


def _run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def files(tmp_path):
    """A model, a photo with two labelled people and their ground truth."""
    model = write_task(tmp_path / "tiny.task", LANDMARKS, presence=0.3)
    try:
        MediaPipePose(model)
    except InputError as error:
        pytest.skip(str(error))
    photo = tmp_path / "photos" / "000000000007.png"
    photo.parent.mkdir()
    cv2.imwrite(str(photo), np.zeros((60, 80, 3), np.uint8))
    people = [
        {
            "id": 5 + index,
            "image_id": 7,
            "category_id": 1,
            "keypoints": [9, 9, 2] * 17,
            "num_keypoints": 17,
            "iscrowd": 0,
        }
        | {"bbox": [10 * index, 5, 20, 30], "area": 300}
        for index in range(2)
    ]
    images = [{"id": 7, "file_name": photo.name, "width": 80, "height": 60}]
    category = {"id": 1, "name": "person", "keypoints": [f"k{index}" for index in range(17)], "skeleton": []}
    gt = tmp_path / "gt.json"
    gt.write_text(json.dumps({"images": images, "annotations": people, "categories": [category]}))
    return model, photo, gt


def test_with_the_boxes_of_ground_truth(files, tmp_path):
    model, photo, gt = files
    code, output = _run(
        *(photo, "--model", f"mediapipe:{model}", "--gt", gt, "--skeleton", "coco17", "--out", tmp_path / "out")
    )
    rows = json.loads((tmp_path / "out" / "results.json").read_text())
    assert code == 0 and "2 people on 1 photo" in output
    assert [row["annotation_id"] for row in rows] == [5, 6] and {len(row["keypoints"]) for row in rows} == {51}
    poses = load(f"mediapipe:{model}", skeleton="coco17")(photo, boxes=np.array([[0.0, 5, 20, 35], [10, 5, 30, 35]]))
    np.testing.assert_array_equal([row["keypoints"][:2] for row in rows], poses.xy[:, 0])
    assert (tmp_path / "out" / photo.name).with_suffix(".jpg").is_file()


def test_by_itself(files, tmp_path):
    """Without boxes it finds people with its own thresholds; here all scores are below 0.3."""
    model, photo, _ = files
    code, output = _run(photo, "--model", f"mediapipe:{model}", "--out", tmp_path / "out", "--no-draw")
    assert code == 0 and "0 people on 1 photo" in output


def test_options_that_it_lacks(files, tmp_path):
    model, photo, gt = files
    arguments = ("--out", tmp_path / "out")
    for options, message in (
        (("--flip",), "takes no option 'flip'; its options are"),
        (("--codec", "dark"), "takes no option 'codec'"),
        (("--backend", "torch"), "takes no option 'backend'; its options are"),
        (("--skeleton", "lsp14"), "its skeleton blazepose33 lacks neck, head_top of lsp14"),
        (("--boxes", gt, "--detector", "whole"), "both give the people's boxes"),
    ):
        with pytest.raises(InputError, match=message):
            _run(photo, "--model", f"mediapipe:{model}", *options, *arguments)
    with pytest.raises(InputError, match="skeleton: applies only to another package's estimator"):
        _run(photo, "--model", "network.onnx", "--gt", gt, "--skeleton", "coco17", *arguments)
    assert not (tmp_path / "out").exists()

"""`trustpose train` with a recipe for a person detector: the result detects boxes."""

import json

import pytest

from tests.cli.test_train import run
from tests.people_cases import write_training_folder
from tests.training.test_detector_task import small_recipe
from trustpose.files import write_json
from trustpose.models.runtime.backends import BoxDetector
from trustpose.predict.detectors import load_detector
from trustpose.training.recipe import to_json


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_training_folder(tmp_path_factory.mktemp("data"), photos=14)


def test_from_a_recipe_to_a_detector(data, tmp_path, capsys):
    write_json(tmp_path / "small.json", to_json(small_recipe()))
    out = tmp_path / "out"
    code, message, errors = run(capsys, tmp_path / "small.json", "--data", data, "--out", out)
    assert (code, errors) == (0, "")
    assert message.startswith(f"{out}: tiny, box.AP ") and message.count("\n") == 1
    assert {path.name for path in out.iterdir()} == {"model.json", "model.onnx", "model.safetensors", "training"}
    detector = load_detector(str(out))
    assert isinstance(detector, BoxDetector) and detector.spec.source == "trustpose train tiny"
    text = json.loads((out / "model.json").read_text())
    assert text["output"]["kind"] == "boxes" and text["input"]["height"] == "multiple of 32, 64 usual"
    code, _, errors = run(
        capsys, tmp_path / "small.json", "--data", data, "--out", tmp_path / "b", "--model", out, "--train.epochs=1"
    )
    assert code == 0, errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--strategy.starts_from=trained",), "starts from a trained light-mobilenetv2-050; give its folder or file"),
        (("--network=hrnet-w32",), "detectors have the backbone of light-mobilenetv2-050"),
        (("--width=128",), "height, width: expected the same multiple of 64, got 64, 128"),
        (
            ("--head=oks-net",),
            "detectors have the backbone of light-mobilenetv2-050 or movenet-multipose or picodet-s and neither head",
        ),
        (("--train.batch_size=1000",), "train.batch_size: 1000 is more than the"),
    ],
)
def test_invalid_options_give_one_line(data, tmp_path, capsys, arguments, message):
    write_json(tmp_path / "small.json", to_json(small_recipe()))
    code, output, errors = run(capsys, tmp_path / "small.json", "--data", data, "--out", tmp_path / "out", *arguments)
    assert (code, output, errors.count("\n")) == (2, "", 1), errors
    assert message in errors

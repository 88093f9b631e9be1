"""The fast setting of a model: other folders' network and detector, named by its spec; here tiny networks."""

import json
import shutil

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.predict.tiny_boxes import photo_of_dots, write_boxes
from tests.predict.tiny_shipped import write_shipped
from trustpose.cli.models import models
from trustpose.cli.predict import predict
from trustpose.files import InputError
from trustpose.models import spec
from trustpose.models.spec import FastSetting, ModelSpec
from trustpose.predict.load import load
from trustpose.predict.options import RunOptions
from trustpose.predict.run import settings_of

COSTS = {"AP": ".50 instead of .55", "photos a second": 80}
app = typer.Typer()
app.command("predict")(predict)
app.command("models")(models)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The usual detector finds all red areas; the fast one, with scores half as large, only very red ones."""
    folder = write_shipped(tmp_path / "models")
    shutil.copytree(folder / "default", folder / "small")
    write_boxes(folder / "rough", "model", fill=0.5)
    setting = {"network": "small", "detector": "rough", "costs": COSTS}
    _change(folder / "default", fast=setting)
    _change(folder / "small", name="the small one")
    monkeypatch.setattr(spec, "_SHIPPED", folder)
    return folder


def _change(folder, **fields):
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_other_networks_are_loaded(folder):
    photo = photo_of_dots(640, 400, (150, 200, 250), (480, 200, 120))
    usual, fast = load("default"), load("default", fast=True)
    assert usual.name != "the small one" and fast.name == "the small one"
    assert len(usual(photo)) == 2 and len(fast(photo)) == 1
    assert len(load(folder / "default", fast=True)(photo)) == 1
    assert (usual.model, fast.model) == ("default", str(folder / "small"))  # calibrators know it by its files
    assert len(load("default", fast=True, min_box_score=0.1)(photo)) == 2
    np.testing.assert_array_equal(load("default", fast=True, detector="whole")(photo).box, [[0, 0, 640, 400]])
    assert len(load("default", fast=True, detector="default")(photo)) == 2  # that was asked for


def test_the_usual_detector_where_none_is_named(folder):
    _change(folder / "default", fast={"network": "small"})
    fast = load("default", fast=True)
    assert fast.name == "the small one" and len(fast(photo_of_dots(640, 400, (150, 200, 250), (480, 200, 120)))) == 2


@pytest.mark.usefixtures("folder")
def test_its_costs_are_reported(tmp_path):
    cv2.imwrite(str(tmp_path / "1.png"), photo_of_dots(640, 400, (150, 200, 250), (480, 200, 120))[..., ::-1])
    arguments = ["predict", str(tmp_path / "1.png"), "--out", str(tmp_path / "out"), "--no-draw"]
    fast = CliRunner().invoke(app, [*arguments, "--fast"])
    assert fast.exit_code == 0, fast.output
    assert "trustpose: --fast: AP .50 instead of .55, photos a second 80" in fast.output and "1 person" in fast.output
    usual = CliRunner().invoke(app, [*arguments, "--overwrite"])
    assert "--fast" not in usual.output and "2 people" in usual.output


@pytest.mark.usefixtures("folder")
def test_a_resumed_run_has_the_same_setting():
    usual, fast = (settings_of(load("default", fast=is_fast), RunOptions()) for is_fast in (False, True))
    assert {name for name in usual if usual[name] != fast[name]} == {"model", "detector"}


def test_specs(folder):
    content = ModelSpec.read(folder / "default")
    assert content.fast == FastSetting("small", "rough", COSTS) and content.to_json()["fast"]["costs"] == COSTS
    assert content.fast_folders() == (folder / "small", folder / "rough")
    assert FastSetting("small").describe() == "costs not measured"


def test_what_has_no_fast_setting(folder):
    with pytest.raises(InputError, match=r"small: has no fast setting; its JSON would name one in the field 'fast'"):
        load("small", fast=True)
    with pytest.raises(InputError, match="mediapipe: has no fast setting, as another package's estimator"):
        load("mediapipe", fast=True)
    for wrong, message in (
        ({"detector": "rough"}, "field 'fast.network' is missing"),
        ({"network": "../small"}, "field 'fast.network': expected the bare name of a file"),
        ({"network": "small", "speed": 3}, "field 'fast.speed' is unknown"),
    ):
        _change(folder / "default", fast=wrong)
        with pytest.raises(InputError, match=message):
            load("default", fast=True)

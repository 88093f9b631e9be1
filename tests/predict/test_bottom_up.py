"""A network with part affinity fields, from photo files to COCO results: `tp.load` and `trustpose predict`."""

import json

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from tests.predict.tiny_fields import made_up_people, write_fields
from trustpose.cli import app
from trustpose.files import InputError
from trustpose.predict.load import load

WRIST = 9


@pytest.fixture(scope="module")
def people():
    return made_up_people(3)


@pytest.fixture(scope="module")
def network(tmp_path_factory, people):
    return write_fields(tmp_path_factory.mktemp("fields"), *people)


def test_people_are_where_the_fields_say(network, people):
    """The photo is twice as large as the input and wider than its proportions: 512 × 300 pixels on 256 × 150."""
    xy, labelled = people
    poses = load(network)(np.zeros((300, 512, 3), np.uint8))
    assert len(poses) == 3 and poses.missing is not None and poses.pose_score is not None and poses.score is not None
    order = np.argsort(poses.xy[:, 0, 0])
    np.testing.assert_array_equal(~poses.missing[order], labelled)
    np.testing.assert_allclose(poses.xy[order][labelled], 2 * xy[labelled], atol=0.3)
    assert (poses.xy[poses.missing] == 0).all() and (poses.score[poses.missing] == 0).all()
    assert (np.diff(poses.pose_score) <= 0).all() and poses.pose_score.min() > 1.5  # parts and links, each about 1
    assert poses.box is None and poses.box_score is None and poses.pose_quality is None and poses.quality is None


def test_thresholds_and_ways_of_grouping(tmp_path, people):
    xy, labelled = people
    few = labelled.copy()
    few[1, 3:] = False  # nose and eyes: three joints
    assert len(load(write_fields(tmp_path / "few", xy, few))(np.zeros((192, 256, 3), np.uint8))) == 2
    path = write_fields(tmp_path / "fewer", xy, few, min_parts=3, matching="optimal", order="scores")
    predictor = load(path)
    assert len(predictor(np.zeros((192, 256, 3), np.uint8))) == 3
    assert predictor.options.min_score is None and predictor.min_score == 0.4
    assert len(load(path, min_score=100.0)(np.zeros((192, 256, 3), np.uint8))) == 0
    assert len(load(path, min_score=0.0)(np.zeros((192, 256, 3), np.uint8))) == 3


def test_a_background_is_left_out_and_wrong_shapes_are_named(tmp_path, people):
    path = write_fields(tmp_path, *people, background=True)
    with pytest.raises(InputError, match=r"gave heatmaps \(1, 17, 48, 64\), expected \(1, 18, 48, 64\)"):
        load(path)(np.zeros((192, 256, 3), np.uint8))
    path = write_fields(tmp_path, *people, limbs=[[0, 1], [5, 7]])
    with pytest.raises(InputError, match=r"gave fields \(1, 38, 48, 64\), expected \(1, 4, 48, 64\)"):
        load(path)(np.zeros((192, 256, 3), np.uint8))


def test_predict_writes_people_without_expected_oks(network, people, tmp_path):
    photo = tmp_path / "photo.png"
    cv2.imwrite(str(photo), np.zeros((192, 256, 3), np.uint8))
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["predict", str(photo), "--model", str(network), "--out", str(out)])
    assert result.exit_code == 0, result.output
    rows = json.loads((out / "results.json").read_text())
    assert len(rows) == 3 and all(row.get("pose_quality") is None and "bbox" not in row for row in rows)
    keypoints = np.array([row["keypoints"] for row in rows]).reshape(3, 17, 3)
    first = keypoints[keypoints[:, 0, 0].argmin()]
    np.testing.assert_array_equal(first[WRIST], 0)
    xy, labelled = people
    np.testing.assert_allclose(first[labelled[0], :2], xy[0][labelled[0]], atol=0.15)


def test_it_is_no_detector(network):
    with pytest.raises(InputError, match="is no detector"):
        load("default", detector=network)

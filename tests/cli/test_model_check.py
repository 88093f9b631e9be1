"""`trustpose models --validate`: a model's description, or one line with the fault."""

import json

import pytest

from tests.predict.tiny_boxes import write_boxes
from tests.predict.tiny_people import write_people
from tests.tiny_onnx import write_network
from trustpose.cli import main


def _run(capsys, *arguments: object) -> tuple[object, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["models", "--validate", *map(str, arguments)])
    printed = capsys.readouterr()
    return ended.value.code, printed.out, printed.err


@pytest.mark.parametrize(
    ("write", "kind", "message"),
    [
        (write_network, "heatmaps", ["data: 192×256", "maps batch × 17 × 64 × 48", "coco17, 17 keypoints", "× 1.0"]),
        (write_people, "people", ["any multiple of 32", "up to 3 people", "detected by the network"]),
        (write_boxes, "boxes", ["longest side 320", "boxes of the people", "detected by the network"]),
    ],
)
def test_each_kind(tmp_path, capsys, write, kind, message):
    code, table, _ = _run(capsys, write(tmp_path))
    assert code == 0 and len(table.splitlines()) <= 11
    lines = {line.split()[0]: line for line in table.splitlines()}
    assert lines["kind"].split()[1] == kind and lines["trust"].split()[1] == "none"
    assert all(one in table for one in message), table


def test_the_default_model(capsys):
    code, text, _ = _run(capsys, "default", "--json")
    described = json.loads(text)
    assert code == 0 and described["kind"] == "heatmaps" and described["people"] == "need boxes"
    assert (
        described["trust"]
        == "quality, visibility, pose_quality, presence by keypoint-tokens, fitted to OKS on file area"
    )


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"skeleton": "coco"}, "colours.json: field 'skeleton': expected one of"),
        ({"extra": 1}, "colours.json: field 'extra' is unknown"),
        ({"onnx": "other.onnx"}, "other.onnx"),
    ],
)
def test_a_broken_one(tmp_path, capsys, spec, message):
    path = write_network(tmp_path, **spec).with_suffix(".json")
    code, out, error = _run(capsys, path)
    assert code == 2 and not out and message in error and error.count("\n") == 1


def test_a_spec_that_does_not_fit_its_network(tmp_path, capsys):
    path = write_network(tmp_path)
    text = json.loads(path.with_suffix(".json").read_text())
    text["output"]["name"] = "heat"
    path.with_suffix(".json").write_text(json.dumps(text))
    code, _, error = _run(capsys, path)
    assert code == 2 and "the spec's field 'output.name' says 'heat'" in error and error.count("\n") == 1

"""`trustpose models` lists the specs of a folder."""

import json

import pytest
import typer
from typer.testing import CliRunner

from tests.predict.tiny_people import write_people
from tests.tiny_onnx import write_network
from trustpose.cli.models import FOLDER, models
from trustpose.files import InputError
from trustpose.predict.adapters import ADAPTERS

app = typer.Typer()
app.command()(models)


def _run(*arguments, env=None):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def folder(tmp_path):
    write_network(tmp_path, measured={"AP": 0.5, "on": "dots"})
    write_people(tmp_path)
    (tmp_path / "note.txt").touch()
    (tmp_path / "model").mkdir()
    write_network(tmp_path / "model", licence="MIT")
    for suffix in (".onnx", ".json"):
        (tmp_path / "model" / f"colours{suffix}").rename(tmp_path / "model" / f"model{suffix}")
    path = tmp_path / "model" / "model.json"
    path.write_text(path.read_text().replace("colours.onnx", "model.onnx"))
    return tmp_path


def test_estimators_of_other_packages():
    code, output = _run("--adapters", "--json")
    rows = {row["model"].partition(":")[0].partition("[")[0]: row for row in json.loads(output)}
    assert code == 0 and set(rows) == set(ADAPTERS)
    assert rows["ultralytics"]["licence"] == "AGPL-3.0"
    code, output = _run("--adapters")
    assert 'pip install "trustpose[mediapipe]"' in output and "mediapipe[:MODEL.task]" in output


def test_the_list_shows_the_specs(folder):
    code, output = _run("--dir", folder, "--json")
    colours, model, people = json.loads(output)
    assert code == 0 and colours["model"] == "colours.onnx" and colours["measured"] == {"AP": 0.5, "on": "dots"}
    assert colours["gives"] == "heatmaps 48×64 of one person, argmax-quarter" and colours["input"] == "192×256"
    assert colours["MB"] == round((folder / "colours.onnx").stat().st_size / 1e6, 1)
    assert model["model"] == "model" and model["licence"] == "MIT" and model["measured"] == {}
    assert people["gives"].startswith("up to 3 people") and people["input"] == "any multiple of 32, longest side 384"
    code, table = _run(env={FOLDER: str(folder)})
    assert code == 0 and all(word in table for word in ("seventeen colours", "AP 0.5, on dots", "MIT", "Apache-2.0"))
    assert json.loads(_run("--dir", folder / "model", "--json")[1])[0]["licence"] == "MIT"


def test_empty_columns_are_left_out(tmp_path):
    write_network(tmp_path)
    assert "measured" not in _run("--dir", tmp_path)[1]


def test_real_networks(data_dir):
    code, output = _run("--dir", data_dir / "networks", "--json")
    rows = {row["model"]: row for row in json.loads(output)}
    assert code == 0 and set(rows) == {
        f"{name}.onnx" for name in ("simplepose", "movenet-thunder", "movenet-multipose")
    }
    assert all(row["licence"] == "Apache-2.0" and row["measured"] == {} for row in rows.values())
    assert rows["movenet-thunder.onnx"]["gives"] == "coordinates of one person"


def test_a_broken_spec_is_reported_and_the_rest_listed(folder):
    (folder / "people.json").write_text("{")
    write_network(folder / "other")
    (folder / "other" / "colours.onnx").rename(folder / "lonely.onnx")
    code, output = _run("--dir", folder)
    assert code == 1 and "seventeen colours" in output
    assert "people.json: is not valid JSON" in output and "lonely.json: no such file" in output


def test_without_a_folder_it_is_the_one_you_are_in(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert _run("--json", env={FOLDER: ""}) == _run("--json", "--dir", folder)


def test_nothing_to_list(tmp_path, monkeypatch):
    code, output = _run("--dir", tmp_path)
    assert code == 0 and "holds no networks; --zoo" in output and "shipped:" not in output
    monkeypatch.chdir(tmp_path)
    code, output = _run(env={FOLDER: ""})
    assert code == 0 and f"{tmp_path}: holds no networks" in output and f"--dir FOLDER or {FOLDER}" in output
    assert "trustpose default" in output and "shipped:mediapipe" in output
    assert json.loads(_run("--json", env={FOLDER: ""})[1]) == []
    with pytest.raises(InputError, match="no such folder"):
        _run("--dir", tmp_path / "none")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        _run("--dir", tmp_path / "file")


def test_measured_must_be_numbers_and_texts(tmp_path):
    for wrong in ([1], {"AP": [1]}, {"AP": None}, 3):
        write_network(tmp_path, measured=wrong)
        code, output = _run("--dir", tmp_path)
        assert code == 1 and "colours.json: field 'measured" in output and "expected a" in output


@pytest.mark.slow
def test_the_zoo():
    pytest.importorskip("torch", reason="the train extra is not installed")
    rows = {row["name"]: row["parameters"] for row in json.loads(_run("--zoo", "--json")[1])}
    assert rows["hrnet-w32"] == pytest.approx(28.5e6, rel=0.01) and len(rows) > 15

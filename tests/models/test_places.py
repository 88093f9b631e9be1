"""Finding a model: the same rule for every name that commands accept."""

import pytest

from tests.tiny_onnx import write_network
from trustpose.files import InputError
from trustpose.models.spec import ModelFiles, ModelSpec, default_folder, detector_folder, find_model


def test_files_and_folders(tmp_path):
    path = write_network(tmp_path)
    json = path.with_suffix(".json")
    assert find_model(path) == find_model(str(path)) == ModelFiles(json, path)
    assert find_model(json) == ModelFiles(json) and find_model(tmp_path / "other.json") == ModelFiles(
        tmp_path / "other.json"
    )
    (tmp_path / "model.json").write_text(json.read_text())
    assert find_model(tmp_path) == ModelFiles(tmp_path / "model.json")


def test_bundled_models(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_model("default") == ModelFiles(default_folder() / "model.json")
    assert find_model("default-detector") == ModelFiles(detector_folder() / "model.json")
    assert ModelSpec.read("default").name == "trustpose default"
    (tmp_path / "default-detector").mkdir()  # such as a training of that name
    with pytest.raises(InputError, match=r"default-detector: holds no model\.json"):
        find_model("default-detector")


@pytest.mark.parametrize(
    ("name", "message"),
    [("none.onnx", "none.onnx: no such file"), ("none", "none: no such file"), (".", "holds no model.json")],
)
def test_missing_models(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        find_model(name)


def test_a_network_without_its_spec(tmp_path):
    path = write_network(tmp_path)
    path.with_suffix(".json").unlink()
    with pytest.raises(InputError, match=r"colours\.json: no such file; a network needs its spec beside it"):
        find_model(path)

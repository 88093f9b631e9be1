"""Models pushed to and loaded from a hub: the hub's own client, against a hub on this computer."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import trustpose as tp
from tests.integrations.hub_server import Hub, running_hub, use, write_model
from tests.predict.tiny_boxes import photo_of_dots, write_boxes
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.integrations.hub import model_card, push_model
from trustpose.models.hub import HubName, download_model
from trustpose.predict.fingerprints import fingerprint

huggingface_hub = pytest.importorskip("huggingface_hub", reason="the extra `hub` is not installed")
constants = pytest.importorskip("huggingface_hub.constants")
BOXES = [[0.0, 0, 50, 50], [20, 20, 300, 280]]


@pytest.fixture
def hub(tmp_path, monkeypatch):
    with running_hub() as hub:
        use(monkeypatch, hub.address)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield hub


@pytest.fixture
def folder(tmp_path) -> Path:
    return write_model(tmp_path / "model")


def test_a_pushed_model_is_loaded_and_gives_the_same_poses(hub: Hub, folder, tmp_path):
    name = push_model(folder, "ada/colours", token="hf_test")
    assert name == f"hf:ada/colours@{hub.commits['ada/colours'][-1][0]}"
    files = hub.files("ada/colours")
    assert set(files) == {".gitattributes", "README.md", "model.json", "model.onnx"}
    assert files["model.onnx"] == (folder / "model.onnx").read_bytes()
    photo = photo_of_dots(400, 300, (150, 150, 250))
    expected = tp.load(folder)(photo, boxes=BOXES)
    for one in ("hf:ada/colours", "hf:ada/colours@main", name):
        poses = tp.load(one)(photo, boxes=BOXES)
        np.testing.assert_array_equal(poses.xy, expected.xy)
        np.testing.assert_array_equal(poses.score, expected.score)
    assert Path(tp.load(name).model).resolve().is_relative_to(tmp_path / "cache")


def test_further_files_of_a_model_travel_with_it_and_change_its_fingerprint(hub: Hub, folder):
    for name in ("trust.onnx", "residual.onnx", "pairwise.npz"):
        alone = fingerprint(folder)
        (folder / name).write_bytes(name.encode())
        assert fingerprint(folder) != alone
    downloaded = download_model(push_model(folder, "ada/colours", token="hf_test"))
    assert {"trust.onnx", "residual.onnx", "pairwise.npz"} <= set(hub.files("ada/colours"))
    for name in ("trust.onnx", "residual.onnx", "pairwise.npz"):
        assert (downloaded / name).read_bytes() == name.encode()


def test_a_commit_in_the_cache_needs_no_hub(hub: Hub, folder):
    name = push_model(folder, "ada/colours", token="hf_test")
    first = download_model(name)
    before = len(hub.requests)
    assert download_model(name) == first and len(hub.requests) == before
    push_model(folder, "ada/colours", token="hf_test", message="again")
    assert download_model("hf:ada/colours") != first  # main has moved
    assert download_model(name) == first


def test_without_a_network(hub: Hub, folder, tmp_path, monkeypatch):
    push_model(folder, "ada/colours", token="hf_test")
    here = download_model("hf:ada/colours")
    hub.requests.clear()
    assert download_model("hf:ada/colours", local_files_only=True) == here
    assert tp.load("hf:ada/colours", local_files_only=True).model == str(here)
    with pytest.raises(InputError, match=r"^hf:ada/colours: is not in the local cache, and the hub is not reachable"):
        tp.load("hf:ada/colours", local_files_only=True, cache_dir=tmp_path / "empty")
    assert not hub.requests
    use(monkeypatch, "http://127.0.0.1:9")  # nobody listens
    assert download_model("hf:ada/colours") == here
    with pytest.raises(InputError, match=r"^hf:ada/other: is not in the local cache, and the hub is not reachable"):
        tp.load("hf:ada/other")
    with pytest.raises(InputError, match=r"^hf:ada/other: the hub cannot be used \("):
        push_model(folder, "ada/other", token="hf_test")


@pytest.mark.usefixtures("hub")
def test_the_command_line_offline(folder, tmp_path):
    push_model(folder, "ada/colours", token="hf_test")
    download_model("hf:ada/colours")
    (tmp_path / "photo7.pgm").write_bytes(b"P5 20 10 255 " + bytes(200))
    offline = {"HF_HUB_CACHE": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}

    def predict(model: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "trustpose", "predict", str(tmp_path / "photo7.pgm"), "--model", model]
        command += ["--detector", "whole", "--no-draw", "--out", str(tmp_path / "out")]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ | offline, check=False)

    done = predict("hf:ada/colours")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "results.json").is_file()
    done = predict("hf:ada/none")
    message = "is not in the local cache, and the hub is not reachable, or offline is set"
    assert done.returncode == 2 and done.stderr == f"trustpose: error: hf:ada/none: {message}\n"


def test_a_detector_from_the_hub(hub: Hub, folder, tmp_path):
    write_boxes(tmp_path / "boxes", "model")
    push_model(folder, "ada/colours", token="hf_test")
    push_model(tmp_path / "boxes", "ada/boxes", token="hf_test")
    photo = photo_of_dots(400, 300, (150, 150, 250))
    poses = tp.load("hf:ada/colours", detector="hf:ada/boxes")(photo)
    expected = tp.load(folder, detector=str(tmp_path / "boxes"))(photo)
    assert len(expected) == 1
    np.testing.assert_array_equal(poses.box, expected.box)
    assert b"pipeline_tag: object-detection\n" in hub.files("ada/boxes")["README.md"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("hf:colours", "hf:colours: expected hf:USER/NAME or hf:USER/NAME@REVISION"),
        ("hf:../../x", "hf:../../x: expected hf:USER/NAME or hf:USER/NAME@REVISION"),
        ("hf:ada/none", "hf:ada/none: no such repository on "),
        ("hf:ada/colours@v9", "hf:ada/colours@v9: the repository has no such branch, tag or commit"),
        ("hf:ada/empty", "hf:ada/empty: holds no model.json, expected a model folder of trustpose"),
    ],
)
def test_names_that_lead_nowhere(hub: Hub, name, message):
    hub.commit("ada/colours", {"model.json": b"{}"})
    hub.commit("ada/empty", {"weights.bin": b"1"})
    with pytest.raises(InputError) as error:
        tp.load(name)
    assert str(error.value).startswith(message) and "\n" not in str(error.value)
    assert not any("weights.bin" in request for request in hub.requests)


def test_the_fast_setting_is_not_on_the_hub():
    with pytest.raises(InputError, match="has no fast setting on the hub"):
        tp.load("hf:ada/colours", fast=True)


def test_stale_files_are_removed_and_others_stay(hub: Hub, folder):
    hub.commit("ada/colours", {"model.safetensors": b"old", "LICENSE": b"text"})
    push_model(folder, "ada/colours", token="hf_test")
    assert set(hub.files("ada/colours")) == {"LICENSE", "README.md", "model.json", "model.onnx"}
    (folder / "model.safetensors").write_bytes(b"weights")
    push_model(folder, "ada/colours", token="hf_test")
    assert hub.files("ada/colours")["model.safetensors"] == b"weights"


def test_what_is_no_model_folder_is_not_pushed(hub: Hub, folder, tmp_path):
    with pytest.raises(InputError, match="expected hf:USER/NAME"):
        push_model(folder, "colours")
    with pytest.raises(InputError, match="nowhere: no such folder"):
        push_model(tmp_path / "nowhere", "ada/colours")
    (folder / "model.onnx").unlink()
    with pytest.raises(InputError, match=r"model\.onnx: no such file"):
        push_model(folder, "ada/colours")
    assert not hub.requests


@pytest.mark.usefixtures("hub")
def test_a_push_needs_a_login(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "none"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    with pytest.raises(InputError) as error:
        push_model(folder, "ada/colours")
    assert str(error.value).startswith("hf:ada/colours: ") and "\n" not in str(error.value)


def test_the_card(folder):
    card = huggingface_hub.ModelCard(model_card(folder, "ada/colours", ["animals"]))
    assert (card.data.license, card.data.library_name, card.data.pipeline_tag) == (
        *("mit", "trustpose"),
        "keypoint-detection",
    )
    assert card.data.tags == ["onnx", "human-pose-estimation", "pose-estimation", "coco17", "animals"]
    assert "# seventeen colours" in card.text and "| AP, dev | 0.5 |" in card.text
    assert 'tp.load("hf:ada/colours")' in card.text


def test_the_authors_own_card_is_kept(folder):
    (folder / "README.md").write_text(
        "---\nlicense: cc-by-nc-4.0\ntags: [mine]\nlanguage: en\n---\n\n# Mine\n\nText.\n"
    )
    card = huggingface_hub.ModelCard(model_card(folder, "ada/colours"))
    assert (card.data.license, card.data.language, card.data.tags[0]) == ("cc-by-nc-4.0", "en", "mine")
    assert card.data.pipeline_tag == "keypoint-detection" and card.text.strip() == "# Mine\n\nText."
    again = folder / "README.md"
    again.write_text(model_card(folder, "ada/colours"))
    assert model_card(folder, "ada/colours") == again.read_text()
    again.write_text("---\nlicense: [\n---\n# Mine\n")
    with pytest.raises(InputError, match=r"README\.md: its header between lines of --- is not readable as YAML"):
        model_card(folder, "ada/colours")


def test_an_unlisted_licence_is_named(folder):
    path = folder / "model.json"
    path.write_text(path.read_text().replace('"MIT"', '"Our licence 2"'))
    card = model_card(folder, "ada/colours")
    assert "license: other\n" in card and "license_name: our-licence-2\n" in card


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(InputError, match=f"^{re.escape(not_installed('huggingface_hub', 'hub'))}"):
        tp.load("hf:ada/colours")


def test_names_are_read_and_written():
    sha = "0123456789abcdef" * 2 + "01234567"
    for text in ("hf:ada/colours", "hf:ada/colours@refs/pr/1", f"hf:a.b/c-d_e@{sha}"):
        assert str(HubName.read(text)) == text
    assert HubName.read(f"hf:ada/colours@{sha}").is_commit and not HubName.read("hf:ada/colours@main").is_commit

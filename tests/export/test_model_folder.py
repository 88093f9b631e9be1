"""Checkpoints become model folders, which both backends run alike."""

import hashlib
import http.server
import json
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import trustpose as tp
from tests.networks import official_names as names
from trustpose.cli import main
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.export import model_folder
from trustpose.files import InputError
from trustpose.models.spec import ModelSpec
from trustpose.networks.preparation import Preparation, preparation
from trustpose.networks.zoo import build


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small zoo network's random weights, batch norm's running numbers too, as a checkpoint."""
    torch.manual_seed(0)
    network = build("hourglass-1", keypoints=16)
    for name, tensor in network.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
    path = tmp_path_factory.mktemp("checkpoint") / "hourglass.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in network.state_dict().items()}}, path)
    return path


@pytest.fixture(scope="module")
def folder(checkpoint: Path) -> Path:
    out = checkpoint.parent / "model"
    arguments = ["import", checkpoint, "--network", "hourglass-1", "--out", out, "--size", "128x128"]
    assert run(*arguments, "--licence", "Apache-2.0") == 0
    return out


def test_a_folder_holds_onnx_json_and_safetensors(folder: Path, checkpoint: Path) -> None:
    assert {file.name for file in folder.iterdir()} == {"model.onnx", "model.json", "model.safetensors"}
    spec = json.loads((folder / "model.json").read_text())
    assert spec["network"] == "hourglass-1"
    assert spec["skeleton"] == "mpii16"
    assert spec["licence"] == "Apache-2.0"
    assert spec["source"] == str(checkpoint)
    weights = load_file(folder / "model.safetensors")
    original = torch.load(checkpoint, weights_only=True)["state_dict"]
    assert {f"module.{name}" for name in weights} == set(original)
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o644}, "readable by others"


def test_both_backends_give_the_same_poses(folder: Path) -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (300, 400, 3), dtype=np.uint8)
    boxes = np.array([[10.0, 20, 200, 280], [150, 30, 390, 290], [0, 0, 50, 60]])
    onnx = tp.load(folder)(image, boxes=boxes)
    in_torch = tp.load(folder, backend="torch", device="cpu")(image, boxes=boxes)
    np.testing.assert_allclose(in_torch.score, onnx.score, atol=1e-4)
    close = np.abs(in_torch.xy - onnx.xy).max(axis=2) < 1e-2  # a tie between two peaks may go either way
    assert close.mean() > 0.95
    one_by_one = tp.load(folder, backend="torch", device="cpu", batch_size=1)(image, boxes=boxes)
    np.testing.assert_allclose(one_by_one.score, in_torch.score, atol=1e-4)
    rough = tp.load(folder, backend="torch", device="cpu", precision="bfloat16")(image, boxes=boxes)
    np.testing.assert_allclose(rough.score, onnx.score, rtol=0.1, atol=0.05 * np.abs(onnx.score).max())


def test_the_module_is_at_hand(folder: Path) -> None:
    network = tp.load(folder).network
    outputs = network(torch.zeros(2, 3, 128, 128))
    assert outputs.heatmaps[-1].shape == (2, 16, 32, 32)
    assert outputs.features.shape[:2] == (2, network.feature_channels)


def test_a_lone_onnx_file_has_no_module(folder: Path, tmp_path: Path) -> None:
    for name in ("model.onnx", "model.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        _ = tp.load(tmp_path).network
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        tp.load(tmp_path, backend="torch")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "tensorflow"}, "backend: expected onnx or torch, got 'tensorflow'"),
        ({"precision": "bfloat16"}, "option of the torch backend"),
        ({"backend": "torch", "precision": "int4"}, "precision: expected one of float32, bfloat16, float16"),
        ({"backend": "torch", "device": "cuda:99"}, "device: 'cuda:99' cannot be used"),
    ],
)
def test_runtimes_that_are_not_there_are_refused(folder: Path, options, message: str) -> None:
    with pytest.raises(InputError, match=message):
        tp.load(folder, **options)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--network", "hourglass-9"], "--network: expected one of"),
        (["--network", "hourglass-2"], "hourglass.pth: this is a trustpose (hourglass-1), you asked for hourglass-2"),
        (["--size", "big"], "--size: expected height x width"),
        (["--size", "100x100"], "multiples of 32"),
        (["--skeleton", "coco17"], "expected shape"),
        (["--from", "nobody"], "expected one of"),
        (["--size", "4096x4096"], "--size: expected height x width, 32 to 2048 pixels"),
        (["--channels", "CMYK"], "--channels: expected one of rgb, bgr"),
        (["--sha256", "00"], "its SHA-256 is"),
    ],
)
def test_mismatches_are_named(checkpoint: Path, tmp_path: Path, capsys, extra: list[str], message: str) -> None:
    common = [] if "--network" in extra else ["--network", "hourglass-1"]
    assert run("import", checkpoint, "--out", tmp_path / "out", *common, *extra) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("network", "options", "message"),
    [
        ("hrnet-w32", [], "simple.pth: this is a pose_resnet (simple-baseline-r50), you asked for hrnet-w32"),
        ("simple-baseline-r50", [], "which order of colours it was trained with: --channels rgb or bgr is needed"),
        ("simple-baseline-r50-caffe", ["--channels", "bgr", "--skeleton", "mpii16"], "expected shape"),  # all but that
    ],
)
def test_a_pose_resnet_needs_its_network_and_its_channels(tmp_path: Path, capsys, network, options, message) -> None:
    torch.save(names.state_dict(names.pose_resnet50()), tmp_path / "simple.pth")
    assert run("import", tmp_path / "simple.pth", "--network", network, "--out", tmp_path / "out", *options) == 2
    complaint = capsys.readouterr().err
    assert message in complaint and complaint.count("\n") == 1 and not (tmp_path / "out").exists()


def test_the_model_of_an_mspn_is_fed_and_read_as_its_project_does(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(model_folder, "export_onnx", lambda _module, path, *_, **__: path.touch())  # it takes long
    torch.save({"model": names.state_dict(names.mspn(1)), "iteration": 3}, tmp_path / "iter-3.pth")
    options = ["--network", "mspn-1", "--out", tmp_path / "out", "--size", "64x64"]
    assert run("import", tmp_path / "iter-3.pth", *options) == 0
    spec = ModelSpec.read(tmp_path / "out")
    assert spec.input.channels == "BGR" and spec.input.mean == (0.406, 0.456, 0.485) and spec.padding == (1.09, 1.135)
    settings = {"smoothing": 5, "offset": 2.0, "score_scale": 1 / 255, "score_offset": 0.5}
    assert spec.codec == HeatmapCodec(16, 16, 4.0, 1.0, "second-highest", **settings)


def test_each_projects_preparation() -> None:
    mspn = preparation("mmpose-1.x", "mspn-2", 17)
    assert (mspn.channels, mspn.padding, mspn.codec, mspn.offset) == ("RGB", 1.25, "argmax-quarter", 2.0)
    assert preparation("mmpose-0.x", "hrnet-w32", 17) == preparation("pose_hrnet", "hrnet-w32", 17) == Preparation()
    assert (
        preparation("mspn", "mspn-2", 16).smoothing == 9 and preparation("pytorch-pose", "hourglass-2", 16).offset == 2
    )


def test_an_existing_folder_is_left_alone(folder: Path, checkpoint: Path, capsys) -> None:
    before = (folder / "model.onnx").read_bytes()
    assert run("import", checkpoint, "--network", "hourglass-1", "--out", folder) == 2
    assert "exists already" in capsys.readouterr().err
    assert (folder / "model.onnx").read_bytes() == before


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path, capsys) -> None:
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "sprung").touch, ())

    torch.save({"state_dict": Trap()}, tmp_path / "trap.pth")
    assert run("import", tmp_path / "trap.pth", "--network", "hourglass-1", "--out", tmp_path / "out") == 2
    assert "not opened" in capsys.readouterr().err
    assert not (tmp_path / "sprung").exists()


def test_a_url_needs_its_sha256(checkpoint: Path, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr(model_folder, "export_onnx", lambda _module, path, *_, **__: path.touch())  # it takes long
    handler = partial(_Quiet, directory=checkpoint.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/hourglass.pth"
        arguments = ["import", url, "--network", "hourglass-1", "--size", "128x128", "--out", tmp_path / "out"]
        assert run(*arguments) == 2
        assert "needs --sha256" in capsys.readouterr().err
        assert run(*arguments, "--sha256", "ab" * 32) == 2
        assert "its SHA-256 is" in capsys.readouterr().err
        assert run(*arguments, "--sha256", hashlib.sha256(checkpoint.read_bytes()).hexdigest()) == 0
        assert json.loads((tmp_path / "out" / "model.json").read_text())["source"] == url
        assert run("import", url + "x", *arguments[2:-1], tmp_path / "two", "--sha256", "ab") == 2
        server.shutdown()


def test_spoilt_weights_in_a_folder_are_named(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = load_file(tmp_path / "model.safetensors")
    lost = next(name for name in weights if name.endswith(".weight"))
    save_file({name: tensor for name, tensor in weights.items() if name != lost}, tmp_path / "model.safetensors")
    with pytest.raises(InputError, match=f"model.safetensors: {lost}: missing tensor"):
        _ = tp.load(tmp_path).network


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def test_a_tensor_of_another_shape_is_named_whatever_the_skeleton(checkpoint: Path, tmp_path: Path, capsys) -> None:
    state = torch.load(checkpoint, weights_only=True)["state_dict"]
    name = next(name for name in state if name.endswith("conv1.weight"))
    torch.save({**state, name: torch.zeros(3, 3)}, tmp_path / "other.pth")
    assert run("import", tmp_path / "other.pth", "--network", "hourglass-1", "--out", tmp_path / "out") == 2
    complaint = capsys.readouterr().err
    assert "expected shape" in complaint
    assert "keypoints" not in complaint

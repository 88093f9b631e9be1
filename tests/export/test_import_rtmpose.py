"""mmpose's RTMPose checkpoints become model folders; SimCC networks run alike on onnxruntime and in torch."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import trustpose as tp
from trustpose.cli import main
from trustpose.codecs import Outputs
from trustpose.codecs.simcc import SimCCCodec
from trustpose.files import InputError
from trustpose.models.runtime.backends import open_runtime
from trustpose.models.spec import ModelSpec, SimCCOutput
from trustpose.networks.checkpoints import convert, count_keypoints, recognise, zoo_network
from trustpose.networks.zoo import SIMCC, build

HEIGHT, WIDTH = 128, 96


def state_dict(name: str = "rtmpose-t", keypoints: int = 17) -> dict[str, torch.Tensor]:
    """A network's tensors under mmpose's names, random, batch norm's statistics too."""
    torch.manual_seed(0)
    network = build(name, keypoints, height=HEIGHT, width=WIDTH)
    for tensor_name, tensor in network.state_dict().items():
        if tensor_name.endswith(("running_mean", "running_var")):
            tensor.copy_(torch.rand_like(tensor) + 0.5)
        if ".cls_" in tensor_name or "final_layer" in tensor_name:
            tensor.copy_(torch.randn_like(tensor) * 0.3)
    colours = {f"data_preprocessor.{name}": torch.ones(3, 1, 1) for name in ("mean", "std")}
    return {**network.state_dict(), **colours}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "rtmpose.pth"
    torch.save({"meta": {"epoch": 420}, "state_dict": state_dict()}, path)
    return path


@pytest.fixture(scope="module")
def folder(checkpoint: Path) -> Path:
    out = checkpoint.parent / "model"
    assert run("import", checkpoint, "--network", "rtmpose-t", "--out", out, "--size", f"{HEIGHT}x{WIDTH}") == 0
    return out


def run(*arguments: object) -> int:
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)


def photos(count: int) -> list[np.ndarray]:
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (count, 25, 30, 3), dtype=np.uint8)
    return list(coarse.repeat(8, axis=1).repeat(8, axis=2))


@pytest.mark.parametrize("name", SIMCC)
def test_the_network_of_a_file_is_recognised(name: str) -> None:
    with torch.device("meta"):
        tensors = build(name, 21).state_dict()
    assert recognise(tensors) == "mmpose-1.x" and count_keypoints(tensors) == 21
    assert zoo_network(tensors, "mmpose-1.x") == zoo_network(tensors, "trustpose") == name
    with torch.device("meta"):
        assert convert(tensors, build(name, 21)).keys() == tensors.keys()


def test_the_folders_spec(folder: Path) -> None:
    spec = ModelSpec.read(folder)
    assert spec.network == "rtmpose-t" and spec.padding == 1.25 and spec.input.channels == "RGB"
    assert spec.output == SimCCOutput(17, "simcc_x", "simcc_y", 2.0, (3.46, 4.0), flip_shift=0)
    assert spec.codec == SimCCCodec(WIDTH, HEIGHT, 2.0, (3.46, 4.0), flip_shift=0)
    graph = onnx.load(folder / "model.onnx").graph
    assert [value.name for value in graph.output] == ["simcc_x", "simcc_y", "features", "tokens"]
    assert run("models", "--validate", folder) == 0


def test_its_numbers_are_the_networks(folder: Path) -> None:
    spec = ModelSpec.read(folder)
    network = build("rtmpose-t", height=HEIGHT, width=WIDTH)
    network.load_state_dict({k: v for k, v in state_dict().items() if not k.startswith("data_")})
    crops = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH, 3), dtype=np.uint8)
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    pixels = torch.from_numpy(((crops / 255 - mean) / std).transpose(0, 3, 1, 2)).float()
    with torch.no_grad():
        expected = network.eval()(pixels)
    for backend in ("onnx", "torch"):
        outputs = open_runtime(spec, backend=backend)(crops)
        assert outputs.simcc is not None and not outputs.heatmaps
        for first, second in zip(outputs.simcc, expected.simcc, strict=True):
            np.testing.assert_allclose(first, second.numpy(), atol=1e-4 * float(second.abs().max()))
    tokens = open_runtime(spec, backend="torch")(crops).tokens
    assert tokens is not None
    np.testing.assert_allclose(tokens, expected.tokens.numpy(), atol=1e-4)


def agreeing(xy: np.ndarray, other: np.ndarray) -> float:
    """The share of joints in the same bins; in the rest two bins are as high, and rounding decides between them."""
    return float((np.abs(xy - other).max(axis=-1) < 1e-3).mean())


@pytest.mark.parametrize("flip", [False, True])
def test_poses(folder: Path, flip: bool) -> None:
    """The same on both backends, in a batch and alone; every place is the codec's, brought back to the photo."""
    several = photos(5)
    poses = [tp.load(folder, backend=backend, flip=flip, detector="whole")(several) for backend in ("onnx", "torch")]
    assert agreeing(poses[0].xy, poses[1].xy) > 0.95 and poses[0].xy.shape == (5, 17, 2)
    score = [pose.score for pose in poses]
    assert score[0] is not None and score[1] is not None
    np.testing.assert_allclose(score[0], score[1], atol=1e-3)
    alone = tp.load(folder, flip=flip, detector="whole")(several[3])
    assert agreeing(alone.xy[0], poses[0].xy[3]) > 0.85


def test_a_flip_shifts_by_the_specs_value(folder: Path) -> None:
    spec = ModelSpec.read(folder)
    output = spec.expect(SimCCOutput)
    random = np.random.default_rng(0)
    logits = [random.normal(size=(2, *shape)).astype(np.float32) for shape in output.shapes(spec.input)]
    outputs, index = output.outputs(logits), spec.skeleton.flip_index
    plain = output.codec(spec.input).average_flipped(outputs, outputs, index).simcc
    assert plain is not None
    np.testing.assert_allclose(plain[0], (logits[0] + logits[0][:, index, ::-1]) / 2, rtol=1e-6)
    np.testing.assert_allclose(plain[1], (logits[1] + logits[1][:, index]) / 2, rtol=1e-6)


def test_scores_follow_the_spec() -> None:
    simcc = np.array([[[0.1, 0.9, 0.3]]], np.float32), np.array([[[0.5, 0.2]]], np.float32)
    for codec, expected in ((SimCCCodec(3, 2, 1.0), 0.5), (SimCCCodec(3, 2, 1.0, score="mean"), 0.7)):
        decoded = codec.decode(Outputs([], simcc=simcc))
        np.testing.assert_allclose(decoded.score, [[expected]])
        np.testing.assert_array_equal(decoded.xy, [[[1, 0]]])


def test_a_file_of_mmdeploys(folder: Path, tmp_path: Path) -> None:
    """Its graph has two outputs and an input "input", pixels normalised in it or not; its JSON is written by hand."""
    model = onnx.load(folder / "model.onnx")
    del model.graph.output[2:]
    for node in model.graph.node:
        node.input[:] = ["input" if name == "image" else name for name in node.input]
    model.graph.input[0].name = "input"
    onnx.save(model, tmp_path / "end2end.onnx")
    spec = {
        "input": {
            **{"name": "input", "layout": "NCHW", "dtype": "float32", "height": HEIGHT, "width": WIDTH},
            **{"channels": "RGB", "scale": 1, "mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
        },
        "output": {"kind": "simcc", "keypoints": 17},
        "skeleton": "coco17",
        "crop": {"padding": 1.25},
    }
    (tmp_path / "end2end.json").write_text(json.dumps(spec))
    first_poses, deployed = (tp.load(path, detector="whole")(photos(3)) for path in (folder, tmp_path / "end2end.onnx"))
    assert agreeing(deployed.xy, first_poses.xy) > 0.95
    spec["output"] = {"kind": "simcc", "keypoints": 17, "x": "columns"}
    (tmp_path / "end2end.json").write_text(json.dumps(spec))
    with pytest.raises(InputError, match=r"outputs are simcc_x, simcc_y; the spec's field 'output\.x' says 'columns'"):
        tp.load(tmp_path / "end2end.onnx", detector="whole")
    spec["output"] = {"kind": "simcc", "keypoints": 17, "split": 3}
    (tmp_path / "end2end.json").write_text(json.dumps(spec))
    with pytest.raises(InputError, match=r"gave an output \(1, 17, 192\), its spec's 'output' says \(1, 17, 288\)"):
        tp.load(tmp_path / "end2end.onnx", detector="whole")(photos(1)[0])


WRONG = [
    *(("split", value) for value in (0, "2", 99)),
    *(("sigma", value) for value in (0, [1], "5", [4.9, -1])),
    *(("score", value) for value in ("max", 1)),
    *(("flip_shift", value) for value in (-1, 0.5, 1000, "0")),
    *(("normalised", value) for value in (1, "no")),
    *(("y", value) for value in ("simcc_x", 5)),
    ("keypoints", 16),
    ("order", "xy"),
]


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_wrong_fields_are_named(folder: Path, tmp_path: Path, field: str, value: object) -> None:
    spec = json.loads((folder / "model.json").read_text())
    spec["output"][field] = value
    (tmp_path / "model.json").write_text(json.dumps(spec))
    with pytest.raises(InputError, match=rf"model\.json: field 'output\.{field}'"):
        ModelSpec.read(tmp_path)


def test_there_and_back(folder: Path, tmp_path: Path) -> None:
    spec = json.loads((folder / "model.json").read_text())
    for codec, more in (("simcc", {}), ("simcc-dark", {"score": "mean", "normalised": True, "sigma": 5, "y": "rows"})):
        (tmp_path / "model.json").write_text(json.dumps(spec | {"codec": codec, "output": spec["output"] | more}))
        content = ModelSpec.read(tmp_path)
        (tmp_path / "model.json").write_text(json.dumps(content.to_json()))
        assert ModelSpec.read(tmp_path) == content
        assert content.expect(SimCCOutput).subbin == (codec == "simcc-dark")


def test_mismatches_are_reported(checkpoint: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for network, size, message in (
        ("rtmpose-m", f"{HEIGHT}x{WIDTH}", "this is an mmpose-1.x (rtmpose-t), you asked for rtmpose-m"),
        ("rtmpose-t", "256x192", "--size: expected 128x96, the crops that its classifiers are for, got 256x192"),
    ):
        assert run("import", checkpoint, "--network", network, "--out", folder / "other", "--size", size) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(InputError, match=r"decoding dark: .* gives simcc, expected heatmaps"):
        tp.load(folder, codec="dark")

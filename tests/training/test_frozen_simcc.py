"""Trust heads on SimCC networks: trained on a model folder, in one graph with it, the numbers those of torch."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import trustpose as tp
from tests.export.test_import_rtmpose import HEIGHT, WIDTH, agreeing, photos, run, state_dict
from tests.people_cases import write_training_folder
from trustpose.export.inner_tensors import expose, find_maps
from trustpose.files import InputError, write_json
from trustpose.heads.keypoint_tokens import OFFSETS, read_simcc
from trustpose.heads.network import HEADS, attach, new_head
from trustpose.models.runtime.sessions import run_tensors, session_of, to_tensor
from trustpose.models.spec import ModelSpec
from trustpose.networks.zoo import build
from trustpose.training.recipe import FrozenOptions, to_json
from trustpose.training.recipes import find_recipe

FILLED = {
    "keypoint-tokens": {"quality", "visibility", "pose_quality"},
    "oks-net": {"pose_quality"},
    "metamodel": {"visibility"},
}
RECIPE = find_recipe("frozen-trust")
SMALL = replace(
    RECIPE,
    frozen=FrozenOptions(views=2),
    train=replace(RECIPE.train, epochs=1, batch_size=8, log_every=1, warmup=2),
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rtmpose")
    torch.save({"state_dict": state_dict()}, folder / "rtmpose.pth")
    size = ("--size", f"{HEIGHT}x{WIDTH}")
    assert run("import", folder / "rtmpose.pth", "--network", "rtmpose-t", "--out", folder / "model", *size) == 0
    return folder / "model"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_folder(tmp_path_factory.mktemp("data"), photos=12)


def train(data: Path, model: Path, out: Path, head: str) -> int:
    recipe = replace(SMALL, head=head, head_options={})
    write_json(out.with_suffix(".json"), to_json(recipe))
    words = ("--data", data, "--out", out, "--model", model, "--accelerator=cpu")
    return run("train", out.with_suffix(".json"), *words)


@pytest.mark.parametrize("head", FILLED)
def test_from_training_to_poses(data: Path, model: Path, tmp_path: Path, head: str) -> None:
    out = tmp_path / "out"
    assert train(data, model, out, head) == 0
    spec = ModelSpec.read(out)
    assert spec.trust is not None and spec.trust.head == head and set(spec.trust.outputs) == FILLED[head]
    graph = onnx.load(spec.onnx).graph
    assert [value.name for value in graph.output] == ["simcc_x", "simcc_y", *spec.trust.outputs]
    plain, trusted = (tp.load(path, detector="whole")(photos(3)) for path in (model, out))
    assert agreeing(trusted.xy, plain.xy) > 0.95
    for name in FILLED[head]:
        found = getattr(trusted, name)
        assert found is not None and np.isfinite(found).all() and 0 <= found.min() <= found.max() <= 1
    flipped = tp.load(out, flip=True, detector="whole")(photos(3))
    assert all(getattr(flipped, name) is not None for name in FILLED[head])
    assert run("models", "--validate", out) == 0


def test_mmdeploys_graph_is_read_alike(data: Path, model: Path, tmp_path: Path) -> None:
    """Two outputs, no name to go by: feature map and tokens are found by what makes the logits."""
    graph = onnx.load(model / "model.onnx")
    del graph.graph.output[2:]
    spec = json.loads((model / "model.json").read_text())
    onnx.save(graph, tmp_path / "end2end.onnx")
    del spec["network"]
    (tmp_path / "end2end.json").write_text(json.dumps(spec | {"onnx": "end2end.onnx"}))
    content = ModelSpec.read(tmp_path / "end2end.onnx")
    maps = find_maps(content, ["features", "backbone"])
    assert maps["features"].shape == maps["backbone"].shape == (384, HEIGHT // 32, WIDTH // 32)
    crops = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)
    exposed = expose(content, {"features": maps["features"].name})
    names = ["simcc_x", "simcc_y", "tokens", "features"]
    blob = {"image": to_tensor(crops, content.input)}
    tensors = run_tensors(session_of(exposed.SerializeToString(), content.onnx), content.onnx, names, blob)
    network = build("rtmpose-t", height=HEIGHT, width=WIDTH).eval()
    network.load_state_dict({k: v for k, v in state_dict().items() if not k.startswith("data_")})
    with torch.no_grad():
        outputs = network(torch.from_numpy(blob["image"]))
    for first, second in zip(tensors, (*outputs.simcc, outputs.tokens, outputs.features), strict=True):
        np.testing.assert_allclose(first, second.numpy(), atol=1e-4 * float(second.abs().max()))
    assert train(data, tmp_path / "end2end.onnx", tmp_path / "out", "keypoint-tokens") == 0


def test_the_trained_heads_numbers(data: Path, model: Path, tmp_path: Path) -> None:
    """The graph's trust is that of network and head in torch, attached by their names and read from the folder."""
    from trustpose.networks.checkpoint_files import read_tensors

    assert train(data, model, tmp_path / "out", "keypoint-tokens") == 0
    spec = ModelSpec.read(tmp_path / "out")
    network = build("rtmpose-t", height=HEIGHT, width=WIDTH).eval()
    network.load_state_dict({k: v for k, v in state_dict().items() if not k.startswith("data_")})
    module = attach("keypoint-tokens", network, HEIGHT, WIDTH).eval()
    module.head.load_state_dict(read_tensors(spec.onnx.with_name("model.safetensors")))
    crops = np.random.default_rng(1).integers(0, 256, (4, HEIGHT, WIDTH, 3), dtype=np.uint8)
    box = np.linspace(0.3, 0.9, 8).reshape(4, 2)
    from trustpose.models.runtime.backends import open_runtime

    trust = open_runtime(spec).with_trust(crops, box)[1].filled()
    with torch.no_grad():
        pixels = torch.from_numpy(to_tensor(crops, spec.input))
        _, expected = module(pixels, torch.from_numpy(box).float())
    for name, values in expected.filled().items():
        np.testing.assert_allclose(trust[name], values.numpy(), atol=1e-4)


def test_what_is_read_at_the_peaks() -> None:
    """Against the same written out for one keypoint after the other."""
    torch.manual_seed(0)
    features, tokens = torch.randn(2, 4, 3, 5), torch.randn(2, 6, 7)
    columns, rows = torch.randn(2, 6, 60), torch.randn(2, 6, 80)
    found, _ = read_simcc(features, columns, rows, tokens)
    assert found.shape == (2, 6, 5 + 7 + 2 * (len(OFFSETS) + 1))
    for b in range(2):
        for k in range(6):
            x, y = int(columns[b, k].argmax()), int(rows[b, k].argmax())
            expected = [features[b, int((y + 0.5) * 4 / 80), int((x + 0.5) * 3 / 60)], tokens[b, k]]
            for logits, position in ((columns[b, k], x), (rows[b, k], y)):
                window = [
                    logits[min(max(position + offset, 0), len(logits) - 1)] - logits[position] for offset in OFFSETS
                ]
                expected += [torch.stack(window), logits[position : position + 1]]
            torch.testing.assert_close(found[b, k], torch.cat(expected))


def test_a_head_that_needs_heatmaps_is_refused(data: Path, model: Path, tmp_path: Path, capsys) -> None:
    assert HEADS["hpcvnet"].needs_heatmaps
    assert train(data, model, tmp_path / "out", "hpcvnet") == 2
    assert "head hpcvnet: reads heatmaps, which a SimCC network does not give" in capsys.readouterr().err
    with pytest.raises(ValueError, match="reads heatmaps"):
        new_head("hpcvnet", [(4, 8, 6)], 17, tokens=256)


def test_tokens_that_cannot_be_found(model: Path, tmp_path: Path) -> None:
    """Logits that are made by an activation, not by one layer."""
    graph = onnx.load(model / "model.onnx")
    for node in graph.graph.node:
        node.output[:] = ["raw" if name == "simcc_x" else name for name in node.output]
    graph.graph.node.append(onnx.helper.make_node("Mul", ["raw", "raw"], ["simcc_x"]))
    spec = json.loads((model / "model.json").read_text())
    onnx.save(graph, tmp_path / "model.onnx")
    (tmp_path / "model.json").write_text(json.dumps(spec))
    with pytest.raises(InputError, match="no single layer of keypoint tokens makes each of its logits"):
        expose(ModelSpec.read(tmp_path), {})

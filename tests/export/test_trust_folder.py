"""Network and head in one ONNX graph: the head's own numbers in torch, in any batch, all or nothing, without torch."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from onnx import helper
from safetensors.torch import load_file

import trustpose as tp
from tests.predict.tiny_trust import (
    BACKBONE,
    FEATURES,
    PeaksHead,
    TwoMapsHead,
    crops,
    in_torch,
    normalised,
    random_head,
    write_network,
)
from trustpose.export.trust_folder import Fitted, save_trust_folder
from trustpose.files import InputError
from trustpose.heads.heads import average_flipped
from trustpose.heads.hpcvnet import HPCVNet
from trustpose.heads.oks_net import OKSNet
from trustpose.heads.visibility import VisibilityHead
from trustpose.models.runtime.backends import OnnxNetwork
from trustpose.models.spec import ModelSpec
from trustpose.predict.photos import Image

pytestmark = pytest.mark.usefixtures("narrow_metamodel")
FITTED = Fitted("random", "segment", {"data": "noise", "people": 12}, measured={"AP": 0.5})
TENSORS = {"features": FEATURES, "backbone": BACKBONE}
MADE = {
    "oks-net": (["features"], lambda: OKSNet(6, 16, 12)),
    "hpcvnet": (["features"], lambda: HPCVNet(6, 16, 12)),
    "metamodel": (["backbone"], lambda: VisibilityHead(10, 4, 3, reduced=12)),
    "peaks": ([], PeaksHead),
    "two": (["features", "backbone"], TwoMapsHead),
}


def _saved(folder, name, batch=1, **options):
    reads, make = MADE[name]
    head = random_head(make())
    spec = ModelSpec.read(write_network(folder / "source", batch, network="hourglass-1"))
    maps = {one: TENSORS[one] for one in reads}
    return save_trust_folder(folder / "model", spec, head, maps, FITTED, **options), head


def _expected(name, head, pixels):
    """Heatmaps and trust by the network written in torch and the head in torch."""
    with torch.no_grad():
        outputs = in_torch(normalised(pixels))
        return outputs["heatmaps"], head(*(outputs[one] for one in MADE[name][0]), outputs["heatmaps"])


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("batch", [1, "n"])
def test_one_graph_gives_the_networks_heatmaps_and_the_heads_trust(tmp_path, name, batch):
    spec, head = _saved(tmp_path, name, batch)
    network = OnnxNetwork(spec, threads=1)
    assert network.fixed_batch is None
    for count in (1, 6):
        pixels = crops(count, seed=count)
        outputs, trust = network.with_trust(pixels)
        heatmaps, expected = _expected(name, head, pixels)
        np.testing.assert_allclose(outputs.heatmaps[0], heatmaps.numpy(), atol=1e-5)
        filled = {field: value.numpy() for field, value in expected.filled().items() if field != "labelled"}
        assert set(trust.filled()) == set(filled) and set(spec.trust.outputs) == set(expected.filled())
        for field, value in filled.items():
            np.testing.assert_allclose(trust.filled()[field], value, atol=1e-4)
            assert count == 1 or value.std(axis=0).max() > 1e-3  # else agreement would say little


def test_the_folder(tmp_path):
    spec, head = _saved(tmp_path, "two")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"model.onnx", "model.json", "model.safetensors"}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    source = ModelSpec.read(tmp_path / "source" / "old.onnx")
    assert spec.measured == {"AP": 0.5}
    changed_spec = replace(spec, onnx=source.onnx, trust=None, measured={}, output=replace(spec.output, name=None))
    assert changed_spec == replace(source, network=None) and spec.output.name == "heatmaps"
    trust = json.loads((tmp_path / "model" / "model.json").read_text())["trust"]
    assert trust == {
        "outputs": {"quality": "quality"},
        "head": "random",
        "area": "segment",
        "parameters": 17 * (6 + 10 + 2),
        "fitted_on": {"data": "noise", "people": 12},
        "options": {},
        "maps": TENSORS,
    }
    weights = load_file(tmp_path / "model" / "model.safetensors")
    assert all(torch.equal(weights[name], tensor) for name, tensor in head.state_dict().items())
    with pytest.raises(InputError, match="model: exists already"):
        _saved(tmp_path, "two")
    with pytest.raises(InputError, match="only ONNX to run"):
        tp.load(tmp_path / "model", backend="torch")


def test_a_batch_size_that_stays_is_filled_up(tmp_path):
    rows = [helper.make_node("Reshape", ["made", "rows"], ["maps"])]
    spec = ModelSpec.read(write_network(tmp_path / "source", after=rows))
    head = random_head(PeaksHead())
    network = OnnxNetwork(save_trust_folder(tmp_path / "model", spec, head, {}, FITTED), threads=2)
    assert network.fixed_batch == 1
    pixels = crops(5)
    _, trust = network.with_trust(pixels)
    np.testing.assert_allclose(trust.quality, _expected("peaks", head, pixels)[1].quality.numpy(), atol=1e-4)


def test_half_weights_are_the_heads_only(tmp_path):
    (tmp_path / "half").mkdir()
    whole, head = _saved(tmp_path, "hpcvnet")
    half, _ = _saved(tmp_path / "half", "hpcvnet", is_half=True)
    assert half.onnx.stat().st_size < 0.6 * whole.onnx.stat().st_size
    pixels = crops(4)
    (outputs, trust), (exact, _) = (OnnxNetwork(one, threads=1).with_trust(pixels) for one in (half, whole))
    np.testing.assert_array_equal(outputs.heatmaps[0], exact.heatmaps[0])
    expected = _expected("hpcvnet", head, pixels)[1].quality.numpy()
    assert 0 < np.abs(trust.quality - expected).max() < 2e-2


@pytest.mark.parametrize("wrong", ["nan", "other"])
def test_a_graph_that_differs_is_not_written(tmp_path, wrong):
    class Changing(PeaksHead):
        """A head whose graph, traced in its first call, differs from the head in later calls."""

        calls = 0

        def forward(self, heatmaps):
            self.calls += 1
            return super().forward(heatmaps * (self.calls if wrong == "other" else torch.nan))

    spec = ModelSpec.read(write_network(tmp_path / "source"))
    with pytest.raises(InputError, match=r"with its head, quality differs by .*, expected at most"):
        save_trust_folder(tmp_path / "model", spec, Changing(), {}, FITTED)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_the_flip_test_is_the_heads_own(tmp_path):
    spec, head = _saved(tmp_path, "peaks")
    photo = crops(1)[0]
    poses = tp.load(spec.onnx.parent, flip=True, detector="whole")(photo)
    runtime = OnnxNetwork(spec, threads=1)
    pixels = tp.load(spec.onnx.parent, detector="whole")._prepare(Image(photo)).crops.pixels
    with torch.no_grad():
        both = [_expected("peaks", head, np.ascontiguousarray(some))[1] for some in (pixels, pixels[:, :, ::-1])]
    expected = average_flipped(*both, torch.from_numpy(spec.skeleton.flip_index))
    np.testing.assert_allclose(poses.quality, expected.quality.numpy(), atol=1e-4)
    np.testing.assert_allclose(poses.visibility, expected.visibility.numpy(), atol=1e-4)
    np.testing.assert_allclose(poses.pose_quality, expected.pose_quality.numpy(), atol=1e-4)
    alone = runtime.with_trust(pixels)[1]
    assert np.abs(poses.quality - alone.quality).max() > 0.01


@pytest.mark.parametrize("flip", [False, True])
def test_trust_in_any_batch_size(tmp_path, flip):
    spec, _ = _saved(tmp_path, "peaks")
    photo = np.concatenate(list(crops(6)), axis=1)  # 64 × 288 pixels
    boxes = np.array([[48.0 * index, 0, 48 * index + 40, 60] for index in range(6)])
    folder = spec.onnx.parent
    expected = tp.load(folder, batch_size=1, threads=1, flip=flip)(photo, boxes)
    assert expected.quality.std() > 0.01
    for batch_size, threads in ((4, 2), (64, 1)):
        poses = tp.load(folder, batch_size=batch_size, threads=threads, flip=flip)([photo] * 2, [boxes, boxes])
        for name in ("quality", "visibility", "pose_quality"):
            both = np.concatenate([getattr(expected, name)] * 2)
            np.testing.assert_allclose(getattr(poses, name), both, atol=1e-6)
    nobody = tp.load(folder)(photo, np.zeros((0, 4)))
    assert nobody.visibility.shape == (0, 17, 3) and nobody.pose_quality.shape == (0,)


def test_fields_that_a_head_does_not_fill_stay_none(tmp_path):
    spec, _ = _saved(tmp_path, "hpcvnet")
    poses = tp.load(spec.onnx.parent, detector="whole")(crops(1)[0])
    assert "labelled" in spec.trust.outputs and poses.visibility is None
    assert poses.quality.shape == (1, 17) and poses.pose_quality.shape == (1,)


def test_another_decoding_than_the_fitted_one_is_reported(tmp_path, recwarn):
    spec, _ = _saved(tmp_path, "peaks")
    tp.load(spec.onnx.parent)
    tp.load(spec.onnx.parent, codec="argmax-quarter")
    tp.load(tmp_path / "source" / "old.onnx", codec="dark")
    assert not recwarn
    with pytest.warns(
        UserWarning, match="fitted to keypoints decoded by argmax-quarter, and is not calibrated with dark"
    ):
        tp.load(spec.onnx.parent, codec="dark")


def test_trust_without_torch_and_onnx(tmp_path):
    """The base install: a process in which neither can be imported."""
    spec, _ = _saved(tmp_path, "peaks")
    np.save(tmp_path / "photo.npy", crops(1)[0])
    expected = tp.load(spec.onnx.parent, flip=True, detector="whole")(crops(1)[0])
    script = f"""
import sys
missing = ("torch", "onnx", "torchvision", "timm", "safetensors", "lightning_fabric")
sys.modules.update(dict.fromkeys(missing))
import numpy as np, trustpose as tp
poses = tp.load({str(spec.onnx.parent)!r}, flip=True, detector='whole')(np.load({str(tmp_path / "photo.npy")!r}))
np.savez({str(tmp_path / "poses.npz")!r}, **{{name: getattr(poses, name) for name in
         ("xy", "quality", "visibility", "pose_quality")}})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = np.load(tmp_path / "poses.npz")
    for name in loaded.files:
        np.testing.assert_array_equal(loaded[name], getattr(expected, name))

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
    real_crops,
    write_network,
)
from trustpose.export.inner_tensors import find_maps
from trustpose.export.model_folder import Provenance, save_model_folder
from trustpose.export.trust_folder import Fitted, save_trust_folder, save_trust_network
from trustpose.files import InputError
from trustpose.models.spec import ModelSpec
from trustpose.networks.preparation import Preparation
from trustpose.networks.zoo import build
from trustpose.predict.photos import Image
from trustpose.runtime.backends import OnnxNetwork
from trustpose.runtime.weights import load_trust_network
from trustpose.skeletons import SKELETONS
from trustpose.trust.heads import average_flipped
from trustpose.trust.hpcvnet import HPCVNet
from trustpose.trust.network import HEADS, attach, new_head
from trustpose.trust.oks_net import OKSNet
from trustpose.trust.visibility import VisibilityHead

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
        given = in_torch(normalised(pixels))
        return given["heatmaps"], head(*(given[one] for one in MADE[name][0]), given["heatmaps"])


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
    assert {one.name for one in (tmp_path / "model").iterdir()} == {"model.onnx", "model.json", "model.safetensors"}
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".")]
    source = ModelSpec.read(tmp_path / "source" / "old.onnx")
    assert spec.measured == {"AP": 0.5}
    kept = replace(spec, onnx=source.onnx, trust=None, measured={}, output=replace(spec.output, name=None))
    assert kept == replace(source, network=None) and spec.output.name == "heatmaps"
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
def test_what_does_not_say_the_same_is_not_written(tmp_path, wrong):
    class Changing(PeaksHead):
        """A head whose graph, traced in its first call, says something else than the head itself later."""

        calls = 0

        def forward(self, heatmaps):
            self.calls += 1
            return super().forward(heatmaps * (self.calls if wrong == "other" else torch.nan))

    spec = ModelSpec.read(write_network(tmp_path / "source"))
    with pytest.raises(InputError, match=r"with its head, quality differs by .*, expected at most"):
        save_trust_folder(tmp_path / "model", spec, Changing(), {}, FITTED)
    assert [one.name for one in tmp_path.iterdir()] == ["source"]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory):
    """A small network of the zoo with HPCVNet's options that are no defaults, as a folder; and the module."""
    folder = tmp_path_factory.mktemp("zoo")
    torch.manual_seed(0)
    spec = save_model_folder(
        folder / "plain",
        build("hourglass-1", keypoints=16),
        network="hourglass-1",
        skeleton=SKELETONS["mpii16"],
        height=64,
        width=64,
        prepared=Preparation(),
        provenance=Provenance("small"),
    )
    options = {"squash": "sigmoid", "relu": True}
    network = attach("hpcvnet", build("hourglass-1", keypoints=16).eval(), 64, 64, **options)
    random_head(network.head)
    saved = save_trust_network(str(folder / "trust"), spec, network, Fitted("hpcvnet", "box", {"people": 3}, options))
    return saved, network


def test_a_zoo_network_with_its_head_in_both_backends(zoo):
    spec, network = zoo
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)
    onnx, in_torch = (tp.load(spec.onnx.parent, backend=name) for name in ("onnx", "torch"))
    mean, std = np.array(spec.input.mean), np.array(spec.input.std)
    image = torch.from_numpy(((pixels / 255 - mean) / std).transpose(0, 3, 1, 2).astype(np.float32))
    with torch.no_grad():
        outputs, trust = network.eval()(image)
    for predictor in (onnx, in_torch):
        given, said = predictor.runtime.with_trust(pixels)
        np.testing.assert_allclose(given.heatmaps[0], outputs.heatmaps[-1].numpy(), atol=1e-4)
        assert set(said.filled()) == {"quality", "pose_quality"}
        np.testing.assert_allclose(said.quality, trust.quality.numpy(), atol=1e-4)
        np.testing.assert_allclose(said.pose_quality, trust.pose_quality.numpy(), atol=1e-4)
        with torch.no_grad():  # the network alone, as everywhere
            assert torch.allclose(predictor.network.cpu()(image).heatmaps[-1], outputs.heatmaps[-1], atol=1e-5)
    rough = tp.load(spec.onnx.parent, backend="torch", precision="bfloat16").runtime.with_trust(pixels)[1]
    assert 0 < np.abs(rough.quality - trust.quality.numpy()).max() < 0.1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"head": "best"}, "field 'trust': head: expected one of oks-net"),
        ({"options": {"gates": 2}}, "field 'trust': .*gates"),
        ({"options": {"window": 2}, "head": "oks-net"}, r"model.safetensors: head: .*Missing key"),
    ],
)
def test_folders_that_torch_cannot_load(zoo, tmp_path, change, message):
    spec, _ = zoo
    for file in spec.onnx.parent.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    text = json.loads((tmp_path / "model.json").read_text())
    text["trust"] |= change
    (tmp_path / "model.json").write_text(json.dumps(text))
    with pytest.raises(InputError, match=message):
        load_trust_network(ModelSpec.read(tmp_path))


def test_the_flip_test_is_the_heads_own(tmp_path):
    spec, head = _saved(tmp_path, "peaks")
    photo = crops(1)[0]
    poses = tp.load(spec.onnx.parent, flip=True, detector="whole")(photo)
    runtime = OnnxNetwork(spec, threads=1)
    job = tp.load(spec.onnx.parent, detector="whole")._prepare(Image(photo))
    with torch.no_grad():
        both = [_expected("peaks", head, np.ascontiguousarray(some))[1] for some in (job.crops, job.crops[:, :, ::-1])]
    expected = average_flipped(*both, torch.from_numpy(spec.skeleton.flip_index))
    np.testing.assert_allclose(poses.quality, expected.quality.numpy(), atol=1e-4)
    np.testing.assert_allclose(poses.visibility, expected.visibility.numpy(), atol=1e-4)
    np.testing.assert_allclose(poses.pose_quality, expected.pose_quality.numpy(), atol=1e-4)
    alone = runtime.with_trust(job.crops)[1]
    assert np.abs(poses.quality - alone.quality).max() > 0.01


@pytest.mark.parametrize("flip", [False, True])
def test_trust_in_any_batch_size(tmp_path, flip):
    spec, _ = _saved(tmp_path, "peaks")
    photo = np.concatenate(list(crops(6)), axis=1)  # 64 × 288 pixels
    boxes = np.array([[48.0 * at, 0, 48 * at + 40, 60] for at in range(6)])
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


def test_another_decoding_than_the_fitted_one_is_said(tmp_path, recwarn):
    spec, _ = _saved(tmp_path, "peaks")
    tp.load(spec.onnx.parent)
    tp.load(spec.onnx.parent, decoding="argmax-quarter")
    tp.load(tmp_path / "source" / "old.onnx", decoding="dark")
    assert not recwarn
    with pytest.warns(UserWarning, match="fitted to places decoded by argmax-quarter, with dark"):
        tp.load(spec.onnx.parent, decoding="dark")


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
    found = np.load(tmp_path / "poses.npz")
    for name in found.files:
        np.testing.assert_array_equal(found[name], getattr(expected, name))


@pytest.mark.parametrize("name", HEADS)
def test_simplepose_with_each_head(data_dir, tmp_path, name):
    """The real network: heatmaps as they were, trust as torch's, on real people."""
    source = ModelSpec.read(data_dir / "networks" / "simplepose.onnx")
    maps = find_maps(source, HEADS[name].reads)
    options = {"bottleneck": (16, 8), "reduced": 12} if name == "metamodel" else {}
    head = random_head(new_head(name, [tensor.shape for tensor in maps.values()], 17, **options))
    tensors = {one: tensor.name for one, tensor in maps.items()}
    spec = save_trust_folder(tmp_path / "model", source, head, tensors, FITTED)
    network, pixels = OnnxNetwork(spec), real_crops(data_dir, source, 5)
    box = np.linspace(0.2, 0.9, 10).reshape(5, 2)
    outputs, trust = network.with_trust(pixels, box)
    plain = OnnxNetwork(source)(pixels).heatmaps[0]
    assert np.abs(outputs.heatmaps[0] - plain).max() < 1e-5
    one_by_one = [network.with_trust(pixels[at : at + 1], box[at : at + 1])[1].filled() for at in range(5)]
    for field, value in trust.filled().items():
        apart = np.concatenate([one[field] for one in one_by_one])
        np.testing.assert_allclose(value, apart, atol=1e-5)
    if head.reads_box:
        with pytest.raises(ValueError, match="box: this network's trust reads people's boxes"):
            network.with_trust(pixels)
        other = network.with_trust(pixels, 1 - box)[1]
        assert trust.visibility is not None and other.visibility is not None
        assert np.abs(other.visibility - trust.visibility).max() > 1e-3

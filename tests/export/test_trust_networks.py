"""Networks of the zoo and SimplePose, with their heads as folders: torch's numbers, in both backends."""

import json

import numpy as np
import pytest
import torch

import trustpose as tp
from tests.predict.tiny_trust import random_head, real_crops
from trustpose.export.inner_tensors import find_maps
from trustpose.export.model_folder import Provenance, save_model_folder
from trustpose.export.trust_folder import Fitted, save_trust_folder, save_trust_network
from trustpose.files import InputError
from trustpose.heads.network import HEADS, attach, new_head
from trustpose.models.runtime.backends import OnnxNetwork
from trustpose.models.runtime.weights import load_trust_network
from trustpose.models.spec import ModelSpec
from trustpose.networks.preparation import Preparation
from trustpose.networks.zoo import build
from trustpose.skeletons import SKELETONS

pytestmark = pytest.mark.usefixtures("narrow_metamodel")
FITTED = Fitted("random", "segment", {"data": "noise", "people": 12}, measured={"AP": 0.5})


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
        given, predicted = predictor.runtime.with_trust(pixels)
        np.testing.assert_allclose(given.heatmaps[0], outputs.heatmaps[-1].numpy(), atol=1e-4)
        assert set(predicted.filled()) == {"quality", "pose_quality"}
        np.testing.assert_allclose(predicted.quality, trust.quality.numpy(), atol=1e-4)
        np.testing.assert_allclose(predicted.pose_quality, trust.pose_quality.numpy(), atol=1e-4)
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


@pytest.mark.parametrize("name", HEADS)
def test_simplepose_with_each_head(data_dir, tmp_path, name):
    """The real network: heatmaps as they were, trust as torch's, on real people."""
    source = ModelSpec.read(data_dir / "networks" / "simplepose.onnx")
    maps = find_maps(source, HEADS[name].reads)
    options = {"bottleneck": (16, 8), "reduced": 12} if name == "metamodel" else {}
    head = random_head(new_head(name, [tensor.shape for tensor in maps.values()], 17, **options))
    tensors = {name: tensor.name for name, tensor in maps.items()}
    spec = save_trust_folder(tmp_path / "model", source, head, tensors, FITTED)
    network, pixels = OnnxNetwork(spec), real_crops(data_dir, source, 5)
    box = np.linspace(0.2, 0.9, 10).reshape(5, 2)
    outputs, trust = network.with_trust(pixels, box)
    plain = OnnxNetwork(source)(pixels).heatmaps[0]
    assert np.abs(outputs.heatmaps[0] - plain).max() < 1e-5
    one_by_one = [
        network.with_trust(pixels[index : index + 1], box[index : index + 1])[1].filled() for index in range(5)
    ]
    for field, value in trust.filled().items():
        apart = np.concatenate([one[field] for one in one_by_one])
        np.testing.assert_allclose(value, apart, atol=1e-5)
    if head.reads_box:
        with pytest.raises(ValueError, match="box: this network's trust reads people's boxes"):
            network.with_trust(pixels)
        other = network.with_trust(pixels, 1 - box)[1]
        assert trust.visibility is not None and other.visibility is not None
        assert np.abs(other.visibility - trust.visibility).max() > 1e-3

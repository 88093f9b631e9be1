"""Public checkpoints: every tensor is used once, in its place, or is named."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.networks import official_names as names
from trustpose.files import InputError
from trustpose.networks.backbones import timm
from trustpose.networks.checkpoints import convert, count_keypoints, recognise, zoo_network
from trustpose.networks.simple_baseline import simple_baseline
from trustpose.networks.zoo import build

FAMILIES = {
    "pose_resnet": ("pose_resnet", "simple-baseline-r50", names.pose_resnet50),
    "pose_hrnet": ("pose_hrnet", "hrnet-w32", names.pose_hrnet_w32),
    "mmpose 0.x, ResNet": (
        "mmpose-0.x",
        "simple-baseline-r50",
        lambda: names.pose_resnet50("backbone.", "keypoint_head."),
    ),
    "mmpose 0.x, HRNet": ("mmpose-0.x", "hrnet-w32", lambda: names.pose_hrnet_w32("backbone.", "keypoint_head.")),
    "mmpose 1.x, ResNet": ("mmpose-1.x", "simple-baseline-r50", lambda: names.pose_resnet50("backbone.", "head.")),
    "mmpose 1.x, HRNet": ("mmpose-1.x", "hrnet-w32", lambda: names.pose_hrnet_w32("backbone.", "head.")),
    "mmpose 0.x, MSPN": ("mmpose-0.x", "mspn-2", lambda: names.mmpose_mspn(2, "keypoint_head.")),
    "mmpose 1.x, MSPN": ("mmpose-1.x", "mspn-2", lambda: names.mmpose_mspn(2, "head.")),
    "pytorch-pose": ("pytorch-pose", "hourglass-2", lambda: names.hourglass(2)),
    "MSPN": ("mspn", "mspn-2", lambda: names.mspn(2)),
}
BIASES_OF_MSPN_2 = 1 + 2 * (16 * 3 + 4) + 2 * (4 + 3 + 8) + 9  # stem; downward; lateral, enlarged, heads; to stage 2
each_family = pytest.mark.parametrize(("family", "network_name", "shapes"), FAMILIES.values(), ids=FAMILIES)


@pytest.fixture(scope="module")
def networks():
    return cache(build)


@each_family
def test_every_tensor_has_exactly_one_place(family, network_name, shapes, networks):
    theirs = names.state_dict(shapes())
    network = networks(network_name)
    assert recognise(theirs) == family
    assert count_keypoints(theirs) == names.K
    ours = convert(theirs, network)
    assert list(ours) == list(network.state_dict())
    network.load_state_dict(ours)  # torch's own strict check
    # mmpose's MSPN has no biases before batch norm, which are superfluous; as zeros they change nothing
    added = {id(tensor) for tensor in ours.values()} - {id(tensor) for tensor in theirs.values()}
    biases = [tensor for name, tensor in ours.items() if id(tensor) in added and name.endswith(".conv.bias")]
    assert len(biases) == len(added) == (network_name == "mspn-2" and family != "mspn") * BIASES_OF_MSPN_2
    assert not any(bias.any() for bias in biases)
    assert sorted({id(tensor) for tensor in ours.values()} - added) == sorted(id(tensor) for tensor in theirs.values())


@pytest.mark.parametrize("name", ["pose_resnet", "pose_hrnet", "pytorch-pose", "MSPN"])
def test_heatmaps_are_those_that_the_projects_own_code_gave(name, networks):
    """Twelve numbers of each, recorded once from the official network with this state dict (docs/parity.md)."""
    _, network_name, shapes = FAMILIES[name]
    network = networks(network_name)
    network.load_state_dict(convert(names.state_dict(shapes(), filled=True), network))
    images = torch.linspace(-2, 2, 3 * 64 * 64).sin().reshape(1, 3, 64, 64) * torch.linspace(-2, 2, 64)
    with torch.no_grad():
        heatmaps = network.eval()(images).heatmaps[-1]
    recorded = json.loads((Path(__file__).parent / "official_heatmaps.json").read_text())[name]
    np.testing.assert_allclose(heatmaps[0, ::6, 3::8, 5::8].flatten(), recorded, atol=1e-4, rtol=1e-4)


@each_family
def test_missing_unexpected_and_misshapen_tensors_are_named(family, network_name, shapes, networks):
    theirs = names.state_dict(shapes())
    network = networks(network_name)
    name = [name for name in theirs if name.endswith("weight")][-7]
    bare = name.removeprefix("backbone.").removeprefix("keypoint_head.").removeprefix("head.")
    with pytest.raises(InputError, match=rf"{bare}: missing tensor"):
        convert({key: tensor for key, tensor in theirs.items() if key != name}, network)
    with pytest.raises(InputError, match=r"extra\.0\.weight: unexpected tensor"):
        convert(theirs | {"extra.0.weight": torch.zeros(1)}, network, family)
    with pytest.raises(InputError, match=rf"{name}: expected shape \(.*, got \(3, 3\)"):
        convert(theirs | {name: torch.zeros(3, 3)}, network)


@each_family
def test_the_network_is_recognised_by_names_and_shapes(family, network_name, shapes):
    assert zoo_network(names.state_dict(shapes()), family) == network_name


def test_networks_of_sizes_that_the_zoo_lacks():
    two_blocks = [one for one in names.pose_resnet50() if not one[0].startswith(("layer3.2", "layer3.3", "layer3.4"))]
    assert zoo_network(names.state_dict(two_blocks), "pose_resnet") == "simple-baseline"
    head = {"final_layer.weight": torch.zeros(17, 18, 1, 1)}
    assert zoo_network(names.state_dict(names.pose_hrnet_w32()) | head, "pose_hrnet") == "hrnet"
    assert zoo_network(build("light-mobilenetv2-050").state_dict(), "trustpose") is None


def test_another_network_of_the_family_is_refused(networks):
    with pytest.raises(InputError, match=r"layer3\.6\.conv1\.weight: missing tensor"):
        convert(names.state_dict(names.pose_resnet50()), build("simple-baseline-r101"))
    with pytest.raises(InputError, match=r"fc_\.1\.weight: unexpected tensor"):
        convert(names.state_dict(names.hourglass(4)), networks("hourglass-2"))
    with pytest.raises(
        InputError, match=r"final_layer\.weight: expected shape \(16, 256, 1, 1\).* got \(17, 256, 1, 1\)"
    ):
        convert(names.state_dict(names.pose_resnet50()), build("simple-baseline-r50", keypoints=16))


def test_mmpose_may_keep_its_pixel_mean_beside_the_network(networks):
    theirs = names.state_dict(names.pose_hrnet_w32("backbone.", "head."))
    ours = convert(theirs | {"data_preprocessor.mean": torch.zeros(3, 1, 1)}, networks("hrnet-w32"))
    assert list(ours) == list(networks("hrnet-w32").state_dict())


def test_files_from_before_torch_0_4_have_no_counters(networks):
    theirs = names.state_dict(names.hourglass(2))
    old = {name: tensor for name, tensor in theirs.items() if not name.endswith("num_batches_tracked")}
    assert len(old) < len(theirs)
    convert(old, networks("hourglass-2"))


def test_our_own_names(networks):
    network = networks("hrnet-w32")
    theirs = network.state_dict()
    assert recognise(theirs) == "trustpose"
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in convert(theirs, network).items())


def test_imagenet_resnet_of_torchvision_gives_the_backbone_only(networks):
    theirs = names.state_dict([*names.resnet50(), *names.classifier("fc", 2048)])
    network = networks("simple-baseline-r50")
    ours = convert(theirs, network)
    assert recognise(theirs) == "imagenet"
    assert ours["backbone.features.layer3.5.conv2.weight"] is theirs["layer3.5.conv2.weight"]
    assert torch.equal(ours["head.weight"], network.head.weight)
    with pytest.raises(InputError, match=r"layer3\.5\.conv2\.weight: missing tensor"):
        convert({name: tensor for name, tensor in theirs.items() if name != "layer3.5.conv2.weight"}, network)


def test_imagenet_resnet_goes_into_every_stage_of_mspn(networks):
    theirs = names.state_dict([*names.resnet50(), *names.classifier("fc", 2048)])
    ours = convert(theirs, networks("mspn-2"))
    for stage in (0, 1):
        assert ours[f"stages.{stage}.down.1.0.shortcut.conv.weight"] is theirs["layer2.0.downsample.0.weight"]
        assert not ours[f"stages.{stage}.down.1.0.conv1.conv.bias"].any()


def test_imagenet_hrnet(networks):
    theirs = names.state_dict(names.imagenet_hrnet_w32())
    ours = convert(theirs, networks("hrnet-w32"))
    assert ours["backbone.stages.2.units.2.fuse_layers.0.3.0.weight"] is theirs["stage4.2.fuse_layers.0.3.0.weight"]


@pytest.mark.parametrize("name", ["tf_efficientnet_b0", "convnext_atto", "mobilenetv3_small_050", "resnet18"])
def test_timms_classifiers_give_the_features_that_timm_cuts_out(name):
    classifier = timm.create_model(name).eval()
    network = simple_baseline(name).eval()
    network.load_state_dict(convert(classifier.state_dict(), network))
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = classifier.forward_intermediates(images, indices=1, intermediates_only=True)[-1]
        torch.testing.assert_close(network.backbone(images), features)


def test_unknown_names_and_families_are_reported(networks):
    with pytest.raises(InputError, match=r"tensor names: expected those of mmpose-0\.x.*, got blob\.weight"):
        recognise({"blob.weight": torch.zeros(1)})
    with pytest.raises(InputError, match=r"family: expected one of mmpose-0\.x"):
        convert({}, networks("hrnet-w32"), "posenet")
    with pytest.raises(InputError, match="expected a layer that makes heatmaps"):
        count_keypoints({"fc.weight": torch.zeros(1000, 2048)})

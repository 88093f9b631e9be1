"""Public files of OpenPose's networks, and AlphaPose's: every tensor has its place, and maps are the originals'."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.networks import openpose_names as names
from tests.networks.official_names import state_dict
from trustpose.files import InputError
from trustpose.networks.checkpoints import convert, recognise, zoo_network
from trustpose.networks.zoo import build

FILES = {  # the zoo's name: family, names and shapes
    "openpose-2017-body15": ("openpose", partial(names.openpose_2017, 16, 28)),
    "openpose-2017-body18": ("openpose", names.openpose_2017),
    "openpose-2019-body25": ("openpose", names.openpose_2019),
    "openpose-hand": ("openpose", names.openpose_part),
    "openpose-face": ("openpose", partial(names.openpose_part, 71)),
    "lightweight-openpose": ("lightweight-openpose", names.lightweight),
    "fastpose-r50": ("alphapose", names.fastpose),
}
RECORDED = {
    "openpose-2017-body18": "body18",
    "openpose-2019-body25": "body25",
    "openpose-hand": "hand",
    "lightweight-openpose": "lightweight",
    "fastpose-r50": "fastpose",
}


@pytest.mark.parametrize("name", FILES)
def test_every_tensor_has_exactly_one_place(name):
    family, shapes = FILES[name]
    with torch.device("meta"):
        theirs, network = state_dict(shapes()), build(name)
    assert recognise(theirs) == family and zoo_network(theirs, family) == name
    ours = convert(theirs, network)
    assert list(ours) == list(network.state_dict())
    assert sum(one.numel() for one in ours.values()) == sum(one.numel() for one in theirs.values())
    dropped = [key for key in theirs if key.endswith("weight")][-3]
    with pytest.raises(InputError, match=rf"{dropped.removesuffix('.weight')}.*: missing tensor"):
        convert({key: one for key, one in theirs.items() if key != dropped}, network)


@pytest.mark.parametrize("name", RECORDED)
def test_maps_are_those_of_the_originals(name):
    """Twelve numbers of each, recorded once with this state dict: OpenPose's from its prototxt files by OpenCV's Caffe
    importer, which gives heatmaps, then fields; the others' from the projects' own code (docs/parity.md)."""
    _, shapes = FILES[name]
    theirs = state_dict(shapes(), filled=True)
    with torch.device("meta"):
        network = build(name)
    network.load_state_dict(convert(theirs, network.to_empty(device="cpu")))
    images = torch.linspace(-2, 2, 3 * 32 * 32).sin().reshape(1, 3, 32, 32) * torch.linspace(-2, 2, 32)
    with torch.no_grad():
        outputs = network.eval()(images)
    maps = [outputs.heatmaps[-1], *([outputs["fields"]] if "fields" in outputs.names else [])]
    flat = torch.cat(maps, dim=1).flatten()
    recorded = json.loads((Path(__file__).parent / "openpose_maps.json").read_text())[RECORDED[name]]
    np.testing.assert_allclose(flat[:: len(flat) // 12][:12], recorded, atol=2e-5)


def test_other_numbers_of_keypoints_are_of_no_known_network():
    with torch.device("meta"):
        theirs = state_dict(names.openpose_2017(30, 60))
    assert zoo_network(theirs, "openpose") == "openpose-2017"
    with pytest.raises(InputError, match=r"expected shape \(38, 512, 1, 1\)"), torch.device("meta"):
        convert(theirs, build("openpose-2017-body18"))

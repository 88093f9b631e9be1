"""OpenPose's networks: parameters, shapes, what feeds what; and from random weights to people of a real photo."""

import json

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks.without_data import without_data
from trustpose.export.onnx import FIELD_TENSORS, export_fields
from trustpose.networks.openpose import (
    BODIES,
    GRID,
    OpenPose2017,
    OpenPose2019,
    openpose_2017,
    openpose_2019,
    openpose_part,
)
from trustpose.networks.zoo import BOTTOM_UP, PARTS
from trustpose.predict.load import load
from trustpose.skeletons import OPENPOSE_COCO_18

# Parameters, counted on other implementations (docs/parity.md); times 4 bytes they are the published files' sizes.
PARAMETERS = {
    "openpose-2017-body18": 52_311_446,
    "openpose-2019-body25": 26_166_084,
    "openpose-hand": 36_832_324,
    "lightweight-openpose": 4_091_698,
}


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize("name", [*BOTTOM_UP, *PARTS])
def test_shapes_and_parameters(name):
    with without_data(), torch.no_grad():
        network = (BOTTOM_UP | PARTS)[name]().eval()
        outputs = network(torch.zeros(1, 3, 64, 48))
    assert _count(network) == PARAMETERS.get(name, _count(network))
    assert {tuple(maps.shape) for maps in outputs.heatmaps} == {(1, network.keypoints + 1, 8, 6)}
    assert outputs.features.shape == (1, 128, 8, 6) and outputs.grids["heatmaps"] == GRID
    if name in BOTTOM_UP:
        keypoints, limbs = BODIES["body18" if name == "lightweight-openpose" else name.rpartition("-")[2]]
        assert network.keypoints == keypoints and outputs["fields"].shape == (1, 2 * limbs, 8, 6)
        stages = {"2017": (6, 6), "2019": (2, 4)}.get(name.split("-")[1], (2, 2))
        assert (len(outputs.heatmaps), len(outputs["field_stages"])) == stages


def test_sizes_of_the_published_files():
    """In MB, the last digit rounded: MPI's body and the face, whose networks no other implementation at hand has."""
    with torch.device("meta"):
        sizes = [_count(network) * 4 / 1e6 for network in (openpose_2017("body15"), openpose_part("face"))]
    assert [round(size) for size in sizes] == [206, 154]


def _drawn(network: nn.Module) -> nn.Module:
    """The network with weights that keep a signal's variance: with PyTorch's own it shrinks to rounding from layer to
    layer."""
    torch.manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return network.eval()


def test_heatmaps_of_2019_follow_the_fields_but_never_lead_them():
    network = _drawn(OpenPose2019(2, 1, field_stages=2, heatmap_stages=2))
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before = network(image)
        network.heatmap_stages[0].head[-1].bias += 1  # feeds the second stage of heatmaps, and no fields
        heatmaps_moved = network(image)
        network.field_stages[0].head[-1].bias += 1  # feeds the second stage of fields, and that the heatmaps
        both_moved = network(image)
    torch.testing.assert_close(heatmaps_moved.heatmaps[0], before.heatmaps[0] + 1)
    assert _change(heatmaps_moved.heatmaps[1], before.heatmaps[1]) > 1e-4
    for moved, unmoved in zip(heatmaps_moved["field_stages"], before["field_stages"], strict=True):
        assert torch.equal(moved, unmoved)
    torch.testing.assert_close(both_moved["field_stages"][0], before["field_stages"][0] + 1)
    assert _change(both_moved["fields"], before["fields"]) > 1e-4
    assert _change(both_moved.heatmaps[0], heatmaps_moved.heatmaps[0]) > 1e-4


def test_fields_of_2017_follow_the_heatmaps():
    network = _drawn(OpenPose2017(2, 1, stages=2))
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        before = network(image)
        network.stages[0]["heatmaps"][-1].bias += 1
        after = network(image)
    torch.testing.assert_close(after["field_stages"][0], before["field_stages"][0])
    assert _change(after["fields"], before["fields"]) > 1e-4


def _change(after: torch.Tensor, before: torch.Tensor) -> float:
    """The largest change, as a fraction of the largest value."""
    return float((after - before).abs().max() / before.abs().max())


def test_wrong_numbers():
    for make in (lambda: OpenPose2017(0, 1), lambda: OpenPose2017(1, 1, 0), lambda: OpenPose2019(1, 1, 0)):
        with pytest.raises(ValueError, match="expected 1 or more"):
            make()


def test_a_random_network_sees_a_real_photo(tmp_path, data_dir):
    network = _drawn(OpenPose2019(18, 19, field_stages=1, heatmap_stages=1))
    path = tmp_path / "model.onnx"
    export_fields(network, path, 64, 64, free_size=8)
    size = "multiple of 8, 64 usual"
    spec = {
        "input": {
            **{"name": "image", "layout": "NCHW", "dtype": "float32", "height": size, "width": size, "longest": 96},
            **{"channels": "BGR", "scale": "1/256", "mean": [0.5, 0.5, 0.5], "std": [1, 1, 1]},
        },
        "output": {
            **{"kind": "fields", "keypoints": 18, "stride": 8, "offset": 3.5, "background": True},
            **dict(zip(FIELD_TENSORS, FIELD_TENSORS, strict=True)),
            "limbs": [*map(list, OPENPOSE_COCO_18.edges), [2, 16], [5, 17]],
            **{"min_parts": 1, "min_share": 0.2, "min_score": 0.0},
        },
        "skeleton": "openpose_coco18",
    }
    (tmp_path / "model.json").write_text(json.dumps(spec))
    photo = min((data_dir / "coco" / "dev").glob("*.jpg"))
    poses = load(tmp_path)(photo)
    assert len(poses) > 1 and poses.missing is not None and not poses.missing.all(axis=1).any()
    assert poses.pose_quality is None and np.isfinite(poses.xy).all() and poses.xy.max() > 8
    assert openpose_2019("body18").limbs == 19

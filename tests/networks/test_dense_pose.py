"""DensePose's heads: sizes, Detectron2's names, regions cut out of a pyramid, and a quality branch that teaches nothing
below it. Equality with Detectron2's layers is in docs/parity.md."""

import pytest
import torch

from trustpose.networks.dense_pose import (
    DeepLabHead,
    DensePoseRegions,
    SurfaceNetwork,
    SurfacePredictor,
    cut_regions,
)
from trustpose.networks.zoo import build

# of `DensePoseROIHeads` with the decoder, in Detectron2's projects/DensePose
NAMES = {
    "decoder.p2.0.weight",
    "decoder.p3.0.bias",
    "decoder.p5.4.weight",
    "decoder.predictor.weight",
    "densepose_head.body_conv_fcn1.weight",
    "densepose_head.body_conv_fcn8.bias",
    "densepose_predictor.ann_index_lowres.weight",
    "densepose_predictor.index_uv_lowres.bias",
    "densepose_predictor.u_lowres.weight",
    "densepose_predictor.v_lowres.weight",
}
DEEPLAB_NAMES = {
    "ASPP.convs.0.0.weight",
    "ASPP.convs.1.1.bias",
    "ASPP.convs.4.1.weight",
    "ASPP.project.0.weight",
    "NLBlock.g.0.weight",
    "NLBlock.theta.bias",
    "NLBlock.W.1.weight",
    "body_conv_fcn1.norm.weight",
}


def test_the_region_network_has_detectron2s_layers() -> None:
    with torch.device("meta"):
        regions = DensePoseRegions()
        deeplab = DensePoseRegions(head="deeplab", is_non_local=True)
    assert set(regions.state_dict()) >= NAMES and len(regions.state_dict()) == 40
    assert sum(p.numel() for p in regions.parameters()) == 22_526_029
    assert sum(p.numel() for p in deeplab.parameters()) == 24_893_133
    head = {name.removeprefix("densepose_head.") for name in deeplab.state_dict()}
    assert head >= DEEPLAB_NAMES


def test_regions_are_cut_out_of_the_pyramid() -> None:
    torch.manual_seed(0)
    network = DensePoseRegions(32).eval()
    network.densepose_head = torch.nn.Identity()  # 14 billion multiply-adds a region
    network.densepose_predictor = SurfacePredictor(256)
    pyramid = [torch.zeros(1, 32, 32 // 2**level, 32 // 2**level) for level in range(4)]
    pyramid[0].normal_()  # coarser cells would see the photo's border
    shifted = [torch.roll(maps, 8 // 2**level, dims=3) for level, maps in enumerate(pyramid)]
    box = torch.tensor([[0.0, 44, 48, 60, 80]])
    with torch.inference_mode():
        maps, moved = network(pyramid, box), network(shifted, box + torch.tensor([0.0, 32, 0, 32, 0]))
    assert {name: tuple(value.shape) for name, value in maps.items()} == {
        "mask": (1, 2, 112, 112),
        "parts": (1, 25, 112, 112),
        "u": (1, 25, 112, 112),
        "v": (1, 25, 112, 112),
    }
    for name, value in maps.items():
        torch.testing.assert_close(moved[name], value, atol=1e-4, rtol=1e-4)


def test_regions_are_those_of_torchvision() -> None:
    from torchvision.ops import roi_align

    torch.manual_seed(0)
    features = torch.randn(3, 2, 20, 30)
    corner, size = torch.rand(9, 2) * 60 - 20, torch.rand(9, 2) * 100
    size[0] = torch.tensor([0.5, 50.0])  # less than a cell wide
    boxes = torch.cat([torch.arange(9.0)[:, None] % 3, corner, corner + size], dim=1)
    if not has_operators():  # its replacement in Python lets the features go on for ever
        boxes[:, 1:] = boxes[:, 1:].clamp(0, 80)
        boxes[:, 3:] = torch.maximum(boxes[:, 3:], boxes[:, 1:3] + 1)
    with torch.compiler.set_stance("force_eager"):  # without its operator torchvision would call a C++ compiler
        expected = roi_align(features, boxes, 28, spatial_scale=0.25, sampling_ratio=2, aligned=False)
    torch.testing.assert_close(cut_regions(features, boxes), expected, atol=2e-5, rtol=0)


def has_operators() -> bool:
    """Whether torchvision's compiled operators are there, and not only those in Python."""
    try:
        return torch.ops.torchvision.roi_align.default is not None
    except (AttributeError, RuntimeError):
        return False


def test_regions_are_empty_more_than_a_cell_outside_the_photo() -> None:
    features = torch.ones(1, 1, 20, 30)
    region = cut_regions(features, torch.tensor([[0.0, -56.0, 0.0, 56.0, 56.0]]))[0, 0, 14]
    assert (region[:13] == 0).all() and (region[13:] == 1).all()


def test_the_deeplab_head_keeps_the_size() -> None:
    head = DeepLabHead(32, 32, layers=2, is_non_local=True)
    assert head(torch.randn(2, 32, 12, 10)).shape == (2, 32, 12, 10)


@pytest.mark.parametrize("quality", [False, True])
def test_the_fully_convolutional_network(quality: bool) -> None:
    torch.manual_seed(0)
    network = SurfaceNetwork(build("small-simple-baseline"), hidden=32, layers=1, quality=quality)
    outputs = network(torch.randn(2, 3, 64, 64))
    assert outputs["u"].shape == outputs["parts"].shape == (2, 25, 32, 32)
    assert outputs["mask"].shape == (2, 2, 32, 32)
    assert (outputs["u"].detach() - 0.5).abs().mean() < 0.3
    if quality:
        outputs["quality"].sum().backward()
        touched = {name for name, p in network.named_parameters() if p.grad is not None}
        assert touched == {"predictor.quality_lowres.weight", "predictor.quality_lowres.bias"}

"""The lecture's single-person systems: sizes, what a pixel depends on, crops about joints, windows, contrast."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tests.networks.without_data import without_data
from trustpose.geometry.crops import warp
from trustpose.networks.cascaded_pyramid import _enlarged, cascaded_pyramid
from trustpose.networks.convolutional_pose_machine import (
    CENTRE_SIGMA,
    centre_map,
    centre_means,
    convolutional_pose_machine,
    receptive_field,
)
from trustpose.networks.deep_pose import cut_boxes, deep_pose
from trustpose.networks.small import SMALL
from trustpose.networks.tompson import Coarse, cut_windows, local_contrast, tompson
from trustpose.networks.zoo import build, stride_of
from trustpose.skeletons import LSP_14, Skeleton

# Millions of parameters: CPN's are those of the authors' code, 27.0 in HRNet's table 1; the others were counted once.
SIZES = {"cpn-r50": 27.01, "cpm-6": 31.46, "deep-pose-1": 58.42, "tompson-4": 20.67}
EYES = Skeleton("eyes", ("left_eye", "right_eye"), ())
MAPS = ("cpm-1", "cpm-6", "cpn-r50", "tompson-4-coarse", "tompson-8-coarse", "tompson-16-coarse")


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


@pytest.mark.parametrize("name", MAPS)
def test_maps_have_the_stride_that_recipes_expect(name):
    with torch.device("meta"), torch.no_grad():
        outputs = build(name, 14).eval()(torch.zeros(1, 3, 192, 128))
    shape = (1, 14, 192 // stride_of(name), 128 // stride_of(name))
    assert {tuple(maps.shape) for maps in outputs.heatmaps} == {shape}
    assert outputs.grids["heatmaps"].stride == (stride_of(name), stride_of(name))
    assert outputs.features.shape[2:] == shape[2:]
    assert len(outputs.heatmaps) == {"cpm-6": 6, "cpn-r50": 5}.get(name, 1)


@pytest.mark.parametrize("name", SIZES)
def test_numbers_of_parameters(name):
    with without_data():
        assert parameters(build(name)) == pytest.approx(SIZES[name], rel=0.001)


def test_deep_pose_has_the_printed_size_with_one_hidden_layer():
    with without_data():
        assert parameters(deep_pose("alexnet", 1, 14, hidden=(4096,))) == pytest.approx(40, rel=0.05)


def test_what_a_belief_depends_on_is_as_the_paper_prints():
    assert receptive_field(2) == (160, 400)
    torch.manual_seed(0)
    network = convolutional_pose_machine(2, 1, width=2, wide=2, narrow=2, kernels=(3, 3), centre=False)
    for parameter in network.parameters():  # nothing cancels, and no ReLU is closed
        nn.init.uniform_(parameter, 0.1, 1.0)
    image = torch.rand(1, 3, 192, 192, requires_grad=True)
    outputs = network.eval()(image)
    for stage, expected in enumerate(receptive_field(2, (3, 3))):
        (gradient,) = torch.autograd.grad(outputs.heatmaps[stage][0, 0, 12, 12], image, retain_graph=True)
        rows = gradient[0].abs().sum(dim=(0, 2)).nonzero()
        assert int(rows.max() - rows.min()) + 1 <= expected
        assert int(rows.max() - rows.min()) + 1 > expected - 8  # a maximum passes the gradient of one pixel of two


# Measured with Caffe's rules, as OpenCV 4.11 reads prototxts (newer ones do not): the layers pool1_stage1 and
# pool_center_lower of shihenw/convolutional-pose-machines-release, model/_trained_FLIC/pose_deploy.prototxt, for one
# channel of 32 × 24 pixels:
#     net = cv2.dnn.readNetFromCaffe("pool.prototxt")
#     net.setInput(np.random.default_rng(0).random((1, 1, 32, 24), np.float32))
#     maximum, mean = net.forward(["pool1_stage1", "pool_center_lower"])
#     print(maximum.sum(), maximum[0, 0, :, -1].round(4), mean.round(6))
CAFFE_SUM = 173.4965
CAFFE_LAST = [0.6709, 0.7670, 0.9272, 0.9572, 0.9310, 0.9505, 0.9620, 0.9620, 0.5796, 0.9887, 0.9818, 0.9818, 0.9313]
CAFFE_LAST += [0.9313, 0.5744, 0.4658]
CAFFE_MEAN = [[0.510419, 0.573364, 0.523915], [0.520390, 0.505796, 0.534191], [0.506328, 0.523656, 0.522216]]
CAFFE_MEAN += [[0.515900, 0.473110, 0.475426]]


def test_published_poolings_are_caffes():
    image = torch.from_numpy(np.random.default_rng(0).random((1, 1, 32, 24), np.float32))
    network = convolutional_pose_machine(2, 1, width=2, wide=2, narrow=2, kernels=(3, 3), pooling="published")
    pools = [layer for layer in network.modules() if isinstance(layer, nn.MaxPool2d)]
    assert len(pools) == 6
    for pool in pools:
        maximum = pool(image)
        assert float(maximum.sum()) == pytest.approx(CAFFE_SUM, abs=1e-3)
        assert maximum[0, 0, :, -1].tolist() == pytest.approx(CAFFE_LAST, abs=6e-5)
    assert torch.allclose(centre_means(image[0, 0], 8), torch.tensor(CAFFE_MEAN), atol=1e-6)
    assert network.eval()(torch.rand(1, 3, 32, 24)).heatmaps[1].shape == (1, 1, 4, 3)


def test_the_published_centre_is_a_mean_of_crop_pixels():
    like = torch.zeros(1, 1, 4, 3)
    centre = centre_map(like, 8)
    y, x = (np.indices((32, 24)).T + 1 - [16, 12]).T
    gaussian = np.exp(-(y**2 + x**2) / (2 * (CENTRE_SIGMA * 32) ** 2))
    expected = [[gaussian[8 * i : 8 * i + 9, 8 * j : 8 * j + 9].mean() for j in range(3)] for i in range(4)]
    assert np.allclose(centre.numpy(), expected, atol=1e-6)


def test_with_published_poolings_beliefs_see_seven_pixels_further():
    image = torch.rand(1, 3, 96, 96)
    middle = {}
    for pooling in ("padded", "published"):
        torch.manual_seed(0)
        network = convolutional_pose_machine(1, 1, width=2, wide=2, narrow=2, kernels=(3, 3), pooling=pooling)
        for parameter in network.parameters():  # nothing cancels, and no ReLU is closed
            nn.init.uniform_(parameter, 0.1, 1.0)
        flat = torch.full_like(image, 0.5).requires_grad_()
        for layer in network.modules():
            if isinstance(layer, nn.MaxPool2d):  # a mean over the same pixels passes the gradient of each
                layer.forward = partial(nn.functional.avg_pool2d, kernel_size=3, stride=2, padding=layer.padding)
        (gradient,) = torch.autograd.grad(network.eval()(flat).heatmaps[0][0, 0, 6, 6], flat)
        rows = gradient[0].abs().sum(dim=(0, 2)).nonzero()
        middle[pooling] = float(rows.min() + rows.max()) / 2
    assert middle == {"padded": 48.0, "published": 55.0}


def test_later_stages_read_the_beliefs_before_them():
    torch.manual_seed(0)
    network = SMALL["small-cpm-3"](keypoints=4)
    image = torch.rand(1, 3, 64, 64)
    before = network(image)
    assert [maps.shape[1] for maps in before.extra["beliefs"]] == [5, 5, 5]
    with torch.no_grad():
        network.first_beliefs.bias.add_(1.0)
        for stage in network.stages:
            nn.init.normal_(stage.head.weight, std=0.1)
    after = network(image)
    for number in range(3):
        assert not torch.allclose(before.heatmaps[number], after.heatmaps[number])


def test_pyramid_gives_every_parameter_a_gradient():
    torch.manual_seed(0)
    network = SMALL["small-cpn"](keypoints=3)
    outputs = network(torch.rand(2, 3, 64, 64))
    sum(maps.square().mean() for maps in outputs.heatmaps).backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_boxes_of_joints_are_opencvs_crops():
    random = np.random.default_rng(0)
    photo = random.integers(0, 255, (40, 60, 3)).astype(np.uint8)
    centres, side, size = np.array([[20.0, 15.0], [33.5, 22.25]]), 16.0, 8
    image = torch.from_numpy(photo).permute(2, 0, 1)[None].float()
    crops = cut_boxes(image, torch.from_numpy(centres)[None].float(), torch.tensor([side]), size)
    scale = size / side
    for number, (x, y) in enumerate(centres):  # pixel j of the crop is at (j + 0.5) / scale from the box's corner
        affine = np.array([[scale, 0, -scale * (x - side / 2) - 0.5], [0, scale, -scale * (y - side / 2) - 0.5]])
        expected = warp(photo, affine, size, size)
        assert np.abs(crops[0, number].permute(1, 2, 0).numpy() - expected).max() <= 2.5  # its weights have 5 bits


def cascade(sigma: float = 2.0):
    torch.manual_seed(0)
    options = {"channels": (4, 4, 8, 8), "stem_type": "deep", "stem_width": 2}
    return deep_pose("resnet18", 2, 14, size=64, refined_size=32, sigma=sigma, **options)


def test_a_cascade_moves_joints_by_what_its_next_stage_finds():
    network = cascade().eval()
    first, second = network.stages
    with torch.no_grad():
        first.last.bias.copy_(torch.linspace(-0.4, 0.4, 28))
        second.last.bias.fill_(0.25)
        nn.init.zeros_(second.last.weight)
        outputs = network(torch.rand(3, 3, 64, 64))
    one, two = outputs.extra["stages"]
    pairs = [("left_shoulder", "right_hip"), ("right_shoulder", "left_hip")]
    indexes = [[LSP_14.keypoints.index(name) for name in pair] for pair in pairs]
    diameter = torch.stack([(one[:, a] - one[:, b]).norm(dim=1) for a, b in indexes]).mean(dim=0)
    torch.testing.assert_close(two, one + 0.25 * 2.0 * diameter[:, None, None])  # N⁻¹ of ¼ of a box of σ · diam
    assert torch.equal(outputs.coordinates[..., :2], two)
    assert torch.equal(outputs.coordinates[..., 2], torch.ones(3, 14))


def test_a_refining_stage_is_taught_the_displacement_back_to_the_joint():
    network = cascade()
    network.displacement_mean[0] = torch.tensor([0.3, -0.2])  # in diameters
    network.displacement_variance[0] = 1e-12
    xy, labelled = torch.rand(4, 14, 2) * 60, torch.ones(4, 14, dtype=torch.bool)
    lesson = network.learn(torch.rand(4, 3, 64, 64), xy, labelled, 1)
    expected = torch.tensor([-0.15, 0.1]).expand(4, 14, 2)  # in boxes of two diameters
    torch.testing.assert_close(lesson["target"], expected, atol=1e-5, rtol=0)
    lesson["predicted"].sum().backward()
    assert all(parameter.grad is None for parameter in network.stages[0].parameters())


def test_displacements_of_a_stage_are_kept_for_the_next():
    network = cascade()
    xy, labelled = torch.rand(64, 14, 2) * 60, torch.ones(64, 14, dtype=torch.bool)
    labelled[:, 3] = False
    for _ in range(600):  # the first stage finds the middle of the crop: 0
        network._keep(0, torch.randn(64, 14, 2) * 0.5 + 1.0, labelled)
    kept, other = [0, 1, 2, *range(4, 14)], 3
    torch.testing.assert_close(network.displacement_mean[0, kept], torch.ones(13, 2), atol=0.05, rtol=0)
    torch.testing.assert_close(network.displacement_variance[0, kept], torch.full((13, 2), 0.25), atol=0.05, rtol=0)
    assert torch.equal(network.displacement_mean[0, other], torch.zeros(2))
    network.learn(torch.rand(64, 3, 64, 64), xy, labelled, 0)  # and learning calls it
    assert not torch.allclose(network.displacement_mean[0, 0], torch.ones(2), atol=1e-4)


def test_windows_show_the_same_part_at_every_resolution():
    ramp = torch.arange(32.0)
    pixels = torch.stack([ramp.expand(32, 32), ramp[:, None].expand(32, 32)])[None]  # x and y of each pixel
    centres = torch.tensor([[[8, 20], [28, 0]]])
    for stride in (1, 2, 4):
        window = cut_windows(pixels[:, :, ::stride, ::stride], centres, stride, 16)
        assert window.shape == (1, 2, 2, 16 // stride, 16 // stride)
        middle = 16 // stride // 2
        assert window[0, :, :, middle, middle].tolist() == [[8, 20], [28, 0]]
        assert window[0, 0, 0, 0].tolist() == list(range(0, 16, stride))
        assert not window[0, 1, :, :middle].any()  # above the crop


def test_fine_heatmaps_move_the_coarse_peak():
    torch.manual_seed(0)
    network = tompson(4, 3, width=4, wide=8, middle=8, window=16).eval()
    with torch.no_grad():
        outputs = network(torch.rand(2, 3, 64, 64))
        fine, centres = outputs.extra["fine"], outputs.extra["centres"]
        assert fine.shape == (2, 3, 16, 16)
        for person in range(2):
            for joint in range(3):
                row, column = divmod(int(fine[person, joint].argmax()), 16)
                expected = (centres[person, joint] + torch.tensor([column - 8, row - 8])) / 64
                assert torch.allclose(outputs.coordinates[person, joint, :2], expected)
                assert outputs.coordinates[person, joint, 2] == fine[person, joint].max()
    with pytest.raises(ValueError, match="window: expected a multiple of 16, got 24"):
        tompson(16, 3, window=24)


def test_local_contrast_ignores_brightness_and_gain():
    torch.manual_seed(0)
    image = torch.rand(1, 3, 40, 40)
    contrast = local_contrast(image)
    torch.testing.assert_close(local_contrast(3 * image + 5), contrast, atol=1e-4, rtol=1e-4)
    assert abs(float(contrast.mean())) < 0.02 and 0.5 < float(contrast.std()) < 1.5
    assert isinstance(tompson(4, 3, width=4, wide=8, middle=8, fine=False).encoded, nn.Dropout2d)
    assert Coarse(2, 3, (4, 8, 8), (5, 9), 0.2).levels == 3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: convolutional_pose_machine(0), "stages: expected 1 or more, got 0"),
        (lambda: deep_pose("resnet18", 0), "stages: expected 1 or more, got 0"),
        (lambda: deep_pose("resnet18", 2, 14).for_skeleton(EYES), "expected the joint left_shoulder"),
        (lambda: tompson(3), "pooling: expected 2, 4, 8 or 16, got 3"),
        (lambda: cascaded_pyramid("vgg11"), "backbone: expected maps of strides 4, 8, 16, 32"),
        (lambda: cascaded_pyramid("resnot50"), "backbone: expected the name of a timm network"),
    ],
)
def test_invalid_builds_are_reported(make, message):
    with pytest.raises(ValueError, match=message), torch.device("meta"):
        make()


def test_levels_are_enlarged_as_by_the_authors():
    """Pixel i of a map enlarged by f is at i / f, the last row and column repeated."""
    ramp = torch.arange(3.0).expand(1, 1, 3, 3)
    assert _enlarged(ramp, (6, 6))[0, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2]
    assert _enlarged(ramp, (12, 3))[0, 0, :, 1].tolist() == [1] * 12
    assert _enlarged(ramp, (5, 5)).shape == (1, 1, 5, 5)

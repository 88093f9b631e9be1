"""SimpleBaseline: an ImageNet backbone and a few transposed convolutions.

Xiao, Wu and Wei, Simple Baselines for Human Pose Estimation and Tracking, ECCV 2018, section 2: "three deconvolutional
layers with batch normalization and ReLU activation [...] 256 filters with 4 × 4 kernel. The stride is 2. A 1 × 1
convolutional layer is added at last". The ResNets of timm are those of the official code (stride in the 3×3
convolution).
"""

from torch import nn

from trustpose.networks.backbones import Bottleneck, ImageNetBackbone
from trustpose.networks.layers import STRIDE, PoseNetwork, heatmap_head

FILTERS = 256


def simple_baseline(
    backbone: str = "resnet50",
    keypoints: int = 17,
    *,
    pretrained: bool = False,
    caffe: bool = False,
    filters: int = FILTERS,
    **backbone_options: object,
) -> PoseNetwork:
    """Build a network from any timm backbone with feature maps, upsampled by transposed convolutions to stride 4.

    `pretrained` loads timm's ImageNet weights. `caffe`: a ResNet's strides are in the first 1×1 convolution of its
    blocks, as in the official recipes with STYLE: 'caffe', instead of the 3×3; tensors are the same. `filters`:
    channels of the transposed convolutions. `backbone_options` are passed to timm, e.g. `img_size=(256, 192)`, which
    vision transformers need. Raises ValueError if timm has no such backbone or if its stride is not 4, 8, 16, …
    """
    body = ImageNetBackbone(backbone, pretrained, **backbone_options)
    if caffe:
        _move_strides(body)
    doublings = (body.stride // STRIDE).bit_length() - 1
    if doublings < 0 or STRIDE * 2**doublings != body.stride:
        raise ValueError(f"backbone: expected a stride of 4 × a power of 2, got {backbone!r} with {body.stride}")
    channels = filters if doublings else body.channels
    return PoseNetwork(body, deconvolutions(body.channels, doublings, filters), heatmap_head(channels, keypoints))


def _move_strides(body: nn.Module) -> None:
    for block in body.modules():
        if isinstance(block, Bottleneck):
            first, second = block.get_submodule("conv1"), block.get_submodule("conv2")
            assert isinstance(first, nn.Conv2d) and isinstance(second, nn.Conv2d)
            first.stride, second.stride = second.stride, first.stride


def deconvolutions(channels: int, count: int, filters: int = FILTERS) -> nn.Sequential:
    """Return `count` times: 4×4 transposed convolution with stride 2, batch norm, ReLU. (B, C, h, w) to (B, filters,
    2ⁿh, 2ⁿw)."""
    layers: list[nn.Module] = []
    for _ in range(count):
        deconvolution = nn.ConvTranspose2d(channels, filters, kernel_size=4, stride=2, padding=1, bias=False)
        nn.init.normal_(deconvolution.weight, std=0.001)
        layers += [deconvolution, nn.BatchNorm2d(filters), nn.ReLU(inplace=True)]
        channels = filters
    return nn.Sequential(*layers)

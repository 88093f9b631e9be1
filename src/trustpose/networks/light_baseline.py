"""SimpleBaseline for small devices: a mobile backbone, and transposed convolutions factored into depthwise and 1×1.

The design is Ultralight-SimplePose's (dog-qiuqiu, Apache-2.0; the layers are those of its published ONNX file): a 1×1
convolution to 128 channels, then three times a depthwise 4×4 transposed convolution with stride 2 and a 1×1
convolution, each followed by batch norm and ReLU, then the 1×1 convolution to heatmaps. With a MobileNetV2 of half
width it equals that network, and `onnx_weights` reads its file. EfficientNet-Lite0 is the next larger backbone without
squeeze-and-excitation, which is slow on small devices.
"""

from collections import OrderedDict
from typing import Literal

from torch import nn

from trustpose.networks.backbones import ImageNetBackbone
from trustpose.networks.layers import PoseNetwork, heatmap_head

Backbone = Literal["mobilenetv2-050", "efficientnet-lite0"]

FILTERS = 128


def light_baseline(
    backbone: Backbone = "mobilenetv2-050", keypoints: int = 17, *, pretrained: bool = False
) -> PoseNetwork:
    """Build a mobile backbone of stride 32 with three light transposed convolutions to stride 4.

    `pretrained` loads timm's ImageNet weights, for EfficientNet-Lite0 only. Raises ValueError for another backbone, and
    if weights are requested that do not exist.
    """
    if backbone not in ("mobilenetv2-050", "efficientnet-lite0"):
        raise ValueError(f"backbone: expected mobilenetv2-050 or efficientnet-lite0, got {backbone!r}")
    if backbone == "efficientnet-lite0":
        body: ImageNetBackbone | HalfMobileNet = ImageNetBackbone("tf_efficientnet_lite0", pretrained)
    elif pretrained:
        raise ValueError(f"pretrained: there are no public ImageNet weights of {backbone}")
    else:
        body = HalfMobileNet()
    return PoseNetwork(body, light_deconvolutions(body.channels, 3), heatmap_head(FILTERS, keypoints))


class HalfMobileNet(nn.Sequential):
    """Maps images (B, 3, H, W) to (B, 160, H/32, W/32): MobileNetV2 with half its channels, without the classifier.

    Sandler et al., MobileNetV2, CVPR 2018, table 2. timm rounds 12 channels up to 16; this rounds to multiples of 4.
    """

    channels = 160
    features: nn.Sequential

    def __init__(self) -> None:
        from torchvision.models.mobilenetv2 import MobileNetV2  # importable after `backbones`

        features = MobileNetV2(width_mult=0.5, round_nearest=4).features[:-1]
        super().__init__(OrderedDict(features=features))


def light_deconvolutions(channels: int, count: int) -> nn.Sequential:
    """Map (B, C, h, w) to (B, 128, 2ⁿh, 2ⁿw), n = `count`."""
    layers = _with_norm(nn.Conv2d(channels, FILTERS, kernel_size=1, bias=False))
    for _ in range(count):
        layers += _with_norm(nn.ConvTranspose2d(FILTERS, FILTERS, 4, stride=2, padding=1, groups=FILTERS, bias=False))
        layers += _with_norm(nn.Conv2d(FILTERS, FILTERS, kernel_size=1, bias=False))
    return nn.Sequential(*layers)


def _with_norm(convolution: nn.Module) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(FILTERS), nn.ReLU(inplace=True)]

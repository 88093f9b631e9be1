"""A person detector as small as the pose network that it feeds: its backbone, a light pyramid, centres and sides.

The backbone is `light_baseline`'s, so a detector can be initialised from a pose network. Strides 32, 16 and 8 are
merged from the top (Lin et al., Feature Pyramid Networks, CVPR 2017) by depthwise and 1×1 convolutions; the map of
stride 8 predicts centres and sides (`codecs.boxes`).
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.networks.light_baseline import HalfMobileNet

CHANNELS = 96
DETECTOR_MULTIPLE = 32  # a photo's sides must be multiples of this
_ENDS = (7, 14, 18)  # layers of the backbone after which stride is 8, 16, 32
_STANDING = 4
_WIDTHS = (16, 48, 160)
_INITIAL_PROBABILITY = 0.01  # initial probability of a centre


class CentreDetector(nn.Module):
    """Maps photos (B, 3, H, W), normalised, sides multiples of 32, to (B, 5, H/8, W/8).

    The first channel is the logit of a person's centre, the others the distances of the box's left, top, right and
    bottom side from the cell's middle, in image pixels, above 0.
    """

    stride = 8

    def __init__(self) -> None:
        super().__init__()
        self.backbone = HalfMobileNet()
        self.context = separable(_WIDTHS[2], CHANNELS, 5)
        self.lateral = nn.ModuleList(_pointwise(width, CHANNELS) for width in _WIDTHS[:2])
        self.smooth = nn.ModuleList(separable(CHANNELS, CHANNELS, 3) for _ in _WIDTHS[:2])
        self.centre = nn.Sequential(separable(CHANNELS, CHANNELS, 3), nn.Conv2d(CHANNELS, 1, 1))
        self.sides = nn.Sequential(separable(CHANNELS, CHANNELS, 3), nn.Conv2d(CHANNELS, 4, 1))
        last, size = self.centre[-1], self.sides[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        assert isinstance(size, nn.Conv2d) and size.bias is not None
        nn.init.constant_(last.bias, -math.log((1 - _INITIAL_PROBABILITY) / _INITIAL_PROBABILITY))
        nn.init.constant_(size.bias, math.log(32 / self.stride))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 5 h w"]:
        maps, x = [], image
        for index, layer in enumerate(self.backbone.features.children()):
            x = layer(x)
            if index + 1 in _ENDS:
                maps.append(x)
        x = self.context(maps[-1])  # (B, C, H/32, W/32)
        for level in (1, 0):  # to H/16, H/8
            x = self.smooth[level](
                F.interpolate(x, scale_factor=2.0, mode="nearest") + self.lateral[level](maps[level])
            )
        sides = self.sides(x).clamp(max=8.0).exp() * self.stride
        return torch.cat([self.centre(x), sides], dim=1)

    def first_layers(self) -> list[nn.Module]:
        """Return the layers up to stride 4, whose edges and colours are generic and take half of the computation."""
        return list(self.backbone.features.children())[:_STANDING]


def separable(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """Return a depthwise convolution and a 1×1 one, each with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, kernel, padding=kernel // 2, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        *_pointwise(inputs, outputs),
        nn.ReLU(inplace=True),
    )


def _pointwise(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

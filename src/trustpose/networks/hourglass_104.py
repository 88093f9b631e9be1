"""Hourglass-104: two hourglasses of 3 × 3 residual modules, which downsample by strides instead of pooling.

Law and Deng, CornerNet, ECCV 2018, section 3.5, used for poses by Zhou, Wang and Krähenbühl, Objects as Points, 2019.
Five halvings from stride 4 with 256, 384, 384, 384 and 512 channels, two residual modules in each place and four at
the lowest resolution; the features of the first hourglass and its input, each through a 1 × 1 convolution, make the
input of the second.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.backbones import BasicBlock
from trustpose.networks.layers import GRIDS, ConvBN, MapNetwork, heatmap_head

_CHANNELS = (256, 256, 384, 384, 384, 512)  # at each resolution, from stride 4 on
_MODULES = 2  # residual modules in each place
_MODULES_LOWEST = 4


def hourglass_104(keypoints: int = 17, *, channels: tuple[int, ...] = _CHANNELS, stacks: int = 2) -> "Hourglass104":
    """Build Hourglass-104; `channels`: at each resolution, from stride 4 on."""
    return Hourglass104(keypoints, channels, stacks)


class Hourglass104(MapNetwork):
    """Maps images (B, 3, H, W) to one stage of heatmaps (B, K, H/4, W/4) per hourglass."""

    def __init__(self, keypoints: int, channels: tuple[int, ...], stacks: int):
        super().__init__()
        if stacks < 1:
            raise ValueError(f"stacks: expected 1 or more, got {stacks}")
        width = channels[0]
        self.keypoints, self.feature_channels, self.supervised_stages = keypoints, width, stacks
        self.stem = nn.Sequential(ConvBN(3, width // 2, 7, stride=2), _residual(width // 2, width, stride=2))
        self.hourglasses = nn.ModuleList(StridedHourglass(channels) for _ in range(stacks))
        self.feature = nn.ModuleList(ConvBN(width, width, 3) for _ in range(stacks))
        self.heads = nn.ModuleList(heatmap_head(width, keypoints) for _ in range(stacks))
        self.remap_input = nn.ModuleList(ConvBN(width, width, 1, relu=False) for _ in range(stacks - 1))
        self.remap_feature = nn.ModuleList(ConvBN(width, width, 1, relu=False) for _ in range(stacks - 1))
        self.between = nn.ModuleList(_residual(width, width) for _ in range(stacks - 1))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return heatmaps (B, K, H/4, W/4) and, in `extra`, features (B, C, H/4, W/4) of each hourglass."""
        x = self.stem(image)  # (B, C, H/4, W/4)
        features: list[Tensor] = []
        for stage, (hourglass, feature) in enumerate(zip(self.hourglasses, self.feature, strict=True)):
            if stage:
                before = stage - 1
                x = (self.remap_input[before](x) + self.remap_feature[before](features[-1])).relu()
                x = self.between[before](x)
            features.append(feature(hourglass(x)))
        heatmaps = [head(maps) for head, maps in zip(self.heads, features, strict=True)]
        return Outputs(heatmaps, features[-1], extra={"stage_features": features}, grids=GRIDS)


class StridedHourglass(nn.Module):
    """Residual modules at this resolution, added to those of the lower ones, upsampled."""

    def __init__(self, channels: tuple[int, ...]):
        super().__init__()
        width, lower = channels[0], channels[1]
        self.skip = _residuals(width, width, _MODULES)
        self.down = _residuals(width, lower, _MODULES, stride=2)
        is_lowest = len(channels) == 2
        self.inner = _residuals(lower, lower, _MODULES_LOWEST) if is_lowest else StridedHourglass(channels[1:])
        self.up = nn.Sequential(*(_residual(lower, lower) for _ in range(_MODULES - 1)), _residual(lower, width))

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        lower = self.up(self.inner(self.down(x)))
        return self.skip(x) + F.interpolate(lower, size=x.shape[-2:], mode="nearest")  # sizes may be odd


def _residuals(inputs: int, outputs: int, count: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(_residual(inputs, outputs, stride), *(_residual(outputs, outputs) for _ in range(count - 1)))


def _residual(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """Return a residual module of two 3 × 3 convolutions, ResNet's."""
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride, downsample=shortcut)

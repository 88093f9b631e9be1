"""Cascaded Pyramid Network: a feature pyramid with heatmaps at every level, then a network that reads all levels.

Chen, Wang, Peng, Zhang, Yu and Sun, Cascaded Pyramid Network for Multi-Person Pose Estimation, CVPR 2018, section 3.2
and figure 1. GlobalNet: the last maps of a ResNet's conv2 to conv5, each through a 1×1 convolution; a coarser level is
enlarged and goes through another before it is added; every level predicts heatmaps. RefineNet: the coarser the level,
the more bottlenecks (three for the coarsest, none for the finest), all enlarged to the finest, concatenated, one more
bottleneck. GlobalNet learns from all keypoints, RefineNet from the hard ones (`train.hard_keypoints`). From the
authors' published layers, and not in the text: batch norm after the heatmaps and none where levels are added, shortcuts
that change nothing within RefineNet, and a bilinear enlargement by f in which pixel i of the result is at i / f, with
the edge repeated.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.backbones import timm
from trustpose.networks.layers import GRIDS, ConvBN, check_keypoints

CHANNELS = 256
LEVELS = 4  # conv2 to conv5, of strides 4 to 32

Maps = list[Float[Tensor, "B _ _ _"]]


def cascaded_pyramid(
    backbone: str = "resnet50",
    keypoints: int = 17,
    *,
    filters: int = CHANNELS,
    pretrained: bool = False,
    **backbone_options: object,
) -> "CascadedPyramid":
    """Build a network on any timm backbone with maps of strides 4, 8, 16 and 32: ResNet-50 to -152 in the paper.

    filters: channels of the pyramid. `pretrained`, `backbone_options`: as in `simple_baseline`. Raises ValueError for
    another backbone.
    """
    check_keypoints(keypoints)
    indices = tuple(range(1, LEVELS + 1))
    try:
        body = timm.create_model(backbone, pretrained, features_only=True, out_indices=indices, **backbone_options)
    except RuntimeError as error:  # timm's error for an unknown name
        raise ValueError(f"backbone: expected the name of a timm network, got {backbone!r} ({error})") from None
    strides = tuple(body.feature_info.reduction())
    if strides != (4, 8, 16, 32):
        raise ValueError(f"backbone: expected maps of strides 4, 8, 16, 32, got {backbone!r} with {strides}")
    return CascadedPyramid(body, list(body.feature_info.channels()), filters, keypoints)


class CascadedPyramid(nn.Module):
    """Maps crops (B, 3, H, W) to heatmaps (B, K, H/4, W/4): four of GlobalNet, coarse to fine, and RefineNet's."""

    def __init__(self, body: nn.Module, widths: list[int], channels: int, keypoints: int) -> None:
        super().__init__()
        self.body = body
        self.global_net = nn.ModuleList(
            Level(width, channels, keypoints, coarsest=number == 0) for number, width in enumerate(widths[::-1])
        )
        self.refine_net = nn.ModuleList(
            nn.Sequential(*(Bottleneck(channels, channels) for _ in range(LEVELS - 1 - number)))
            for number in range(LEVELS)
        )
        self.mixed = Bottleneck(LEVELS * channels, channels)
        self.head = _head(channels, keypoints)
        self.keypoints, self.feature_channels = keypoints, channels

    @property
    def encoded(self) -> nn.Module:
        """The module whose input is the backbone's last map."""
        return self.global_net[0].get_submodule("lateral")

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return five stages of heatmaps, and the input of RefineNet's layer for them (B, C, H/4, W/4)."""
        maps = self.body(image)
        size = maps[0].shape[-2:]
        above, pyramid, heatmaps = None, [], []
        for level, lateral in zip(self.global_net, reversed(maps), strict=True):
            above = level(lateral, above)
            pyramid.append(above)
            assert isinstance(level, Level)
            heatmaps.append(_enlarged(level.head(level.before(above)), size))
        refined = [_enlarged(chain(x), size) for chain, x in zip(self.refine_net, pyramid, strict=True)]
        features = self.mixed(torch.cat(refined, dim=1))
        return Outputs([*heatmaps, self.head(features)], features, grids=GRIDS)


class Level(nn.Module):
    """One level of GlobalNet: the backbone's map and the coarser level, to features; heatmaps from these."""

    def __init__(self, width: int, channels: int, keypoints: int, coarsest: bool) -> None:
        super().__init__()
        self.lateral = ConvBN(width, channels, kernel=1)
        if not coarsest:
            self.from_above = nn.Conv2d(channels, channels, kernel_size=1)
        self.before = ConvBN(channels, channels, kernel=1)
        self.head = _head(channels, keypoints)

    def forward(
        self, lateral: Float[Tensor, "B W h w"], above: Float[Tensor, "B C _h _w"] | None
    ) -> Float[Tensor, "B C h w"]:
        x = self.lateral(lateral)
        return x if above is None else x + self.from_above(_enlarged(above, x.shape[-2:]))


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions, half as wide inside; the shortcut is a 1×1 convolution where the width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvBN(inputs, outputs // 2, kernel=1)
        self.conv2 = ConvBN(outputs // 2, outputs // 2, kernel=3)
        self.conv3 = ConvBN(outputs // 2, outputs, kernel=1, relu=False)
        self.shortcut = nn.Identity() if inputs == outputs else ConvBN(inputs, outputs, kernel=1, relu=False)

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        return F.relu(self.shortcut(x) + self.conv3(self.conv2(self.conv1(x))))


def _head(channels: int, keypoints: int) -> ConvBN:
    head = ConvBN(channels, keypoints, kernel=3, relu=False)
    nn.init.constant_(head.bn.weight, 0.1)  # batch norm starts with variance 1, far from any target heatmap
    return head


def _enlarged(x: Float[Tensor, "B C h w"], size: tuple[int, int]) -> Float[Tensor, "B C H W"]:
    """Enlarge to `size`, a multiple of the map's; where the finer level is not one, resize it as a whole."""
    high, wide = x.shape[-2:]
    if size[0] % high or size[1] % wide:
        return F.interpolate(x, size=size, mode="bilinear", align_corners=True)
    repeated = F.pad(x, (0, 1, 0, 1), mode="replicate")
    enlarged = F.interpolate(repeated, size=(size[0] + 1, size[1] + 1), mode="bilinear", align_corners=True)
    return enlarged[..., : size[0], : size[1]]

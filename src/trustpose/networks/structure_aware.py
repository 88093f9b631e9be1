"""Multi-scale structure-aware network: supervision at every resolution of the hourglasses, then a regression of all.

Ke, Chang, Qi and Lyu, Multi-Scale Structure-Aware Network for Human Pose Estimation, ECCV 2018. Multi-scale supervision
(section 3.1): heatmaps are predicted, by 1×1 convolutions, from the upsampled maps of every resolution of an hourglass,
and learnt from targets of that resolution. Multi-scale regression (section 3.2): a network reads the last hourglass's
heatmaps of all resolutions, enlarged and concatenated, and predicts the final ones. The structure-aware loss (section
3.3) is `train.structure`, keypoint masking (section 3.4) the augmentation `keypoint-masking`.

The text at hand does not print the regression network's layers: a 3×3 convolution and two residual modules are ours.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.hourglass import (
    CHANNELS,
    DEPTH,
    Hourglass,
    Residual,
    check_stacks,
    plain_hourglass,
    stem,
)
from trustpose.networks.layers import GRIDS, heatmap_head

Scales = list[Float[Tensor, "B K _ _"]]


def structure_aware(
    stacks: int = 8, keypoints: int = 17, *, channels: int = CHANNELS, depth: int = DEPTH
) -> "StructureAware":
    """Build a network of `stacks` hourglasses, supervised at every resolution, and a regression network.

    Raises ValueError for less than one stack.
    """
    check_stacks(stacks)
    return StructureAware(stacks, keypoints, channels, depth)


class StructureAware(nn.Module):
    """Maps crops (B, 3, H, W) to heatmaps (B, K, H/4, W/4) of each stack, and of the regression network."""

    def __init__(self, stacks: int, keypoints: int, channels: int, depth: int):
        super().__init__()
        self.stem = stem(channels)
        self.stacks = nn.ModuleList(
            ScaledStack(plain_hourglass(channels, depth), keypoints, channels, depth, number < stacks - 1)
            for number in range(stacks)
        )
        self.regression = nn.Sequential(
            nn.Conv2d((depth + 1) * keypoints, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            Residual(channels, channels),
            Residual(channels, channels),
        )
        self.head = heatmap_head(channels, keypoints)
        self.keypoints, self.feature_channels = keypoints, channels

    @property
    def encoded(self) -> nn.Module:
        """The module whose input is the last hourglass's lowest map."""
        return self.stacks[-1].get_submodule("hourglass").encoded  # type: ignore an Hourglass's property

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return one (B, K, H/4, W/4) per stack and the regression's, the input of its last layer, and "beliefs", these
        heatmaps with those of lower resolutions."""
        x = self.stem(image)
        heatmaps, beliefs, scales = [], [], []
        for stack in self.stacks:
            scales, x = stack(x)
            beliefs += scales
            heatmaps.append(scales[-1])
        size = scales[-1].shape[-2:]
        enlarged = [F.interpolate(maps, size=size, mode="bilinear", align_corners=False) for maps in scales[:-1]]
        features = self.regression(torch.cat([*enlarged, scales[-1]], dim=1))
        heatmaps.append(self.head(features))
        return Outputs(heatmaps, features, extra={"beliefs": [*beliefs, heatmaps[-1]]}, grids=GRIDS)


class ScaledStack(nn.Module):
    """One hourglass with heatmaps of each resolution; features and the largest ones are fed back for the next one."""

    def __init__(self, hourglass: Hourglass, keypoints: int, channels: int, depth: int, feeds_next: bool):
        super().__init__()
        self.hourglass = hourglass
        self.residual = Residual(channels, channels)
        self.feature = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.heads = nn.ModuleList(heatmap_head(channels, keypoints) for _ in range(depth + 1))
        self.feeds_next = feeds_next
        if feeds_next:
            self.remap_features = nn.Conv2d(channels, channels, 1)
            self.remap_heatmaps = nn.Conv2d(keypoints, channels, 1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> tuple[Scales, Float[Tensor, "B C h w"]]:
        """Return heatmaps from the lowest to the full resolution, and the next stack's input."""
        *lower, largest = self.hourglass.scales(x)
        features = self.feature(self.residual(largest))
        scales = [head(maps) for head, maps in zip(self.heads, [*lower, features], strict=True)]
        if self.feeds_next:
            x = x + self.remap_features(features) + self.remap_heatmaps(scales[-1])
        return scales, x

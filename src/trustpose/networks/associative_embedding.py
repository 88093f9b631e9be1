"""Associative embedding's own network: stacked hourglasses whose every stage gives heatmaps and tags.

Newell, Huang and Deng, Associative Embedding, NIPS 2017, section 3.3: four hourglasses; plain 3 × 3 convolutions in
the place of residual modules, 128 channels more at every halving, no batch norm. As in the authors' code
(princeton-vl/pose-ae-train), the maps of a stage, with its features, are fed back into the next.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.layers import GRIDS, MapNetwork, check_keypoints

CHANNELS = 256
INCREASE = 128  # of channels at the first halving, and at every further one
DEPTH = 4  # halvings


def pose_ae(
    stacks: int = 4, keypoints: int = 17, *, channels: int = CHANNELS, increase: int = INCREASE
) -> "AssociativeEmbedding":
    """Build the network: four stacks of 256 channels in the paper."""
    return AssociativeEmbedding(stacks, keypoints, channels, increase)


class AssociativeEmbedding(MapNetwork):
    """Maps photos (B, 3, H, W) to heatmaps and tags, each (B, K, H/4, W/4), of each stack."""

    own_kinds = ("tags",)

    def __init__(self, stacks: int, keypoints: int, channels: int, increase: int):
        super().__init__()
        if stacks < 1:
            raise ValueError(f"stacks: expected 1 or more, got {stacks}")
        check_keypoints(keypoints)
        self.keypoints, self.feature_channels, self.supervised_stages = keypoints, channels, stacks
        self.stem = nn.Sequential(
            *_convolution(3, channels // 4, 7, stride=2),
            *_convolution(channels // 4, channels // 2),
            nn.MaxPool2d(2),
            *_convolution(channels // 2, channels // 2),
            *_convolution(channels // 2, channels),
        )
        self.hourglasses = nn.ModuleList(
            nn.Sequential(
                WideningHourglass(DEPTH, channels, increase),
                *_convolution(channels, channels),
                *_convolution(channels, channels),
            )
            for _ in range(stacks)
        )
        self.heads = nn.ModuleList(nn.Conv2d(channels, 2 * keypoints, 1) for _ in range(stacks))
        self.remap_features = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(stacks - 1))
        self.remap_maps = nn.ModuleList(nn.Conv2d(2 * keypoints, channels, 1) for _ in range(stacks - 1))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return each stack's heatmaps and, in `extra`, the last tags, and those and the features of every stack."""
        x = self.stem(image)  # (B, C, H/4, W/4)
        all_features, all_heatmaps, all_tags = list[Tensor](), list[Tensor](), list[Tensor]()
        for stack, (hourglass, head) in enumerate(zip(self.hourglasses, self.heads, strict=True)):
            features = hourglass(x)
            maps = head(features)  # (B, 2 K, H/4, W/4)
            all_features.append(features)
            heatmaps, tags = maps.chunk(2, dim=1)
            all_heatmaps.append(heatmaps)
            all_tags.append(tags)
            if stack < self.supervised_stages - 1:
                x = x + self.remap_maps[stack](maps) + self.remap_features[stack](features)
        stages = {"stage_features": all_features, "stage_tags": all_tags}
        return Outputs(all_heatmaps, all_features[-1], extra={"tags": all_tags[-1], **stages}, grids=GRIDS)


class WideningHourglass(nn.Module):
    """An hourglass of convolutions that is wider at every lower resolution."""

    def __init__(self, depth: int, channels: int, increase: int):
        super().__init__()
        wide = channels + increase
        self.skip = nn.Sequential(*_convolution(channels, channels))
        inner = [WideningHourglass(depth - 1, wide, increase)] if depth > 1 else _convolution(wide, wide)
        self.lower = nn.Sequential(
            nn.MaxPool2d(2), *_convolution(channels, wide), *inner, *_convolution(wide, channels)
        )

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return self.skip(x) + F.interpolate(self.lower(x), size=x.shape[-2:], mode="nearest")  # sizes may be odd


def _convolution(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    """Return a convolution, initialised so that it keeps the variance of its input, and ReLU."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return [layer, nn.ReLU(inplace=True)]

"""Stacked hourglass: repeated down- and upsampling, with heatmaps after each stack.

Newell, Yang and Deng, Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016, sections 3.1 to 3.4. Residual
modules are pre-activated, 256 channels with 128 in between (figure 4 left). Written from the paper; the number of
residual modules in each place (one) and the biases are those of the public PyTorch checkpoints.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.layers import GRIDS, heatmap_head

CHANNELS = 256
DEPTH = 4  # halvings inside an hourglass: 64 × 48 map pixels go down to 4 × 3


def hourglass(
    stacks: int = 8, keypoints: int = 17, *, channels: int = CHANNELS, depth: int = DEPTH
) -> "StackedHourglass":
    """Build a network of `stacks` hourglasses: 8 in the paper, of 256 channels and four halvings."""
    return StackedHourglass(stacks, keypoints, channels, depth)


class StackedHourglass(nn.Module):
    """Maps crops (B, 3, H, W) to one stage of heatmaps (B, K, H/4, W/4) per stack."""

    def __init__(self, stacks: int, keypoints: int, channels: int = CHANNELS, depth: int = DEPTH):
        super().__init__()
        if stacks < 1:
            raise ValueError(f"stacks: expected 1 or more, got {stacks}")
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels // 4, kernel_size=7, stride=2, padding=3),
            nn.BatchNorm2d(channels // 4),
            nn.ReLU(inplace=True),
            Residual(channels // 4, channels // 2),
            nn.MaxPool2d(2),
            Residual(channels // 2, channels),
            Residual(channels, channels),
        )
        self.stacks = nn.ModuleList(Stack(keypoints, channels, depth, feeds_next=i < stacks - 1) for i in range(stacks))
        self.keypoints = keypoints
        self.feature_channels = channels

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return one (B, K, H/4, W/4) per stack, and the input of the last heatmap layer (B, 256, H/4, W/4)."""
        x = self.stem(image)  # (B, 256, H/4, W/4)
        all_heatmaps, features = [], x
        for stack in self.stacks:
            heatmaps, features, x = stack(x)
            all_heatmaps.append(heatmaps)
        return Outputs(heatmaps=all_heatmaps, features=features, grids=GRIDS)


class Stack(nn.Module):
    """One hourglass, its heatmaps, and (section 3.4) both features and heatmaps fed back for the next one."""

    def __init__(self, keypoints: int, channels: int, depth: int, feeds_next: bool):
        super().__init__()
        self.hourglass = Hourglass(depth, channels)
        self.residual = Residual(channels, channels)
        self.feature = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.head = heatmap_head(channels, keypoints)
        self.feeds_next = feeds_next
        if feeds_next:
            self.remap_features = nn.Conv2d(channels, channels, 1)
            self.remap_heatmaps = nn.Conv2d(keypoints, channels, 1)

    def forward(
        self, x: Float[Tensor, "B C h w"]
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B C h w"], Float[Tensor, "B C h w"]]:
        """Return heatmaps, their input features, and the next stack's input."""
        features = self.feature(self.residual(self.hourglass(x)))
        heatmaps = self.head(features)
        if self.feeds_next:
            x = x + self.remap_features(features) + self.remap_heatmaps(heatmaps)
        return heatmaps, features, x


class Hourglass(nn.Module):
    """Max-pooling `depth` times, then upsampling; each resolution has a branch that skips the lower ones."""

    def __init__(self, depth: int, channels: int = CHANNELS):
        super().__init__()
        self.skip = Residual(channels, channels)
        self.down = Residual(channels, channels)
        self.inner = Hourglass(depth - 1, channels) if depth > 1 else Residual(channels, channels)
        self.up = Residual(channels, channels)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        lower = self.up(self.inner(self.down(F.max_pool2d(x, 2))))
        # resize to `x`, whose size may be odd: 288 / 4 = 72 pixels are 9 after three halvings
        return self.skip(x) + F.interpolate(lower, size=x.shape[-2:], mode="nearest")


class Residual(nn.Module):
    """Pre-activated bottleneck: norm, ReLU and convolution three times (1×1, 3×3, 1×1), half as wide inside."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        inner = outputs // 2
        self.bn1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, inner, 1)
        self.bn2, self.conv2 = nn.BatchNorm2d(inner), nn.Conv2d(inner, inner, 3, padding=1)
        self.bn3, self.conv3 = nn.BatchNorm2d(inner), nn.Conv2d(inner, outputs, 1)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        y = self.conv1(F.relu(self.bn1(x)))
        y = self.conv2(F.relu(self.bn2(y)))
        y = self.conv3(F.relu(self.bn3(y)))
        return self.shortcut(x) + y

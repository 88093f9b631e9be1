"""Stacked hourglass: repeated down- and upsampling, with heatmaps after each stack.

Newell, Yang and Deng, Stacked Hourglass Networks for Human Pose Estimation, ECCV 2016, sections 3.1 to 3.4. Residual
modules are pre-activated, 256 channels with 128 in between (figure 4 left). Written from the paper; the number of
residual modules in each place (one) and the biases are those of the public PyTorch checkpoints.

Papers that change the modules or what follows an hourglass compose `StackedHourglass`, `Stack` and `Hourglass` anew.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.layers import GRIDS, heatmap_head

CHANNELS = 256
DEPTH = 4  # halvings inside an hourglass: 64 × 48 map pixels go down to 4 × 3


Branch = Literal["skip", "down", "inner", "up"]
Modules = Callable[[Branch, int], nn.Module]
"""Builds the module of a branch of the hourglass that halves so many times."""


def hourglass(
    stacks: int = 8, keypoints: int = 17, *, channels: int = CHANNELS, depth: int = DEPTH
) -> "StackedHourglass":
    """Build a network of `stacks` hourglasses: 8 in the paper, of 256 channels and four halvings."""
    check_stacks(stacks)
    return StackedHourglass(
        stem(channels),
        [
            Stack(
                plain_hourglass(channels, depth),
                Residual(channels, channels),
                keypoints,
                channels,
                feeds_next=number < stacks - 1,
            )
            for number in range(stacks)
        ],
        keypoints,
        channels,
    )


def plain_hourglass(channels: int, depth: int) -> "Hourglass":
    """Return an hourglass of the paper's modules."""
    return Hourglass(depth, lambda *_: Residual(channels, channels))


def check_stacks(stacks: int) -> None:
    """Raise ValueError for less than one stack."""
    if stacks < 1:
        raise ValueError(f"stacks: expected 1 or more, got {stacks}")


def stem(
    channels: int, residual: "Callable[[int, int], nn.Module] | None" = None, *, middle: int | None = None
) -> nn.Sequential:
    """Return the layers before the first hourglass, from the crop to `channels` maps of stride 4.

    residual(inputs, outputs): builds its three modules, `Residual` by default. middle: channels between the second and
    third, as many as afterwards by default; half of them in Newell's published layers.
    """
    build = Residual if residual is None else residual
    return nn.Sequential(
        nn.Conv2d(3, channels // 4, kernel_size=7, stride=2, padding=3),
        nn.BatchNorm2d(channels // 4),
        nn.ReLU(inplace=True),
        build(channels // 4, channels // 2),
        nn.MaxPool2d(2),
        build(channels // 2, middle or channels),
        build(middle or channels, channels),
    )


class StackedHourglass(nn.Module):
    """Maps crops (B, 3, H, W) to one stage of heatmaps (B, K, H/4, W/4) per stack.

    stem: from the crop to maps of stride 4. stacks: each with an `hourglass` and a `head`; returns heatmaps, the input
    of their layer, and the next stack's input. channels: of the last stack's features.
    """

    def __init__(self, stem: nn.Module, stacks: Sequence[nn.Module], keypoints: int, channels: int):
        super().__init__()
        self.stem = stem
        self.stacks = nn.ModuleList(stacks)
        self.keypoints = keypoints
        self.feature_channels = channels

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return one (B, K, H/4, W/4) per stack, and the input of the last heatmap layer (B, C, H/4, W/4)."""
        x = self.stem(image)  # (B, C, H/4, W/4)
        all_heatmaps, features = [], x
        for stack in self.stacks:
            heatmaps, features, x = stack(x)
            all_heatmaps.append(heatmaps)
        return Outputs(heatmaps=all_heatmaps, features=features, grids=GRIDS)


class Stack(nn.Module):
    """One hourglass, its heatmaps, and (section 3.4) both features and heatmaps fed back for the next one.

    residual: what follows the hourglass, before the layer of the features.
    """

    def __init__(self, hourglass: "Hourglass", residual: nn.Module, keypoints: int, channels: int, feeds_next: bool):
        super().__init__()
        self.hourglass = hourglass
        self.residual = residual
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

    def __init__(self, depth: int, modules: Modules):
        super().__init__()
        self.skip = modules("skip", depth)
        self.down = modules("down", depth)
        self.inner = Hourglass(depth - 1, modules) if depth > 1 else modules("inner", depth)
        self.up = modules("up", depth)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return self.scales(x)[-1]

    def scales(self, x: Float[Tensor, "B C h w"]) -> list[Float[Tensor, "B C _ _"]]:
        """Return the upsampled maps of every resolution, from the lowest to that of `x`."""
        below = self.down(F.max_pool2d(x, 2))
        lower = self.inner.scales(below) if isinstance(self.inner, Hourglass) else [self.inner(below)]
        # resize to `x`, whose size may be odd: 288 / 4 = 72 pixels are 9 after three halvings
        larger = F.interpolate(self.up(lower[-1]), size=x.shape[-2:], mode="nearest")
        return [*lower, self.skip(x) + larger]

    @property
    def encoded(self) -> nn.Module:
        """The module whose input is the lowest map."""
        return self.inner.encoded if isinstance(self.inner, Hourglass) else self.up


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

"""Multi-context attention: stacked hourglasses with attention maps that a conditional random field smooths.

Chu, Yang, Ouyang, Ma, Yuille and Wang, Multi-Context Attention for Human Pose Estimation, CVPR 2017. Hourglass residual
units (section 4.2) have a third branch beside the residual and the identity, which sees twice as far: pooling, two 3×3
convolutions, enlargement. After every hourglass an attention map multiplies its features: scores U, then three steps of
mean-field inference with one kernel, Q = σ(K ∗ Q + U) (section 4.1). In the second half of the network there is a map
for each body part as well, whose features give its heatmap (section 5.3).

From the authors' published layers (bearpaw/pose-attention, BSD-3), and not in the text at hand: widths, the number of
units in each branch, and a stem at full resolution. The paper also takes attention from all resolutions of an
hourglass; their published layers do not, nor do ours.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.networks.hourglass import (
    CHANNELS,
    DEPTH,
    Branch,
    Hourglass,
    Residual,
    StackedHourglass,
    check_stacks,
)
from trustpose.networks.layers import check_keypoints, heatmap_head

STEPS = 3  # of mean-field inference
KERNEL = 11
UNITS = 8  # per branch of an hourglass, over all stacks


def attention_hourglass(
    stacks: int = 8,
    keypoints: int = 17,
    *,
    channels: int = CHANNELS,
    depth: int = DEPTH,
    units: int | None = None,
    kernel: int = KERNEL,
    strided_stem: bool = False,
) -> StackedHourglass:
    """Build a network of `stacks` hourglasses with attention: 8 in the paper.

    units: of each branch in a row, so that all stacks together have eight by default. kernel: side of the attention
    maps' smoothing, map pixels. strided_stem: the first convolution halves the crop, in place of a pooling. Raises
    ValueError for less than one stack.
    """
    check_stacks(stacks)
    check_keypoints(keypoints)
    repeats = max(1, UNITS // stacks) if units is None else units

    def module(branch: Branch, level: int) -> nn.Module:
        if branch == "skip":
            return nn.Sequential(*(_skip(channels, level, number) for number in range(repeats)))
        return nn.Sequential(*(Residual(channels, channels) for _ in range(repeats if branch == "down" else 1)))

    built = []
    for number in range(stacks):
        is_last = number == stacks - 1
        width = 2 * channels if is_last else channels
        by_part = is_last or number >= UNITS // 2
        head = PartHeads(width, keypoints, kernel) if by_part else heatmap_head(width, keypoints)
        built.append(AttentionStack(Hourglass(depth, module), head, channels, width, keypoints, kernel, is_last))
    return StackedHourglass(_stem(channels, strided_stem), built, keypoints, 2 * channels)


class AttentionStack(nn.Module):
    """One hourglass, its features under a map of attention, and heatmaps."""

    def __init__(
        self,
        hourglass: Hourglass,
        head: nn.Module,
        channels: int,
        width: int,
        keypoints: int,
        kernel: int,
        is_last: bool,
    ):
        super().__init__()
        self.hourglass = hourglass
        self.feature = _feature(channels, width)
        self.second = _feature(width, width)
        self.attention = Attention(width, kernel)
        self.head = head
        self.feeds_next = not is_last
        if self.feeds_next:
            self.remap_heatmaps = nn.Conv2d(keypoints, channels, 1)
            self.remap_features = _feature(channels, channels)

    def forward(
        self, x: Float[Tensor, "B C h w"]
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B D h w"], Float[Tensor, "B C h w"]]:
        """Return heatmaps, their input features, and the next stack's input."""
        first = self.feature(self.hourglass(x))
        features = self.attention(self.second(first))
        heatmaps = self.head(features)
        if self.feeds_next:
            x = x + self.remap_heatmaps(heatmaps) + self.remap_features(first)
        return heatmaps, features, x


class Attention(nn.Module):
    """Features times one map in 0 to 1, from their scores by mean-field inference."""

    def __init__(self, channels: int, kernel: int):
        super().__init__()
        self.score = nn.Conv2d(channels, 1, 3, padding=1)
        self.smooth = nn.Conv2d(1, 1, kernel, padding=kernel // 2)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        score = self.score(x)
        belief = score
        for _ in range(STEPS):
            belief = torch.sigmoid(self.smooth(belief) + score)
        return x * belief


class PartHeads(nn.Module):
    """A map of attention for each part, and a 1×1 convolution of what it lets through."""

    def __init__(self, channels: int, keypoints: int, kernel: int):
        super().__init__()
        self.parts = nn.ModuleList(
            nn.Sequential(Attention(channels, kernel), heatmap_head(channels, 1)) for _ in range(keypoints)
        )

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B K h w"]:
        return torch.cat([part(x) for part in self.parts], dim=1)


class HourglassResidual(Residual):
    """A residual module with a third branch at half the resolution."""

    def __init__(self, channels: int):
        super().__init__(channels, channels)
        self.before = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        self.wider = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        wider = self.wider(F.max_pool2d(self.before(x), 2))
        return super().forward(x) + F.interpolate(wider, size=x.shape[-2:], mode="nearest")


def _skip(channels: int, level: int, number: int) -> nn.Module:
    """Return a unit of the skip branch: the more halvings are beside it, the more hourglass residual units."""
    if level == 1 and number:
        return HourglassResidual(channels)
    return nn.Sequential(Residual(channels, channels), *(HourglassResidual(channels) for _ in range(level - 2)))


def _feature(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _stem(channels: int, is_strided: bool) -> nn.Sequential:
    quarter, half = channels // 4, channels // 2
    return nn.Sequential(
        nn.Conv2d(3, quarter, 7, stride=2 if is_strided else 1, padding=3),
        nn.BatchNorm2d(quarter),
        nn.ReLU(inplace=True),
        Residual(quarter, quarter),
        nn.Identity() if is_strided else nn.MaxPool2d(2),
        Residual(quarter, quarter),
        Residual(quarter, half),
        nn.MaxPool2d(2),
        Residual(half, half),
        Residual(half, half),
        Residual(half, channels),
    )

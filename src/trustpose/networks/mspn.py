"""MSPN: several ResNet-50s with feature pyramids, which pass features of every scale to the next stage.

Li et al., Rethinking on Multi-Stage Networks for Human Pose Estimation, 2019 (arXiv 1901.00148), section 3:
single-stage module (figure 2), cross-stage feature aggregation (figure 3), coarse-to-fine supervision (figure 4).
Biases before batch norm have no effect, but the official checkpoints have them (mmpose's do not).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.layers import GRIDS, ConvBN, check_keypoints

STEM = 64
BLOCKS = (3, 4, 6, 3)  # ResNet-50
WIDTHS = (256, 512, 1024, 2048)
CHANNELS = 256  # of the pyramid

Maps = list[Float[Tensor, "B _ _ _"]]


def mspn(stages: int = 4, keypoints: int = 17) -> "MSPN":
    """Build `stages` stages of ResNet-50: 1 to 4 in the paper."""
    return MSPN(stages, keypoints)


class MSPN(nn.Module):
    """Maps crops (B, 3, H, W) to heatmaps (B, K, H/4, W/4), four per stage.

    Every scale of every stage predicts heatmaps, resized to one size. They are ordered by stage, and within a stage
    from the coarsest scale (stride 32) to the finest (stride 4), so stage s's final ones have index 4s + 3.
    """

    def __init__(self, stages: int, keypoints: int):
        super().__init__()
        if stages < 1:
            raise ValueError(f"stages: expected 1 or more, got {stages}")
        check_keypoints(keypoints)
        self.stem = ConvBN(3, STEM, kernel=7, stride=2, bias=True)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList(Stage(keypoints, feeds_next=i < stages - 1) for i in range(stages))
        self.keypoints = keypoints
        self.feature_channels = CHANNELS

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return 4 × stages times (B, K, H/4, W/4), and the features of the last one (B, 256, H/4, W/4)."""
        x = self.pool(self.stem(image))  # (B, 64, H/4, W/4)
        all_heatmaps: Maps = []
        features = x
        skips: Maps = []
        for stage in self.stages:
            heatmaps, features, skips, x = stage(x, skips)
            all_heatmaps += heatmaps
        return Outputs(heatmaps=all_heatmaps, features=features, grids=GRIDS)


class Stage(nn.Module):
    """One ResNet-50 for downsampling, one pyramid for upsampling."""

    def __init__(self, keypoints: int, feeds_next: bool):
        super().__init__()
        inputs = (STEM, *WIDTHS[:-1])
        self.down = nn.ModuleList(_layer(*numbers) for numbers in zip(inputs, WIDTHS, BLOCKS, strict=True))
        self.up = nn.ModuleList(Unit(width, keypoints, i == 0, feeds_next) for i, width in enumerate(WIDTHS[::-1]))
        self.cross = ConvBN(CHANNELS, STEM, kernel=1, bias=True) if feeds_next else nn.Identity()

    def forward(
        self, x: Float[Tensor, "B 64 h w"], skips: Maps
    ) -> tuple[Maps, Float[Tensor, "B C h w"], Maps, Float[Tensor, "B I h w"]]:
        """Return heatmaps from coarse to fine, the finest one's features, and skips and input for the next stage.

        skips: one map per scale, fine to coarse; empty in the first stage.
        """
        size = x.shape[-2:]
        pyramid: Maps = []
        for scale, layer in enumerate(self.down):
            x = layer(x)
            if skips:
                x = x + skips[scale]
            pyramid.append(x)
        heatmaps: Maps = []
        next_skips: Maps = []
        above = None
        features = x
        for unit, lateral in zip(self.up, reversed(pyramid), strict=True):
            assert isinstance(unit, Unit)
            above = finer = unit(lateral, above)
            features = unit.feature(finer)
            heatmaps.append(F.interpolate(unit.head(features), size=size, mode="bilinear", align_corners=True))
            next_skips += unit.skips(lateral, finer)
        return heatmaps, features, next_skips[::-1], self.cross(above)


class Unit(nn.Module):
    """One scale of the pyramid: lateral connection plus the coarser scale; features and heatmaps.

    With `feeds_next`, both are passed to the same scale of the next stage, each through a 1×1 convolution.
    """

    def __init__(self, width: int, keypoints: int, coarsest: bool, feeds_next: bool):
        super().__init__()
        self.lateral = ConvBN(width, CHANNELS, kernel=1, relu=False, bias=True)
        if not coarsest:
            self.enlarged = ConvBN(CHANNELS, CHANNELS, kernel=1, relu=False, bias=True)
        self.feature = ConvBN(CHANNELS, CHANNELS, kernel=1, bias=True)
        self.head = ConvBN(CHANNELS, keypoints, kernel=3, relu=False, bias=True)
        # Batch norm starts with variance 1, far from any target heatmap; 0.1 is close to theirs.
        nn.init.constant_(self.head.bn.weight, 0.1)
        self.feeds_next = feeds_next
        if feeds_next:
            self.skip_down = ConvBN(width, width, kernel=1, bias=True)
            self.skip_up = ConvBN(CHANNELS, width, kernel=1, bias=True)

    def forward(
        self, lateral: Float[Tensor, "B W h w"], above: Float[Tensor, "B C _h _w"] | None
    ) -> Float[Tensor, "B C h w"]:
        x = self.lateral(lateral)
        if above is not None:
            x = x + self.enlarged(F.interpolate(above, size=x.shape[-2:], mode="bilinear", align_corners=True))
        return F.relu(x)

    def skips(self, lateral: Float[Tensor, "B W h w"], x: Float[Tensor, "B C h w"]) -> Maps:
        """Return the sum for this scale of the next stage; empty in the last stage."""
        return [self.skip_down(lateral) + self.skip_up(x)] if self.feeds_next else []


class Bottleneck(nn.Module):
    """ResNet's bottleneck, with the stride in its 3×3 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        inner = outputs // 4
        self.conv1 = ConvBN(inputs, inner, kernel=1, bias=True)
        self.conv2 = ConvBN(inner, inner, kernel=3, stride=stride, bias=True)
        self.conv3 = ConvBN(inner, outputs, kernel=1, relu=False, bias=True)
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else ConvBN(inputs, outputs, 1, stride, relu=False, bias=True)

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O h w"]:
        return F.relu(self.shortcut(x) + self.conv3(self.conv2(self.conv1(x))))


def _layer(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    stride = 1 if inputs == STEM else 2
    return nn.Sequential(
        Bottleneck(inputs, outputs, stride), *(Bottleneck(outputs, outputs, 1) for _ in range(blocks - 1))
    )

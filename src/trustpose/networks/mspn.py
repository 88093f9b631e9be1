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

STEM = 64  # channels between the stem and a stage, and between stages
BLOCKS = (3, 4, 6, 3)  # bottlenecks of each scale of a ResNet-50
WIDTHS = (256, 512, 1024, 2048)  # and its channels
CHANNELS = 256  # of the pyramid

Maps = list[Float[Tensor, "B _ _ _"]]


def mspn(stages: int = 4, keypoints: int = 17) -> "MSPN":
    """Build an MSPN with `stages` stages, 1 to 4 in the paper, for `keypoints` keypoints.

    Raises ValueError for less than one of either.
    """
    return MSPN(stages, keypoints)


class MSPN(nn.Module):
    """Maps normalised crops (B, 3, H, W) to heatmaps (B, K, H/4, W/4), four of each stage.

    Each of a stage's four scales predicts heatmaps, resized to stride 4. They are ordered by stage, and within a stage
    from the coarsest scale (stride 32) to the finest (stride 4): stage s, counted from 0, has its result at index
    4s + 3.
    """

    def __init__(self, stages: int, keypoints: int):
        super().__init__()
        if stages < 1:
            raise ValueError(f"stages: expected 1 or more, got {stages}")
        check_keypoints(keypoints)
        self.stem = ConvBN(3, STEM, kernel=7, stride=2, bias=True)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stages = nn.ModuleList(Stage(keypoints, feeds_next=number < stages - 1) for number in range(stages))
        self.keypoints = keypoints
        self.feature_channels = CHANNELS

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return 4 × stages heatmaps (B, K, H/4, W/4), and the features (B, 256, H/4, W/4) of the last of them."""
        x = self.pool(self.stem(image))  # (B, 64, H/4, W/4)
        features = x
        skips: Maps = []
        all_heatmaps: Maps = []
        for stage in self.stages:
            heatmaps, features, skips, x = stage(x, skips)
            all_heatmaps += heatmaps
        return Outputs(heatmaps=all_heatmaps, features=features, grids=GRIDS)


class Stage(nn.Module):
    """A ResNet-50 down to stride 32, and a feature pyramid back up to stride 4, which predicts heatmaps at each scale.

    `feeds_next`: another stage follows, which reads this stage's maps at every scale (figure 3).
    """

    def __init__(self, keypoints: int, feeds_next: bool):
        super().__init__()
        inputs = (STEM, *WIDTHS[:-1])
        self.down = nn.ModuleList(
            _resnet_layer(width_in, width, blocks)
            for width_in, width, blocks in zip(inputs, WIDTHS, BLOCKS, strict=True)
        )
        self.up = nn.ModuleList(
            Unit(width, keypoints, is_coarsest=width == WIDTHS[-1], feeds_next=feeds_next) for width in WIDTHS[::-1]
        )
        self.cross = ConvBN(CHANNELS, STEM, kernel=1, bias=True) if feeds_next else nn.Identity()

    def forward(
        self, x: Float[Tensor, "B 64 h w"], skips: Maps
    ) -> tuple[Maps, Float[Tensor, "B C h w"], Maps, Float[Tensor, "B I h w"]]:
        """Return heatmaps from coarse to fine, the features of the finest, and for the next stage its skips and input.

        Skips are what a stage adds to each scale on its way down: the sum of the previous stage's maps there, from fine
        to coarse; empty for the first stage, and after the last, whose next input nobody reads.
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
        merged = None  # the pyramid's map at the coarser scale
        features = x
        for unit, lateral in zip(self.up, reversed(pyramid), strict=True):
            assert isinstance(unit, Unit)
            merged = unit(lateral, merged)
            features = unit.feature(merged)
            heatmaps.append(F.interpolate(unit.head(features), size=size, mode="bilinear", align_corners=True))
            if unit.feeds_next:
                next_skips.append(unit.skip_down(lateral) + unit.skip_up(merged))
        return heatmaps, features, next_skips[::-1], self.cross(merged)


class Unit(nn.Module):
    """One scale of the pyramid: `forward` adds the coarser scale to the lateral map from the way down; `feature` and
    `head` make features and heatmaps of the sum.

    With `feeds_next`, `skip_down` and `skip_up` pass the lateral map and the sum to the same scale of the next stage.
    """

    def __init__(self, width: int, keypoints: int, *, is_coarsest: bool, feeds_next: bool):
        super().__init__()
        self.lateral = ConvBN(width, CHANNELS, kernel=1, relu=False, bias=True)
        if not is_coarsest:
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
        self, lateral: Float[Tensor, "B W h w"], coarser: Float[Tensor, "B C _h _w"] | None
    ) -> Float[Tensor, "B C h w"]:
        x = self.lateral(lateral)
        if coarser is not None:
            x = x + self.enlarged(F.interpolate(coarser, size=x.shape[-2:], mode="bilinear", align_corners=True))
        return F.relu(x)


class Bottleneck(nn.Module):
    """ResNet's bottleneck, with the stride in its 3×3 convolution."""

    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        inner = outputs // 4
        self.conv1 = ConvBN(inputs, inner, kernel=1, bias=True)
        self.conv2 = ConvBN(inner, inner, kernel=3, stride=stride, bias=True)
        self.conv3 = ConvBN(inner, outputs, kernel=1, relu=False, bias=True)
        keeps_shape = inputs == outputs and stride == 1
        self.shortcut = (
            nn.Identity() if keeps_shape else ConvBN(inputs, outputs, kernel=1, stride=stride, relu=False, bias=True)
        )

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O h w"]:
        return F.relu(self.shortcut(x) + self.conv3(self.conv2(self.conv1(x))))


def _resnet_layer(inputs: int, outputs: int, blocks: int) -> nn.Sequential:
    """Build one scale of ResNet: `blocks` bottlenecks, the first with stride 2 but for the finest scale."""
    stride = 1 if inputs == STEM else 2
    first = Bottleneck(inputs, outputs, stride)
    return nn.Sequential(first, *(Bottleneck(outputs, outputs, stride=1) for _ in range(blocks - 1)))

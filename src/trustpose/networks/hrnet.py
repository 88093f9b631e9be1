"""HRNet: parallel branches of decreasing resolution with repeated exchange.

Sun, Xiao, Liu and Wang, Deep High-Resolution Representation Learning for Human Pose Estimation, CVPR 2019, section 3
and its "network instantiation": a stem to stride 4, four bottlenecks, then stages of 2, 3 and 4 branches with 1, 4 and
3 exchange units, each branch four residual units per exchange; widths C, 2C, 4C, 8C. Heatmaps come from the branch of
the highest resolution.
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.networks.backbones import BasicBlock, Bottleneck
from trustpose.networks.layers import PoseNetwork, heatmap_head

_EXCHANGES = (1, 4, 3)  # exchange units in the stages of 2, 3 and 4 branches
_RESIDUALS = 4


def hrnet(
    width: int = 32,
    keypoints: int = 17,
    *,
    stem: int = 64,
    bottlenecks: int = 4,
    exchanges: tuple[int, int, int] | None = None,
    residuals: int | None = None,
) -> PoseNetwork:
    """Build HRNet-W`width`: HRNet-W32 and -W48 in the paper.

    stem: channels of the stem, a quarter of those after the `bottlenecks`. exchanges: units of each stage, and
    residuals: on each branch between two exchanges; None for the paper's.
    """
    backbone = HRNetBackbone(width, stem, bottlenecks, exchanges or _EXCHANGES, residuals or _RESIDUALS)
    return PoseNetwork(backbone, nn.Identity(), heatmap_head(width, keypoints))


class HRNetBackbone(nn.Module):
    """Maps images (B, 3, H, W) to the features of the highest resolution (B, width, H/4, W/4)."""

    def __init__(self, width: int, stem: int, bottlenecks: int, exchanges: tuple[int, int, int], residuals: int):
        super().__init__()
        wide = 4 * stem
        self.stem = nn.Sequential(_conv(3, stem, stride=2), _conv(stem, stem, stride=2))
        widen = nn.Sequential(nn.Conv2d(stem, wide, kernel_size=1, bias=False), nn.BatchNorm2d(wide))
        blocks = (Bottleneck(wide, stem) for _ in range(bottlenecks - 1))
        self.layer1 = nn.Sequential(Bottleneck(stem, stem, downsample=widen), *blocks)
        stages: list[nn.Module] = []
        before = [wide]
        for branches, units in enumerate(exchanges, start=2):
            widths = [width * 2**i for i in range(branches)]
            stages.append(Stage(before, widths, units, residuals, last=branches == len(exchanges) + 1))
            before = widths
        self.stages = nn.ModuleList(stages)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        maps = [self.layer1(self.stem(image))]  # (B, 256, H/4, W/4)
        for stage in self.stages:
            maps = stage(maps)
        return maps[0]


class Stage(nn.Module):
    """Adds a branch at half the lowest resolution, then runs its exchange units.

    The network reads only the highest resolution of the last stage, so its last unit computes no other.
    """

    def __init__(self, before: list[int], widths: list[int], exchanges: int, residuals: int, last: bool):
        super().__init__()
        changes: list[nn.Module] = [
            nn.Identity() if old == new else _conv(old, new) for old, new in zip(before, widths, strict=False)
        ]
        changes.append(nn.Sequential(_conv(before[-1], widths[-1], stride=2)))
        self.transition = nn.ModuleList(changes)
        self.units = nn.Sequential(
            *(
                ExchangeUnit(widths, residuals, outputs=1 if last and unit == exchanges - 1 else len(widths))
                for unit in range(exchanges)
            )
        )

    def forward(self, maps: list[Float[Tensor, "B _ _ _"]]) -> list[Float[Tensor, "B _ _ _"]]:
        # the new branch starts from the lowest existing resolution
        return self.units([change(x) for change, x in zip(self.transition, [*maps, maps[-1]], strict=True)])


class ExchangeUnit(nn.Module):
    """Four residual units on each branch, then every output is the sum of all branches resized to its resolution.

    Up: 1×1 convolution and nearest neighbour; down: one 3×3 convolution with stride 2 per halving.
    """

    def __init__(self, widths: list[int], residuals: int, outputs: int):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(BasicBlock(width, width) for _ in range(residuals))) for width in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target) for source in range(len(widths))) for target in range(outputs)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, maps: list[Float[Tensor, "B _ _ _"]]) -> list[Float[Tensor, "B _ _ _"]]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for target, paths in enumerate(self.fuse_layers):
            assert isinstance(paths, nn.ModuleList)
            size = maps[target].shape[-2:]
            steps = [path(x) for path, x in zip(paths, maps, strict=True)]
            same_size = [F.interpolate(x, size=size, mode="nearest") if i > target else x for i, x in enumerate(steps)]
            fused.append(self.relu(sum(same_size[1:], start=same_size[0])))
        return fused


def _path(widths: list[int], source: int, target: int) -> nn.Module:
    """Map branch `source` to the width of branch `target`, and downsample to its resolution if that is lower."""
    if source == target:
        return nn.Identity()
    if source > target:
        return _conv(widths[source], widths[target], kernel=1, relu=False)
    halvings = target - source
    steps = [_conv(widths[source], widths[source], stride=2) for _ in range(halvings - 1)]
    return nn.Sequential(*steps, _conv(widths[source], widths[target], stride=2, relu=False))


def _conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> nn.Sequential:
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))

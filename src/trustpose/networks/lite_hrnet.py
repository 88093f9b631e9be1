"""Lite-HRNet: HRNet's branches out of depthwise convolutions, channel shuffles and learnt weights of channels.

Yu, Xiao, Gao, Yuan, Zhang, Sang and Wang, Lite-HRNet: A Lightweight High-Resolution Network, CVPR 2021, figures 1 and 4
and table 1; shuffle blocks as in Ma et al., ShuffleNet V2, ECCV 2018. "lite" replaces the 1×1 convolutions of shuffle
blocks by weights of channels; "naive" keeps them. PP-TinyPose (PaddleDetection, Apache-2.0) is the wider naive network,
whose published ONNX file has its batch norms in the convolutions: `tinypose` is built like that, and
`onnx_weights.read_onnx_weights` reads the file.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.networks.layers import PoseNetwork, heatmap_head

Block = Literal["lite", "naive"]
Maps = list[Float[Tensor, "B _ _ _"]]

STEM = 32  # channels of the first map of stride 4
_UNITS = {18: (2, 4, 2), 30: (3, 8, 3)}  # exchange units in the stages of 2, 3 and 4 branches
_BLOCKS = 2  # of each branch in an exchange unit
_ACROSS, _WITHIN = 8, 4  # how many times fewer channels the hidden layers have that weigh channels


def lite_hrnet(
    depth: int = 18, keypoints: int = 17, *, block: Block = "lite", width: int = 40, norm: bool = True
) -> PoseNetwork:
    """Lite-HRNet-`depth`, 18 or 30, or its naive kind; images' sides are multiples of 32.

    width: channels of the highest resolution, 40; 30 for the paper's plain "naive" network. Without `norm` convolutions
    have biases and no batch norm follows them. Raises ValueError for another depth.
    """
    if depth not in _UNITS:
        raise ValueError(f"depth: expected 18 or 30, got {depth}")
    return PoseNetwork(
        LiteHRNetBackbone(_UNITS[depth], width, block, norm), nn.Identity(), heatmap_head(width, keypoints)
    )


def tinypose(keypoints: int = 17) -> PoseNetwork:
    """PP-TinyPose's network, to start from its published weights: the wider naive Lite-HRNet-18, without batch norm."""
    return lite_hrnet(18, keypoints, block="naive", norm=False)


class LiteHRNetBackbone(nn.Module):
    """Images (B, 3, H, W), sides multiples of 32, to features (B, width, H/4, W/4)."""

    def __init__(self, units: tuple[int, ...], width: int, block: Block, norm: bool):
        super().__init__()
        self.stem = Stem(norm)
        stages: list[nn.Module] = []
        before = [STEM]
        for branches, count in enumerate(units, start=2):
            widths = [width * 2**branch for branch in range(branches)]
            stages.append(Stage(before, widths, count, block, norm))
            before = widths
        self.stages = nn.ModuleList(stages)
        outputs = [before[0], *before[:-1]]  # each branch is brought to the width of the next higher resolution
        pairs = zip(reversed(before), reversed(outputs), strict=True)
        self.gather = nn.ModuleList(_separable(inputs, outputs, norm=norm) for inputs, outputs in pairs)
        self.encoded = nn.Identity()
        """Called with the last stage's map (B, 8 · width, H/32, W/32), for trust heads that read the encoder's."""

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        maps = [self.stem(image)]  # (B, 32, H/4, W/4)
        for stage in self.stages:
            maps = stage(maps)
        *higher, x = maps
        self.encoded(x)
        for index, layer in enumerate(self.gather):  # from H/32 to H/4
            if index:
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True) + higher[-index]
            x = layer(x)
        return x


class Stem(nn.Module):
    """Images to (B, 32, H/4, W/4): a convolution of stride 2, then a shuffle block of stride 2."""

    def __init__(self, norm: bool):
        super().__init__()
        half = STEM // 2
        self.first = _conv(3, STEM, kernel=3, stride=2, norm=norm)
        self.one = _separable(half, half, stride=2, norm=norm)
        self.other = nn.Sequential(_conv(half, STEM, norm=norm), *_separable(STEM, half, stride=2, norm=norm))

    def forward(self, image: Tensor) -> Tensor:
        first_half, second_half = self.first(image).chunk(2, dim=1)
        return _shuffle(self.one(first_half), self.other(second_half))


class Stage(nn.Module):
    """Opens one more branch, at half the lowest resolution, then runs its exchange units."""

    def __init__(self, before: list[int], widths: list[int], units: int, block: Block, norm: bool):
        super().__init__()
        changes: list[nn.Module] = [
            nn.Identity() if old == new else _separable(old, new, norm=norm)
            for old, new in zip(before, widths, strict=False)
        ]
        self.transition = nn.ModuleList([*changes, _separable(before[-1], widths[-1], stride=2, norm=norm)])
        self.units = nn.Sequential(*(ExchangeUnit(widths, block, norm) for _ in range(units)))

    def forward(self, maps: Maps) -> Maps:
        return self.units([change(x) for change, x in zip(self.transition, [*maps, maps[-1]], strict=True)])


class ExchangeUnit(nn.Module):
    """Two blocks on every branch, then every output is the sum of all branches brought to its resolution.

    As the authors' code adds in place, the highest resolution counts twice in every sum, and the others receive its own
    sum. The published weights are of that network.
    """

    def __init__(self, widths: list[int], block: Block, norm: bool):
        super().__init__()
        self.blocks: nn.Module
        if block == "naive":
            self.blocks = Branches(widths, norm)
        else:
            self.blocks = nn.Sequential(*(_Weighting(widths, norm) for _ in range(_BLOCKS)))
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target, norm) for source in range(len(widths)))
            for target in range(len(widths))
        )

    def forward(self, maps: Maps) -> Maps:
        first, *lower = self.blocks(maps)
        fused = []
        for paths in self.paths:
            assert isinstance(paths, nn.ModuleList)
            highest, *steps = [path(x) for path, x in zip(paths, [first, *lower], strict=True)]
            total = 2 * highest
            for step in steps:
                total = total + step
            if not fused:
                first = total
            fused.append(F.relu(total))
        return fused


def _path(widths: list[int], source: int, target: int, norm: bool) -> nn.Module:
    """From branch `source` to the width and resolution of branch `target`."""
    if source == target:
        return nn.Identity()
    if source > target:
        up = nn.Upsample(scale_factor=2.0 ** (source - target), mode="nearest")
        return nn.Sequential(_conv(widths[source], widths[target], relu=False, norm=norm), up)
    steps = [_separable(widths[source], widths[source], stride=2, norm=norm) for _ in range(target - source - 1)]
    return nn.Sequential(*steps, _separable(widths[source], widths[target], stride=2, relu=False, norm=norm))


class Branches(nn.Module):
    """Shuffle blocks on each branch separately."""

    def __init__(self, widths: list[int], norm: bool):
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(_Shuffle(width, norm) for _ in range(_BLOCKS))) for width in widths
        )

    def forward(self, maps: Maps) -> Maps:
        return [branch(x) for branch, x in zip(self.branches, maps, strict=True)]


class _Shuffle(nn.Module):
    """ShuffleNet V2's block: half of the channels go through, the other half through three convolutions."""

    def __init__(self, width: int, norm: bool):
        super().__init__()
        half = width // 2
        self.convolutions = nn.Sequential(_conv(half, half, norm=norm), *_separable(half, half, norm=norm))

    def forward(self, x: Tensor) -> Tensor:
        same, processed = x.chunk(2, dim=1)
        return _shuffle(same, self.convolutions(processed))


class _Weighting(nn.Module):
    """The paper's conditional channel weighting, on all branches at once.

    Half of the channels are multiplied by weights computed from all branches, convolved channel by channel, and
    multiplied by weights computed from their own branch's means.
    """

    def __init__(self, widths: list[int], norm: bool):
        super().__init__()
        self.halves = [width // 2 for width in widths]
        hidden = sum(self.halves) // _ACROSS
        self.across = nn.Sequential(
            _conv(sum(self.halves), hidden, norm=norm),
            _conv(hidden, sum(self.halves), relu=False, norm=norm),
            nn.Sigmoid(),
        )
        self.depthwise = nn.ModuleList(_conv(h, h, kernel=3, groups=h, relu=False, norm=norm) for h in self.halves)
        self.within = nn.ModuleList(
            nn.Sequential(_conv(h, h // _WITHIN, norm=False), nn.Conv2d(h // _WITHIN, h, 1), nn.Sigmoid())
            for h in self.halves
        )

    def forward(self, maps: Maps) -> Maps:
        same, processed = zip(*(x.chunk(2, dim=1) for x in maps), strict=True)
        steps = [
            2 ** (len(maps) - 1 - branch) for branch in range(len(maps))
        ]  # how many times finer than the last branch
        pooled = [F.avg_pool2d(x, step) if step > 1 else x for x, step in zip(processed, steps, strict=True)]
        weights = self.across(torch.cat(pooled, dim=1)).split(self.halves, dim=1)
        weighed = []
        for x, weight, step, depthwise, within in zip(
            processed, weights, steps, self.depthwise, self.within, strict=True
        ):
            fine = F.interpolate(weight, scale_factor=float(step), mode="nearest") if step > 1 else weight
            y = depthwise(x * fine)
            weighed.append(y * within(y.mean(dim=(2, 3), keepdim=True)))
        return [_shuffle(x, y) for x, y in zip(same, weighed, strict=True)]


def _shuffle(first: Tensor, second: Tensor) -> Tensor:
    """Two maps (B, C, h, w) as (B, 2C, h, w), their channels in turn."""
    return torch.stack([first, second], dim=2).flatten(1, 2)


def _separable(inputs: int, outputs: int, *, stride: int = 1, relu: bool = True, norm: bool) -> nn.Sequential:
    """A depthwise 3×3 convolution, and a 1×1 one."""
    depthwise = _conv(inputs, inputs, kernel=3, stride=stride, groups=inputs, relu=False, norm=norm)
    return nn.Sequential(depthwise, _conv(inputs, outputs, relu=relu, norm=norm))


def _conv(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    groups: int = 1,
    relu: bool = True,
    norm: bool,
) -> nn.Sequential:
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=not norm)
    ]
    layers += [nn.BatchNorm2d(outputs)] if norm else []
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))

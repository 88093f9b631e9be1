"""Pyramid residual modules in a stacked hourglass: a residual module with branches at several scales.

Yang, Li, Ouyang, Li and Wang, Learning Feature Pyramids for Human Pose Estimation, ICCV 2017. A module adds to its
3×3 convolution a feature pyramid: level c of C shrinks its input to 2^(−c/C) by fractional max-pooling (Graham 2014),
convolves and enlarges it again (section 3.2). Module A has an input for each level, B one for all, C concatenates the
levels instead of adding them, and D has dilated convolutions instead of shrinking. A layer whose input is a sum of C
branches starts with a C-th of the variance (section 4.1); where two modules would add their inputs' variances, at the
end of an hourglass, the shortcut is a convolution (section 4.2).

From the authors' published layers (bearpaw/PyraNet, Apache-2.0), and not in the text: which modules of the hourglass
are pyramids (those whose maps are not too small), their width, and batch norm and ReLU in front of a shortcut's
convolution. Ours: the dilations of module D (c at level c). Pooling regions are drawn in training only, where the
published layers draw them in evaluation, too: predictions do not vary.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trustpose.networks.hourglass import CHANNELS, DEPTH, Branch, Hourglass, Stack, StackedHourglass, check_stacks, stem

Kind = Literal["A", "B", "C", "D"]
KINDS: tuple[Kind, ...] = ("A", "B", "C", "D")
LEVELS, BASE_WIDTH = 4, 9  # of the authors' example with two stacks
_SMALLEST: dict[Branch, int] = {"skip": 2, "down": 3, "inner": 3, "up": 3}  # halvings left, for a pyramid


def pyramid_hourglass(
    stacks: int = 8,
    keypoints: int = 17,
    *,
    kind: Kind = "B",
    levels: int = LEVELS,
    base_width: int = BASE_WIDTH,
    channels: int = CHANNELS,
    depth: int = DEPTH,
) -> StackedHourglass:
    """Build a stacked hourglass of pyramid residual modules: 8 stacks of module B in the paper.

    levels: of a pyramid. base_width: a pyramid's convolutions have a `base_width`-th of the module's channels. Raises
    ValueError for less than one stack or level.
    """
    check_stacks(stacks)
    if levels < 1:
        raise ValueError(f"levels: expected 1 or more, got {levels}")

    def pyramid(outputs: int) -> PyramidBuilder:
        return partial(Pyramid, width=outputs // base_width, outputs=outputs // 2, kind=kind, levels=levels)

    def module(branch: Branch, level: int) -> PyramidResidual:
        build = pyramid(channels) if level >= _SMALLEST[branch] else None
        return PyramidResidual(channels, channels, build, projects=branch == "up")

    def stem_module(inputs: int, outputs: int) -> PyramidResidual:
        is_first = inputs == channels // 4
        return PyramidResidual(inputs, outputs, pyramid(outputs), follows_relu=is_first)

    return StackedHourglass(
        stem(channels, stem_module, middle=channels // 2),
        [
            Stack(
                Hourglass(depth, module),
                nn.Sequential(*_norm_relu(channels)),
                keypoints,
                channels,
                feeds_next=number < stacks - 1,
            )
            for number in range(stacks)
        ],
        keypoints,
        channels,
    )


class PyramidResidual(nn.Module):
    """A pre-activated bottleneck; what its pyramid sees is added after the 3×3 convolution.

    pyramid(inputs): builds it; None for a plain bottleneck. projects: the shortcut is a convolution, as it is where
    channels change. follows_relu: the input is activated already.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        pyramid: "PyramidBuilder | None",
        *,
        projects: bool = False,
        follows_relu: bool = False,
    ):
        super().__init__()
        inner = outputs // 2
        self.body = nn.Sequential(
            *([] if follows_relu else _norm_relu(inputs)),
            _convolution(inputs, inner, 1),
            *_norm_relu(inner),
            _convolution(inner, inner, 3),
        )
        self.pyramid = None if pyramid is None else pyramid(inputs, follows_relu=follows_relu)
        self.last = nn.Sequential(*_norm_relu(inner), _convolution(inner, outputs, 1))
        has_layers = projects or inputs != outputs
        self.shortcut = nn.Sequential(*([*_norm_relu(inputs), _convolution(inputs, outputs, 1)] if has_layers else []))

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        inner = self.body(x)
        if self.pyramid is not None:
            inner = inner + self.pyramid(x)
        return self.shortcut(x) + self.last(inner)


class Pyramid(nn.Module):
    """Convolutions of one map at several scales, from `inputs` channels through `width` ones to `outputs`."""

    def __init__(self, inputs: int, *, width: int, outputs: int, kind: Kind, levels: int, follows_relu: bool):
        super().__init__()
        self.kind = kind
        self.before = nn.Sequential(*([] if follows_relu else _norm_relu(inputs)))
        self.inputs = nn.ModuleList(
            nn.Sequential(_convolution(inputs, width, 1), *_norm_relu(width))
            for _ in range(levels if kind == "A" else 1)
        )
        dilations = range(1, levels + 1) if kind == "D" else [1] * levels
        self.levels = nn.ModuleList(_convolution(width, width, 3, dilation) for dilation in dilations)
        self.ratios = [2 ** (-level / levels) for level in range(1, levels + 1)]
        joined = levels * width if kind == "C" else width
        summed = 1 if kind == "C" else levels
        self.after = nn.Sequential(*_norm_relu(joined), _convolution(joined, outputs, 1, branches=summed))

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        before = self.before(x)
        inputs = [layer(before) for layer in self.inputs] * (len(self.levels) // len(self.inputs))
        scales = []
        for level, ratio, level_input in zip(self.levels, self.ratios, inputs, strict=True):
            if self.kind == "D":
                scales.append(level(level_input))
                continue
            smaller = fractional_max_pool(level_input, ratio, is_random=self.training)
            scales.append(F.interpolate(level(smaller), size=x.shape[-2:], mode="bilinear", align_corners=True))
        return self.after(torch.cat(scales, dim=1) if self.kind == "C" else torch.stack(scales).sum(dim=0))


PyramidBuilder = Callable[..., Pyramid]


def fractional_max_pool(x: Float[Tensor, "B C h w"], ratio: float, *, is_random: bool) -> Float[Tensor, "B C i j"]:
    """Return the largest of 2 × 2 pixels at ratio × the map's sides of positions, rounded down.

    is_random: positions are drawn for every map and channel; otherwise those of the middle of the draw.

    Source: Graham, Fractional Max-Pooling, 2014, pseudorandom overlapping regions, as torch computes them.
    """
    height, width = (max(1, math.floor(side * ratio + 1e-6)) for side in x.shape[-2:])
    if is_random:
        return F.fractional_max_pool2d(x, 2, output_size=(height, width))
    for dim, outputs in ((2, height), (3, width)):
        starts = _starts(x.shape[dim], outputs).to(x.device)
        x = torch.maximum(x.index_select(dim, starts), x.index_select(dim, starts + 1))
    return x


def _starts(inputs: int, outputs: int, draw: float = 0.5) -> Int[Tensor, " j"]:
    """Return the first pixel of each of `outputs` pairs among `inputs` pixels, for a draw in 0 to 1."""
    step = torch.tensor((inputs - 2) / max(outputs - 1, 1), device="cpu")  # rounded to 32 bits, as torch computes them
    first = ((torch.arange(outputs - 1, device="cpu") + draw) * step).long() - (draw * step).long()
    return torch.cat([first, torch.tensor([inputs - 2], device="cpu")])


def _norm_relu(channels: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(channels), nn.ReLU(inplace=True)]


def _convolution(inputs: int, outputs: int, kernel: int, dilation: int = 1, branches: int = 1) -> nn.Conv2d:
    """Return a convolution of the same size, with initial weights for an input that is a sum of `branches`."""
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=dilation * (kernel // 2), dilation=dilation)
    nn.init.normal_(convolution.weight, std=math.sqrt(2 / (branches * inputs * kernel**2)))
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution

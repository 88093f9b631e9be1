"""ShuffleNet V2 with 5×5 depthwise convolutions and without pooling: features of a whole photo at stride 16.

Ma, Zhang, Zheng, Sun, ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design, ECCV 2018, figure 3:
units (c) and (d). OpenPifPaf's "K" variants have kernels of 5, a stem of one strided convolution, and the widths and
depths below, which are visible in the shapes of their tensors; that program is under the AGPL, and its code was not
read.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

VARIANTS = {  # units of the three stages; channels of the stem, of the stages, and of the last convolution
    "k16": ((4, 8, 4), (24, 348, 696, 1392, 1392)),
    "k30": ((8, 16, 6), (32, 512, 1024, 2048, 2048)),
}
_KERNEL = 5


class ShuffleNetV2K(nn.Module):
    """Maps photos (B, 3, H, W) to features (B, C, ⌈H/16⌉, ⌈W/16⌉), C = `channels`.

    variant: a name of `VARIANTS`.
    """

    def __init__(self, variant: str) -> None:
        super().__init__()
        repeats, widths = VARIANTS[variant]
        self.stem = _convolution(3, widths[0], kernel=3, stride=2)
        self.stages = nn.ModuleList(
            nn.Sequential(StridedUnit(inputs, outputs), *(Unit(outputs) for _ in range(units - 1)))
            for units, inputs, outputs in zip(repeats, widths, widths[1:], strict=False)
        )
        self.last = _convolution(widths[-2], widths[-1])
        self.channels = widths[-1]

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        x = self.stem(image)
        for stage in self.stages:
            x = stage(x)
        return self.last(x)


class Unit(nn.Module):
    """Half of the channels pass through three convolutions, the others are kept; then both halves are interleaved."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch = nn.Sequential(*_convolution(half, half), *_depthwise(half), *_convolution(half, half))

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        kept, changed = x.chunk(2, dim=1)
        return interleave(kept, self.branch(changed))


class StridedUnit(nn.Module):
    """Halves the resolution: all channels pass through both branches, which are interleaved."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.shortcut = nn.Sequential(*_depthwise(inputs, stride=2), *_convolution(inputs, half))
        self.branch = nn.Sequential(*_convolution(inputs, half), *_depthwise(half, stride=2), *_convolution(half, half))

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h/2 w/2"]:
        return interleave(self.shortcut(x), self.branch(x))


def interleave(first: Float[Tensor, "B C h w"], second: Float[Tensor, "B C h w"]) -> Float[Tensor, "B 2*C h w"]:
    """Return the channels of both in turn: the shuffle of two groups."""
    return torch.stack([first, second], dim=2).flatten(1, 2)


def _convolution(inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1) -> nn.Sequential:
    """Return a convolution with batch norm and ReLU."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def _depthwise(channels: int, *, stride: int = 1) -> nn.Sequential:
    """Return a depthwise convolution with batch norm."""
    convolution = nn.Conv2d(channels, channels, _KERNEL, stride, _KERNEL // 2, groups=channels, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(channels))

"""DLA-34 for poses: every resolution of the backbone merged step by step up to stride 4, by deformable convolutions.

Yu, Wang, Shelhamer and Darrell, Deep Layer Aggregation, CVPR 2018, section 3, with the changes of Zhou, Wang and
Krähenbühl, Objects as Points, 2019, section 5: more skip connections from lower layers, and a 3 × 3 modulated
deformable convolution before every upsampling (Zhu et al., Deformable ConvNets v2, CVPR 2019). The backbone is timm's.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.networks.backbones import timm
from trustpose.networks.layers import PoseNetwork, heatmap_head

_CHANNELS = (64, 128, 256, 512)  # of the backbone at strides 4, 8, 16 and 32


def dla_34(keypoints: int = 17, *, pretrained: bool = False) -> PoseNetwork:
    """Build DLA-34 with deformable upsampling; `pretrained`: ImageNet weights of the backbone."""
    return PoseNetwork(_Levels(pretrained), DeformableAggregation(), heatmap_head(_CHANNELS[0], keypoints))


class _Levels(nn.Module):
    """Maps images (B, 3, H, W) to the backbone's maps at strides 4, 8, 16 and 32, with `_CHANNELS`."""

    def __init__(self, pretrained: bool):
        super().__init__()
        self.features = timm.create_model("dla34", pretrained, features_only=True, out_indices=(2, 3, 4, 5))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        return self.features(image)


class DeformableAggregation(nn.Module):
    """Merges maps of strides 4, 8, 16 and 32 into one (B, 64, H/4, W/4).

    Three passes merge them from the coarsest on; the map that each pass ends with, and the coarsest itself, are then
    merged once more, without the coarsest.
    """

    def __init__(self) -> None:
        super().__init__()
        self.passes = nn.ModuleList((
            IterativeAggregation(256, (512,), (2,)),
            IterativeAggregation(128, (256, 256), (2, 2)),
            IterativeAggregation(64, (128, 128, 128), (2, 2, 2)),
        ))  # fmt: skip
        self.last = IterativeAggregation(64, (128, 256), (2, 4))

    def forward(self, levels: Sequence[Float[Tensor, "B _ _ _"]]) -> Float[Tensor, "B 64 h w"]:
        merged = [levels[3]]
        finest: list[Tensor] = []  # of each pass, coarsest first
        for level, aggregation in zip(reversed(levels[:3]), self.passes, strict=True):
            merged = aggregation([level, *merged])
            finest.insert(0, merged[-1])
        return self.last(finest)[-1]


class IterativeAggregation(nn.Module):
    """Projects each map but the first to `channels`, upsamples it to the first's size, and adds its predecessor."""

    def __init__(self, channels: int, inputs: Sequence[int], scales: Sequence[int]):
        """inputs, scales: channels of the maps after the first, and how much smaller than the first they are."""
        super().__init__()
        self.project = nn.ModuleList(_deformable(width, channels) for width in inputs)
        self.upsample = nn.ModuleList(_bilinear(channels, scale) for scale in scales)
        self.node = nn.ModuleList(_deformable(channels, channels) for _ in inputs)

    def forward(self, maps: Sequence[Float[Tensor, "B _ _ _"]]) -> list[Float[Tensor, "B C h w"]]:
        """Return the first map and each sum, all of its size."""
        merged = [maps[0]]
        for x, project, upsample, node in zip(maps[1:], self.project, self.upsample, self.node, strict=True):
            merged.append(node(upsample(project(x)) + merged[-1]))
        return merged


class ModulatedDeformableConvolution(nn.Module):
    """A 3 × 3 convolution that reads each of its nine taps at a learnt offset, times a learnt weight from 0 to 1.

    Zhu et al., Deformable ConvNets v2, equation 1; bilinear between pixels, 0 outside the map. Offsets and weights
    begin at 0 and 0.5. Written with `grid_sample`, since torchvision's operator has no ONNX export for opset 18.
    """

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, 3, stride=3)  # of the taps' values, three by three for each cell
        self.offset = nn.Conv2d(inputs, 27, 3, padding=1)  # y and x of each tap, then the taps' weights as logits
        nn.init.zeros_(self.offset.weight)
        assert self.offset.bias is not None
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        height, width = x.shape[2:]
        offset, logit = self.offset(x).split([18, 9], dim=1)
        ones = torch.ones_like(logit[:1, :1])  # sums of ones, since traced graphs must serve any height and width
        tap = torch.arange(9, device=x.device).reshape(1, 9, 1, 1)
        row = offset[:, 0::2] + ones.cumsum(dim=2) + (tap // 3 - 2)  # (B, 9, h, w), from 0
        column = offset[:, 1::2] + ones.cumsum(dim=3) + (tap % 3 - 2)
        grid = torch.stack([_tiled((2 * column + 1) / width - 1), _tiled((2 * row + 1) / height - 1)], dim=-1)
        values = F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)  # (B, I, 3h, 3w)
        return self.convolution(values * _tiled(logit.sigmoid())[:, None])


def _tiled(taps: Float[Tensor, "B 9 h w"]) -> Float[Tensor, "B 3*h 3*w"]:
    """Return the numbers of nine taps with those of one cell side by side, three rows of three."""
    return F.pixel_shuffle(taps, 3)[:, 0]


def _deformable(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        ModulatedDeformableConvolution(inputs, outputs), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def _bilinear(channels: int, scale: int) -> nn.ConvTranspose2d:
    """Return a learnt upsampling of each channel by itself, which begins as bilinear interpolation."""
    layer = nn.ConvTranspose2d(
        channels, channels, 2 * scale, stride=scale, padding=scale // 2, groups=channels, bias=False
    )
    line = 1 - (torch.arange(2 * scale) - (2 * scale - 1) / 2).abs() / scale
    with torch.no_grad():
        layer.weight.copy_((line[:, None] * line).expand_as(layer.weight))
    return layer

"""Lightweight OpenPose: OpenPose's fields and heatmaps at a tenth of the parameters.

Osokin, Real-time 2D Multi-Person Pose Estimation on CPU: Lightweight OpenPose, 2018: MobileNet-v1 to conv5_5, with
dilation in place of the stride after conv4_2, so that maps stay at stride 8; one stage, with one trunk for both heads,
and one that refines it, whose 7×7 convolutions are blocks of a 1×1 and two 3×3, the last one dilated, with a residual
connection. Widths are those of the published checkpoint.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.layers import check_keypoints
from trustpose.networks.openpose import FEATURES, outputs_of_stages

# input and output channels, stride and dilation of MobileNet's depthwise separable convolutions
_MOBILENET = (
    (32, 64, 1, 1),
    (64, 128, 2, 1),
    (128, 128, 1, 1),
    (128, 256, 2, 1),
    (256, 256, 1, 1),
    (256, 512, 1, 1),  # conv4_2
    (512, 512, 1, 2),
    *[(512, 512, 1, 1)] * 4,
)
_HIDDEN = 512


class LightweightOpenPose(nn.Module):
    """Maps photos (B, 3, H, W), sides multiples of 8, to what `openpose.OpenPose2017` gives."""

    def __init__(self, keypoints: int = 18, limbs: int = 19, refinements: int = 1) -> None:
        super().__init__()
        check_keypoints(keypoints)
        if limbs < 1 or refinements < 0:
            raise ValueError(f"limbs, refinements: expected at least 1 and 0, got {limbs} and {refinements}")
        stem = _convolution(3, _MOBILENET[0][0], stride=2, norm=True, bias=False)
        self.backbone = nn.Sequential(stem, *(_separable(*sides) for sides in _MOBILENET))
        self.neck = Neck(_MOBILENET[-1][1], FEATURES)
        outputs = {"heatmaps": keypoints + 1, "fields": 2 * limbs}
        trunk = nn.Sequential(*(_convolution(FEATURES, FEATURES) for _ in range(3)))
        self.stages = nn.ModuleList([_stage(trunk, _HIDDEN, outputs)])
        for _ in range(refinements):
            first = RefinementBlock(FEATURES + sum(outputs.values()), FEATURES)
            blocks = nn.Sequential(first, *(RefinementBlock(FEATURES, FEATURES) for _ in range(4)))
            self.stages.append(_stage(blocks, FEATURES, outputs))
        self.keypoints, self.limbs, self.feature_channels = keypoints, limbs, FEATURES

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return heatmaps (B, K + 1, H/8, W/8) of each stage, the last of each that of no keypoint; "fields" (B, 2 L,
        H/8, W/8) of the last stage and "field_stages" of all; features (B, 128, H/8, W/8)."""
        features = x = self.neck(self.backbone(image))
        heatmaps: list[Tensor] = []
        fields: list[Tensor] = []
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleDict)
            x = stage["trunk"](x)
            heatmaps.append(stage["heatmaps"](x))
            fields.append(stage["fields"](x))
            x = torch.cat([features, heatmaps[-1], fields[-1]], dim=1)
        return outputs_of_stages(heatmaps, fields, features)


class Neck(nn.Module):
    """Fewer channels by a 1×1 convolution, with a residual branch of separable ones, then a 3×3 one."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.align = _convolution(inputs, outputs, kernel=1)
        self.trunk = nn.Sequential(*(_elu_separable(outputs) for _ in range(3)))
        self.last = _convolution(outputs, outputs)

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        x = self.align(x)
        return self.last(x + self.trunk(x))


class RefinementBlock(nn.Module):
    """A 1×1 convolution, and on it two 3×3, the second dilated, added to it: sees 7×7 pixels."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.initial = _convolution(inputs, outputs, kernel=1)
        self.trunk = nn.Sequential(
            _convolution(outputs, outputs, norm=True), _convolution(outputs, outputs, norm=True, dilation=2)
        )

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        x = self.initial(x)
        return x + self.trunk(x)


def _stage(trunk: nn.Module, hidden: int, outputs: dict[str, int]) -> nn.ModuleDict:
    heads = {
        name: nn.Sequential(nn.Conv2d(FEATURES, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, count, 1))
        for name, count in outputs.items()
    }
    return nn.ModuleDict({"trunk": trunk, **heads})


def _convolution(
    inputs: int,
    outputs: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    dilation: int = 1,
    norm: bool = False,
    bias: bool = True,
) -> nn.Sequential:
    """Return a convolution that keeps the size (up to its stride), with ReLU, and batch norm before it if `norm`."""
    padding = dilation * (kernel // 2)
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, bias=bias)]
    return nn.Sequential(*layers, *([nn.BatchNorm2d(outputs)] if norm else []), nn.ReLU(inplace=True))


def _separable(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Sequential:
    """Return a depthwise 3×3 convolution and a 1×1 one, each with batch norm and ReLU."""
    depthwise = nn.Conv2d(inputs, inputs, 3, stride, dilation, dilation, groups=inputs, bias=False)
    return nn.Sequential(
        *(depthwise, nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)),
        *(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)),
    )


def _elu_separable(channels: int) -> nn.Sequential:
    """Return a depthwise 3×3 convolution and a 1×1 one, each with ELU."""
    depthwise = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
    return nn.Sequential(
        depthwise, nn.ELU(inplace=True), nn.Conv2d(channels, channels, 1, bias=False), nn.ELU(inplace=True)
    )

"""RTMPose: CSPNeXt, and a gated attention unit over keypoint tokens that classifies columns and rows (SimCC).

Sources: Jiang et al., RTMPose: Real-Time Multi-Person Pose Estimation based on MMPose, 2023 (sections 3.2 and 3.3); Lyu
et al., RTMDet, 2022 (CSPNeXt, section 3.2); Hua et al., Transformer Quality in Linear Time, ICML 2022 (the gated
attention unit, without its relative bias and rotary embedding, as in RTMPose's recipes). The parts have mmpose's names,
so that its checkpoints match directly.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.geometry.crops import Grid
from trustpose.names import expected_one_of
from trustpose.networks.layers import check_keypoints

WIDTHS: dict[str, tuple[float, float]] = {  # depth and width relative to CSPNeXt-L
    "tiny": (0.167, 0.375),
    "s": (0.33, 0.5),
    "m": (0.67, 0.75),
    "l": (1.0, 1.0),
    "x": (1.33, 1.25),
}
STRIDE = 32  # crop pixels per feature
_STAGES = ((64, 128, 3), (128, 256, 6), (256, 512, 6), (512, 1024, 3))  # CSPNeXt-L: channels in and out, blocks
_HIDDEN, _ATTENTION, _EXPANSION = 256, 128, 2
_FINAL_KERNEL = 7
_GRIDS = {"features": Grid((float(STRIDE), float(STRIDE)))}


def rtmpose(size: str, keypoints: int = 17, *, height: int = 256, width: int = 192, split: float = 2.0) -> "RTMPose":
    """Build RTMPose of a size in `WIDTHS` for crops of height × width pixels, with random weights.

    Its classifier reads the whole feature map, so the crop's size is fixed. Raises ValueError for another size, for
    sides that are not multiples of 32, or for less than one keypoint.
    """
    if size not in WIDTHS:
        raise ValueError(f"size: {expected_one_of(WIDTHS, size)}")
    if height % STRIDE or width % STRIDE:
        raise ValueError(f"height, width: expected multiples of {STRIDE}, got {height} × {width}")
    depth, share = WIDTHS[size]
    backbone = CSPNeXt(depth, share)
    return RTMPose(backbone, SimCCHead(backbone.channels, keypoints, height, width, split))


class RTMPose(nn.Module):
    """Maps crops (B, 3, H, W), normalised, to logits over columns and rows, keypoint tokens and the feature map."""

    def __init__(self, backbone: "CSPNeXt", head: "SimCCHead"):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.keypoints = head.final_layer.out_channels
        self.feature_channels = backbone.channels
        self.token_channels = _HIDDEN

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return `simcc` (B, K, split × W) and (B, K, split × H), `tokens` (B, K, 256), `features` (B, C, H/32,
        W/32)."""
        features = self.backbone(image)
        tokens = self.head.tokens(features)  # (B, K, 256)
        simcc = self.head.cls_x(tokens), self.head.cls_y(tokens)
        return Outputs(heatmaps=[], features=features, simcc=simcc, tokens=tokens, grids=_GRIDS)


class SimCCHead(nn.Module):
    """Maps features (B, C, h, w) to one token per keypoint, and each token to logits over the crop's columns and
    rows."""

    def __init__(self, channels: int, keypoints: int, height: int, width: int, split: float):
        super().__init__()
        check_keypoints(keypoints)
        cells = (height // STRIDE) * (width // STRIDE)
        self.final_layer = nn.Conv2d(channels, keypoints, _FINAL_KERNEL, padding=_FINAL_KERNEL // 2)
        self.mlp = nn.Sequential(ScaleNorm(cells), nn.Linear(cells, _HIDDEN, bias=False))
        self.gau = GatedAttention(_HIDDEN)
        self.cls_x = nn.Linear(_HIDDEN, round(width * split), bias=False)
        self.cls_y = nn.Linear(_HIDDEN, round(height * split), bias=False)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        for layer in (self.mlp[1], self.cls_x, self.cls_y):
            nn.init.normal_(layer.weight, std=0.01)  # type: ignore  # a Linear's

    def tokens(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B K 256"]:
        """Return a token for each keypoint."""
        maps = self.final_layer(features).flatten(2)  # (B, K, h·w)
        return self.gau(self.mlp(maps))


class GatedAttention(nn.Module):
    """Maps tokens (B, K, D) to tokens (B, K, D): gated squared-ReLU attention, plus a scaled shortcut."""

    def __init__(self, channels: int):
        super().__init__()
        inner = channels * _EXPANSION
        self.widths = (inner, inner, _ATTENTION)
        self.ln = ScaleNorm(channels)
        self.uv = nn.Linear(channels, sum(self.widths), bias=False)
        self.gamma = nn.Parameter(torch.rand(2, _ATTENTION))
        self.beta = nn.Parameter(torch.rand(2, _ATTENTION))
        self.o = nn.Linear(inner, channels, bias=False)
        self.res_scale = Scale(channels)
        nn.init.xavier_uniform_(self.uv.weight)

    def forward(self, tokens: Float[Tensor, "B K D"]) -> Float[Tensor, "B K D"]:
        gate, value, base = nn.functional.silu(self.uv(self.ln(tokens))).split(self.widths, dim=2)
        query, key = (base.unsqueeze(2) * self.gamma + self.beta).unbind(dim=2)  # (B, K, 128) each
        attention = nn.functional.relu(query @ key.transpose(1, 2) / _ATTENTION**0.5).square()  # (B, K, K)
        return self.res_scale(tokens) + self.o(gate * (attention @ value))


class ScaleNorm(nn.Module):
    """Divides vectors by their root mean square and multiplies by a learnt factor (Nguyen and Salazar, 2019)."""

    def __init__(self, width: int):
        super().__init__()
        self.scale = width**-0.5
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        root_mean_square = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        return x / root_mean_square.clamp(min=1e-5) * self.g


class Scale(nn.Module):
    """A learnt factor per channel."""

    def __init__(self, width: int):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        return x * self.scale


class CSPNeXt(nn.Module):
    """Maps images (B, 3, H, W) to (B, 1024 × width, H/32, W/32): five stages, each halving the size."""

    def __init__(self, depth: float, width: float):
        super().__init__()
        first = int(_STAGES[0][0] * width)
        self.stem = nn.Sequential(
            Conv(3, first // 2, 3, stride=2), Conv(first // 2, first // 2, 3), Conv(first // 2, first, 3)
        )
        for number, (inputs, outputs, blocks) in enumerate(_STAGES, start=1):
            wide = int(outputs * width)
            is_last = number == len(_STAGES)
            pooling = [PyramidPooling(wide)] if is_last else []
            layer = CSPLayer(wide, max(round(blocks * depth), 1), has_shortcuts=not is_last)
            self.add_module(
                f"stage{number}", nn.Sequential(Conv(int(inputs * width), wide, 3, stride=2), *pooling, layer)
            )
        self.channels = int(_STAGES[-1][1] * width)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B C h w"]:
        x = self.stem(image)
        for number in range(1, len(_STAGES) + 1):
            x = self.get_submodule(f"stage{number}")(x)
        return x


class Conv(nn.Module):
    """Convolution that preserves the size (up to its stride), batch norm, SiLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O h w"]:
        return nn.functional.silu(self.bn(self.conv(x)))


class CSPLayer(nn.Module):
    """Half of the channels pass through `blocks`, half bypass them; weighted by channel attention, then merged."""

    def __init__(self, channels: int, blocks: int, has_shortcuts: bool):
        super().__init__()
        half = channels // 2
        self.main_conv, self.short_conv = Conv(channels, half, 1), Conv(channels, half, 1)
        self.final_conv = Conv(2 * half, channels, 1)
        self.blocks = nn.Sequential(*(Block(half, has_shortcuts) for _ in range(blocks)))
        self.attention = ChannelAttention(2 * half)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        both = torch.cat([self.blocks(self.main_conv(x)), self.short_conv(x)], dim=1)
        return self.final_conv(self.attention(both))


class Block(nn.Module):
    """A 3×3 convolution, then a 5×5 one factored into depthwise and 1×1; optionally with a shortcut."""

    def __init__(self, channels: int, has_shortcut: bool):
        super().__init__()
        self.conv1 = Conv(channels, channels, 3)
        self.conv2 = nn.Sequential()
        self.conv2.add_module("depthwise_conv", Conv(channels, channels, 5, groups=channels))
        self.conv2.add_module("pointwise_conv", Conv(channels, channels, 1))
        self.has_shortcut = has_shortcut

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        out = self.conv2(self.conv1(x))
        return x + out if self.has_shortcut else out


class ChannelAttention(nn.Module):
    """Multiplies each channel by a factor from 0 to 1, computed from the means of all channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return x * nn.functional.hardsigmoid(self.fc(x.mean(dim=(2, 3), keepdim=True)))


class PyramidPooling(nn.Module):
    """Concatenates the map with its maxima over 5, 9 and 13 pixels a side (SPP, He et al. 2015)."""

    def __init__(self, channels: int):
        super().__init__()
        self.conv1 = Conv(channels, channels // 2, 1)
        self.conv2 = Conv(channels // 2 * 4, channels, 1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        x = self.conv1(x)
        pooled = [nn.functional.max_pool2d(x, size, stride=1, padding=size // 2) for size in (5, 9, 13)]
        return self.conv2(torch.cat([x, *pooled], dim=1))

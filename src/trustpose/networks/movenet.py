"""MoveNet's encoder, MobileNetV2 and a light pyramid to stride 4, with our heads or its own.

The layers are those of the published ONNX files of MoveNet Thunder and MultiPose (Google, Apache-2.0), whose weights
`read_movenet` reads: Sandler et al., MobileNetV2, CVPR 2018, table 2, 1.75 and 1.5 times as wide; Lin et al., Feature
Pyramid Networks, CVPR 2017, with 24 channels at the end; and as heads Zhou et al., Objects as Points, 2019. Batch norm
is merged into the convolutions there, and stays merged in training.
"""

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.files import InputError
from trustpose.networks.layers import GRIDS, heatmap_head
from trustpose.networks.onnx_weights import read_convolutions

Size = Literal["thunder", "multipose"]

FEATURES = 24  # channels of the pyramid's last map
HIDDEN = 96  # of each head
DEEPEST = 1280  # channels of the encoder's last map
_WIDTHS: dict[Size, tuple[int, ...]] = {
    "thunder": (56, 32, 40, 56, 112, 168, 280, 560),
    "multipose": (48, 24, 40, 48, 96, 144, 240, 480),
}
_REPEATS = (1, 2, 3, 4, 3, 3, 1)  # blocks per width after the first layer, and the stride of their first block
_STRIDES = (1, 2, 2, 2, 1, 2, 1)
_TAPPED = (2, 5, 9)  # blocks, counted from 0, with the maps of stride 4, 8, 16 for the pyramid
_PYRAMID = (FEATURES, 32, 64)  # channels at stride 4, 8, 16
_INITIAL_PROBABILITY = 0.01  # initial probability of a centre
_MIN_SIDE = 0.1  # minimum side of a box in cells
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # normalisation of our networks' inputs


class MoveNetEncoder(nn.Module):
    """Maps images (B, 3, H, W), normalised, sides multiples of 32, to features (B, 24, H/4, W/4)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.size = size
        stem, *widths = _WIDTHS[size]
        self.stem = nn.Sequential(_Same(3, stem, stride=2), nn.ReLU6())
        blocks, channels = [], stem
        for width, repeats, stride in zip(widths, _REPEATS, _STRIDES, strict=True):
            for repeat in range(repeats):
                blocks.append(_Inverted(channels, width, stride if repeat == 0 else 1, 6 if blocks else 1))
                channels = width
        self.blocks = nn.ModuleList(blocks)
        self.last = nn.Sequential(nn.Conv2d(channels, DEEPEST, 1), nn.ReLU6())
        self.context = nn.Conv2d(DEEPEST, _PYRAMID[-1], 1)
        tapped = widths[1:4]
        self.lateral = nn.ModuleList(nn.Conv2d(w, p, 1) for w, p in zip(tapped, _PYRAMID, strict=True))
        self.smooth = nn.ModuleList(
            separable(inputs, outputs) for inputs, outputs in zip(_PYRAMID, (FEATURES, *_PYRAMID[:2]), strict=True)
        )
        mean, std = torch.tensor(_MEAN).view(3, 1, 1), torch.tensor(_STD).view(3, 1, 1)
        self.register_buffer("scale", 2 * std, persistent=False)  # to −1 … 1, MoveNet's input range
        self.register_buffer("shift", 2 * mean - 1, persistent=False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 24 h w"]:
        x = self.stem(image * self.scale + self.shift)
        tapped = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPPED:
                tapped.append(x)
        x = self.context(self.last(x))  # (B, 64, H/32, W/32)
        for level in (2, 1, 0):  # to H/16, H/8, H/4
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = self.smooth[level](x + self.lateral[level](tapped[level]))
        return x

    def first_layers(self) -> list[nn.Module]:
        """Return the layers up to stride 4, whose edges and colours are generic and take half of the computation."""
        return [self.stem, *self.blocks[: _TAPPED[0] + 1]]


class _Inverted(nn.Module):
    """MobileNetV2's block: 1×1 expansion, depthwise 3×3, 1×1 projection; added to its input if the shapes match."""

    def __init__(self, inputs: int, outputs: int, stride: int, ratio: int) -> None:
        super().__init__()
        wide = inputs * ratio
        self.expand = nn.Sequential(nn.Conv2d(inputs, wide, 1), nn.ReLU6()) if ratio > 1 else nn.Identity()
        self.depthwise = nn.Sequential(_Same(wide, wide, stride=stride, groups=wide), nn.ReLU6())
        self.project = nn.Conv2d(wide, outputs, 1)
        self.is_added = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.is_added else y


class _Same(nn.Conv2d):
    """3×3 convolution with TensorFlow's "SAME" padding for even sizes: stride 2 pads only on the right and below."""

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, padding=2 - stride, groups=groups)

    def forward(self, input: Tensor) -> Tensor:  # torch's name for the argument
        return super().forward(F.pad(input, (0, 1, 0, 1)) if self.stride[0] == 2 else input)


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """Return a depthwise 3×3 convolution, a 1×1 one and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False), nn.Conv2d(inputs, outputs, 1), nn.ReLU()
    )


class MoveNetPose(nn.Module):
    """Heatmaps of one person's crop by MoveNet's encoder: one stage (B, K, H/4, W/4), features (B, 96, H/4, W/4)."""

    def __init__(self, size: Size = "thunder", keypoints: int = 17) -> None:
        super().__init__()
        self.encoder = MoveNetEncoder(size)
        self.neck = separable(FEATURES, HIDDEN)
        self.head = heatmap_head(HIDDEN, keypoints)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, -math.log((1 - _INITIAL_PROBABILITY) / _INITIAL_PROBABILITY))
        self.keypoints, self.feature_channels = keypoints, HIDDEN

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        features = self.neck(self.encoder(image))
        return Outputs(heatmaps=[self.head(features).sigmoid()], features=features, grids=GRIDS)

    def read(self, path: str | Path) -> None:
        """Load a published file. Raises InputError."""
        read_movenet(path, self.encoder, {"kpt_heatmap": nn.Sequential(*self.neck, self.head)})


class MoveNetDetector(nn.Module):
    """Maps photos (B, 3, H, W), normalised, sides multiples of 32, to (B, 5, H/4, W/4).

    The first channel is the logit of a person's centre, the others the distances of the box's left, top, right and
    bottom side from the cell's middle, in image pixels. As in MoveNet, a cell predicts height and width of the box and
    its centre.
    """

    stride = 4

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MoveNetEncoder("multipose")
        self.centre, self.size, self.offset = movenet_head(1), movenet_head(2), movenet_head(2)
        for head, start in (
            (self.centre, -math.log((1 - _INITIAL_PROBABILITY) / _INITIAL_PROBABILITY)),
            (self.size, 8.0),
            (self.offset, 0.5),
        ):
            last = head[-1]
            assert isinstance(last, nn.Conv2d) and last.bias is not None
            nn.init.constant_(last.bias, start)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 5 h w"]:
        features = self.encoder(image)
        half = self.size(features).clamp(min=_MIN_SIDE).flip(1) / 2  # (B, 2, h, w), from here x before y
        away = self.offset(features).flip(1) - 0.5  # offset of the box's centre from the cell's middle
        return torch.cat([self.centre(features), (half - away) * self.stride, (half + away) * self.stride], dim=1)

    def first_layers(self) -> list[nn.Module]:
        """Return the layers that are frozen in training."""
        return self.encoder.first_layers()

    def read(self, path: str | Path) -> None:
        """Load the published file of MoveNet MultiPose, which detects boxes. Raises InputError."""
        heads = {"center": self.centre, "box_scale": self.size, "box_offset": self.offset}
        read_movenet(path, self.encoder, heads)


def movenet_head(outputs: int) -> nn.Sequential:
    """Build one of MoveNet's heads: features (B, 24, h, w) to (B, outputs, h, w)."""
    return nn.Sequential(*separable(FEATURES, HIDDEN), nn.Conv2d(HIDDEN, outputs, 1))


def read_movenet(path: str | Path, encoder: MoveNetEncoder, heads: Mapping[str, nn.Sequential]) -> None:
    """Load the weights of a published MoveNet file into an encoder of its size and into heads of `movenet_head`.

    heads: by the file's names: center, box_scale, box_offset, kpt_heatmap, kpt_offset, kpt_regress. Raises InputError
    if the file is not such a MoveNet.
    """
    layers = read_convolutions(Path(path))
    named = {key: tensors for _, label, tensors in layers if (key := _key(label)) is not None}
    backbone = [module for module in (encoder.stem, *encoder.blocks, encoder.last) for module in _convolutions(module)]
    unnamed = [tensors for _, label, tensors in layers if _key(label) is None]
    refusal = InputError(f"{path}: expected the layers of MoveNet, {encoder.size}, as published")
    if len(unnamed) != len(backbone):
        raise refusal
    pairs: list[tuple[nn.Conv2d, list[Tensor] | None]] = [*zip(backbone, unnamed, strict=True)]
    for level, lateral in enumerate((*encoder.lateral, encoder.context)):
        pairs += [(module, named.get(("", "conv2d", len(_PYRAMID) - level))) for module in _convolutions(lateral)]
    for level, smooth in enumerate(encoder.smooth):
        keys = [("", layer, len(_PYRAMID) - 1 - level) for layer in ("separable_conv2d", "re_lu")]
        pairs += zip(_convolutions(smooth), map(named.get, keys), strict=True)
    for name, head in heads.items():
        head_tensors = {layer: tensors for (owner, layer, _), tensors in named.items() if owner == name}
        pairs += zip(_convolutions(head), map(head_tensors.get, ("separable_conv2d", "re_lu", "conv2d")), strict=True)
    for module, tensors in pairs:
        parameters = [module.weight] if module.bias is None else [module.weight, module.bias]
        shapes = [tuple(tensor.shape) for tensor in tensors or []]
        if shapes != [tuple(parameter.shape) for parameter in parameters]:
            raise refusal
        with torch.no_grad():
            for parameter, tensor in zip(parameters, tensors or [], strict=True):
                parameter.copy_(tensor)


_NAMED = re.compile(r"(?:model_1|(\w+?)_0)/(separable_conv2d|conv2d|re_lu)(?:_(\d))?/")


def _key(label: str) -> tuple[str, str, int] | None:
    """Return head ("" for the pyramid), kind of layer and number of a named convolution; None for the backbone."""
    match = _NAMED.search(label)
    return None if match is None else (match[1] or "", match[2], int(match[3] or 0))


def _convolutions(module: nn.Module) -> list[nn.Conv2d]:
    return [child for child in module.modules() if isinstance(child, nn.Conv2d)]

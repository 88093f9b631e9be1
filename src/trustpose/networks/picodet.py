"""PicoDet: a person detector out of depthwise convolutions, that lists a box for every cell of four maps.

The network is that of PaddleDetection's PicoDet-S pedestrian 320 (Apache-2.0), whose published ONNX file `PicoDet.read`
reads: as backbone Cui et al., PP-LCNet: A Lightweight CPU Convolutional Neural Network, 2021, table 1, 0.75 times as
wide; as neck and head Yu et al., PP-PicoDet: A Better Real-Time Object Detector on Mobile Devices, 2021, section 3 (a
path aggregation network of stride 8 to 64), with sides as distributions (Li et al., Generalized Focal Loss, NeurIPS
2020) and scores as products of two maps (Feng et al., TOOD, ICCV 2021). Batch norm is part of the convolutions in the
file, and stays so in training.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.files import InputError
from trustpose.networks.onnx_weights import read_convolutions

CHANNELS = 96  # of neck and heads
BINS = 8  # a side is 0 to 7 strides long, read as the mean over its distribution
STRIDES = (8, 16, 32, 64)
_STEM = 16
_BLOCKS = (  # of the backbone: kernel, stride, channels, whether channels are weighed
    *((3, 1, 24, False), (3, 2, 48, False), (3, 1, 48, False), (3, 2, 96, False), (3, 1, 96, False)),
    *((3, 2, 192, False), *((5, 1, 192, False),) * 5, (5, 2, 384, True), (5, 1, 384, True)),
)
_TAPPED = (4, 10, 12)  # blocks, counted from 0, whose maps of stride 8, 16, 32 the neck takes
_SLOPE = 0.1666259765625  # of the hard sigmoid: a sixth, as the file has it, in half precision
_EPSILON = 1e-9  # keeps the gradient of a score's square root finite


class ListedBoxes(NamedTuple):
    """For each of a photo's N cells, those of stride 8 first and row by row.

    scores (B, N): how likely a person is, 0–1. boxes (B, N, 4): x0 y0 x1 y1 in input pixels. sides (B, N, 4, 8): logits
    of the distances from the cell's middle to left, top, right and bottom, 0 to 7 strides. middle (N, 2): input pixels.
    stride (N,).
    """

    scores: Float[Tensor, "B N"]
    boxes: Float[Tensor, "B N 4"]
    sides: Float[Tensor, "B N 4 8"]
    middle: Float[Tensor, "N 2"]
    stride: Float[Tensor, " N"]


class PicoDet(nn.Module):
    """PicoDet-S: photos (B, 3, H, W), normalised, sides multiples of 32, to `ListedBoxes`."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = LCNet()
        self.neck = _Neck([_BLOCKS[block][2] for block in _TAPPED])
        self.heads = nn.ModuleList(_Head() for _ in STRIDES)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> ListedBoxes:
        levels = []
        for x, head, stride in zip(self.neck(self.backbone(image)), self.heads, STRIDES, strict=True):
            score, logits = head(x)  # (B, 1, h, w), (B, 32, h, w)
            middle = _middles(x, stride)
            sides = logits.float().flatten(2).transpose(1, 2).unflatten(2, (4, BINS))  # (B, h × w, 4, 8)
            away = (sides.softmax(dim=-1) * torch.arange(BINS, device=x.device)).sum(dim=-1) * stride
            boxes = torch.cat([middle - away[..., :2], middle + away[..., 2:]], dim=-1)
            levels.append((score.flatten(1), boxes, sides, middle, torch.full_like(middle[:, 0], stride)))
        scores, boxes, sides, middles, strides = zip(*levels, strict=True)
        of_photos = torch.cat(scores, dim=1), torch.cat(boxes, dim=1), torch.cat(sides, dim=1)
        return ListedBoxes(*of_photos, torch.cat(middles), torch.cat(strides))

    def first_layers(self) -> list[nn.Module]:
        """Return the layers up to stride 4, whose edges and colours are generic and take half of the computation."""
        return [self.backbone.stem, *self.backbone.blocks[:3]]

    def read(self, path: str | Path) -> None:
        """Load the published file. Raises InputError if it is not such a PicoDet."""
        modules = [module for part in self._as_run() for module in part.modules() if isinstance(module, nn.Conv2d)]
        layers = read_convolutions(Path(path))
        refusal = InputError(f"{path}: expected the layers of PicoDet-S, as published")
        if len(layers) != len(modules):
            raise refusal
        pairs = []
        for module, (_, _, tensors) in zip(modules, layers, strict=True):
            assert module.bias is not None
            parameters = (module.weight, module.bias)
            if [tensor.shape for tensor in tensors] != [tensor.shape for tensor in parameters]:
                raise refusal
            pairs += zip(parameters, tensors, strict=True)
        with torch.no_grad():
            for parameter, tensor in pairs:
                parameter.copy_(tensor)

    def _as_run(self) -> Iterator[nn.Module]:
        """The parts in the order in which the published graph runs them."""
        neck, heads = self.neck, list(self.heads)
        yield from (self.backbone, neck.lateral[2], neck.lateral[1], neck.falling[0], neck.lateral[0], neck.falling[1])
        yield from (
            _without_last(heads[0]),
            neck.down[0],
            neck.rising[0],
            _without_last(heads[1]),
            neck.down[1],
            neck.rising[1],
        )
        yield from (_without_last(heads[2]), neck.first_top, neck.second_top, _without_last(heads[3]))
        for head in heads:
            assert isinstance(head, _Head)
            yield head.sides


class LCNet(nn.Module):
    """PP-LCNet, 0.75 times as wide: images to maps (B, 96, H/8, W/8), (B, 192, H/16, W/16), (B, 384, H/32, W/32)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv(3, _STEM, 3, stride=2)
        blocks: list[nn.Module] = []
        before = _STEM
        for kernel, stride, width, has_channel_weights in _BLOCKS:
            weighing = [_ChannelWeights(before)] if has_channel_weights else []
            depthwise = _conv(before, before, kernel, stride=stride, groups=before)
            blocks.append(nn.Sequential(depthwise, *weighing, _conv(before, width)))
            before = width
        self.blocks = nn.ModuleList(blocks)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B _ _ _"]]:
        x, tapped = self.stem(image), []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in _TAPPED:
                tapped.append(x)
        return tapped


class _ChannelWeights(nn.Module):
    """Squeeze and excitation with a hard sigmoid: channels times weights computed from their means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.gate = nn.Conv2d(width, width // 4, 1), nn.Conv2d(width // 4, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = self.gate(F.relu(self.hidden(x.mean(dim=(2, 3), keepdim=True))))
        return x * (gate * _SLOPE + 0.5).clamp(0, 1)


class _Neck(nn.Module):
    """The backbone's maps of stride 8, 16, 32 to four maps (B, 96, h, w) of stride 8, 16, 32, 64: from the top down,
    then up again."""

    def __init__(self, widths: list[int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(_conv(width, CHANNELS) for width in widths)
        self.falling = nn.ModuleList(_joined() for _ in widths[1:])
        self.down = nn.ModuleList(_separable(CHANNELS, CHANNELS, stride=2) for _ in widths[1:])
        self.rising = nn.ModuleList(_joined() for _ in widths[1:])
        self.first_top = _separable(CHANNELS, CHANNELS, stride=2)
        self.second_top = _separable(CHANNELS, CHANNELS, stride=2)

    def forward(self, maps: list[Float[Tensor, "B _ _ _"]]) -> list[Float[Tensor, "B 96 _ _"]]:
        *lower, top = [lateral(x) for lateral, x in zip(self.lateral, maps, strict=True)]
        fallen = [top]  # the lowest stride last
        for x, join in zip(reversed(lower), self.falling, strict=True):
            up = F.interpolate(fallen[-1], scale_factor=2.0, mode="nearest")
            fallen.append(join(torch.cat([up, x], dim=1)))
        risen = [fallen.pop()]
        for down, join in zip(self.down, self.rising, strict=True):
            risen.append(join(torch.cat([down(risen[-1]), fallen.pop()], dim=1)))
        return [*risen, self.first_top(top) + self.second_top(risen[-1])]


class _Head(nn.Module):
    """One map (B, 96, h, w) to scores (B, 1, h, w), 0–1, and logits of sides (B, 32, h, w)."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(_separable(CHANNELS, CHANNELS), _separable(CHANNELS, CHANNELS))
        self.gate = nn.Conv2d(CHANNELS, CHANNELS, 1)
        self.weighed = _conv(CHANNELS, CHANNELS)
        self.score = nn.Conv2d(CHANNELS, 1, 1)
        self.alignment = nn.Sequential(_conv(CHANNELS, 1, 5), nn.Conv2d(1, 1, 1))
        self.sides = nn.Conv2d(CHANNELS, 4 * BINS, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.features(x)
        weighed = self.weighed(x * self.gate(x.mean(dim=(2, 3), keepdim=True)).sigmoid())
        score = self.score(weighed).float().sigmoid() * self.alignment(x).float().sigmoid()
        return (score + _EPSILON).sqrt(), self.sides(weighed)


def _without_last(head: nn.Module) -> nn.Module:
    """Return a head without its last layer, which the published graph runs later."""
    return nn.ModuleList(part for name, part in head.named_children() if name != "sides")


def _middles(x: Float[Tensor, "B C h w"], stride: int) -> Float[Tensor, "N 2"]:
    """Return the middles x, y of a map's cells in input pixels, row by row, float32 whatever the map is."""
    height, width = x.shape[-2:]
    rows, columns = (torch.arange(length, device=x.device) for length in (height, width))
    down, across = torch.meshgrid(rows, columns, indexing="ij")
    return (torch.stack([across, down], dim=-1).flatten(0, 1) + 0.5) * stride


def _joined() -> nn.Sequential:
    """Two maps, one behind the other (B, 192, h, w), to one (B, 96, h, w)."""
    return nn.Sequential(_separable(2 * CHANNELS, 2 * CHANNELS), _separable(2 * CHANNELS, CHANNELS))


def _separable(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A depthwise 5×5 convolution and a 1×1 one."""
    return nn.Sequential(_conv(inputs, inputs, 5, stride=stride, groups=inputs), _conv(inputs, outputs))


def _conv(inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups), nn.Hardswish(inplace=True)
    )

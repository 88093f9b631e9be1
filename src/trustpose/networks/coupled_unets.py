"""Coupled U-Nets (CU-Net, DU-Net): stacked U-Nets whose blocks of the same position are densely connected.

Tang, Peng, Geng, Zhu and Metaxas, CU-Net: Coupled U-Nets, BMVC 2018: a block reads its input and the outputs of the
same block in all U-Nets before. Tang, Peng, Geng, Wu, Zhang and Metaxas, Quantized Densely Connected U-Nets for
Efficient Landmark Localization, ECCV 2018 (DU-Net): of the K U-Nets before (order K), with weights, inputs and
gradients of few bits. A block is a bottleneck of batch norm, ReLU and convolution whose output is kept for later
U-Nets, then a 1×1 convolution of all that it read or wrote; there is another for the skip connection. Every U-Net
predicts heatmaps; its input is a 1×1 convolution of the last U-Net's output and the inputs of the K U-Nets before.

From the authors' published layers (zhiqiangdon/CU-Net, Apache-2.0), and not in the text at hand: widths. Theirs keeps
the outputs as a module's state, ours passes them on.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.hourglass import check_stacks
from trustpose.networks.layers import GRIDS, check_keypoints
from trustpose.networks.quantised_convolution import Bits, QuantisedConv2d

Maps = Float[Tensor, "B _ _h _w"]


def coupled_unets(
    count: int = 16,
    keypoints: int = 17,
    *,
    order: int = 1,
    channels: int = 128,
    growth: int = 32,
    neck: int = 4,
    depth: int = 4,
    bits: Bits | None = None,
) -> "CoupledUNets":
    """Build `count` U-Nets, each coupled to the `order` before it; `count` − 1 couples every pair.

    growth: channels of what a block keeps; neck: of the layer before it, in units of `growth`. depth: halvings. bits:
    of quantised convolutions, all but the first and the last; None for none. Raises ValueError for less than one
    U-Net, or an order that is not below `count`.
    """
    check_stacks(count)
    check_keypoints(keypoints)
    if not 0 <= order < count:
        raise ValueError(f"order: expected 0 to {count - 1}, got {order}")
    return CoupledUNets(count, keypoints, order, channels, (growth, neck), depth, bits)


class CoupledUNets(nn.Module):
    """Maps crops (B, 3, H, W), sides multiples of 4 × 2^depth, to heatmaps (B, K, H/4, W/4) of each U-Net."""

    def __init__(
        self,
        count: int,
        keypoints: int,
        order: int,
        channels: int,
        dense: tuple[int, int],
        depth: int,
        bits: Bits | None,
    ):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(2),
        )
        self.down = nn.ModuleList(
            Blocks(channels, channels, count, order, dense, bits, has_skip=True) for _ in range(depth)
        )
        self.lowest = Blocks(channels, channels, count, order, dense, bits)
        self.up = nn.ModuleList(Blocks(2 * channels, channels, count, order, dense, bits) for _ in range(depth))
        self.between = nn.ModuleList(
            _norm_convolution(channels * (1 + min(number, order)), channels, 1, bits) for number in range(1, count)
        )
        self.upsampled = nn.ModuleList(nn.Upsample(scale_factor=2) for _ in range(count))
        self.norms = nn.ModuleList(nn.BatchNorm2d(channels) for _ in range(count))
        self.heads = nn.ModuleList(
            _convolution(channels, keypoints, 1, bits if number < count - 1 else None) for number in range(count)
        )
        self.order, self.keypoints, self.feature_channels = order, keypoints, channels

    @property
    def encoded(self) -> nn.Module:
        """The module whose input is the last U-Net's lowest map."""
        return self.upsampled[-1]

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return one (B, K, H/4, W/4) per U-Net, and the input of the last heatmap layer (B, C, H/4, W/4)."""
        x = self.stem(image)
        features, heatmaps, inputs = x, [], []
        memories: list[list[Tensor]] = [[] for _ in range(2 * len(self.down) + 1)]
        for number, (norm, head) in enumerate(zip(self.norms, self.heads, strict=True)):
            if number:
                x = self.between[number - 1](torch.cat([x, *inputs], dim=1))
            inputs = [*inputs, x][-self.order :] if self.order else []
            x = self._unet(x, number, memories)
            features = F.relu(norm(x))
            heatmaps.append(head(features))
        return Outputs(heatmaps=heatmaps, features=features, grids=GRIDS)

    def _unet(self, x: Maps, number: int, memories: list[list[Tensor]]) -> Maps:
        """Return the output of the U-Net of that number; `memories` has what each block wrote in those before."""
        skips = []
        for block, memory in zip(self.down, memories, strict=False):
            x, skip = block(x, number, memory)
            skips.append(skip)
            x = F.max_pool2d(x, 2)
        x, _ = self.lowest(x, number, memories[-1])
        ups = zip(self.up, skips, memories[len(self.down) :], strict=False)
        for level, (block, skip, memory) in enumerate(reversed(list(ups))):
            larger = self.upsampled[number](x) if level == 0 else F.interpolate(x, scale_factor=2)
            x, _ = block(torch.cat([larger, skip], dim=1), number, memory)
        return x


class Blocks(nn.Module):
    """The blocks of one position in all U-Nets."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        count: int,
        order: int,
        dense: tuple[int, int],
        bits: Bits | None,
        has_skip: bool = False,
    ):
        super().__init__()
        growth, neck = dense
        read = [inputs + min(number, order) * growth for number in range(count)]
        self.layers = nn.ModuleList(
            nn.Sequential(
                *_norm_convolution(channels, neck * growth, 1, bits), *_norm_convolution(neck * growth, growth, 3, bits)
            )
            for channels in read
        )
        self.ahead = nn.ModuleList(_norm_convolution(channels + growth, outputs, 1, bits) for channels in read)
        self.has_skip = has_skip
        if has_skip:
            self.skip = nn.ModuleList(_norm_convolution(channels + growth, outputs, 1, bits) for channels in read)
        self.order = order

    def forward(self, x: Maps, number: int, memory: list[Tensor]) -> tuple[Maps, Maps | None]:
        """Return the next block's input and the skip connection's; what the block wrote is added to `memory`."""
        read = torch.cat([x, *memory], dim=1)
        written = self.layers[number](read)
        both = torch.cat([read, written], dim=1)
        memory.append(written)
        del memory[: max(0, len(memory) - self.order)]
        return self.ahead[number](both), self.skip[number](both) if self.has_skip else None


def _norm_convolution(inputs: int, outputs: int, kernel: int, bits: Bits | None) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(inplace=True), _convolution(inputs, outputs, kernel, bits))


def _convolution(inputs: int, outputs: int, kernel: int, bits: Bits | None) -> nn.Conv2d:
    if bits is None:
        return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return QuantisedConv2d(inputs, outputs, kernel, bits)

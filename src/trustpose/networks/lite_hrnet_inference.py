"""A naive Lite-HRNet rearranged to run faster: the same numbers, without channel shuffles and with fewer sums.

In layers as small as these, moving data takes as long as computing. So

- a shuffle is only an order of channels: each map keeps the order in which it was written, the weights of the layers
  that read it are reordered instead, and only the channels that a block works on are picked out;
- nearest upsampling commutes with sums: what comes from lower resolutions is added up there, from the lowest on;
- the highest resolution, which counts twice in its sum (see `lite_hrnet`), is doubled by the weights before it;
- batch norms become part of their convolutions.
"""

from collections.abc import Iterator, Sequence
from typing import cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from trustpose.networks.lite_hrnet import Branches, ExchangeUnit, LiteHRNetBackbone, Maps, Stage, Stem

Order = list[int]
"""The channels of a map as they lie in memory, by their numbers in the original network."""

Channel = tuple[int, int]
"""A tensor, by its number in a row of shuffle blocks, and a place there."""


def rearrange_backbone(backbone: LiteHRNetBackbone) -> nn.Module:
    """Return a backbone in evaluation mode rearranged; one of "lite" blocks is returned as it is."""
    units = [unit for unit in backbone.modules() if isinstance(unit, ExchangeUnit)]
    return _Backbone(backbone) if all(isinstance(unit.blocks, Branches) for unit in units) else backbone


class _Backbone(nn.Module):
    """Images (B, 3, H, W), sides multiples of 32, to features (B, width, H/4, W/4) in the original order."""

    def __init__(self, backbone: LiteHRNetBackbone):
        super().__init__()
        self.stem = _Stem(backbone.stem)
        orders = [self.stem.order]
        stages = []
        for stage in backbone.stages:
            stages.append(_Stage(cast(Stage, stage), orders))
            orders = stages[-1].orders
        self.stages = nn.Sequential(*stages)
        lower = list(reversed(orders))
        self.gather = nn.ModuleList(  # what each computes is added to the map of the next higher resolution
            reorder_channels(layer, before, after)
            for layer, before, after in zip(backbone.gather, lower, [*lower[1:], None], strict=True)
        )
        self.encoded = nn.Identity()
        self.register_buffer("original", torch.tensor(np.argsort(lower[0])))

    def forward(self, image: Tensor) -> Tensor:
        *higher, x = self.stages([self.stem(image)])
        self.encoded(x.index_select(1, self.get_buffer("original")))  # left out of graphs that do not output it
        for index, layer in enumerate(self.gather):  # from H/32 to H/4
            if index:
                x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True) + higher[-index]
            x = layer(x)
        return x


class _Stem(nn.Module):
    """The stem, whose last shuffle becomes `order`, and whose halves are convolutions of their own."""

    def __init__(self, stem: Stem):
        super().__init__()
        first, relu = _parts(stem.first)
        assert isinstance(first, nn.Conv2d) and first.bias is not None
        half = first.out_channels // 2
        self.first = nn.ModuleList(
            nn.Sequential(_convolution(first, first.weight[rows], first.bias[rows]), relu)
            for rows in (slice(half), slice(half, None))
        )
        self.one = reorder_channels(stem.one, list(range(half)))
        self.other = reorder_channels(stem.other, list(range(half)))
        self.order: Order = [*range(0, 2 * half, 2), *range(1, 2 * half, 2)]

    def forward(self, image: Tensor) -> Tensor:
        first_half, second_half = (first(image) for first in self.first)
        return torch.cat([self.one(first_half), self.other(second_half)], dim=1)


class _Stage(nn.Module):
    """A stage from maps in one order each, to maps in `orders`."""

    def __init__(self, stage: Stage, before: list[Order]):
        super().__init__()
        changes: list[nn.Module] = []
        self.orders: list[Order] = []
        for change, order in zip(stage.transition, [*before, before[-1]], strict=True):
            is_same = isinstance(change, nn.Identity)
            changes.append(change if is_same else reorder_channels(change, order))
            self.orders.append(order if is_same else list(range(_width(change))))
        self.transition = nn.ModuleList(changes)
        units = []
        for unit in stage.units:
            units.append(_ExchangeUnit(cast(ExchangeUnit, unit), self.orders))
            self.orders = units[-1].orders
        self.units = nn.Sequential(*units)

    def forward(self, maps: Maps) -> Maps:
        return self.units([change(x) for change, x in zip(self.transition, [*maps, maps[-1]], strict=True)])


class _ExchangeUnit(nn.Module):
    """The shuffle blocks of each branch, then the sums: from maps in one order each, to maps in `orders`."""

    def __init__(self, unit: ExchangeUnit, before: list[Order]):
        super().__init__()
        rows = [list(cast(nn.Sequential, row)) for row in cast(Branches, unit.blocks).branches]
        branches = [
            _Shuffles(row, order, doubled=not index)
            for index, (row, order) in enumerate(zip(rows, before, strict=True))
        ]
        orders = self.orders = [branch.order for branch in branches]
        self.branches = nn.ModuleList(branches)
        paths = []
        for target, row in enumerate(unit.paths):
            for source, path in enumerate(cast(nn.ModuleList, row)):
                factors = [1.0 if source else 2.0] * len(orders[target])  # the highest resolution counts twice
                is_same = source == target
                paths.append(path if is_same else reorder_channels(path, orders[source], orders[target], factors))
        self.paths = nn.ModuleList(paths)  # from each branch to the first, then to the second, …

    def forward(self, maps: Maps) -> Maps:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        fused = []
        for target, branch_map in enumerate(maps):
            paths = self.paths[target * len(maps) : (target + 1) * len(maps)]
            added = [path(x) for path, x in zip(paths[:target], maps[:target], strict=True)]
            lower: Tensor | None = None
            for path, x in zip(reversed(paths[target + 1 :]), reversed(maps[target + 1 :]), strict=True):
                step = path(x)
                lower = F.interpolate(step if lower is None else step + lower, scale_factor=2.0, mode="nearest")
            added += [] if lower is None else [lower]
            total = branch_map + sum(added[1:], start=added[0])
            if not target:
                maps[0] = total  # the others receive its own sum
            fused.append(F.relu(total))
        return fused


class _Shuffles(nn.Module):
    """Shuffle blocks in a row on one branch, from a map whose channels lie as in `before` to one as in `order`.

    Tensor 0 is the map, tensor n what the n-th block computes. doubled: the result is twice as large.
    """

    def __init__(self, blocks: Sequence[nn.Module], before: Order, *, doubled: bool):
        super().__init__()
        half = len(before) // 2
        channels: list[Channel] = [(0, before.index(number)) for number in range(len(before))]
        channels_read: list[list[Channel]] = []
        for number in range(1, len(blocks) + 1):
            same, processed = channels[:half], channels[half:]
            channels_read.append(processed)
            channels = [
                channel
                for pair in zip(same, [(number, index) for index in range(half)], strict=True)
                for channel in pair
            ]
        last_channels = sorted(channels)
        self.order: Order = [channels.index(channel) for channel in last_channels]
        self.reads = nn.ModuleList(_Picked(sorted(channels_of_block)) for channels_of_block in channels_read)
        self.blocks = nn.ModuleList()
        for number, (block, block_channels) in enumerate(zip(blocks, channels_read, strict=True), start=1):
            factors = [2.0 if doubled and (number, index) in last_channels else 1.0 for index in range(half)]
            self.blocks.append(
                reorder_channels(
                    block, [block_channels.index(channel) for channel in sorted(block_channels)], factors=factors
                )
            )
        self.keeps = _Picked(last_channels, doubled=doubled)

    def forward(self, x: Tensor) -> Tensor:
        tensors = [x]
        for pick, block in zip(self.reads, self.blocks, strict=True):
            tensors.append(block(pick(tensors)))
        return self.keeps(tensors)


class _Picked(nn.Module):
    """Some channels of several tensors, sorted, as one map; those of tensor 0 twice as large if `doubled`."""

    def __init__(self, channels: list[Channel], *, doubled: bool = False):
        super().__init__()
        self.doubled = doubled
        self.places: dict[int, list[int]] = {}
        for tensor, channel in channels:
            self.places.setdefault(tensor, []).append(channel)
        for tensor, indices in self.places.items():
            self.register_buffer(f"places_{tensor}", torch.tensor(indices))

    def forward(self, tensors: list[Tensor]) -> Tensor:
        picked = []
        for tensor, indices in self.places.items():
            x, first, end = tensors[tensor], indices[0], indices[-1] + 1
            if end - first > len(indices):
                x = x.index_select(1, self.get_buffer(f"places_{tensor}"))
            elif len(indices) < x.shape[1]:
                x = x[:, first:end]
            picked.append(2 * x if self.doubled and tensor == 0 else x)
        return torch.cat(picked, dim=1) if len(picked) > 1 else picked[0]


def reorder_channels(
    layers: nn.Module, before: Order, after: Order | None = None, factors: Sequence[float] | None = None
) -> nn.Sequential:
    """Return copies of convolutions, 1×1 or depthwise, and ReLUs in a row, for maps in another order of channels.

    before: of the input; after: of the output, None for the original. factors: positive, of the output's channels as
    they lie in memory.
    """
    parts = list(_parts(layers))
    last = max(index for index, part in enumerate(parts) if isinstance(part, nn.Conv2d))
    copies: list[nn.Module] = []
    for index, part in enumerate(parts):
        if not isinstance(part, nn.Conv2d):
            copies.append(nn.ReLU())
            continue
        is_depthwise = part.groups > 1
        rows = before if is_depthwise else list(range(part.out_channels))
        if index == last and after is not None:
            rows = after
        weight = part.weight[rows] if is_depthwise else part.weight[rows][:, before]
        factor = weight.new_tensor(factors if index == last and factors is not None else [1.0] * len(rows))
        assert part.bias is not None
        copies.append(_convolution(part, weight * factor[:, None, None, None], part.bias[rows] * factor))
        before = rows
    return nn.Sequential(*copies)


def _parts(layers: nn.Module) -> Iterator[nn.Module]:
    """Yield the convolutions, with batch norm and bias, and the ReLUs of layers in a row."""
    parts = [module for module in layers.modules() if isinstance(module, (nn.Conv2d, nn.BatchNorm2d, nn.ReLU))]
    for part, following in zip(parts, [*parts[1:], None], strict=True):
        if isinstance(part, nn.Conv2d) and isinstance(following, nn.BatchNorm2d):
            yield fuse_conv_bn_eval(part, following)
        elif not isinstance(part, nn.BatchNorm2d):
            yield part


def _width(layers: nn.Module) -> int:
    """Return the channels that layers in a row give."""
    return [module.out_channels for module in layers.modules() if isinstance(module, nn.Conv2d)][-1]


def _convolution(like: nn.Conv2d, weight: Tensor, bias: Tensor) -> nn.Conv2d:
    """Return a convolution with the stride and padding of `like`."""
    groups = 1 if like.groups == 1 else len(weight)
    stride, padding = cast(tuple[int, int], like.stride), cast(tuple[int, int], like.padding)
    kernel = cast(tuple[int, int], like.kernel_size)
    new = nn.Conv2d(weight.shape[1] * groups, len(weight), kernel, stride, padding, groups=groups, device="meta")
    new.weight, new.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
    return new

"""Rearrange networks for export: other layers that compute the same numbers, faster.

`for_inference` replaces the parts of a network that `_REARRANGED` lists; ONNX files are exported from its result.
"""

from collections.abc import Callable
from copy import deepcopy
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from trustpose.networks.light_baseline import HalfMobileNet
from trustpose.networks.lite_hrnet import LiteHRNetBackbone
from trustpose.networks.lite_hrnet_inference import rearrange_backbone

_BLOCK = 16  # channels that ONNX Runtime computes at once with AVX-512; 8 with AVX2


def for_inference(network: nn.Module) -> nn.Module:
    """Return a network with the same outputs, up to float rounding, that runs faster once it is exported.

    The result is a copy in evaluation mode, and not for training, as its weights are arranged in another way; or
    `network` itself if none of its parts has a faster arrangement.
    """
    faster: dict[int, nn.Module] = {}
    for part in network.modules():
        if type(part) in _REARRANGED and (faster_part := _REARRANGED[type(part)](part)) is not part:
            faster[id(part)] = faster_part
    if not faster:
        return network
    device = next(network.parameters()).device
    return deepcopy(network, dict(faster)).to(device).eval()  # what deepcopy has in its memo, it does not copy


def split_convolution(convolution: nn.Conv2d) -> nn.Module:
    """Return a k × k convolution with a single output channel as three convolutions; any other as it is.

    The first, 1×1, computes k² channels: each input pixel times the weights of one position of the kernel. The second,
    depthwise k × k, shifts each of them by its position. The third, 1×1, adds them up. Runtimes compute output channels
    8 or 16 at a time, so that a single one costs as much as 16: 9 times the work for PicoDet's 5×5 convolutions of 96
    channels.
    """
    height, width = convolution.kernel_size
    is_plain = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    has_one_output = convolution.out_channels == 1 and convolution.groups == 1 and height * width > 1
    if not is_plain or not has_one_output:
        return convolution
    positions = height * width  # of the kernel
    channels = -(-positions // _BLOCK) * _BLOCK  # rounded up; those beyond `positions` are zero
    multiply = nn.Conv2d(convolution.in_channels, channels, kernel_size=1, bias=False)
    shift = nn.Conv2d(
        channels,
        channels,
        kernel_size=(height, width),
        stride=(convolution.stride[0], convolution.stride[1]),
        padding=(int(convolution.padding[0]), int(convolution.padding[1])),
        dilation=(convolution.dilation[0], convolution.dilation[1]),
        groups=channels,
        bias=False,
    )
    add = nn.Conv2d(channels, 1, kernel_size=1)
    with torch.no_grad():
        for layer in (multiply, shift, add):
            layer.weight.zero_()
        multiply.weight[:positions] = convolution.weight[0].flatten(1).T[:, :, None, None]  # (k², C, 1, 1)
        shift.weight[:positions] = torch.eye(positions).view(positions, 1, height, width)
        add.weight[:, :positions] = 1.0
        assert add.bias is not None
        add.bias.copy_(torch.zeros(1) if convolution.bias is None else convolution.bias)
    return nn.Sequential(multiply, shift, add)


def padded_mobile_net(backbone: HalfMobileNet) -> nn.Module:
    """Return the backbone with 16 channels between its blocks where it has 8 or 12; the added ones are zero.

    Runtimes that compute 16 channels at once are several times as fast with 16 as with 8 or 12.
    """
    padded = deepcopy(backbone)
    for block, next_block in pairwise(padded.features):
        projection, norm = [layer for layer in block.modules() if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d))][-2:]
        reader = next(layer for layer in next_block.modules() if isinstance(layer, nn.Conv2d))
        assert isinstance(projection, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        if projection.out_channels < _BLOCK and reader.groups == 1:
            _pad_channels(projection, norm, reader)
    return padded


def _pad_channels(projection: nn.Conv2d, norm: nn.BatchNorm2d, reader: nn.Conv2d) -> None:
    """Pad the channels that `projection` writes, `norm` scales and `reader` reads to `_BLOCK`, with zeros."""
    added = _BLOCK - projection.out_channels
    projection.weight = nn.Parameter(F.pad(projection.weight, (0, 0, 0, 0, 0, 0, 0, added)).detach())  # (O, I, k, k)
    reader.weight = nn.Parameter(F.pad(reader.weight, (0, 0, 0, 0, 0, added)).detach())
    for name in ("weight", "bias", "running_mean"):
        getattr(norm, name).data = F.pad(getattr(norm, name).data, (0, added))
    if norm.running_var is not None:
        norm.running_var = F.pad(norm.running_var, (0, added), value=1.0)
    projection.out_channels = norm.num_features = reader.in_channels = _BLOCK


_REARRANGED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    LiteHRNetBackbone: rearrange_backbone,
    HalfMobileNet: padded_mobile_net,
    nn.Conv2d: split_convolution,
}

"""Networks arranged to run fast: other layers, the same numbers. Exported graphs are made of these."""

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

_BLOCK = 16  # channels that ONNX Runtime computes at once, with AVX-512; 8 with AVX2


def for_inference(network: nn.Module) -> nn.Module:
    """Return a network in evaluation mode with the same outputs, up to float rounding, that runs faster once exported.

    The given one is unchanged; it is returned itself if none of its parts has a faster arrangement. The result is not
    for training: its weights are others, in another order.
    """
    faster: dict[int, nn.Module] = {}
    for part in network.modules():
        if type(part) in _REARRANGED and (faster_part := _REARRANGED[type(part)](part)) is not part:
            faster[id(part)] = faster_part
    if not faster:
        return network
    device = next(network.parameters()).device
    return deepcopy(network, dict(faster)).to(device).eval()  # a copy with the others in their places


def split_convolution(convolution: nn.Conv2d) -> nn.Module:
    """Return a k × k convolution with one output channel as three: 1×1 to k² channels, one for each place of the
    kernel, depthwise k × k that reads each at its place, and their sum.

    Runtimes compute output channels 8 or 16 at a time, so that a single one costs as much as 16: for PicoDet's 5×5
    convolutions of 96 channels this is 9 times as much work. Other convolutions are returned as they are.
    """
    height, width = convolution.kernel_size
    is_plain = convolution.padding_mode == "zeros" and not isinstance(convolution.padding, str)
    is_thin = convolution.out_channels == 1 and convolution.groups == 1 and height * width > 1
    if not is_plain or not is_thin:
        return convolution
    kernel_size, inputs = height * width, convolution.in_channels
    wide = -(-kernel_size // _BLOCK) * _BLOCK
    spread = nn.Conv2d(inputs, wide, 1, bias=False)
    shifted = nn.Conv2d(
        wide,
        wide,
        (height, width),
        (convolution.stride[0], convolution.stride[1]),
        (int(convolution.padding[0]), int(convolution.padding[1])),
        (convolution.dilation[0], convolution.dilation[1]),
        groups=wide,
        bias=False,
    )
    summed = nn.Conv2d(wide, 1, 1)
    with torch.no_grad():
        for layer in (spread, shifted, summed):
            layer.weight.zero_()
        spread.weight[:kernel_size] = convolution.weight[0].flatten(1).T[:, :, None, None]  # (k², C, 1, 1)
        shifted.weight[:kernel_size] = torch.eye(kernel_size).view(kernel_size, 1, height, width)
        summed.weight[:, :kernel_size] = 1.0
        assert summed.bias is not None
        summed.bias.copy_(torch.zeros(1) if convolution.bias is None else convolution.bias)
    return nn.Sequential(spread, shifted, summed)


def padded_mobile_net(network: HalfMobileNet) -> nn.Module:
    """Return the backbone with 16 channels where a block gives fewer, the others zero: runtimes that compute 16 at once
    are several times as fast from 16 as from 8 or 12."""
    copied = deepcopy(network)
    blocks = list(copied.features)
    for block, following in pairwise(blocks):
        last = [part for part in block.modules() if isinstance(part, (nn.Conv2d, nn.BatchNorm2d))][-2:]
        readers = [part for part in following.modules() if isinstance(part, nn.Conv2d)]
        project, norm = last
        assert isinstance(project, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d)
        missing = _BLOCK - project.out_channels
        if missing > 0 and readers[0].groups == 1:
            project.weight = nn.Parameter(F.pad(project.weight, (0, 0, 0, 0, 0, 0, 0, missing)).detach())
            for name in ("weight", "bias", "running_mean"):
                getattr(norm, name).data = F.pad(getattr(norm, name).data, (0, missing))
            norm.running_var = (
                F.pad(norm.running_var, (0, missing), value=1.0) if norm.running_var is not None else None
            )
            readers[0].weight = nn.Parameter(F.pad(readers[0].weight, (0, 0, 0, 0, 0, missing)).detach())
            project.out_channels = norm.num_features = readers[0].in_channels = _BLOCK
    return copied


_REARRANGED: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    LiteHRNetBackbone: rearrange_backbone,
    HalfMobileNet: padded_mobile_net,
    nn.Conv2d: split_convolution,
}

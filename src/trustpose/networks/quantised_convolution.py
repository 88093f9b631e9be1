"""Convolutions whose weights, inputs and gradients have few bits.

Tang, Peng, Geng, Wu, Zhang and Metaxas, Quantized Densely Connected U-Nets for Efficient Landmark Localization, ECCV
2018: weights of one bit and a scale per filter (Rastegari et al., XNOR-Net, ECCV 2016) or two bits (Li and Liu, Ternary
Weight Networks, 2016), inputs and gradients of k bits (Wu et al., WAGE, ICLR 2018): multiples of 2^(1−k), clipped to
±(1 − 2^(1−k)). The weights that the optimiser changes stay in 32 bits here.

The authors' code (zhiqiangdon/CU-Net, Apache-2.0) loses the scale of one-bit weights, which only batch norm's epsilon
notices, and quantises gradients as they are; here they are first divided by a power of two near the layer's largest, as
in WAGE, since most gradients of our loss would be rounded to 0.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_TERNARY_THRESHOLD = 0.7  # of a filter's mean absolute weight


class Bits(NamedTuple):
    """Bits of weights (1, 2 or more), inputs and gradients."""

    weights: int = 1
    inputs: int = 8
    gradients: int = 8


class QuantisedConv2d(nn.Conv2d):
    """A convolution of the same size without bias, on quantised inputs."""

    def __init__(self, inputs: int, outputs: int, kernel: int, bits: Bits):
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.bits = bits

    def forward(self, input: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        if self.training:
            weight, x = _Weight.apply(self.weight, self.bits), _Input.apply(input, self.bits.inputs)
        else:  # ONNX has no layers with a gradient of their own
            weight, x = quantise_weight(self.weight, self.bits), quantise(input, self.bits.inputs)
        return F.conv2d(x, weight, padding=self.padding)


def quantise(x: Tensor, bits: int) -> Tensor:
    """Return x clipped to ±(1 − 2^(1−bits)) and rounded to multiples of 2^(1−bits)."""
    unit = 2.0 ** (1 - bits)
    return torch.round(x.clamp(unit - 1, 1 - unit) / unit) * unit


def quantise_weight(weight: Float[Tensor, "O I k k"], bits: Bits) -> Float[Tensor, "O I k k"]:
    """Return the quantised weights, after subtracting their mean over input channels."""
    centred, size = _centred(weight, bits)
    if bits.weights == 1:
        return centred.sign() * quantise(size, bits.gradients)
    if bits.weights == 2:
        return centred.sign() * (centred.abs() > _TERNARY_THRESHOLD * size)
    return quantise(centred, bits.weights)


def _centred(weight: Tensor, bits: Bits) -> tuple[Tensor, Tensor]:
    """Return the centred and clipped weights, and their mean absolute value of each filter (O, 1, 1, 1)."""
    limit = 1 - 2.0 ** (1 - bits.gradients)
    centred = (weight - weight.mean(dim=1, keepdim=True)).clamp(-limit, limit)
    return centred, centred.abs().mean(dim=(1, 2, 3), keepdim=True)


class _Weight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, bits: Bits) -> Tensor:
        ctx.save_for_backward(weight)
        ctx.bits = bits
        return quantise_weight(weight, bits)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        (gradient,) = gradients
        if ctx.bits.weights == 1:  # of sign and scale, with ∂ sign(w) / ∂w = 1 within ±1 (XNOR-Net, section 3.1)
            (weight,) = ctx.saved_tensors
            centred, size = _centred(weight, ctx.bits)
            sign = centred.sign()
            shared = (sign * gradient).mean(dim=(1, 2, 3), keepdim=True)
            gradient = size * gradient + sign * shared
        largest = gradient.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
        shift = torch.exp2(torch.log2(largest).ceil())
        return quantise(gradient / shift, ctx.bits.gradients) * shift, None


class _Input(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, bits: int) -> Tensor:
        ctx.save_for_backward(x.abs() < 1)
        return quantise(x, bits)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        (gradient,) = gradients
        (inside,) = ctx.saved_tensors
        return gradient * inside, None

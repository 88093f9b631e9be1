"""OKS-Net: learn the OKS of a pose together with its heatmaps.

Zhao et al., Learning to Acquire the Quality of Human Pose Estimation: section III-C and figure 8, with the ablations of
tables VII to XI as options. The text leaves open the following, chosen here:

- the channel attention's max-pooling. "The 1 × 1 × C feature is obtained through a max-pooling layer and a fully
  connected layer": windows of 8 × 8, then one fully connected layer from all windows to C coefficients, give the
  2.7 M and 4.7 M parameters of section V-E with HRNet-W32 (2.70 and 4.73 M). One window over the whole map
  (`window=None`, as in squeeze-and-excitation) gives 2.65 and 4.62 M there. "Regardless of the backbone" holds for
  neither: with 256 channels they give 5.86 and 11.76 M, and 2.78 and 4.75 M.
- a sigmoid on the coefficients (the paper cites squeeze-and-excitation) and on the answer ("a score ranging between
  0 and 1"); batch norm and ReLU after convolutions, ReLU between fully connected layers; padding 1.
- spatial attention: one 1×1 convolution to one coefficient for each position.
"""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from trustpose.heads.heads import Squash, Tensors, Trust, TrustHead, apply_squash, mean_where
from trustpose.networks.backbones import BasicBlock
from trustpose.networks.layers import ConvBN

CHANNELS = 32
HIDDEN = 1024
SHRINK = 8  # three strides of 2
HARD_SHARE = 0.25


class OKSNet(TrustHead):
    """Maps features (B, C, h, w) to the pose's OKS (B,), which fills `Trust.pose_quality`.

    attention: table VII's "none" (pose feature only), "channel", "spatial". downsampling: table X's "max-pool",
    "convolutions", "residual". window: of the channel attention's max-pooling, map pixels; None for the whole map.
    squash: "clip" leaves the last layer linear and clips only the result.
    """

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        keypoints: int = 17,
        *,
        attention: Literal["none", "channel", "spatial"] = "channel",
        downsampling: Literal["max-pool", "convolutions", "residual"] = "convolutions",
        window: int | None = 8,
        squash: Squash = "sigmoid",
        detach: bool = True,
    ):
        super().__init__(channels, height, width, keypoints, detach)
        self.attention = _attention(attention, channels, height, width, window)
        self.down, channels = _downsampling(downsampling, channels)
        self.regress = nn.Sequential(
            nn.Flatten(),
            nn.Linear(channels * windows(height, SHRINK) * windows(width, SHRINK), HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(HIDDEN, 1),
        )
        self.squash: Squash = squash

    def pool(self, maps: Tensors, xy: Tensor | None = None) -> Tensors:  # noqa: ARG002
        """Return the features; heatmaps are not read."""
        return maps[:1]

    def logits(self, pooled: Tensors) -> Float[Tensor, " B"]:
        """Return the OKS (B,) for the loss; outside 0–1 only if `squash` is "clip"."""
        (features,) = pooled
        return apply_squash(self.regress(self.down(self.attention(features)))[:, 0], self.squash)

    def trust(self, raw: Float[Tensor, " B"]) -> Trust:
        return Trust(pose_quality=raw.clamp(0, 1))


class ChannelAttention(nn.Module):
    """Multiplies each channel by a coefficient, 0–1, computed from the maxima of all channels in all windows."""

    def __init__(self, channels: int, height: int, width: int, window: int | None):
        super().__init__()
        if window is not None and window < 1:
            raise ValueError(f"window: expected 1 or more, or None, got {window}")
        window_count = 1 if window is None else windows(height, window) * windows(width, window)
        self.window = window
        self.weigh = nn.Linear(channels * window_count, channels)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        if self.window is None:
            maxima = x.amax(dim=(2, 3))  # (B, C)
        else:
            maxima = nn.functional.max_pool2d(x, self.window, ceil_mode=True).flatten(1)  # (B, C·windows)
        return x * self.weigh(maxima).sigmoid()[:, :, None, None]


class SpatialAttention(nn.Module):
    """Multiplies each position by a coefficient, 0–1, computed from all channels there."""

    def __init__(self, channels: int):
        super().__init__()
        self.weigh = nn.Conv2d(channels, 1, kernel_size=1)

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return x * self.weigh(x).sigmoid()


def oks_loss(errors: Float[Tensor, " B"], has_oks: Bool[Tensor, " B"], hard: Bool[Tensor, " B"]) -> Float[Tensor, ""]:
    """Return the mean of the errors L = |predicted − true OKS|, with e^{2L} − 1 instead of L for hard samples (equation
    3).

    People without an OKS, where `has_oks` is false, are ignored.
    """
    return mean_where(torch.where(hard, torch.expm1(2 * errors), errors), has_oks)


def hard_samples(
    errors: Float[Tensor, " B"], has_oks: Bool[Tensor, " B"], share: float = HARD_SHARE
) -> Bool[Tensor, " B"]:
    """Return the samples with the largest `share` of the errors of people with an OKS: exactly that many, rounded up;
    0: none (table VIII).

    "The largest 25 percent of the losses in each training batch": with several processes over the whole batch. Raises
    ValueError if share is not 0–1.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected 0 to 1, got {share}")
    count = torch.ceil(share * has_oks.sum() - 1e-6)  # 0.1 × 30 is a little over 3
    order = torch.where(has_oks, errors.detach(), -1.0).argsort(descending=True, stable=True)
    rank = torch.empty_like(order).scatter_(0, order, torch.arange(len(order), device=order.device))
    return rank < count


def windows(length: int, window: int) -> int:
    """Return how many windows cover a side of that length, the last one possibly in part."""
    return -(-length // window)


def _attention(name: str, channels: int, height: int, width: int, window: int | None) -> nn.Module:
    if name == "none":
        return nn.Identity()
    if name == "channel":
        return ChannelAttention(channels, height, width, window)
    if name == "spatial":
        return SpatialAttention(channels)
    raise ValueError(f"attention: expected none, channel or spatial, got {name!r}")


def _downsampling(name: str, channels: int) -> tuple[nn.Module, int]:
    """Return layers that reduce each side to an eighth, and their output channels."""
    if name == "max-pool":
        return nn.MaxPool2d(SHRINK, ceil_mode=True), channels
    inputs = (channels, CHANNELS, CHANNELS)
    if name == "convolutions":
        return nn.Sequential(*(ConvBN(wide, CHANNELS, kernel=3, stride=2) for wide in inputs)), CHANNELS
    if name == "residual":
        return nn.Sequential(*(_residual(wide) for wide in inputs)), CHANNELS
    raise ValueError(f"downsampling: expected max-pool, convolutions or residual, got {name!r}")


def _residual(inputs: int) -> nn.Module:
    shortcut = ConvBN(inputs, CHANNELS, kernel=1, stride=2, relu=False)
    return BasicBlock(inputs, CHANNELS, stride=2, downsample=shortcut)

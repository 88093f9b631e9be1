"""The ternary visibility metamodel: unlabelled, occluded or visible for each keypoint.

Guesdon, Crispim-Junior and Tougne, Multitask Metamodel for Keypoint Visibility Prediction in Human Pose Estimation,
VISAPP 2022, sections 3 and 4.3. The head reads what the coordinate module reads: the *encoder's* features (ResNet-50:
2048 × 8 × 6 for crops of 256 × 192).

The paper prints total parameters only and leaves two widths open. Its four totals agree if one head of 37.2 M on 2048
channels was used throughout: 71.2 − 34.0 (SimpleBaseline-R50); 55.6 and 95.5 less an EfficientNet-B0 or -B6 with its
classifier, a 1×1 convolution from its 1280 or 2304 channels to 2048 and deconvolutions from there; 104.6 less an MSPN-2
and 10.5 for such deconvolutions. With ResNet's bottleneck (a quarter of the channels inside) just one width, 147
channels after the 1×1 convolution, gives all four. Of powers of two, 1024 and 64 inside the bottleneck and 128 after it
give them too: `bottleneck=(1024, 64), reduced=128`. Those EfficientNets, without ImageNet's classifier, which no layer
reads, are the zoo's `efficientnet-b0-wide` and `-b6-wide`.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from trustpose.heads.heads import Source, Tensors, Trust, TrustHead
from trustpose.networks.layers import ConvBN

HIDDEN = (4096, 2048, 1024)
CLASSES = 3
REDUCED = 147


class VisibilityHead(TrustHead):
    """Maps encoder features (B, C, h, w) to P(unlabelled), P(occluded), P(visible), which fill `Trust.visibility`.

    bottleneck: channels inside the residual block, default C / 4 twice. reduced: channels after the 1×1 convolution.
    """

    reads: tuple[Source, ...] = ("backbone",)

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        keypoints: int = 17,
        *,
        bottleneck: tuple[int, int] | None = None,
        reduced: int = REDUCED,
        detach: bool = True,
    ):
        super().__init__(channels, height, width, keypoints, detach)
        inner, narrow = bottleneck or (max(channels // 4, 1),) * 2
        self.residual = Residual(channels, inner, narrow)
        self.reduce = nn.Sequential(ConvBN(channels, reduced, kernel=1, relu=False), nn.MaxPool2d(2, ceil_mode=True))
        sizes = (reduced * -(-height // 2) * -(-width // 2), *HIDDEN)
        hidden: list[nn.Module] = []
        for inputs, outputs in zip(sizes[:-1], HIDDEN, strict=True):
            hidden += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
        self.classify = nn.Sequential(nn.Flatten(), *hidden, nn.Linear(HIDDEN[-1], keypoints * CLASSES))

    def pool(self, maps: Tensors, xy: Tensor | None = None) -> Tensors:  # noqa: ARG002
        """Return the encoder's features; heatmaps are not read."""
        return maps[:1]

    def logits(self, pooled: Tensors) -> Float[Tensor, "B K 3"]:
        """Return logits of v = 0, 1, 2."""
        (features,) = pooled
        logits = self.classify(self.reduce(self.residual(features)))  # (B, 3K), three adjacent values per keypoint
        return logits.unflatten(1, (self.keypoints, CLASSES))

    def trust(self, raw: Float[Tensor, "B K 3"]) -> Trust:
        return Trust(visibility=raw.softmax(dim=-1))


class Residual(nn.Module):
    """3×3, 1×1 and 3×3 convolutions, narrower inside, added to the input."""

    def __init__(self, channels: int, inner: int, narrow: int):
        super().__init__()
        self.layers = nn.Sequential(
            ConvBN(channels, inner, kernel=3),
            ConvBN(inner, narrow, kernel=1),
            ConvBN(narrow, channels, kernel=3, relu=False),
        )

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return F.relu(x + self.layers(x))


def class_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Return the size of the biggest class divided by each class's (section 3.3); counts of v = 0, 1, 2 in the training
    data.

    Raises ValueError if a class is empty.
    """
    if len(counts) != CLASSES or min(counts) < 1:
        raise ValueError(f"counts: expected {CLASSES} numbers of 1 or more, got {tuple(counts)}")
    return tuple(max(counts) / count for count in counts)


def visibility_loss(
    logits: Float[Tensor, "B K 3"], v: Int[Tensor, "B K"], weights: Float[Tensor, " 3"]
) -> Float[Tensor, ""]:
    """Return class-weighted cross-entropy L_V over all keypoints: a mean weighted by each keypoint's class weight."""
    return F.cross_entropy(logits.flatten(0, 1), v.flatten().long(), weight=weights.to(logits))

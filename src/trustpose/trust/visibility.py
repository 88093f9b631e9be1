"""The ternary visibility metamodel: unlabelled, occluded or visible, for each keypoint.

Guesdon, Crispim-Junior and Tougne, Multitask Metamodel for Keypoint Visibility Prediction in Human Pose Estimation,
VISAPP 2022, sections 3 and 4.3. The head reads what the coordinate module reads: the *encoder's* features (ResNet-50:
2048 × 8 × 6 for crops of 256 × 192).

The paper prints total parameters only and leaves two widths open. Its four totals agree if one head of 37.2 M on 2048
channels was used throughout: 71.2 − 34.0 (SimpleBaseline-R50); 55.6 and 95.5 less an EfficientNet-B0 or -B6 with its
classifier, a 1×1 convolution from its 1280 or 2304 channels to 2048 and deconvolutions from there; 104.6 less an MSPN-2
and 10.5 for such deconvolutions. With ResNet's bottleneck (a quarter of the channels inside) just one width, 147
channels after the 1×1 convolution, gives all four. Of powers of two, 1024 and 64 inside the bottleneck and 128 after it
give them too: `bottleneck=(1024, 64), reduced=128`.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from trustpose.networks.layers import ConvBN
from trustpose.trust.heads import Source, Trust, TrustHead
from trustpose.trust.stages import Stage, Strategy

HIDDEN = (4096, 2048, 1024)
CLASSES = 3
REDUCED = 147
ALPHA = 0.25  # of strategy S1, "chosen empirically"


def _alphas(trains_all: bool) -> tuple[Stage, ...]:
    """80 more epochs, α = 0, 0.1, 0.2, 0.3 for 20 each."""
    return tuple(Stage(20, 1 - alpha, alpha, "all" if trains_all else "head") for alpha in (0.0, 0.1, 0.2, 0.3))


# Section 4.3. S2 and S3 go on from the whole network as trained for 140 epochs on heatmaps alone. In S3 α only scales
# the head's gradient, and in its first 20 epochs nothing learns; that is what the text says.
STRATEGIES: dict[str, Strategy] = {
    "S1": Strategy((Stage(140, 1 - ALPHA, ALPHA),), 1e-3, (90, 120), "imagenet"),
    "S2": Strategy((Stage(140, 1.0, 0.0), *_alphas(trains_all=True)), 1e-3, (90, 120), "imagenet"),
    "S3": Strategy((Stage(140, 1.0, 0.0), *_alphas(trains_all=False)), 1e-3, (90, 120), "imagenet"),
}


class VisibilityHead(TrustHead):
    """Encoder features (B, C, h, w) to P(unlabelled), P(occluded), P(visible), which fill `Trust.visibility`.

    bottleneck: channels inside the residual block, C / 4 twice unless said. reduced: channels after the 1×1
    convolution.
    """

    reads: Source = "backbone"

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

    def raw(self, features: Float[Tensor, "B C h w"], heatmaps: Float[Tensor, "B K H W"]) -> Float[Tensor, "B K 3"]:
        """Logits of v = 0, 1, 2. Heatmaps are not read."""
        features, _ = self.inputs(features, heatmaps)
        logits = self.classify(self.reduce(self.residual(features)))  # (B, 3K), three neighbours for each keypoint
        return logits.unflatten(1, (self.keypoints, CLASSES))

    def trust(self, raw: Float[Tensor, "B K 3"]) -> Trust:
        return Trust(visibility=raw.softmax(dim=-1))


class Residual(nn.Module):
    """3×3, 1×1 and 3×3 convolutions, narrower inside, added to what came in."""

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
    """Size of the biggest class divided by each class's (section 3.3); counts of v = 0, 1, 2 in the training data.

    Raises ValueError where a class is empty.
    """
    if len(counts) != CLASSES or min(counts) < 1:
        raise ValueError(f"counts: expected {CLASSES} numbers of 1 or more, got {tuple(counts)}")
    return tuple(max(counts) / count for count in counts)


def visibility_loss(
    logits: Float[Tensor, "B K 3"], v: Int[Tensor, "B K"], weights: Float[Tensor, " 3"]
) -> Float[Tensor, ""]:
    """Class-weighted cross-entropy L_V over all keypoints: a mean weighted by each keypoint's class weight."""
    return F.cross_entropy(logits.flatten(0, 1), v.flatten().long(), weight=weights.to(logits))


def total_loss(heatmap: Float[Tensor, ""], visibility: Float[Tensor, ""], alpha: float) -> Float[Tensor, ""]:
    """Equation 1: (1 − α) L_H + α L_V. Raises ValueError where α is not 0–1."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha: expected 0 to 1, got {alpha}")
    return (1 - alpha) * heatmap + alpha * visibility


def non_zero(visibility: Float[Tensor, "B K 3"]) -> Bool[Tensor, "B K"]:
    """The non-0 filter (section 5.2): which keypoints are predicted, as "unlabelled" is not their likeliest class.

    It says which; nothing is dropped or zeroed here.
    """
    return visibility.argmax(dim=-1) != 0

"""Fractal network with guidance: stacked hourglasses of Inception-ResNet modules, with knowledge injected.

Ning, Zhang and He, Knowledge-Guided Deep Fractal Neural Networks for Human Pose Estimation, IEEE Transactions on
Multimedia 2018. An hourglass is a fractal: inside each is a smaller one. Its modules join branches of one, two and
three convolutions, mix them by a 1×1 convolution and add the input (Szegedy et al., Inception-v4, 2016). External
visual features are injected into the network by a projection that is learnt with an auxiliary cost.

The text at hand prints neither widths nor which features: gradients in eight directions, averaged over a map pixel,
their 1×1 projection with batch norm and ReLU, its injection before each hourglass, and as auxiliary cost the heatmaps
that are predicted from the projection alone (in training only) are ours. The authors' prototxt (Guanghan/GNet-pose) is
for non-commercial use and was not read.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.hourglass import CHANNELS, DEPTH, Hourglass, Stack, check_stacks, stem
from trustpose.networks.layers import GRIDS, ConvBN, heatmap_head

DIRECTIONS = 8


def guided_hourglass(
    stacks: int = 2, keypoints: int = 17, *, channels: int = CHANNELS, depth: int = DEPTH, is_guided: bool = True
) -> "GuidedHourglass":
    """Build a network of `stacks` hourglasses of Inception-ResNet modules. is_guided: with injected features.

    Raises ValueError for less than one stack.
    """
    check_stacks(stacks)
    return GuidedHourglass(stacks, keypoints, channels, depth, is_guided)


class GuidedHourglass(nn.Module):
    """Maps crops (B, 3, H, W) to one stage of heatmaps (B, K, H/4, W/4) per stack."""

    def __init__(self, stacks: int, keypoints: int, channels: int, depth: int, is_guided: bool):
        super().__init__()
        self.stem = stem(channels, InceptionResidual)
        self.stacks = nn.ModuleList(
            Stack(
                Hourglass(depth, lambda *_: InceptionResidual(channels, channels)),
                InceptionResidual(channels, channels),
                keypoints,
                channels,
                feeds_next=number < stacks - 1,
            )
            for number in range(stacks)
        )
        self.is_guided = is_guided
        if is_guided:
            self.projections = nn.ModuleList(ConvBN(DIRECTIONS, channels, kernel=1) for _ in range(stacks))
            self.auxiliary = heatmap_head(stacks * channels, keypoints)
        self.keypoints, self.feature_channels = keypoints, channels

    @property
    def encoded(self) -> nn.Module:
        """The module whose input is the last hourglass's lowest map."""
        return self.stacks[-1].get_submodule("hourglass").encoded  # type: ignore an Hourglass's property

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return one (B, K, H/4, W/4) per stack, and the input of the last heatmap layer; with guidance in training
        also "beliefs", these after the heatmaps of the projections alone."""
        x = self.stem(image)
        knowledge = gradients(image) if self.is_guided else None
        features, heatmaps, injected = x, [], []
        for number, stack in enumerate(self.stacks):
            if knowledge is not None:
                injected.append(self.projections[number](knowledge))
                x = x + injected[-1]
            predicted, features, x = stack(x)
            heatmaps.append(predicted)
        learns_projection = self.training and self.is_guided
        extra = {"beliefs": [self.auxiliary(torch.cat(injected, dim=1)), *heatmaps]} if learns_projection else {}
        return Outputs(heatmaps=heatmaps, features=features, extra=extra, grids=GRIDS)


class InceptionResidual(nn.Module):
    """Branches of one, two and three convolutions of a quarter of the channels, mixed and added to the input."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        width = outputs // 4
        self.branches = nn.ModuleList(
            nn.Sequential(ConvBN(inputs, width, kernel=1), *(ConvBN(width, width, kernel=3) for _ in range(count)))
            for count in range(3)
        )
        self.mixed = ConvBN(3 * width, outputs, kernel=1, relu=False)
        self.shortcut = nn.Identity() if inputs == outputs else ConvBN(inputs, outputs, kernel=1, relu=False)

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        mixed = self.mixed(torch.cat([branch(x) for branch in self.branches], dim=1))
        return F.relu(self.shortcut(x) + mixed)


def gradients(image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B D h w"]:
    """Return the mean positive gradients of brightness in eight directions, of 4 × 4 crop pixels each.

    Direction d points to 45° × d from the x axis towards the y axis.
    """
    grey = F.pad(image.mean(dim=1, keepdim=True), (1, 1, 1, 1), mode="replicate")
    across = (grey[..., 1:-1, 2:] - grey[..., 1:-1, :-2]) / 2
    down = (grey[..., 2:, 1:-1] - grey[..., :-2, 1:-1]) / 2
    angles = [2 * math.pi * number / DIRECTIONS for number in range(DIRECTIONS)]
    along = [F.relu(math.cos(angle) * across + math.sin(angle) * down) for angle in angles]
    return F.avg_pool2d(torch.cat(along, dim=1), 4)

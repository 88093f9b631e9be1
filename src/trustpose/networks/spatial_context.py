"""Spatial context in a stacked hourglass: predictions that guide the next stage, and messages between joints.

Zhang, Ouyang, Liu, Qi, Shen, Yang and Jia, Human Pose Estimation with Spatial Contextual Information, 2019. Cascade
prediction fusion: the heatmaps of a stage, through a 1×1 convolution, are added to the features that the next stage
predicts from, so that predictions accumulate. Pose graph neural network, in place of the last heatmap layer: every
joint has a hidden state, which receives messages of the joints that the skeleton connects it to and is updated by a
gated recurrent unit; the last state gives the joint's heatmap.

The text at hand prints neither widths nor steps: states of eight channels, messages by a 3×3 convolution of each
connection, one gated unit (1×1 convolutions) for all joints, two steps and the first state added to the last are ours.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.hourglass import (
    CHANNELS,
    DEPTH,
    Hourglass,
    Residual,
    Stack,
    check_stacks,
    plain_hourglass,
    stem,
)
from trustpose.networks.layers import GRIDS, check_keypoints
from trustpose.skeletons import COCO_17, LSP_14, MPII_16, Skeleton

STATE, STEPS = 8, 2
_SKELETONS = {len(skeleton): skeleton for skeleton in (LSP_14, MPII_16, COCO_17)}


def spatial_context(
    stacks: int = 8,
    keypoints: int = 17,
    *,
    channels: int = CHANNELS,
    depth: int = DEPTH,
    state: int = STATE,
    steps: int = STEPS,
    fuses: bool = True,
    has_graph: bool = True,
) -> "SpatialContext":
    """Build a network of `stacks` hourglasses with cascade prediction fusion and a pose graph.

    The graph has the edges of LSP's, MPII's or COCO's skeleton of so many keypoints; of others in their order. state:
    channels of a joint's state; steps: of messages. fuses, has_graph: without one of the two. Raises ValueError for
    less than one stack.
    """
    check_stacks(stacks)
    check_keypoints(keypoints)
    built = []
    for number in range(stacks):
        stack = ContextStack(
            plain_hourglass(channels, depth), Residual(channels, channels), keypoints, channels, number < stacks - 1
        )
        if fuses and number:
            stack.prior = nn.Conv2d(keypoints, channels, 1)
        if has_graph and number == stacks - 1:
            stack.add_module("head", PoseGraph(channels, keypoints, connections(keypoints), state, steps))
        built.append(stack)
    return SpatialContext(stem(channels), built, keypoints, channels)


def connections(keypoints: int) -> tuple[tuple[int, int], ...]:
    """Return the pairs of joints that exchange messages."""
    skeleton: Skeleton | None = _SKELETONS.get(keypoints)
    return tuple(pairwise(range(keypoints))) if skeleton is None else skeleton.edges


class SpatialContext(nn.Module):
    """Maps crops (B, 3, H, W) to one stage of heatmaps (B, K, H/4, W/4) per stack."""

    def __init__(self, stem: nn.Module, stacks: "list[ContextStack]", keypoints: int, channels: int):
        super().__init__()
        self.stem = stem
        self.stacks = nn.ModuleList(stacks)
        self.keypoints, self.feature_channels = keypoints, channels

    @property
    def encoded(self) -> nn.Module:
        """The module whose input is the last hourglass's lowest map."""
        return self.stacks[-1].get_submodule("hourglass").encoded  # type: ignore an Hourglass's property

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return one (B, K, H/4, W/4) per stack, and the input of the last heatmap layer (B, C, H/4, W/4)."""
        x = self.stem(image)
        features, heatmaps = x, []
        for stack in self.stacks:
            predicted, features, x = stack(x, heatmaps[-1] if heatmaps else None)
            heatmaps.append(predicted)
        return Outputs(heatmaps=heatmaps, features=features, grids=GRIDS)


class ContextStack(Stack):
    """A stack that also reads the heatmaps of the stage before, if it has a `prior` layer."""

    def __init__(self, hourglass: Hourglass, residual: nn.Module, keypoints: int, channels: int, feeds_next: bool):
        super().__init__(hourglass, residual, keypoints, channels, feeds_next)
        self.prior: nn.Module | None = None

    def forward(
        self, x: Float[Tensor, "B C h w"], before: Float[Tensor, "B K h w"] | None = None
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B C h w"], Float[Tensor, "B C h w"]]:
        """Return heatmaps, their input features, and the next stack's input."""
        features = self.feature(self.residual(self.hourglass(x)))
        if self.prior is not None and before is not None:
            features = features + self.prior(before)
        heatmaps = self.head(features)
        if self.feeds_next:
            x = x + self.remap_features(features) + self.remap_heatmaps(heatmaps)
        return heatmaps, features, x


class PoseGraph(nn.Module):
    """Joints' states under messages along the skeleton, to a heatmap of each joint."""

    incidence: Tensor
    senders: Tensor

    def __init__(
        self, channels: int, keypoints: int, pairs: tuple[tuple[int, int], ...], state: int, steps: int
    ) -> None:
        super().__init__()
        both = [*pairs, *((end, start) for start, end in pairs)]  # messages go both ways
        incidence = torch.zeros(keypoints, len(both))
        for number, (_, receiver) in enumerate(both):
            incidence[receiver, number] = 1
        self.register_buffer("incidence", incidence, persistent=False)
        self.register_buffer("senders", torch.tensor([sender for sender, _ in both]), persistent=False)
        self.initial = nn.Conv2d(channels, keypoints * state, 1)
        self.messages = nn.Conv2d(len(both) * state, len(both) * state, 3, padding=1, groups=len(both))
        self.gates = nn.Conv2d(2 * state, 2 * state, 1)
        self.candidate = nn.Conv2d(2 * state, state, 1)
        self.last = nn.Conv2d(keypoints * state, keypoints, 1, groups=keypoints)
        nn.init.normal_(self.last.weight, std=0.001)
        self.keypoints, self.state, self.steps = keypoints, state, steps

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B K h w"]:
        height, width = x.shape[-2:]
        first = self.initial(x).reshape(-1, self.keypoints, self.state, height, width)
        states = first
        for _ in range(self.steps):
            sent = self.messages(states[:, self.senders].flatten(1, 2))
            sent = sent.reshape(-1, self.incidence.shape[1], self.state, height, width)
            received = torch.einsum("ke,bedhw->bkdhw", self.incidence.to(sent.dtype), sent)
            states = self._updated(states, received)
        return self.last((states + first).flatten(1, 2))

    def _updated(
        self, states: Float[Tensor, "B K D h w"], received: Float[Tensor, "B K D h w"]
    ) -> Float[Tensor, "B K D h w"]:
        """Return the states after a gated recurrent unit has read the messages."""
        old, message = states.flatten(0, 1), received.flatten(0, 1)
        update, reset = torch.sigmoid(self.gates(torch.cat([old, message], dim=1))).chunk(2, dim=1)
        new = torch.tanh(self.candidate(torch.cat([reset * old, message], dim=1)))
        return ((1 - update) * old + update * new).reshape(states.shape)

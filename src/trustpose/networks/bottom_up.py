"""Networks that see all people of a photo: a pose network's features, and a light branch for each kind of output.

The branches are those of the papers: part affinity fields (Cao et al., CVPR 2017), tags (Newell et al., Associative
Embedding, NIPS 2017), and centres with boxes and the offset from there to every joint (Zhou et al., Objects as Points,
2019), here as depthwise 5×5 and 1×1 convolutions on one backbone of the zoo, whose own heatmap layer gives the joints.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.layers import GRIDS, STRIDE, PoseNetwork

Kind = Literal["fields", "tags", "centres"]
WIDTH = 64  # channels of a branch
OFFSET_SCALE = 32.0  # pixels of one unit of the offset to a joint
TAG_SLOPES = (1.25, 0.5)  # initial change of a tag per 100 input pixels to the right, and down
_INITIAL_PROBABILITY = 0.01  # initial probability of a centre
_INITIAL_DISTANCE = 32.0  # initial distance of a box's sides from its centre, pixels


class BottomUpNetwork(nn.Module):
    """Maps photos (B, 3, H, W), normalised, to heatmaps (B, K, H/4, W/4), the last features, and maps of its kinds.

    "fields": `fields` (B, 2 × limbs, h, w). "tags": `tags` (B, K, h, w). "centres": `centre` (B, 1, h, w), the logit of
    a person's centre, `sides` (B, 4, h, w), the distances of its box's left, top, right and bottom side from the cell's
    middle, and `joints` (B, 2 × K, h, w), x, then y, of each joint from there, all in input pixels.
    """

    def __init__(
        self, network: PoseNetwork, kinds: Sequence[Kind], limbs: int = 0, *, tag_coordinates: bool = True
    ) -> None:
        """Add branches of these kinds to a network.

        tag_coordinates: a tag is the branch's map plus a learnt slope times the cell's position, as in Novotny et al.,
        Semi-convolutional Operators for Instance Segmentation, ECCV 2018. People who look alike then differ by their
        position, and the branch only has to learn how far a joint is from its person's middle. Without, as in Newell
        et al., a tag depends on what the photo shows alone.
        """
        super().__init__()
        self.network = network
        self.keypoints = network.keypoints
        self.feature_channels = network.feature_channels
        maps = {"fields": 2 * limbs, "tags": network.keypoints, "centres": 5 + 2 * network.keypoints}
        self.branches = nn.ModuleDict({kind: branch(network.feature_channels, maps[kind]) for kind in kinds})
        self.tag_slopes = nn.Parameter(torch.tensor(TAG_SLOPES)) if tag_coordinates and "tags" in kinds else None
        if "centres" in kinds:
            last = self.branches["centres"][-1]  # type: ignore  # a Sequential
            with torch.no_grad():
                last.bias[0] = -math.log((1 - _INITIAL_PROBABILITY) / _INITIAL_PROBABILITY)
                last.bias[1:5] = math.log(_INITIAL_DISTANCE / STRIDE)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return heatmaps, features and, in `extra`, the maps of each kind."""
        outputs = self.network(image)
        branch_maps = {kind: head(outputs.features) for kind, head in self.branches.items()}
        if self.tag_slopes is not None:
            branch_maps["tags"] = branch_maps["tags"] + _positions(branch_maps["tags"], self.tag_slopes)
        if "centres" in branch_maps:
            centre, sides, joint_offsets = branch_maps.pop("centres").split([1, 4, 2 * self.keypoints], dim=1)
            branch_maps |= {
                "centre": centre,
                "sides": sides.clamp(max=8.0).exp() * STRIDE,
                "joints": joint_offsets * OFFSET_SCALE,
            }
        return Outputs(outputs.heatmaps, outputs.features, extra=branch_maps, grids=GRIDS)


def _positions(maps: Float[Tensor, "B K h w"], slopes: Float[Tensor, " 2"]) -> Float[Tensor, "B 1 h w"]:
    """Return slopes × (x, y) of each cell, in units of 100 input pixels."""
    ones = torch.ones_like(maps[:, :1])  # sums of ones, since traced graphs must serve any height and width
    return (slopes[0] * ones.cumsum(dim=3) + slopes[1] * ones.cumsum(dim=2)) * (STRIDE / 100)


def branch(inputs: int, outputs: int) -> nn.Sequential:
    """Return a branch from features to maps, without batch norm, as in TinyPose. Its last layer begins near zero."""
    last = nn.Conv2d(WIDTH, outputs, 1)
    assert last.bias is not None
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)
    return nn.Sequential(*_separable(inputs), *_separable(WIDTH), last)


def _separable(inputs: int) -> list[nn.Module]:
    """A depthwise 5×5 convolution and a 1×1 one."""
    return [
        nn.Conv2d(inputs, inputs, 5, padding=2, groups=inputs),
        nn.Conv2d(inputs, WIDTH, 1),
        nn.ReLU(inplace=True),
    ]

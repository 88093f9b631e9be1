"""Networks that see all people of a photo: a pose network's features, and a light branch for each kind of output.

The branches are those of the papers: part affinity fields (Cao et al., CVPR 2017), tags (Newell et al., Associative
Embedding, NIPS 2017), centres with boxes and the offset from there to every joint (Zhou et al., Objects as Points,
2019), boxes alone, MultiPoseNet's second head (Kocabas et al., ECCV 2018), by centres in place of its anchors,
composite fields (Kreiss et al., PifPaf, CVPR 2019), and disks with offsets (Papandreou et al., PersonLab, ECCV 2018);
here on one backbone of the zoo, whose own heatmap layer gives the joints of all but the last two. Where a backbone has
several stages, each has branches of its own while it is trained, and the last stage's maps are those that count.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.codecs.composite_fields import ASSOCIATION, INTENSITY
from trustpose.networks.layers import GRIDS, STRIDE, MapNetwork

Kind = Literal["fields", "tags", "centres", "boxed", "composite-fields", "disks"]
BranchStyle = Literal["separable", "convolution"]
BOXES = frozenset({"centres", "boxed"})  # kinds with the maps of boxes, of which a network has one at most
WIDTH = 64  # channels of a separable branch
WIDTH_CONVOLUTION = 256  # channels of a branch of one 3×3 convolution
OFFSET_SCALE = 32.0  # pixels of one unit of the offset to a joint, of "centres" and "disks"
_SHORT_SCALE = 16.0  # pixels of one unit of a short-range offset of "disks"
TAG_SLOPES = (1.25, 0.5)  # initial change of a tag per 100 input pixels to the right, and down
VECTOR_SCALE = 32.0
"""Cells of one unit of a composite field's vectors. A backbone's features may be as small as 0.05, and a branch has no
batch norm: in cells, vectors hardly leave 0 in a thousand steps."""
_INITIAL_LOGIT = -math.log(99)  # of a centre's, a joint's or a limb's probability: 0.01
_LARGEST_LOGARITHM = 8.0
_INITIAL_DISTANCE = 32.0  # initial distance of a box's sides from its centre, pixels


class BottomUpNetwork(nn.Module):
    """Maps photos (B, 3, H, W), normalised, to heatmaps (B, K, H/4, W/4), the last features, and maps of its kinds.

    "fields": `fields` (B, 2 × limbs, h, w). "tags": `tags` (B, K, h, w). "centres": `centre` (B, 1, h, w), the logit of
    a person's centre, `sides` (B, 4, h, w), the distances of its box's left, top, right and bottom side from the cell's
    middle, and `joints` (B, 2 × K, h, w), x, then y, of each joint from there, all in input pixels. "boxed": `centre`
    and `sides` alone. "composite-fields": `intensity` (B, 5 × K, h, w) and `association` (B, 7 × limbs, h, w) of
    `codecs.composite_fields`, with the logits of confidences and the logarithms of spreads and sizes. "disks":
    `disks` (B, K, h, w), logits, `short` (B, 2 × K, h, w) and `middle` (B, 4 × limbs, h, w), offsets in input pixels.
    `map_values` converts those that are logits or logarithms.
    """

    def __init__(
        self,
        network: MapNetwork,
        kinds: Sequence[Kind],
        limbs: int = 0,
        *,
        tag_coordinates: bool = True,
        branch_style: BranchStyle = "separable",
    ) -> None:
        """Add branches of these kinds to a network, except for kinds that it gives itself (`own_kinds`).

        tag_coordinates: a tag is the branch's map plus a learnt slope times the cell's position, as in Novotny et al.,
        Semi-convolutional Operators for Instance Segmentation, ECCV 2018. People who look alike then differ by their
        position, and the branch only has to learn how far a joint is from its person's middle. Without, as in Newell
        et al., a tag depends on what the photo shows alone.
        """
        super().__init__()
        self.network = network
        self.kinds = tuple(kinds)
        self.keypoints = network.keypoints
        self.feature_channels = network.feature_channels
        joints = network.keypoints
        maps = {"fields": 2 * limbs, "tags": joints, "centres": 5 + 2 * joints, "boxed": 5}
        maps |= {"composite-fields": INTENSITY * joints + ASSOCIATION * limbs, "disks": 3 * joints + 4 * limbs}
        channels = {kind: maps[kind] for kind in kinds if kind not in network.own_kinds}
        self.branches = _branches(network, channels, branch_style)
        self.earlier_branches = nn.ModuleList(
            _branches(network, channels, branch_style) for _ in range(network.supervised_stages - 1)
        )
        self.tag_slopes = nn.Parameter(torch.tensor(TAG_SLOPES)) if tag_coordinates and "tags" in kinds else None

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return heatmaps, features and, in `extra`, the maps of each kind, of the last stage."""
        outputs = self.network(image)
        maps = self._maps(self.branches, outputs.features, outputs.extra.get("tags"))
        return Outputs(outputs.heatmaps, outputs.features, extra=maps, grids=GRIDS)

    def stage_maps(self, image: Float[Tensor, "B 3 H W"]) -> list[dict[str, Tensor]]:
        """Return the maps of every stage with its heatmaps (`heatmaps`), the last stage last."""
        outputs = self.network(image)
        stages = zip(
            outputs.heatmaps,
            [*self.earlier_branches, self.branches],
            outputs.extra.get("stage_features", [outputs.features]),
            outputs.extra.get("stage_tags", [None] * len(outputs.heatmaps)),
            strict=True,
        )
        return [
            {"heatmaps": heatmaps, **self._maps(branches, features, tags)}
            for heatmaps, branches, features, tags in stages
        ]

    def _maps(self, branches: nn.Module, features: Tensor, tags: Tensor | None) -> dict[str, Tensor]:
        """Return the maps of branches; `tags`: the network's own, if it has them."""
        branch_maps = {kind: head(features) for kind, head in branches.named_children()}
        if tags is not None and "tags" in self.kinds:
            branch_maps["tags"] = tags
        if self.tag_slopes is not None:
            branch_maps["tags"] = branch_maps["tags"] + _positions(branch_maps["tags"], self.tag_slopes)
        for kind in BOXES & branch_maps.keys():
            centre, sides, joint_offsets = branch_maps.pop(kind).tensor_split([1, 5], dim=1)
            branch_maps |= {"centre": centre, "sides": sides.clamp(max=_LARGEST_LOGARITHM).exp() * STRIDE}
            if kind == "centres":
                branch_maps["joints"] = joint_offsets * OFFSET_SCALE
        if "composite-fields" in branch_maps:
            composites = branch_maps.pop("composite-fields")
            joints = INTENSITY * self.keypoints
            branch_maps |= {
                "intensity": _in_cells(composites[:, :joints], INTENSITY, (1,)),
                "association": _in_cells(composites[:, joints:], ASSOCIATION, (1, 4)),
            }
        if "disks" in branch_maps:
            maps, joints = branch_maps["disks"], self.keypoints  # slices, as a trust head's export follows no sequences
            short, middle = maps[:, joints : 3 * joints] * _SHORT_SCALE, maps[:, 3 * joints :] * OFFSET_SCALE
            branch_maps |= {"disks": maps[:, :joints], "short": short, "middle": middle}
        return branch_maps


def _branches(network: MapNetwork, channels: dict[Kind, int], style: BranchStyle) -> nn.ModuleDict:
    """Return a branch of each kind with so many maps; centres, joints and limbs begin rare, boxes with a usual size."""
    branches = nn.ModuleDict({kind: branch(network.feature_channels, maps, style) for kind, maps in channels.items()})
    with torch.no_grad():
        for kind in BOXES & channels.keys():
            bias = branches[kind][-1].bias  # type: ignore  # a Sequential
            bias[0] = _INITIAL_LOGIT
            bias[1:5] = math.log(_INITIAL_DISTANCE / STRIDE)
        if "composite-fields" in branches:
            bias = branches["composite-fields"][-1].bias  # type: ignore  # a Sequential
            joints = INTENSITY * network.keypoints
            bias[:joints:INTENSITY] = _INITIAL_LOGIT
            bias[joints::ASSOCIATION] = _INITIAL_LOGIT
        if "disks" in branches:
            branches["disks"][-1].bias[: network.keypoints] = _INITIAL_LOGIT  # type: ignore  # a Sequential
    return branches


def _positions(maps: Float[Tensor, "B K h w"], slopes: Float[Tensor, " 2"]) -> Float[Tensor, "B 1 h w"]:
    """Return slopes × (x, y) of each cell, in units of 100 input pixels."""
    ones = torch.ones_like(maps[:, :1])  # sums of ones, since traced graphs must serve any height and width
    return (slopes[0] * ones.cumsum(dim=3) + slopes[1] * ones.cumsum(dim=2)) * (STRIDE / 100)


def _in_cells(maps: Float[Tensor, "B C h w"], count: int, vectors: Sequence[int]) -> Float[Tensor, "B C h w"]:
    """Return maps of a composite field, `count` for each joint or limb, with the vectors that begin at these in
    cells."""
    scale = torch.ones(count, device=maps.device)
    for first in vectors:
        scale[first : first + 2] = VECTOR_SCALE
    return maps * scale.repeat(maps.shape[1] // count)[:, None, None]


def map_values(name: str, maps: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
    """Return maps by their name in `Outputs.extra` as prediction reads them: logits as probabilities, logarithms as
    what they are of."""
    if name in ("centre", "disks"):
        return maps.sigmoid()
    if name == "intensity":
        confidence, vector, logarithms = maps.unflatten(1, (-1, INTENSITY)).split([1, 2, 2], dim=2)
        parts = [confidence.sigmoid(), vector, _exponentials(logarithms)]
        return torch.cat(parts, dim=2).flatten(1, 2)
    if name == "association":
        confidence, first, spread1, second, spread2 = maps.unflatten(1, (-1, ASSOCIATION)).split([1, 2, 1, 2, 1], dim=2)
        parts = [confidence.sigmoid(), first, _exponentials(spread1), second, _exponentials(spread2)]
        return torch.cat(parts, dim=2).flatten(1, 2)
    return maps


def _exponentials(logarithms: Tensor) -> Tensor:
    return logarithms.clamp(-_LARGEST_LOGARITHM, _LARGEST_LOGARITHM).exp()


def branch(inputs: int, outputs: int, style: BranchStyle = "separable") -> nn.Sequential:
    """Return a branch from features to maps, without batch norm. Its last layer begins near zero.

    style: "separable", two depthwise 5×5 and 1×1 convolutions, as in TinyPose; "convolution", one 3×3 convolution of
    256 channels, as in Objects as Points.
    """
    is_separable = style == "separable"
    last = nn.Conv2d(WIDTH if is_separable else WIDTH_CONVOLUTION, outputs, 1)
    assert last.bias is not None
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias)
    if is_separable:
        return nn.Sequential(*_separable(inputs), *_separable(WIDTH), last)
    return nn.Sequential(nn.Conv2d(inputs, WIDTH_CONVOLUTION, 3, padding=1), nn.ReLU(inplace=True), last)


def _separable(inputs: int) -> list[nn.Module]:
    """A depthwise 5×5 convolution and a 1×1 one."""
    return [
        nn.Conv2d(inputs, inputs, 5, padding=2, groups=inputs),
        nn.Conv2d(inputs, WIDTH, 1),
        nn.ReLU(inplace=True),
    ]

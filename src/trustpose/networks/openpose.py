"""OpenPose's networks: bodies of 2017 and 2019, with part affinity fields; hands and faces.

Cao, Simon, Wei, Sheikh, Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields, CVPR 2017: VGG-19 to
conv4_2 and two more layers, then two branches, heatmaps and fields, over six stages with 7×7 convolutions (section
2.1, figure 3). Cao, Hidalgo, Simon, Wei, Sheikh, OpenPose, TPAMI 2019: stages of fields, then stages of heatmaps,
with three 3×3 convolutions in place of a 7×7, the outputs of all three concatenated (section 3.1, figure 3). Simon et
al., Hand Keypoint Detection in Single Images using Multiview Bootstrapping, CVPR 2017, section 3: hands, and
OpenPose's faces, by convolutional pose machines (Wei et al., CVPR 2016) on VGG-19's first layers. Widths are those of
the published models.

The meaning of the maps of OpenPose's published bodies: keypoints, limbs, and the maps of each limb's field. Source:
the tables POSE_BODY_PART_PAIRS and POSE_MAP_INDEX of OpenPose (CMU-Perceptual-Computing-Lab/openpose,
poseParameters.cpp); Lightweight OpenPose's are those of COCO's 18.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.geometry.crops import Grid
from trustpose.networks.layers import check_keypoints

STRIDE = 8
GRID = Grid((float(STRIDE), float(STRIDE)), (STRIDE - 1) / 2)
"""A cell stands for the middle of its 8 × 8 pixels, as in OpenPose's training targets."""
FEATURES = 128
Body = Literal["body15", "body18", "body25"]
BODIES: dict[Body, tuple[int, int]] = {"body15": (15, 14), "body18": (18, 19), "body25": (25, 26)}
"""Keypoints and limbs of MPI, COCO and BODY_25."""
PARTS = {"hand": 21, "face": 70}
_VGG = ((64, 64), (128, 128), (256, 256, 256, 256))  # convolutions before each of the three poolings


def openpose_2017(body: Body = "body18", stages: int = 6) -> "OpenPose2017":
    """Build the network of 2017 for MPI's 15, COCO's 18 or 25 keypoints, with random weights."""
    return OpenPose2017(*BODIES[body], stages)


def openpose_2019(body: Body = "body25", field_stages: int = 4, heatmap_stages: int = 2) -> "OpenPose2019":
    """Build the network of 2019, with random weights; the published one of 25 keypoints has four and two stages."""
    return OpenPose2019(*BODIES[body], field_stages, heatmap_stages)


def openpose_part(part: Literal["hand", "face"]) -> "PartNetwork":
    """Build the network for crops of hands (21 keypoints) or faces (70), with random weights."""
    return PartNetwork(PARTS[part])


class OpenPose2017(nn.Module):
    """Maps photos (B, 3, H, W), sides multiples of 8, to heatmaps with the background's, and fields, of each stage."""

    def __init__(self, keypoints: int, limbs: int, stages: int = 6) -> None:
        super().__init__()
        check_keypoints(keypoints)
        if stages < 1 or limbs < 1:
            raise ValueError(f"stages, limbs: expected 1 or more, got {stages} and {limbs}")
        self.backbone = nn.Sequential(*_vgg(512, 512, 256, FEATURES))
        outputs = {"heatmaps": keypoints + 1, "fields": 2 * limbs}
        inputs = FEATURES + sum(outputs.values())
        self.stages = nn.ModuleList(
            nn.ModuleDict({name: _stage_of_2017(inputs if stage else None, count) for name, count in outputs.items()})
            for stage in range(stages)
        )
        self.keypoints, self.limbs, self.feature_channels = keypoints, limbs, FEATURES

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return heatmaps (B, K + 1, H/8, W/8) of each stage, the last of each that of no keypoint; "fields" (B, 2 L,
        H/8, W/8) of the last stage and "field_stages" of all; features (B, 128, H/8, W/8)."""
        features = x = self.backbone(image)
        heatmaps, fields = [], []
        for stage in self.stages:
            assert isinstance(stage, nn.ModuleDict)
            heatmaps.append(stage["heatmaps"](x))
            fields.append(stage["fields"](x))
            x = torch.cat([fields[-1], heatmaps[-1], features], dim=1)
        return outputs_of_stages(heatmaps, fields, features)


class OpenPose2019(nn.Module):
    """Maps photos to the same outputs as `OpenPose2017`; fields and heatmaps may have different numbers of stages."""

    def __init__(self, keypoints: int, limbs: int, field_stages: int = 4, heatmap_stages: int = 2) -> None:
        super().__init__()
        check_keypoints(keypoints)
        if min(field_stages, heatmap_stages, limbs) < 1:
            raise ValueError("field_stages, heatmap_stages, limbs: expected 1 or more")
        self.backbone = nn.Sequential(*_vgg(512, 512, 256, FEATURES, prelu_from=1))
        fields, heatmaps = 2 * limbs, keypoints + 1
        self.field_stages = nn.ModuleList(
            DenseStage(FEATURES + (fields if stage else 0), fields, is_first=stage == 0)
            for stage in range(field_stages)
        )
        self.heatmap_stages = nn.ModuleList(
            DenseStage(FEATURES + fields + (heatmaps if stage else 0), heatmaps, is_first=stage == 0)
            for stage in range(heatmap_stages)
        )
        self.keypoints, self.limbs, self.feature_channels = keypoints, limbs, FEATURES

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return what `OpenPose2017` does."""
        features = x = self.backbone(image)
        fields: list[Tensor] = []
        for stage in self.field_stages:  # equation 1
            fields.append(stage(x))
            x = torch.cat([features, fields[-1]], dim=1)
        heatmaps: list[Tensor] = []
        for stage in self.heatmap_stages:  # equations 2 and 3
            heatmaps.append(stage(x))
            x = torch.cat([features, heatmaps[-1], fields[-1]], dim=1)
        return outputs_of_stages(heatmaps, fields, features)


class PartNetwork(nn.Module):
    """Maps crops (B, 3, H, W) of one hand or face, sides multiples of 8, to heatmaps of each of six stages."""

    def __init__(self, keypoints: int, stages: int = 6) -> None:
        super().__init__()
        check_keypoints(keypoints)
        self.backbone = nn.Sequential(*_vgg(512, 512, 512, 512, 512, 512, FEATURES))
        first = nn.Sequential(nn.Conv2d(FEATURES, 512, 1), nn.ReLU(inplace=True), nn.Conv2d(512, keypoints + 1, 1))
        later = (_stage_of_2017(FEATURES + keypoints + 1, keypoints + 1) for _ in range(stages - 1))
        self.stages = nn.ModuleList([first, *later])
        self.keypoints, self.feature_channels = keypoints, FEATURES

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return heatmaps (B, K + 1, H/8, W/8) of each stage, the last of each that of no keypoint, and features (B,
        128, H/8, W/8)."""
        features = x = self.backbone(image)
        heatmaps: list[Tensor] = []
        for stage in self.stages:
            heatmaps.append(stage(x))
            x = torch.cat([heatmaps[-1], features], dim=1)
        return Outputs(heatmaps=heatmaps, features=features, grids={"heatmaps": GRID, "features": GRID})


class DenseStage(nn.Module):
    """A stage of 2019: five blocks of three 3×3 convolutions, then two 1×1; the first of its kind is narrower."""

    def __init__(self, inputs: int, outputs: int, *, is_first: bool) -> None:
        super().__init__()
        width, hidden = (96, 256) if is_first else (128, 512)
        self.blocks = nn.Sequential(DenseBlock(inputs, width), *(DenseBlock(3 * width, width) for _ in range(4)))
        self.head = nn.Sequential(nn.Conv2d(3 * width, hidden, 1), nn.PReLU(hidden), nn.Conv2d(hidden, outputs, 1))

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        return self.head(self.blocks(x))


class DenseBlock(nn.Module):
    """Three 3×3 convolutions in a row, which see 7×7 pixels together; the outputs of all three."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Conv2d(count, width, 3, padding=1), nn.PReLU(width)) for count in (inputs, width, width)
        )

    def forward(self, x: Float[Tensor, "B I h w"]) -> Float[Tensor, "B O h w"]:
        outputs = []
        for layer in self.layers:
            x = layer(x)
            outputs.append(x)
        return torch.cat(outputs, dim=1)


def _vgg(*after: int, prelu_from: int | None = None) -> list[nn.Module]:
    """Return VGG-19's layers to the third pooling, then 3×3 convolutions of these widths; from number `prelu_from` of
    those on with PReLU."""
    layers: list[nn.Module] = []
    inputs = 3
    for widths in _VGG:
        for width in widths:
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU(inplace=True)]
            inputs = width
        layers.append(nn.MaxPool2d(2))
    for index, width in enumerate(after):
        is_learnt = prelu_from is not None and index >= prelu_from
        layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.PReLU(width) if is_learnt else nn.ReLU(inplace=True)]
        inputs = width
    return layers


def _stage_of_2017(inputs: int | None, outputs: int) -> nn.Sequential:
    """Return a branch of a stage: the first has 3×3 convolutions (inputs None), the others 7×7."""
    if inputs is None:
        return _chain([FEATURES] * 4, 3, 512, outputs)
    return _chain([inputs, *[FEATURES] * 5], 7, FEATURES, outputs)


def _chain(widths: Sequence[int], kernel: int, hidden: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for inputs, width in pairwise(widths):
        layers += [nn.Conv2d(inputs, width, kernel, padding=kernel // 2), nn.ReLU(inplace=True)]
    return nn.Sequential(
        *layers, nn.Conv2d(widths[-1], hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, outputs, 1)
    )


def outputs_of_stages(heatmaps: list[Tensor], fields: list[Tensor], features: Tensor) -> Outputs:
    """Return heatmaps of all stages, the last stage's fields and all ("field_stages"), and features, with their
    grids."""
    field_maps = {"fields": fields[-1], "field_stages": fields}
    return Outputs(heatmaps, features, extra=field_maps, grids=dict.fromkeys(("heatmaps", "features", "fields"), GRID))


@dataclass(frozen=True)
class BodyMaps:
    """The keypoints, limbs and field maps of a published body network.

    skeleton: the skeleton's name. limbs: pairs of keypoints, in the order in which they are joined. maps: the index of
    each limb's pair of maps, x and y. redundant: limbs from ear to shoulder, which never start a person.
    """

    skeleton: str
    limbs: tuple[tuple[int, int], ...]
    maps: tuple[int, ...]
    redundant: tuple[int, ...] = ()


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    ends = [limb.split("-") for limb in text.split()]
    return tuple((int(start), int(end)) for start, end in ends)


COCO_18 = BodyMaps(
    "openpose_coco18",
    _pairs("1-2 1-5 2-3 3-4 5-6 6-7 1-8 8-9 9-10 1-11 11-12 12-13 1-0 0-14 14-16 0-15 15-17 2-16 5-17"),
    (6, 10, 7, 8, 11, 12, 0, 1, 2, 3, 4, 5, 14, 15, 17, 16, 18, 9, 13),
    redundant=(17, 18),
)
BODY_25 = BodyMaps(
    "openpose_body25",
    _pairs(
        "1-8 1-2 1-5 2-3 3-4 5-6 6-7 8-9 9-10 10-11 8-12 12-13 13-14 1-0 0-15 15-17 0-16 16-18 2-17 5-18 "
        "14-19 19-20 14-21 11-22 22-23 11-24"
    ),
    (0, 7, 11, 8, 9, 12, 13, 3, 1, 2, 4, 5, 6, 15, 16, 18, 17, 19, 10, 14, 20, 21, 22, 23, 24, 25),
    redundant=(18, 19),
)
MPI_15 = BodyMaps(
    "openpose_mpi15", _pairs("0-1 1-2 2-3 3-4 1-5 5-6 6-7 1-14 14-8 8-9 9-10 14-11 11-12 12-13"), tuple(range(14))
)
BODY_MAPS: dict[str, BodyMaps] = {  # by the zoo's name
    "openpose-2017-body15": MPI_15,
    "openpose-2017-body18": COCO_18,
    "openpose-2019-body25": BODY_25,
    "lightweight-openpose": COCO_18,
}
PART_SKELETONS = {"openpose-hand": "hand21", "openpose-face": "face70"}

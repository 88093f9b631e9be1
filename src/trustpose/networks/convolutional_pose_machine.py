"""Convolutional Pose Machines: stages that read image features and the belief maps of the stage before.

Wei, Ramakrishna, Kanade and Sheikh, Convolutional Pose Machines, CVPR 2016, section 3 and figure 2: stage 1 sees the
image alone, within 160 × 160 pixels (9×9 convolutions between three poolings, a 5×5, a 9×9, two 1×1); every further
stage sees features of a second trunk, the P + 1 belief maps of the stage before (the last is the background's) and a
Gaussian at the person's centre, through three 11×11 convolutions. Every stage is supervised (section 3.3). From the
authors' published layers (shihenw/convolutional-pose-machines-release), and not in the text: widths, the second trunk
shared by all further stages up to its third pooling, the centre's width, 21 pixels of 368, and its pooling.
"""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.geometry.crops import Grid
from trustpose.networks.layers import check_keypoints, heatmap_head

STRIDE = 8
CENTRE_SIGMA = 21 / 368  # of the crop's side
Pooling = Literal["paper", "padded", "published"]


def convolutional_pose_machine(
    stages: int = 6,
    keypoints: int = 17,
    *,
    width: int = 128,
    wide: int = 512,
    narrow: int = 32,
    kernels: tuple[int, int] = (9, 11),
    poolings: int = 3,
    pooling: Pooling = "paper",
    background: bool = True,
    centre: bool = True,
) -> "ConvolutionalPoseMachine":
    """Build a network of `stages` stages: 6 in the paper.

    width, wide, narrow: channels of the trunks and later stages, of the first stage's last layers, and of the features
    that later stages read. kernels: of the trunks, and of the later stages. poolings: by two, in the trunks.
    background: one more belief map, of no keypoint. centre: whether later stages see where the person is.

    pooling: "paper" takes the maximum of 2 × 2 pixels; "padded" of 3 × 3, about the same middle; "published" of 3 × 3
    without padding, sizes rounded up, and the centre's map is the mean of 9 × 9 crop pixels, as in the authors' Caffe
    models. With "published", the pixels that a belief depends on lie 7 to the right of and below those of "padded", so
    weights of one must not run as the other. Raises ValueError for less than one stage.
    """
    if stages < 1:
        raise ValueError(f"stages: expected 1 or more, got {stages}")
    return ConvolutionalPoseMachine(
        stages, keypoints, (width, wide, narrow), kernels, poolings, pooling, background, centre
    )


class ConvolutionalPoseMachine(nn.Module):
    """Maps crops (B, 3, H, W), to belief maps of each stage, (B, P, H/8, W/8) with three poolings."""

    def __init__(
        self,
        stages: int,
        keypoints: int,
        widths: tuple[int, int, int],
        kernels: tuple[int, int],
        poolings: int,
        pooling: Pooling,
        background: bool,
        centre: bool,
    ) -> None:
        super().__init__()
        check_keypoints(keypoints)
        width, wide, narrow = widths
        trunk, later = kernels
        beliefs = keypoints + background
        self.first = nn.Sequential(
            *_trunk(width, trunk, poolings, pooling),
            *_convolution(width, narrow, 5),
            *_convolution(narrow, wide, trunk),
        )
        self.first_features = nn.Sequential(*_convolution(wide, wide, 1))
        self.first_beliefs = heatmap_head(wide, beliefs)
        self.trunk = nn.Sequential(*(_trunk(width, trunk, poolings, pooling) if stages > 1 else ()))
        self.stages = nn.ModuleList(Stage(beliefs, width, narrow, later, centre) for _ in range(stages - 1))
        self.keypoints, self.has_centre, self.stride, self.pooling = keypoints, centre, 2**poolings, pooling
        self.feature_channels = width if stages > 1 else wide

    @property
    def encoded(self) -> nn.Module:
        """The module whose input trust heads read: of the last stage with the trunk's features, else of the first's."""
        return self.stages[-1].get_submodule("features") if len(self.stages) else self.first_features

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return heatmaps (B, K, H/8, W/8) of each stage, features of the last (B, C, H/8, W/8), and "beliefs", the
        heatmaps with the background's."""
        features = self.first_features(self.first(image))
        beliefs = [self.first_beliefs(features)]
        shared = self.trunk(image) if len(self.stages) else features
        cell = self.stride if self.pooling == "published" else None
        centre = centre_map(features, cell) if self.has_centre else None
        for stage in self.stages:
            belief, features = stage(shared, beliefs[-1], centre)
            beliefs.append(belief)
        grid = Grid((float(self.stride), float(self.stride)))
        heatmaps = [maps[:, : self.keypoints] for maps in beliefs]
        return Outputs(heatmaps, features, extra={"beliefs": beliefs}, grids={"heatmaps": grid, "features": grid})


class Stage(nn.Module):
    """A stage after the first: the shared trunk's features, the beliefs so far and the centre, to new beliefs."""

    def __init__(self, beliefs: int, width: int, narrow: int, kernel: int, centre: bool) -> None:
        super().__init__()
        self.features = nn.Sequential(*_convolution(width, narrow, 5))
        self.body = nn.Sequential(
            *_convolution(narrow + beliefs + centre, width, kernel),
            *_convolution(width, width, kernel),
            *_convolution(width, width, kernel),
            *_convolution(width, width, 1),
        )
        self.head = heatmap_head(width, beliefs)

    def forward(
        self, shared: Float[Tensor, "B C h w"], beliefs: Float[Tensor, "B P h w"], centre: Float[Tensor, "h w"] | None
    ) -> tuple[Float[Tensor, "B P h w"], Float[Tensor, "B C h w"]]:
        """Return beliefs, and the input of their layer."""
        x = self.features(shared)
        stage_inputs = [x, beliefs] if centre is None else [x, beliefs, centre.expand(x.shape[0], 1, *centre.shape)]
        features = self.body(torch.cat(stage_inputs, dim=1))
        return self.head(features), features


def centre_map(like: Float[Tensor, "B C h w"], cell: int | None = None) -> Float[Tensor, "h w"]:
    """Return a Gaussian of height 1 at the middle of the map, as crops have the person in their middle.

    cell: take the mean of (cell + 1)² crop pixels from each cell's first on, as the published models do, whose Gaussian
    lies on the pixel before the crop's middle; None takes the Gaussian's height at each cell.
    """
    sides = [side * (cell or 1) for side in like.shape[-2:]]
    before = 0 if cell is None else 1
    bumps = []
    for side in sides:
        pixel = torch.arange(side, device=like.device, dtype=torch.float32)
        bumps.append(torch.exp(-((pixel + before - side / 2) ** 2) / (2 * (CENTRE_SIGMA * sides[0]) ** 2)))
    bump = bumps[0][:, None] * bumps[1][None]
    return (bump if cell is None else centre_means(bump, cell)).to(like.dtype)


def centre_means(centre: Float[Tensor, "H W"], cell: int) -> Float[Tensor, "h w"]:
    """Return the means of (cell + 1)² crop pixels from each cell's first on, without those outside of the crop."""
    return F.avg_pool2d(centre[None], cell + 1, cell, ceil_mode=True)[0]


def receptive_field(
    stages: int, kernels: tuple[int, int] = (9, 11), poolings: int = 3, pooling: Pooling = "paper"
) -> tuple[int, ...]:
    """Return the side, in crop pixels, of what one belief of each stage depends on through the stages before it."""
    trunk, later = kernels
    pooled = 2 if pooling == "paper" else 3
    seen, stride = 1, 1
    for _ in range(poolings):
        seen += (trunk - 1 + pooled - 1) * stride
        stride *= 2
    seen += (5 - 1 + trunk - 1) * stride
    return tuple(seen + 3 * (later - 1) * stride * stage for stage in range(stages))


def _trunk(width: int, kernel: int, poolings: int, pooling: Pooling) -> list[nn.Module]:
    """Return `poolings` times a convolution and a pooling by two."""
    size = 2 if pooling == "paper" else 3
    padding, rounds_up = (1, False) if pooling == "padded" else (0, pooling == "published")
    layers: list[nn.Module] = []
    for inputs in (3, *[width] * (poolings - 1)):
        pool = nn.MaxPool2d(size, stride=2, padding=padding, ceil_mode=rounds_up)
        layers += [*_convolution(inputs, width, kernel), pool]
    return layers


def _convolution(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return [convolution, nn.ReLU(inplace=True)]

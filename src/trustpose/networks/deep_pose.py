"""DeepPose: a cascade of regressors of joint coordinates, each on crops around the joints found so far.

Toshev and Szegedy, DeepPose: Human Pose Estimation via Deep Neural Networks, CVPR 2014, section 3. Stage 1 regresses
all joints from the person's box b⁰ (equation 3). Stage s looks at one joint at a time, in the box b = (y, σ diam(y),
σ diam(y)) about its place so far, and regresses its displacement there (equations 5 to 7). Coordinates are normalised
by the box: N(y; b) is 0 at its centre and ± ½ at its sides (equation 1). diam(y) is the distance of opposing joints of
the trunk, here the mean of both pairs. Stage s is trained on displacements drawn from the normal distribution of
those of stage s − 1 (equation 8, section 3.2), per joint.

Our choices where the text leaves them open: displacements are in units of diam(y); their mean and variance are running
ones over the training batches, as in batch norm; an unlabelled trunk takes its diameter from the stage before.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from trustpose.codecs import Outputs
from trustpose.networks.backbones import ImageNetBackbone
from trustpose.networks.layers import check_keypoints
from trustpose.skeletons import SKELETONS, Skeleton

SIZE = 220  # pixels, AlexNet's input
MOMENTUM = 0.01
_MIN_DIAMETER = 0.05  # least diameter, as a fraction of the crop's shorter side: a degenerate pose still has a box
_SKELETONS = {14: "lsp14", 16: "mpii16", 17: "coco17"}  # by number of keypoints, unless a skeleton is given
_TRUNK = (("left_shoulder", "right_hip"), ("right_shoulder", "left_hip"))


def deep_pose(
    backbone: str = "alexnet",
    stages: int = 3,
    keypoints: int = 17,
    *,
    size: int = SIZE,
    refined_size: int | None = None,
    sigma: float = 1.0,
    hidden: tuple[int, ...] = (4096, 4096),
    pretrained: bool = False,
    **backbone_options: object,
) -> "DeepPose":
    """Build a cascade: three stages in the paper, its AlexNet or any timm backbone with feature maps.

    size: side of a stage's input, pixels; refined_size: of the stages after the first, the same if None. sigma: sides
    of a joint's box in diameters of the trunk (1.0 on FLIC, 2.0 on LSP). hidden: fully connected layers of AlexNet;
    another backbone's map is averaged. `pretrained`, `backbone_options`: as in `simple_baseline`. Raises ValueError.
    """
    check_keypoints(keypoints)
    if stages < 1:
        raise ValueError(f"stages: expected 1 or more, got {stages}")
    sizes = (size, *[refined_size or size] * (stages - 1))
    if backbone == "alexnet":
        bodies = [AlexNet(side, hidden) for side in sizes]
    else:
        bodies = [Averaged(ImageNetBackbone(backbone, pretrained, **backbone_options)) for _ in sizes]
    return DeepPose(bodies, sizes, keypoints, sigma)


class DeepPose(nn.Module):
    """Maps crops (B, 3, H, W), resized to the stages' own size, to coordinates."""

    trunk: Tensor
    displacement_mean: Tensor
    displacement_variance: Tensor

    def __init__(
        self, bodies: "list[AlexNet] | list[Averaged]", sizes: tuple[int, ...], keypoints: int, sigma: float
    ) -> None:
        super().__init__()
        self.stages = nn.ModuleList(Regressor(body, keypoints) for body in bodies)
        self.sizes, self.keypoints, self.sigma = sizes, keypoints, sigma
        self.feature_channels = bodies[0].channels
        self.register_buffer("trunk", torch.full((2, 2), -1))
        self.register_buffer("displacement_mean", torch.zeros(len(bodies), keypoints, 2))
        self.register_buffer("displacement_variance", torch.full((len(bodies), keypoints, 2), 0.01))
        if keypoints in _SKELETONS:
            self.for_skeleton(SKELETONS[_SKELETONS[keypoints]])

    def for_skeleton(self, skeleton: Skeleton) -> None:
        """Set which joints the diameter is measured between. Raises ValueError if the skeleton lacks them."""
        names = skeleton.keypoints
        missing = [name for pair in _TRUNK for name in pair if name not in names]
        if missing and len(self.stages) > 1:
            raise ValueError(f"skeleton: expected the joint {missing[0]}, which a cascade's boxes need")
        if not missing:
            self.trunk.copy_(torch.tensor([[names.index(name) for name in pair] for pair in _TRUNK]))

    @property
    def parts(self) -> list[nn.Module]:
        """The stages, which are trained one after the other."""
        return list(self.stages)

    @property
    def objectives(self) -> tuple[str, ...]:
        """The supported values of `train.objective`: stage by stage; a single stage also on its coordinates."""
        return ("cascade",) if len(self.stages) > 1 else ("cascade", "coordinates")

    @property
    def encoded(self) -> nn.Module:
        """The module whose input is the first stage's last map."""
        return self.stages[0].get_submodule("body.after")

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return coordinates (B, K, 3): x, y in units of the crop's sides, and 1: a regressor has no score; tokens (B,
        K, D), the last stage's features of each joint; "stages", the coordinates (B, K, 2) after each stage."""
        unit = image.new_tensor([image.shape[3], image.shape[2]], dtype=torch.float32)
        features, tokens, regressed = self._first(image)
        stage_xy = [(regressed + 0.5) * unit]
        for number in range(1, len(self.stages)):
            side = self.sigma * self._diameter(stage_xy[-1], unit)
            tokens, regressed = self._refine(number, image, stage_xy[-1], side)
            stage_xy.append(stage_xy[-1] + regressed * side[:, None, None])
        coordinates = torch.cat([stage_xy[-1] / unit, torch.ones_like(stage_xy[-1][..., :1])], dim=2)
        stages = [xy / unit for xy in stage_xy]
        return Outputs([], features, coordinates, tokens=tokens, extra={"stages": stages})

    def learn(
        self, image: Float[Tensor, "B 3 H W"], xy: Float[Tensor, "B K 2"], labelled: Bool[Tensor, "B K"], part: int
    ) -> Mapping[str, Tensor]:
        """Return stage `part`'s "predicted" and "target" positions (B, K, 2), N(y; b); xy: labels in crop pixels.

        It also updates the distribution of the remaining displacements, for the next stage.
        """

        unit = image.new_tensor([image.shape[3], image.shape[2]], dtype=torch.float32)
        if part == 0:
            _, _, regressed = self._first(image)
            target = xy / unit - 0.5
            diameter = self._diameter(xy, unit, labelled, (regressed.detach() + 0.5) * unit)
            remaining = (regressed.detach() - target) * unit / diameter[:, None, None]
        else:
            with torch.no_grad():
                _, _, first = self._first(image)
            diameter = self._diameter(xy, unit, labelled, (first + 0.5) * unit)
            mean, deviation = self.displacement_mean[part - 1], self.displacement_variance[part - 1].sqrt()
            drawn = mean + deviation * torch.randn_like(xy)  # in diameters
            side = self.sigma * diameter
            _, regressed = self._refine(part, image, xy + drawn * diameter[:, None, None], side)
            target = -drawn / self.sigma
            remaining = drawn + regressed.detach() * self.sigma
        self._keep(part, remaining, labelled)
        return {"predicted": regressed, "target": target}

    def _first(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the map of stage 1, its features (B, K, D), and N(y; b⁰) (B, K, 2)."""
        side = self.sizes[0]
        if image.shape[2:] != (side, side):
            image = functional.interpolate(image, size=(side, side), mode="bilinear", align_corners=False)
        return self.stages[0](image)

    def _refine(
        self, number: int, image: Tensor, centres: Float[Tensor, "B K 2"], side: Float[Tensor, " B"]
    ) -> tuple[Float[Tensor, "B K D"], Float[Tensor, "B K 2"]]:
        """Return features and displacements, in sides of the boxes, of one stage on a crop for each joint."""
        crops = cut_boxes(image, centres, side, self.sizes[number])
        stage = self.stages[number]
        assert isinstance(stage, Regressor)
        return stage.of_joints(crops)

    def _diameter(
        self,
        xy: Float[Tensor, "B K 2"],
        unit: Float[Tensor, "2"],
        labelled: Bool[Tensor, "B K"] | None = None,
        fallback_xy: Float[Tensor, "B K 2"] | None = None,
    ) -> Float[Tensor, " B"]:
        """Return diam(y) in pixels: the mean over labelled pairs; where there are none, that of `fallback_xy`."""
        lengths = (xy[:, self.trunk[:, 0]] - xy[:, self.trunk[:, 1]]).square().sum(dim=2).sqrt()  # (B, 2)
        mean = lengths.mean(dim=1)
        if labelled is not None and fallback_xy is not None:
            has = labelled[:, self.trunk[:, 0]] & labelled[:, self.trunk[:, 1]]
            labelled_mean = (lengths * has).sum(dim=1) / has.sum(dim=1).clamp(min=1)
            mean = torch.where(has.any(dim=1), labelled_mean, self._diameter(fallback_xy, unit))
        return torch.maximum(mean, _MIN_DIAMETER * unit.min())

    @torch.no_grad()
    def _keep(self, part: int, remaining: Float[Tensor, "B K 2"], labelled: Bool[Tensor, "B K"]) -> None:
        count = labelled.sum(dim=0)[:, None]  # (K, 1)
        shown = labelled[..., None] * remaining
        mean = shown.sum(dim=0) / count.clamp(min=1)
        variance = (labelled[..., None] * (remaining - mean)).square().sum(dim=0) / count.clamp(min=1)
        for running, batch_value in (
            (self.displacement_mean[part], mean),
            (self.displacement_variance[part], variance),
        ):
            running.copy_(torch.where(count > 1, torch.lerp(running, batch_value, MOMENTUM), running))


class Regressor(nn.Module):
    """A body and the linear layer to 2 K normalised coordinates."""

    def __init__(self, body: "AlexNet | Averaged", keypoints: int) -> None:
        super().__init__()
        self.body = body
        self.last = nn.Linear(body.width, 2 * keypoints)
        nn.init.normal_(self.last.weight, std=0.001)
        nn.init.zeros_(self.last.bias)
        self.keypoints = keypoints

    def forward(
        self, image: Float[Tensor, "B 3 s s"]
    ) -> tuple[Float[Tensor, "B C h w"], Float[Tensor, "B K D"], Float[Tensor, "B K 2"]]:
        """Return the body's map, its features for all joints, and N(y; b) of all."""
        features, vector = self.body(image)
        tokens = vector[:, None].expand(-1, self.keypoints, -1)
        return features, tokens, self.last(vector).float().reshape(-1, self.keypoints, 2)

    def of_joints(self, crops: Float[Tensor, "B K 3 s s"]) -> tuple[Float[Tensor, "B K D"], Float[Tensor, "B K 2"]]:
        """Return features of each joint's own crop, and ψᵢ of it: of the 2 K outputs, those of that joint."""
        _, vector = self.body(crops.flatten(0, 1))
        tokens = vector.reshape(-1, self.keypoints, vector.shape[1])
        weight = self.last.weight.reshape(self.keypoints, 2, -1)
        displacement = (tokens[:, :, None] * weight).sum(dim=3) + self.last.bias.reshape(self.keypoints, 2)
        return tokens, displacement.float()


class AlexNet(nn.Module):
    """Five convolutions and fully connected layers, as printed in figure 2 of the paper, with dropout of 0.6.

    C(55 × 55 × 96) LRN P, C(27 × 27 × 256) LRN P, C(13 × 13 × 384), C(13 × 13 × 384), C(13 × 13 × 256) P, F(4096),
    F(4096), for 220 × 220 pixels.
    """

    def __init__(self, size: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_convolution(3, 96, 11, stride=4), nn.LocalResponseNorm(5), nn.MaxPool2d(3, stride=2),
            *_convolution(96, 256, 5), nn.LocalResponseNorm(5), nn.MaxPool2d(3, stride=2),
            *_convolution(256, 384, 3), *_convolution(384, 384, 3), *_convolution(384, 256, 3),
        )  # fmt: skip
        self.after = nn.MaxPool2d(3, stride=2)
        side = (size - 1) // 4 + 1
        for _ in range(3):
            side = (side - 3) // 2 + 1  # a pooling of 3 pixels by 2
        layers: list[nn.Module] = []
        inputs = 256 * side * side
        for width in hidden:
            layers += [nn.Linear(inputs, width), nn.ReLU(inplace=True), nn.Dropout(0.6)]
            inputs = width
        self.hidden = nn.Sequential(*layers)
        self.channels, self.width = 256, inputs

    def forward(self, image: Float[Tensor, "B 3 s s"]) -> tuple[Float[Tensor, "B C h w"], Float[Tensor, "B D"]]:
        features = self.convolutions(image)
        return features, self.hidden(self.after(features).flatten(1))


class Averaged(nn.Module):
    """A timm backbone and the mean of its last map."""

    def __init__(self, body: ImageNetBackbone) -> None:
        super().__init__()
        self.body = body
        self.after = nn.AdaptiveAvgPool2d(1)
        self.channels = self.width = body.channels

    def forward(self, image: Float[Tensor, "B 3 s s"]) -> tuple[Float[Tensor, "B C h w"], Float[Tensor, "B D"]]:
        features = self.body(image)
        return features, self.after(features).flatten(1)


def cut_boxes(
    image: Float[Tensor, "B 3 H W"], centres: Float[Tensor, "B K 2"], side: Float[Tensor, " B"], size: int
) -> Float[Tensor, "B K 3 s s"]:
    """Return square boxes of `side` pixels about `centres`, resampled to size × size; 0 outside the crop.

    The box's corners go to the corners of the result: pixel j is at (j + ½) / size of the side.
    """
    steps = (torch.arange(size, device=image.device, dtype=torch.float32) + 0.5) / size - 0.5
    offset = side[:, None, None] * steps  # (B, 1, s)
    x, y = centres[..., :1] + offset, centres[..., 1:] + offset  # (B, K, s)
    count, high, wide = centres.shape[1], image.shape[2], image.shape[3]
    x = ((x + 0.5) * 2 / wide - 1)[:, :, None, :].expand(-1, -1, size, -1)
    y = ((y + 0.5) * 2 / high - 1)[:, :, :, None].expand(-1, -1, -1, size)
    grid = torch.stack([x, y], dim=4).flatten(1, 2)  # (B, K · s, s, 2)
    crops = functional.grid_sample(image.float(), grid, align_corners=False)
    return crops.reshape(-1, 3, count, size, size).transpose(1, 2)


def _convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return [convolution, nn.ReLU(inplace=True)]

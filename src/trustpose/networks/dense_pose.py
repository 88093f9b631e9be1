"""DensePose: the part and the coordinates of the body's surface in each pixel, on a person's crop or on regions.

Güler, Neverova, Kokkinos, DensePose: Dense Human Pose Estimation in the Wild, CVPR 2018, section 3. Two systems:
`SurfaceNetwork` is the fully convolutional one, a branch on the features of any network of the zoo, for a person's
crop, or for boxes cut out of a photo's features; `DensePoseRegions` cuts boxes out of a photo's feature pyramid, as the
paper's DensePose-RCNN, with the layers, names and initial values of Detectron2's DensePose project, so that its weights
fit. A branch for the expected geodesic point similarity of each pixel is optional in both, and reads detached features.
"""

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.codecs.surface import PARTS
from trustpose.networks import backbones  # noqa: F401  # imports torchvision with any torch
from trustpose.networks.layers import PoseNetwork

SurfaceHead = Literal["convolutions", "deeplab"]
SURFACE_TENSORS = ("mask", "parts", "u", "v")
PYRAMID = 256  # channels of the feature pyramid
REGION = 28  # cells of a region's features
STRIDE = 4  # photo pixels a cell of the features that regions are cut out of
_HIDDEN, _LAYERS = 512, 8
_RATES = (6, 12, 56)  # of the dilated convolutions
_GROUPS = 32


class SurfacePredictor(nn.Module):
    """Maps features (B, C, h, w) to logits of the mask (B, 2 or 15, 4h, 4w) and of the parts (B, 25, 4h, 4w), and to U
    and V of every part (B, 25, 4h, 4w).

    Each is a transposed convolution, 4 × 4 with stride 2, and a bilinear enlargement by `scale`, 1 for none. With
    `quality` there is another for the expected similarity (B, 1, …), a logit.
    """

    def __init__(self, channels: int, coarse: int = 2, scale: int = 2, *, quality: bool = False) -> None:
        super().__init__()
        self.scale = scale
        self.ann_index_lowres = _doubling(channels, coarse)
        self.index_uv_lowres = _doubling(channels, PARTS)
        self.u_lowres = _doubling(channels, PARTS)
        self.v_lowres = _doubling(channels, PARTS)
        self.quality_lowres = _doubling(channels, 1) if quality else None

    def forward(self, features: Float[Tensor, "B C h w"]) -> dict[str, Tensor]:
        layers = (self.ann_index_lowres, self.index_uv_lowres, self.u_lowres, self.v_lowres)
        maps = {name: layer(features) for name, layer in zip(SURFACE_TENSORS, layers, strict=True)}
        if self.quality_lowres is not None:
            maps["quality"] = self.quality_lowres(features.detach())
        if self.scale == 1:
            return maps
        return {
            name: F.interpolate(value, scale_factor=float(self.scale), mode="bilinear", align_corners=False)
            for name, value in maps.items()
        }


def _doubling(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    layer = nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1)
    initialise(layer)
    return layer


def initialise(layer: nn.Conv2d | nn.ConvTranspose2d) -> None:
    """Set weights as He et al. do for layers before ReLUs, by the outputs' number, and biases to 0."""
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


class ConvolutionHead(nn.Module):
    """Eight 3 × 3 convolutions with 512 channels, each before a ReLU: (B, C, h, w) to (B, 512, h, w)."""

    def __init__(self, channels: int, hidden: int = _HIDDEN, layers: int = _LAYERS) -> None:
        super().__init__()
        self.channels = hidden
        for index in range(layers):
            layer = nn.Conv2d(channels if index == 0 else hidden, hidden, 3, padding=1)
            initialise(layer)
            self.add_module(f"body_conv_fcn{index + 1}", layer)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B H h w"]:
        for layer in self.children():
            features = F.relu(layer(features))
        return features


class DeepLabHead(nn.Module):
    """Atrous spatial pyramid pooling, optionally a non-local block, and eight convolutions with group norm.

    Chen et al., Rethinking Atrous Convolution for Semantic Image Segmentation, 2017; Wang et al., Non-local Neural
    Networks, CVPR 2018; Wu and He, Group Normalization, ECCV 2018. (B, C, h, w) to (B, 512, h, w).
    """

    def __init__(
        self, channels: int, hidden: int = _HIDDEN, layers: int = _LAYERS, *, is_non_local: bool = False
    ) -> None:
        super().__init__()
        self.channels = hidden
        self.layers = layers
        self.ASPP = _AtrousPyramid(channels)
        if is_non_local:
            self.NLBlock = _NonLocal(channels)
        for index in range(layers):
            self.add_module(f"body_conv_fcn{index + 1}", _NormedConvolution(channels if index == 0 else hidden, hidden))

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B H h w"]:
        features = self.ASPP(features)
        if "NLBlock" in self._modules:
            features = self.NLBlock(features)
        for index in range(self.layers):
            features = F.relu(self.get_submodule(f"body_conv_fcn{index + 1}")(features))
        return features


class _NormedConvolution(nn.Conv2d):
    """A 3 × 3 convolution and group norm."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.GroupNorm(_GROUPS, outputs)
        initialise(self)

    def forward(self, input: Tensor) -> Tensor:
        return self.norm(super().forward(input))


class _ActivatedConvolution(nn.Conv2d):
    """A 3 × 3 convolution and a ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)
        initialise(self)

    def forward(self, input: Tensor) -> Tensor:
        return F.relu(super().forward(input))


class _AtrousPyramid(nn.Module):
    """1 × 1, three dilated 3 × 3 convolutions and the mean of the map beside each other, then 1 × 1."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        dilated = [_normed(nn.Conv2d(channels, channels, 3, padding=r, dilation=r, bias=False)) for r in _RATES]
        pooled = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), *_normed(nn.Conv2d(channels, channels, 1, bias=False)).children()
        )
        self.convs = nn.ModuleList([_normed(nn.Conv2d(channels, channels, 1, bias=False)), *dilated, pooled])
        self.project = nn.Sequential(nn.Conv2d(5 * channels, channels, 1, bias=False), nn.ReLU())

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        branches = [branch(features) for branch in self.convs]
        branches[-1] = branches[-1].expand(-1, -1, *features.shape[2:])  # one cell, for all of the map
        return self.project(torch.cat(branches, dim=1))


def _normed(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.GroupNorm(_GROUPS, convolution.out_channels), nn.ReLU())


class _NonLocal(nn.Module):
    """Adds to each cell a mean over the cells of a map of half the size, weighted by their likeness (embedded Gaussian,
    section 3.2); it begins as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        narrow = max(channels // 2, 1)
        self.theta = nn.Conv2d(channels, narrow, 1)
        self.g = nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.MaxPool2d(2))
        self.phi = nn.Sequential(nn.Conv2d(channels, narrow, 1), nn.MaxPool2d(2))
        norm = nn.GroupNorm(_GROUPS, channels)
        nn.init.zeros_(norm.weight)
        self.W = nn.Sequential(nn.Conv2d(narrow, channels, 1), norm)

    def forward(self, features: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        query, key, value = (layer(features).flatten(2) for layer in (self.theta, self.phi, self.g))
        likeness = (query.transpose(1, 2) @ key).softmax(dim=-1)  # (B, h w, h w / 4)
        mean = value @ likeness.transpose(1, 2)
        return self.W(mean.unflatten(2, features.shape[2:])) + features


class PyramidDecoder(nn.Module):
    """Merges maps of strides 4, 8, 16 and 32 into one of stride 4.

    Kirillov et al., Panoptic Feature Pyramid Networks, CVPR 2019, section 3: each is convolved and doubled until it has
    stride 4; their sum goes through a 1 × 1 convolution.
    """

    def __init__(self, channels: int = PYRAMID, outputs: int = PYRAMID, levels: int = 4) -> None:
        super().__init__()
        self.levels = [f"p{level + 2}" for level in range(levels)]
        for level, name in enumerate(self.levels):
            layers: list[nn.Module] = []
            for step in range(max(1, level)):
                layers.append(_ActivatedConvolution(channels if step == 0 else outputs, outputs))
                if level:
                    layers.append(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False))
            self.add_module(name, nn.Sequential(*layers))
        self.predictor = nn.Conv2d(outputs, outputs, 1)
        initialise(self.predictor)

    def forward(self, pyramid: Sequence[Float[Tensor, "B C _ _"]]) -> Float[Tensor, "B O h w"]:
        first, *others = [self.get_submodule(name)(maps) for name, maps in zip(self.levels, pyramid, strict=True)]
        return self.predictor(sum(others, first))


class DensePoseRegions(nn.Module):
    """Maps a feature pyramid of photos and boxes in them to surface maps (N, …, 112, 112) of each box.

    head: "convolutions" (DensePoseV1ConvXHead) or "deeplab", with `is_non_local` its non-local block. coarse: classes
    of the mask, 2 or 15. quality: with the branch for the expected similarity.
    """

    def __init__(
        self,
        channels: int = PYRAMID,
        head: SurfaceHead = "convolutions",
        coarse: int = 2,
        *,
        is_non_local: bool = False,
        quality: bool = False,
    ) -> None:
        super().__init__()
        self.decoder = PyramidDecoder(channels)
        if head == "deeplab":
            self.densepose_head: nn.Module = DeepLabHead(PYRAMID, is_non_local=is_non_local)
        else:
            self.densepose_head = ConvolutionHead(PYRAMID)
        self.densepose_predictor = SurfacePredictor(_HIDDEN, coarse, quality=quality)

    def forward(self, pyramid: Sequence[Float[Tensor, "B C _ _"]], boxes: Float[Tensor, "N 5"]) -> dict[str, Tensor]:
        """Return the maps of boxes.

        Args:
            pyramid: maps of strides 4, 8, 16 and 32 of B photos.
            boxes: as `cut_regions` takes them.
        """
        regions = cut_regions(self.decoder(pyramid), boxes)
        return self.densepose_predictor(self.densepose_head(regions))


def cut_regions(features: Float[Tensor, "B C h w"], boxes: Float[Tensor, "N 5"]) -> Float[Tensor, "N C 28 28"]:
    """Return the features in REGION × REGION cells of boxes, each the mean of 2 × 2 bilinear samples.

    He et al., Mask R-CNN, ICCV 2017, section 3 (RoIAlign), with the positions of Detectron2's "ROIAlign", which the
    region head was trained with: cell i's value stands at i. Boxes are at least a cell wide; up to a cell
    beyond the photo the features go on as at its border, further out they are 0. The samples of a box are a grid along
    the axes, so that rows and columns are interpolated one after the other.

    Args:
        features: of B photos, with `STRIDE` photo pixels a cell.
        boxes: the photo's number, 0 to B - 1, and x0, y0, x1, y1 in its pixels.
    """
    rows, columns = (
        _region_weights(boxes[:, 1 + axis :: 2] / STRIDE, int(features.shape[3 - axis])) for axis in (1, 0)
    )
    of_box = features[boxes[:, 0].long()]
    return rows[:, None] @ of_box @ columns[:, None].transpose(2, 3)


def _region_weights(ends: Float[Tensor, "N 2"], cells: int) -> Float[Tensor, "N R cells"]:
    """Return the weight of each cell of the features along an axis in each cell of a region."""
    samples = 2 * REGION
    length = (ends[:, 1:] - ends[:, :1]).clamp(min=1)
    position = ends[:, :1] + (torch.arange(samples, device=ends.device) + 0.5) / samples * length
    distance = position.clamp(0, cells - 1)[..., None] - torch.arange(cells, device=ends.device)
    weights = (1 - distance.abs()).clamp(min=0)
    is_near = (position >= -1) & (position <= cells)
    return (weights * is_near[..., None]).unflatten(1, (REGION, 2)).mean(dim=2)


class DensePoseRCNN(nn.Module):
    """A ResNet with a feature pyramid, and surfaces of the boxes that a detector or labels give.

    The paper's DensePose-RCNN finds the boxes by a Faster R-CNN on the same pyramid; here they come from any detector.
    imagenet: with ImageNet weights of the ResNet, which torchvision downloads. Raises OSError.
    """

    def __init__(
        self,
        backbone: str = "resnet50",
        head: SurfaceHead = "convolutions",
        *,
        quality: bool = False,
        imagenet: bool = False,
    ) -> None:
        super().__init__()
        from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

        weights = "DEFAULT" if imagenet else None
        self.backbone = resnet_fpn_backbone(backbone_name=backbone, weights=weights, trainable_layers=5)
        self.regions = DensePoseRegions(self.backbone.out_channels, head, quality=quality)

    def cells(self, height: int, width: int) -> tuple[int, int]:  # noqa: ARG002  # the same for any photo
        """Return the width and height of the maps of a box."""
        return 4 * REGION, 4 * REGION

    def forward(self, image: Float[Tensor, "B 3 H W"], boxes: Float[Tensor, "N 5"]) -> Outputs:
        """Return the maps of boxes (`cut_regions`) in `extra`; sides of photos are multiples of 32."""
        pyramid = self.backbone(image)
        return Outputs(heatmaps=[], extra=self.regions([pyramid[str(level)] for level in range(4)], boxes))


class SurfaceNetwork(nn.Module):
    """Maps a person's crop (B, 3, H, W), normalised, to surface maps (B, …, H/2, W/2) over the crop.

    The fully convolutional system: a network of the zoo up to its features of stride 4, convolutions of `hidden`
    channels, and `SurfacePredictor` without enlargement. With `regions` it maps photos (B, 3, H, W) and boxes (N, 5) in
    them to surface maps (N, …, 56, 56) over the boxes.
    """

    def __init__(
        self,
        network: PoseNetwork,
        hidden: int = 256,
        layers: int = 2,
        coarse: int = 2,
        *,
        quality: bool = False,
        regions: bool = False,
    ) -> None:
        super().__init__()
        self.has_regions = regions
        self.backbone = network.backbone
        self.neck = network.neck
        self.head = ConvolutionHead(network.feature_channels, hidden, layers)
        self.predictor = SurfacePredictor(hidden, coarse, scale=1, quality=quality)
        # coordinates begin near the middle of each part, logits of parts near 0
        for layer in (self.predictor.u_lowres, self.predictor.v_lowres):
            nn.init.normal_(layer.weight, std=1 / math.sqrt(hidden) / 16)
            nn.init.constant_(layer.bias, 0.5)  # type: ignore[arg-type]

    def cells(self, height: int, width: int) -> tuple[int, int]:
        """Return the width and height of the maps of a person, for an input of height × width."""
        return (2 * REGION, 2 * REGION) if self.has_regions else (width // 2, height // 2)

    def forward(self, image: Float[Tensor, "B 3 H W"], boxes: Float[Tensor, "N 5"] | None = None) -> Outputs:
        """Return the maps in `extra`, by the names of `codecs.surface.SurfaceMaps`; boxes: see `cut_regions`."""
        features = self.neck(self.backbone(image))
        if boxes is not None:
            features = cut_regions(features, boxes)
        return Outputs(heatmaps=[], features=features, extra=self.predictor(self.head(features)))

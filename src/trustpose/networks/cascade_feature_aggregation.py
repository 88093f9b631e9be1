"""Cascade feature aggregation: a cascade of ResNet hourglasses that reads features of the stages before.

Su, Ye, Zhang, Dai and Sheng, Cascade Feature Aggregation for Human Pose Estimation, 2019. Every stage is an hourglass
whose way down is a ResNet. A further stage reads the sum of three maps, each through a convolution: the first stage's
low-level features, the features that the stage before predicted from, and its heatmaps. Every stage is supervised; in
prediction the heatmaps of all stages are averaged.

The text at hand does not print the layers: a feature pyramid as the way up (1×1 convolutions of each ResNet level,
nearest enlargement, one 3×3 convolution), the stem's output as low-level features, and 1×1 convolutions with batch norm
where maps are aggregated are ours.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.networks.backbones import timm
from trustpose.networks.hourglass import check_stacks
from trustpose.networks.layers import GRIDS, ConvBN, check_keypoints, heatmap_head

FILTERS = 256


def cascade_feature_aggregation(
    backbone: str = "resnet50",
    stages: int = 3,
    keypoints: int = 17,
    *,
    filters: int = FILTERS,
    pretrained: bool = False,
    **backbone_options: object,
) -> "CascadeFeatureAggregation":
    """Build a cascade of `stages` hourglasses on any of timm's ResNets, each with its own.

    filters: channels of the way up. `pretrained`, `backbone_options`: as in `simple_baseline`. Raises ValueError for
    another backbone, or less than one stage.
    """
    check_stacks(stages)
    check_keypoints(keypoints)
    try:
        bodies = [timm.create_model(backbone, pretrained, num_classes=0, **backbone_options) for _ in range(stages)]
    except RuntimeError as error:  # timm's error for an unknown name
        raise ValueError(f"backbone: expected the name of a timm network, got {backbone!r} ({error})") from None
    if not all(hasattr(bodies[0], name) for name in ("conv1", "maxpool", "layer4")):
        raise ValueError(f"backbone: expected a ResNet, got {backbone!r}")
    return CascadeFeatureAggregation(bodies, keypoints, filters)


class CascadeFeatureAggregation(nn.Module):
    """Maps crops (B, 3, H, W) to one stage of heatmaps (B, K, H/4, W/4) per stage; in evaluation also their mean."""

    def __init__(self, bodies: list[nn.Module], keypoints: int, filters: int):
        super().__init__()
        first = bodies[0]
        self.stem = nn.Sequential(*(first.get_submodule(name) for name in ("conv1", "bn1", "act1", "maxpool")))
        with torch.no_grad():
            width = self.stem.eval()(torch.zeros(1, 3, 32, 32)).shape[1]
        self.stem.train()
        self.stages = nn.ModuleList(ResNetHourglass(body, filters, keypoints) for body in bodies)
        self.aggregations = nn.ModuleList(Aggregation(width, filters, keypoints) for _ in bodies[1:])
        self.keypoints, self.feature_channels = keypoints, filters

    @property
    def encoded(self) -> nn.Module:
        """The module whose input is the last ResNet's last map."""
        return self.stages[-1].get_submodule("laterals.3")

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return one (B, K, H/4, W/4) per stage, in evaluation also their mean, and the last stage's features."""
        low = self.stem(image)
        x, features, heatmaps = low, low, []
        for number, stage in enumerate(self.stages):
            if number:
                x = self.aggregations[number - 1](low, features, heatmaps[-1])
            predicted, features = stage(x)
            heatmaps.append(predicted)
        if not self.training and len(heatmaps) > 1:
            heatmaps.append(torch.stack(heatmaps).mean(dim=0))
        return Outputs(heatmaps=heatmaps, features=features, grids=GRIDS)


class Aggregation(nn.Module):
    """The next stage's input, from low-level features, the features of the stage before and its heatmaps."""

    def __init__(self, width: int, filters: int, keypoints: int):
        super().__init__()
        self.low = ConvBN(width, width, kernel=1, relu=False)
        self.high = ConvBN(filters, width, kernel=1, relu=False)
        self.predicted = ConvBN(keypoints, width, kernel=1, relu=False)

    def forward(
        self, low: Float[Tensor, "B W h w"], high: Float[Tensor, "B C h w"], heatmaps: Float[Tensor, "B K h w"]
    ) -> Float[Tensor, "B W h w"]:
        return F.relu(self.low(low) + self.high(high) + self.predicted(heatmaps))


class ResNetHourglass(nn.Module):
    """A ResNet's four layers down, and a pyramid up again to heatmaps at the resolution of the input."""

    def __init__(self, body: nn.Module, filters: int, keypoints: int):
        super().__init__()
        self.layers = nn.ModuleList(body.get_submodule(f"layer{number}") for number in range(1, 5))
        layers: Any = body.feature_info
        widths = [layer["num_chs"] for layer in layers[1:]]
        self.laterals = nn.ModuleList(ConvBN(width, filters, kernel=1) for width in widths)
        self.smooth = ConvBN(filters, filters, kernel=3)
        self.head = heatmap_head(filters, keypoints)

    def forward(self, x: Float[Tensor, "B W h w"]) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B C h w"]]:
        """Return heatmaps, and the input of their layer."""
        maps = []
        for layer in self.layers:
            x = layer(x)
            maps.append(x)
        above = self.laterals[3](maps[3])
        for lateral, level in zip(list(self.laterals)[2::-1], maps[2::-1], strict=True):
            above = lateral(level) + F.interpolate(above, size=level.shape[-2:], mode="nearest")
        features = self.smooth(above)
        return self.head(features), features

"""PifPaf's network as its authors publish it today: a backbone at stride 16, and two composite fields at stride 8.

Kreiss, Bertoni, Alahi, PifPaf: Composite Fields for Human Pose Estimation, CVPR 2019; OpenPifPaf 0.12 and later. That
program is under the AGPL: it was run and not read. Names and shapes of its tensors, and outputs for random weights,
show a 1×1 convolution for each field, whose maps are rearranged from channels to twice the resolution, five for each
keypoint: one without use, the confidence's logit, the vector (x, y) in cells, and the size before a softplus; eight
for each limb: one without use, the logit, the vectors to both ends, both ends' sizes. The paper's spreads are no longer
there; the sizes stand in their place here, as maps of `codecs.composite_fields` (https://trustpose.github.io/trustpose/networks.html).
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.geometry.crops import Grid
from trustpose.networks.backbones import ImageNetBackbone
from trustpose.networks.layers import check_keypoints
from trustpose.networks.shuffle_net import VARIANTS, ShuffleNetV2K

STRIDE = 8  # input pixels a cell of the fields
LIMBS = (
    *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10)),
    *((1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
)
"""COCO's limbs, pairs of keypoints, in the order of the published fields."""
_JOINT_MAPS, _LIMB_MAPS = 5, 8
_UPSAMPLING = 2
_EPSILON = 1e-3  # of batch norm
_LEAST = 1e-9  # cells: the least size, whose logarithm is finite


class PifPaf(nn.Module):
    """Maps photos (B, 3, H, W), sides multiples of 16, to the fields of K keypoints and L limbs at stride 8.

    backbone: a variant of `shuffle_net.VARIANTS`, or "resnet50", whose pooling is left out so that its stride is 16.
    """

    def __init__(self, backbone: str, keypoints: int = 17, limbs: int = len(LIMBS)) -> None:
        super().__init__()
        check_keypoints(keypoints)
        if backbone in VARIANTS:
            self.backbone: nn.Module = ShuffleNetV2K(backbone)
            channels = self.backbone.channels
        else:
            self.backbone = ImageNetBackbone(backbone)
            self.backbone.features["maxpool"] = nn.Identity()
            channels = self.backbone.channels
        self.intensity = nn.Conv2d(channels, keypoints * _JOINT_MAPS * _UPSAMPLING**2, 1)
        self.association = nn.Conv2d(channels, limbs * _LIMB_MAPS * _UPSAMPLING**2, 1)
        for layer in self.backbone.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = _EPSILON
        self.keypoints, self.limbs, self.feature_channels = keypoints, limbs, channels

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return "intensity" (B, 5 K, H/8, W/8) and "association" (B, 7 L, H/8, W/8), with logits of confidences and
        logarithms of sizes, as `bottom_up.map_values` reads them; as heatmaps the confidences; features (B, C, H/16,
        W/16)."""
        features = self.backbone(image)
        joints, limbs = (
            F.pixel_shuffle(layer(features), _UPSAMPLING).unflatten(1, (-1, maps))
            for layer, maps in ((self.intensity, _JOINT_MAPS), (self.association, _LIMB_MAPS))
        )
        size = _logarithm_of_size(joints[:, :, 4:])
        intensity = torch.cat([joints[:, :, 1:4], size, size], dim=2)
        sizes = _logarithm_of_size(limbs[:, :, 6:])
        association = torch.cat([limbs[:, :, 1:4], sizes[:, :, :1], limbs[:, :, 4:6], sizes[:, :, 1:]], dim=2)
        maps = {"intensity": intensity.flatten(1, 2), "association": association.flatten(1, 2)}
        grid = Grid((float(STRIDE), float(STRIDE)), 0.0)
        return Outputs([joints[:, :, 1].sigmoid()], features, extra=maps, grids=dict.fromkeys(maps, grid))


def _logarithm_of_size(x: Float[Tensor, "B N S h w"]) -> Float[Tensor, "B N S h w"]:
    return F.softplus(x).clamp(min=_LEAST).log()

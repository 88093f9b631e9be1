"""EfficientNet-B0…B7 with SimpleBaseline's deconvolutions, as in the visibility metamodel's paper.

Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019. The backbones are
timm's `tf_efficientnet_*`: the same layers, "SAME" padding and batch norm constants as the paper's own code, with
public weights for all eight. They end after block 7, before the wide 1×1 convolution of the classifier; or, to match
the 55.6 and 95.5 M parameters printed in the metamodel's paper, after that and one more 1×1 convolution to ResNet-50's
2048 channels, which SimpleBaseline's deconvolutions expect.
"""

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from trustpose.networks.backbones import timm
from trustpose.networks.layers import PoseNetwork, heatmap_head
from trustpose.networks.simple_baseline import FILTERS, deconvolutions, simple_baseline

Size = Literal[0, 1, 2, 3, 4, 5, 6, 7]

WIDE = 2048  # channels of ResNet-50's last map


def efficientnet(size: Size = 0, keypoints: int = 17, *, wide: bool = False, pretrained: bool = False) -> PoseNetwork:
    """Build EfficientNet-B`size` with three transposed convolutions to stride 4. `pretrained` loads ImageNet weights.

    wide: with the classifier's 1×1 convolution and another one to 2048 channels.
    """
    name = f"tf_efficientnet_b{size}"
    if wide:
        return PoseNetwork(WideBackbone(name, pretrained), deconvolutions(WIDE, 3), heatmap_head(FILTERS, keypoints))
    return simple_baseline(name, keypoints, pretrained=pretrained)


class WideBackbone(nn.Module):
    """Maps images (B, 3, H, W) to (B, 2048, H/32, W/32): all convolutions of an EfficientNet, then a 1×1 one."""

    def __init__(self, name: str, pretrained: bool):
        super().__init__()
        self.features = timm.create_model(name, pretrained, num_classes=0, global_pool="")
        self.widen = nn.Conv2d(self.features.num_features, WIDE, kernel_size=1, bias=False)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2048 h w"]:
        return self.widen(self.features(image))

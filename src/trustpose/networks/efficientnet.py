"""EfficientNet-B0…B7 with SimpleBaseline's deconvolutions, the networks of the visibility metamodel.

Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, ICML 2019. The backbones are
timm's `tf_efficientnet_*`: same layers, "SAME" padding and batch norm constants as the paper's own code, and the ones
with public weights for all eight. They end after block 7, before the wide 1×1 convolution of the classifier.
"""

from typing import Literal

from trustpose.networks.layers import PoseNetwork
from trustpose.networks.simple_baseline import simple_baseline

Size = Literal[0, 1, 2, 3, 4, 5, 6, 7]


def efficientnet(size: Size = 0, keypoints: int = 17, *, pretrained: bool = False) -> PoseNetwork:
    """EfficientNet-B`size`, then three transposed convolutions to stride 4. `pretrained` fetches ImageNet weights."""
    return simple_baseline(f"tf_efficientnet_b{size}", keypoints, pretrained=pretrained)

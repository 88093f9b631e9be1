"""FastPose, AlphaPose's network: a ResNet with squeeze-and-excitation, upsampled by pixel shuffle.

Fang et al., AlphaPose: Whole-Body Regional Multi-Person Pose Estimation and Tracking in Real-Time, TPAMI 2022, section
3.2: a ResNet, then dense upsampling convolutions (a 3×3 convolution and a pixel shuffle, which moves channels into
space), then a convolution to heatmaps. As in its published network, squeeze-and-excitation (Hu et al., CVPR 2018, here
without reduction) is in the first block of each of the four stages.
"""

from jaxtyping import Float
from torch import Tensor, nn

from trustpose.networks.backbones import Bottleneck, ImageNetBackbone
from trustpose.networks.layers import ConvBN, PoseNetwork, check_keypoints

CHANNELS = 128  # of the features at stride 4


def fastpose(backbone: str = "resnet50", keypoints: int = 17, *, pretrained: bool = False) -> PoseNetwork:
    """Build FastPose on one of timm's ResNets with bottleneck blocks, 50 layers or more.

    `pretrained` loads timm's ImageNet weights, without those of squeeze-and-excitation. Raises ValueError for another
    backbone.
    """
    check_keypoints(keypoints)
    body = ImageNetBackbone(backbone, pretrained)
    stages = [getattr(body.features, f"layer{number}", None) for number in range(1, 5)]
    if not all(isinstance(stage, nn.Sequential) and isinstance(stage[0], Bottleneck) for stage in stages):
        raise ValueError(f"backbone: expected a ResNet with bottleneck blocks, got {backbone!r}")
    for stage in stages:
        assert isinstance(stage, nn.Sequential)
        last = stage[0].get_submodule("bn3")
        assert isinstance(last, nn.BatchNorm2d)
        stage[0].se = SqueezeExcitation(last.num_features)  # timm calls it after bn3
    shuffled = body.channels // 4
    neck = nn.Sequential(
        nn.PixelShuffle(2), dense_upsampling(shuffled, shuffled * 2), dense_upsampling(shuffled // 2, shuffled)
    )
    head = nn.Conv2d(CHANNELS, keypoints, kernel_size=3, padding=1)
    return PoseNetwork(body, neck, head)


class SqueezeExcitation(nn.Module):
    """Multiplies channels by factors 0–1 that two fully connected layers make of their means. Hu et al. 2018."""

    def __init__(self, channels: int):
        super().__init__()
        self.factors = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, kernel_size=1),
            nn.Sigmoid(),
        )

    def forward(self, x: Float[Tensor, "B C h w"]) -> Float[Tensor, "B C h w"]:
        return x * self.factors(x)


def dense_upsampling(inputs: int, channels: int) -> nn.Sequential:
    """Return a dense upsampling convolution: (B, I, h, w) to (B, channels / 4, 2h, 2w)."""
    return nn.Sequential(ConvBN(inputs, channels, kernel=3), nn.PixelShuffle(2))

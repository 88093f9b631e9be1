"""Shared building blocks: convolution + batch norm, and the chain backbone → neck → head."""

from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.geometry.crops import Grid

STRIDE = 4  # crop pixels per map pixel, in every network here
GRIDS: dict[str, Grid] = dict.fromkeys(("heatmaps", "features"), Grid((float(STRIDE), float(STRIDE))))


class ConvBN(nn.Module):
    """Convolution that preserves the size (up to its stride), batch norm, and ReLU if `relu`."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True, bias: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)
        self.bn = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True) if relu else nn.Identity()

    def forward(self, x: Float[Tensor, "B I H W"]) -> Float[Tensor, "B O h w"]:
        return self.relu(self.bn(self.conv(x)))


class MapNetwork(nn.Module):
    """A network of heatmaps whose features further maps can be read from.

    keypoints: K heatmaps; feature_channels: of `Outputs.features`, at stride 4. supervised_stages: how many stages of
    maps it gives; if several, `Outputs.extra` has the features of each (`stage_features`). own_kinds: kinds of maps of
    whole photos (`bottom_up.Kind`) that it gives itself, in `Outputs.extra` and there of each stage (`stage_tags`).
    """

    keypoints: int
    feature_channels: int
    supervised_stages: int = 1
    own_kinds: tuple[str, ...] = ()


class PoseNetwork(MapNetwork):
    """A network with a single stage: `backbone` (image → one feature map), `neck` (→ stride 4), `head` (→ K
    heatmaps)."""

    def __init__(self, backbone: nn.Module, neck: nn.Module, head: nn.Conv2d):
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        self.keypoints = head.out_channels
        self.feature_channels = head.in_channels

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Map crops (B, 3, H, W), normalised, to one stage of heatmaps (B, K, H/4, W/4) and features (B, C, H/4,
        W/4)."""
        features = self.neck(self.backbone(image))
        return Outputs(heatmaps=[self.head(features)], features=features, grids=GRIDS)


def heatmap_head(channels: int, keypoints: int) -> nn.Conv2d:
    """Return the 1×1 convolution from features to heatmaps, initialised near zero, as most heatmap pixels are.

    Raises ValueError for less than one keypoint.
    """
    check_keypoints(keypoints)
    head = nn.Conv2d(channels, keypoints, kernel_size=1)
    nn.init.normal_(head.weight, std=0.001)
    assert head.bias is not None
    nn.init.zeros_(head.bias)
    return head


def check_keypoints(keypoints: int) -> None:
    """Raise ValueError for less than one keypoint."""
    if keypoints < 1:
        raise ValueError(f"keypoints: expected 1 or more, got {keypoints}")

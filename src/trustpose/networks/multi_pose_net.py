"""MultiPoseNet: the keypoint subnet on a ResNet, and the pose residual network, which shares keypoints out to boxes.

Kocabas, Karagoz, Akbas, MultiPoseNet: Fast Multi-Person Pose Estimation using Pose Residual Network, ECCV 2018. The
keypoint subnet (section 3.1) is a feature pyramid whose levels are joined at stride 4. People's boxes come from a
branch on its features (`bottom_up`, kind "boxed"); the paper has RetinaNet's anchors on a second pyramid. The pose
residual network (section 3.3) has the layers and sizes of the authors' code
(salihkaragoz/pose-residual-network-pytorch).
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.files import atomic_write, read_json, write_json
from trustpose.grouping.box_grids import BoxGrid
from trustpose.json_records import Count, read_record
from trustpose.networks.backbones import timm
from trustpose.networks.checkpoint_files import read_own_tensors
from trustpose.networks.layers import GRIDS, MapNetwork, check_keypoints

WIDTH = 256  # channels of the pyramid
_LEVELS = (1, 2, 3, 4)  # timm's numbers of the ResNet's maps of strides 4 to 32
RESIDUAL_JSON, RESIDUAL_WEIGHTS = "residual.json", "residual.safetensors"
_AT_ONCE = 64  # boxes


class KeypointSubnet(MapNetwork):
    """MultiPoseNet's backbone and keypoint subnet: a pyramid of four levels, joined at stride 4.

    Each level, too, gives heatmaps, for training alone.
    """

    feature_channels = WIDTH
    supervised_stages = len(_LEVELS) + 1

    def __init__(self, backbone: str = "resnet50", keypoints: int = 17, *, pretrained: bool = False) -> None:
        """Build it on one of timm's ResNets. Raises ValueError for less than one keypoint."""
        super().__init__()
        check_keypoints(keypoints)
        self.keypoints = keypoints
        self.backbone = timm.create_model(backbone, pretrained, features_only=True, out_indices=_LEVELS)
        channels = self.backbone.feature_info.channels()
        self.lateral = nn.ModuleList(nn.Conv2d(count, WIDTH, 1) for count in channels)
        self.smooth = nn.ModuleList(_convolution(WIDTH, WIDTH) for _ in channels[:-1])
        half = WIDTH // 2
        self.levels = nn.ModuleList(
            nn.Sequential(_convolution(WIDTH, half), _convolution(half, half)) for _ in channels
        )
        self.joined = _convolution(half * len(channels), WIDTH)
        self.level_heads = nn.ModuleList(nn.Conv2d(WIDTH, keypoints, 1) for _ in channels)
        self.head = nn.Conv2d(WIDTH, keypoints, 1)
        for layer in (*self.lateral, *self.smooth, *self.levels.modules(), self.joined, *self.level_heads, self.head):
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return heatmaps (B, K, H/4, W/4) of the four levels, fine to coarse, then of all; the joined features; and in
        `extra` those of each stage, "stage_features"."""
        pyramid = self._pyramid(self.backbone(image))
        size = pyramid[0].shape[-2:]
        stages = [_enlarged(head(level), size) for head, level in zip(self.level_heads, pyramid, strict=True)]
        parts = [_enlarged(layers(level), size) for layers, level in zip(self.levels, pyramid, strict=True)]
        features = self.joined(torch.cat(parts[::-1], dim=1)).relu()
        stage_features = [*(_enlarged(level, size) for level in pyramid), features]
        heatmaps = [*stages, self.head(features)]
        return Outputs(heatmaps, features, extra={"stage_features": stage_features}, grids=GRIDS)

    def _pyramid(self, levels: list[Tensor]) -> list[Tensor]:
        """Return the pyramid's maps, fine to coarse: each the sum of its level and the enlarged coarser one."""
        merged: list[Tensor] = []
        for lateral, level in zip(list(self.lateral)[::-1], levels[::-1], strict=True):
            finer = lateral(level)
            merged.insert(0, finer + _enlarged(merged[0], finer.shape[-2:]) if merged else finer)
        return [*(layer(level) for layer, level in zip(self.smooth, merged[:-1], strict=True)), merged[-1]]


def _convolution(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _enlarged(maps: Float[Tensor, "B C h w"], size: torch.Size) -> Float[Tensor, "B C H W"]:
    return F.interpolate(maps, size=size, mode="nearest")


class PoseResidualNetwork(nn.Module):
    """Maps the keypoints near a box (B, h, w, K) (`grouping.box_grids`) to those of the box's person, as probabilities.

    A perceptron with two hidden layers on all cells at once gives what is added to the input, and a softmax over all
    cells and joints of a box follows.
    """

    def __init__(self, grid: BoxGrid, hidden: int = 1024, dropout: float = 0.5) -> None:
        super().__init__()
        cells = grid.height * grid.width * grid.keypoints
        self.grid = grid
        self.first = nn.Linear(cells, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, cells)
        self.drop = nn.Dropout(dropout)

    def logits(self, maps: Float[Tensor, "B h w K"]) -> Float[Tensor, "B n"]:
        """Return the network's answer before the softmax, flattened."""
        flat = maps.flatten(1)
        hidden = self.drop(self.first(flat).relu())
        hidden = self.drop(self.middle(hidden).relu())
        return self.last(hidden).relu() + flat

    def forward(self, maps: Float[Tensor, "B h w K"]) -> Float[Tensor, "B h w K"]:
        """Return the probability of each cell and joint, which sum to 1 for each box."""
        return self.logits(maps).softmax(dim=1).view_as(maps)


@dataclass(frozen=True)
class _ResidualFile:
    """What residual.json holds."""

    grid: BoxGrid
    hidden: Count


def write_residual(folder: Path, network: PoseResidualNetwork) -> None:
    """Write residual.safetensors and residual.json into a folder. Raises InputError if it cannot be written."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()})
    with atomic_write(folder / RESIDUAL_WEIGHTS) as file:
        file.write(content)
    write_json(folder / RESIDUAL_JSON, {"grid": asdict(network.grid), "hidden": network.first.out_features})


def read_residual(folder: Path) -> PoseResidualNetwork:
    """Return the network of a folder that `write_residual` wrote, in evaluation mode. Raises InputError."""
    path = folder / RESIDUAL_JSON
    file = read_record(_ResidualFile, read_json(path), path)
    network = PoseResidualNetwork(file.grid, file.hidden)
    network.load_state_dict(read_own_tensors(folder / RESIDUAL_WEIGHTS, network, "the pose residual network"))
    return network.eval()


def residual_function(network: PoseResidualNetwork) -> Callable[[np.ndarray], np.ndarray]:
    """Return the network as a function of arrays, as `grouping.box_assignment` calls it, in evaluation mode."""

    def probabilities(maps: Float[np.ndarray, "B h w K"]) -> Float[np.ndarray, "B h w K"]:
        network.eval()
        device = network.first.weight.device
        with torch.inference_mode():
            parts = torch.from_numpy(maps).split(_AT_ONCE)
            return torch.cat([network(part.to(device)).float().cpu() for part in parts]).numpy()

    return probabilities

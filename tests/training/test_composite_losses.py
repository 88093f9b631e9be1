"""Composite fields are learnt from features as small as a backbone gives."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from trustpose.codecs import Outputs
from trustpose.codecs.composite_fields import CompositeCodec
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.geometry.crops import Grid
from trustpose.networks.bottom_up import BottomUpNetwork
from trustpose.networks.layers import GRIDS, MapNetwork
from trustpose.training.composite_fields import composite_counts, composite_losses

CELLS, LIMBS = 16, ((0, 1),)


class SmallFeatures(MapNetwork):
    """Twelve mixtures of the two heatmaps that the image shows, about 0.05 high, as PP-TinyPose's features are."""

    keypoints, feature_channels = 2, 12

    def __init__(self) -> None:
        super().__init__()
        self.mixture = nn.Conv2d(2, 12, 1).requires_grad_(False)

    def forward(self, image):
        heatmaps = functional.avg_pool2d(image[:, :2], 4)
        return Outputs([heatmaps], 0.3 * self.mixture(heatmaps), grids=GRIDS)


def test_vectors_leave_zero_within_150_steps():
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    xy = random.uniform(12, 52, (16, 1, 2, 2))  # photo, person, joint
    labelled, size = np.ones((1, 2), bool), np.full((1, 2), 4.0)
    codec, peaks = CompositeCodec(LIMBS, Grid((4.0, 4.0))), HeatmapCodec(CELLS, CELLS, 4.0, 2.0)
    fields = [codec.encode(photo, labelled, size, CELLS, CELLS) for photo in xy]
    intensity, association = (np.stack(maps) for maps in zip(*fields, strict=True))
    batch = {"intensity": torch.from_numpy(intensity), "association": torch.from_numpy(association)}
    batch["counted"] = torch.ones(16, CELLS, CELLS, dtype=torch.bool)
    heatmaps = torch.from_numpy(peaks.encode(xy[:, 0], np.ones((16, 2), bool))).repeat_interleave(4, 2)
    image = functional.pad(heatmaps.repeat_interleave(4, 3), (0, 0, 0, 0, 0, 1))
    network = BottomUpNetwork(SmallFeatures(), ("composite-fields",), len(LIMBS))
    optimiser = torch.optim.AdamW((p for p in network.parameters() if p.requires_grad), lr=5e-4)
    for _ in range(150):
        (maps,) = network.stage_maps(image)
        optimiser.zero_grad()
        sum(composite_losses(maps, batch, composite_counts(batch)).values()).backward()
        optimiser.step()
    with torch.no_grad():
        predicted = network.stage_maps(image)[0]["intensity"].unflatten(1, (2, 5))
    is_near = batch["intensity"][:, :, 0] > 0
    distance = (predicted[:, :, 1:3] - batch["intensity"][:, :, 1:3]).norm(dim=2)[is_near].mean()
    from_zero = batch["intensity"][:, :, 1:3].norm(dim=2)[is_near].mean()
    assert distance < 0.8 * from_zero

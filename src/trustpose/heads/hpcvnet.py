"""HPCVNet: predict each keypoint's OPKS, and whether it is labelled.

Jiang et al., 2D Human Pose Estimation Calibration and Keypoint Visibility Classification (poster). Layer sizes and the
points marked † are facts taken from the authors' public fork of mmpose (zhyjiang/mmpose, Apache-2.0).

"The majority of the ground truth OPKS scores are around 0 or 1", so a second head predicts whether a keypoint is
labelled, and the first learns OPKS on labelled keypoints only. Targets come from decoded, detached predictions
(`targets.py`); the fork uses the box's area†, COCO evaluation the segment's.
"""

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.heads.heads import Squash, Tensors, Trust, TrustHead, apply_squash, mean_where
from trustpose.heads.targets import TrustTargets
from trustpose.networks.hourglass import StackedHourglass
from trustpose.networks.layers import ConvBN, PoseNetwork

CHANNELS = (64, 48, 48, 32)  # a 1×1 convolution, then 3×3 ones of stride 2
HIDDEN = 1024
SHRINK = 8


@dataclass(frozen=True, eq=False)
class KeypointOutputs:
    """opks (B, K): expected OPKS of a keypoint if it is labelled. labelled_logits (B, K): logits of P(labelled).

    Without labelled_logits, opks is the OPKS of any keypoint, 0 where it is not labelled.
    """

    opks: Float[Tensor, "B K"]
    labelled_logits: Float[Tensor, "B K"] | None = None


class HPCVNet(TrustHead):
    """Maps features (B, C, h, w) and heatmaps (B, K, h, w) to P(labelled) and OPKS of each keypoint.

    Fills `quality`, P(labelled) × OPKS; `labelled`; and `pose_quality`, Σ P(labelled) × OPKS / Σ P(labelled), the mean
    over the keypoints that count in OKS; the fork ranks poses by something else†: the mean score of the keypoints whose
    score is above 0.2, times the box's score, with the scores of the crop alone, not of its mirror image, in a flip
    test.

    gate: "hard" is the poster's, P(labelled) rounded to 0 or 1 in both products. branches: "score" is the poster's
    ablation, "hard … to converge": no P(labelled), and OPKS is learnt on all keypoints, 0 where they are not labelled;
    `quality` is OPKS, `pose_quality` its mean. squash: "clip" leaves OPKS linear† and clips only the result. relu:
    between the fully connected layers, which have none in the fork†. In the fork the score branch reads the input of
    the convolutions that `add_heatmap_layers` adds, not their output†; here it reads the network's `features`, which is
    the same.
    """

    needs_heatmaps = True

    def __init__(
        self,
        channels: int,
        height: int,
        width: int,
        keypoints: int = 17,
        *,
        gate: Literal["soft", "hard"] = "soft",
        branches: Literal["both", "score"] = "both",
        squash: Squash = "clip",
        relu: bool = False,
        detach: bool = True,
    ):
        super().__init__(channels, height, width, keypoints, detach)
        if gate not in ("soft", "hard"):
            raise ValueError(f"gate: expected soft or hard, got {gate!r}")
        if branches not in ("both", "score"):
            raise ValueError(f"branches: expected both or score, got {branches!r}")
        self.gate = gate
        self.squash: Squash = squash
        first, *rest = CHANNELS
        self.down = nn.Sequential(
            ConvBN(channels + keypoints, first, kernel=1),
            *(ConvBN(inputs, outputs, 3, stride=2) for inputs, outputs in zip(CHANNELS[:-1], rest, strict=True)),
        )
        cells = -(-height // SHRINK) * -(-width // SHRINK)
        activation = nn.ReLU if relu else nn.Identity
        self.shared = nn.Sequential(
            nn.Flatten(), nn.Linear(rest[-1] * cells, HIDDEN), activation(), nn.Linear(HIDDEN, HIDDEN), activation()
        )
        self.opks = nn.Linear(HIDDEN, keypoints)
        self.labelled = nn.Linear(HIDDEN, keypoints) if branches == "both" else None

    def logits(self, pooled: Tensors) -> KeypointOutputs:
        x = self.shared(self.down(torch.cat(pooled, dim=1)))  # (B, 1024)
        return KeypointOutputs(
            apply_squash(self.opks(x), self.squash), None if self.labelled is None else self.labelled(x)
        )

    def trust(self, raw: KeypointOutputs) -> Trust:
        if raw.labelled_logits is None:
            quality = raw.opks.clamp(0, 1)
            return Trust(quality=quality, pose_quality=quality.mean(1))
        labelled = raw.labelled_logits.sigmoid()
        gate = (labelled > 0.5).to(labelled.dtype) if self.gate == "hard" else labelled
        quality = gate * raw.opks.clamp(0, 1)
        # a pose without any labelled keypoint gets 0: the smallest normal number only avoids 0 / 0
        pose_quality = quality.sum(1) / gate.sum(1).clamp(min=torch.finfo(gate.dtype).tiny)
        return Trust(quality=quality, pose_quality=pose_quality, labelled=labelled)


class HeatmapLayers(nn.Sequential):
    """1×1 convolutions with batch norm and ReLU, then the network's own heatmap layer."""

    def __init__(self, layers: int, last: nn.Conv2d):
        self.in_channels, self.out_channels = last.in_channels, last.out_channels
        super().__init__(*(ConvBN(last.in_channels, last.in_channels, kernel=1) for _ in range(layers)), last)


def add_heatmap_layers(network: nn.Module, layers: int = 4) -> nn.Module:
    """Add `layers` 1×1 conv-BN-ReLU before the (last) heatmap layer of a network, in place; that layer is kept.

    Its `features` stay those before the new layers. Raises ValueError for a network without a plain last heatmap layer
    (MSPN's is a 3×3 convolution on every scale), or one that is already deepened.
    """
    if isinstance(network, PoseNetwork):
        holder: nn.Module = network
    elif isinstance(network, StackedHourglass):
        holder = network.stacks[-1]
    else:
        raise ValueError(f"network: expected a PoseNetwork or a StackedHourglass, got {type(network).__name__}")
    last = holder.get_submodule("head")
    if not isinstance(last, nn.Conv2d):
        raise ValueError("network: expected one whose heatmap layer is a single convolution; this one was deepened")
    holder.add_module("head", HeatmapLayers(layers, last))
    return network


def hpcvnet_loss(raw: KeypointOutputs, targets: TrustTargets) -> dict[str, Float[Tensor, ""]]:
    """Return mean |OPKS − target| over labelled keypoints, "opks", and binary cross-entropy over all, "labelled".

    Their sum is minimised. Without labelled_logits there is "opks" alone, over all keypoints. In the fork a labelled
    keypoint outside the crop counts as unlabelled in both, and the first is divided by all keypoints, labelled or not†:
    smaller by the labelled share.
    """
    is_labelled = targets.visibility > 0
    if raw.labelled_logits is None:
        return {"opks": (raw.opks - targets.opks).abs().mean()}
    return {
        "opks": mean_where((raw.opks - targets.opks).abs(), is_labelled),
        "labelled": F.binary_cross_entropy_with_logits(raw.labelled_logits, is_labelled.to(raw.labelled_logits.dtype)),
    }

"""Training crops of people whose keypoints have depths."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from trustpose.datasets.augment import TrainingCrop, TrainingCrops


class DeepCrop(NamedTuple):
    """A crop, and the depth (K,) of each keypoint behind the root joint, metres, at the size that the crop shows."""

    crop: TrainingCrop
    depth: Float[np.ndarray, " K"]


@dataclass(frozen=True, eq=False)
class DeepCrops:
    """Crops of people with the depths (N, K) of their keypoints behind the root joint, metres.

    A crop that shows a person larger than its square box, padded, has larger depths, too, in the proportion, and a
    mirrored one exchanges those of left and right joints: as in the code of Sun et al. (ECCV 2018).
    """

    crops: TrainingCrops
    depth: Float[np.ndarray, "N K"]

    def __len__(self) -> int:
        return len(self.crops)

    def at_epoch(self, epoch: int) -> "DeepCrops":
        """Return the same people with the draws of another epoch."""
        return replace(self, crops=self.crops.at_epoch(epoch))

    def __getitem__(self, index: int) -> DeepCrop:
        crop = self.crops[index]
        padding = self.crops.padding
        assert isinstance(padding, float)  # another crop than the box's proportions has no single scale
        growth = crop.box_share.max() * padding  # 1 for a crop that is not scaled
        is_mirrored = np.linalg.det(crop.affine[:, :2]) < 0
        order = self.crops.flip_index if is_mirrored else np.arange(len(crop.v))
        return DeepCrop(crop, self.depth[index][order] * growth)

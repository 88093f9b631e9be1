"""CrowdPose's targets: in a person's crop, the joints of other people are weaker peaks.

Li et al., CrowdPose, CVPR 2019, section 3.2: the network's heatmap of joint k is compared with T + μ C, where T has a
Gaussian at the person's own joint k, and C one at each joint k of other people. With μ = 0 they are background, with 1
as high as the person's own; the paper has μ = 0.5.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from trustpose.codecs.heatmaps import HeatmapCodec


class OtherJoints(NamedTuple):
    """Joints of P other people in a crop: xy (P, K, 2) crop pixels, labelled (P, K)."""

    xy: Float[np.ndarray, "P K 2"]
    labelled: Bool[np.ndarray, "P K"]


def joint_candidate_targets(
    codec: HeatmapCodec, target: Float[np.ndarray, "B K h w"], other_joints: Sequence[OtherJoints], share: float
) -> Float[np.ndarray, "B K h w"]:
    """Return T + μ C of B crops: `target` T as encoded, `other_joints` of each crop, `share` μ from 0 to 1.

    Where Gaussians of several other people overlap, C is the highest.
    """
    mixed = target.copy()
    for row, people in enumerate(other_joints):
        if share and people.labelled.any():
            mixed[row] += np.float32(share) * codec.encode(people.xy, people.labelled).max(axis=0)
    return mixed

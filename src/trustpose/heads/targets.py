"""Targets of heads: OKS, OPKS and visibility of the network's current predictions.

OKS is computed by geometry's kernel between decoded keypoints and the truth, both in one pixel frame (the crop's or the
photo's), with an area in square pixels of that frame. The caller chooses the area convention (`Truth.area_by`): COCO
evaluation uses "segment", HPCVNet was trained on "box".
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trustpose.geometry.oks import oks, opks


@dataclass(frozen=True, eq=False)
class TrustTargets:
    """Targets for B decoded poses, without gradients.

    opks (B, K), 0–1, 0 where unlabelled; oks (B,), 0–1, NaN for a person without labelled keypoints;
    visibility (B, K), COCO's v = 0 unlabelled, 1 occluded, 2 visible.
    """

    opks: Float[Tensor, "B K"]
    oks: Float[Tensor, " B"]
    visibility: Int[Tensor, "B K"]


@torch.no_grad()
def trust_targets(
    xy: Float[Tensor, "B K 2"],
    truth_xy: Float[Tensor, "B K 2"],
    v: Int[Tensor, "B K"],
    area: Float[Tensor, " B"],
    sigmas: Float[Tensor, " K"],
) -> TrustTargets:
    """Compute targets for decoded keypoints xy, in pixels, of labelled people; area in square pixels of the same
    frame."""
    return TrustTargets(
        opks=opks(xy, truth_xy, v, area, sigmas), oks=oks(xy, truth_xy, v, area, sigmas), visibility=v.long()
    )

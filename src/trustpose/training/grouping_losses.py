"""Losses of bottom-up networks: heatmaps and part affinity fields stage by stage, and tags."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trustpose.training.bottom_up_options import TagFormula


def stage_loss(
    stages: Sequence[Float[Tensor, "B C h w"]],
    target: Float[Tensor, "B C h w"],
    counted: Bool[Tensor, "B h w"] | None = None,
) -> Float[Tensor, " B"]:
    """Return for each photo the sum over stages, maps and cells of the squared distance to the target.

    counted: cells of people who are labelled, or of nobody; others teach nothing. Source: Cao et al., Realtime
    Multi-Person 2D Pose Estimation using Part Affinity Fields, CVPR 2017, equations 3 to 5; one call for the heatmaps,
    one for the fields.
    """
    total = target.new_zeros(len(target))
    for stage in stages:
        squares = ((stage - target) ** 2).sum(dim=1)
        total = total + (squares if counted is None else squares * counted).sum(dim=(1, 2))
    return total


def tag_losses(
    tags: Float[Tensor, "B K h w"],
    cell: Int[Tensor, "B P K"],
    labelled: Bool[Tensor, "B P K"],
    formula: TagFormula = "higherhrnet",
) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """Return for each photo what pulls a person's tags together, and what pushes those of different people apart.

    cell: row × w + column of each keypoint of P people (padded with unlabelled ones); any for unlabelled keypoints.
    With the tags hₙₖ of the Kₙ labelled keypoints of each of N labelled people, and their mean h̄ₙ:

    - "higherhrnet": Σₙ Σₖ (h̄ₙ − hₙₖ)² / Kₙ / N, and ½ Σₙ≠ₘ exp(−(h̄ₙ − h̄ₘ)²) / N (N − 1), 0 for a single person.
    - "newell", as printed, with σ = 1: Σₙ Σₖ (h̄ₙ − hₙₖ)² / N, and Σₙₘ exp(−(h̄ₙ − h̄ₘ)² / 2) / N², m = n included.

    Both are 0 without people. The printed formula did not train here: it left all tags of whole photos equal. While all
    tags are still close, the losses are a constant plus the variance of tags within people minus that between them, so
    that tags spread where people already differ a little; in the printed formula the variance within people counts K
    times, 17 for COCO's keypoints, and spreading costs more than it gains.

    Source: HigherHRNet's `AELoss("exp")` (Cheng et al., CVPR 2020; HRNet/HigherHRNet-Human-Pose-Estimation), which
    public code for associative embedding shares; Newell, Huang, Deng, Associative Embedding, NIPS 2017, section 3.2.
    """
    value = tags.flatten(2).gather(2, cell.transpose(1, 2)).transpose(1, 2)  # (B, P, K)
    count = labelled.sum(dim=2)
    mean = (value * labelled).sum(dim=2) / count.clamp(min=1)  # (B, P)
    is_person = count > 0
    people = is_person.sum(dim=1)
    spread = ((value - mean[..., None]) ** 2 * labelled).sum(dim=2)  # (B, P)
    squares = (mean[:, :, None] - mean[:, None]) ** 2
    is_pair = is_person[:, :, None] & is_person[:, None]
    if formula == "newell":
        near, pairs, half = torch.exp(-squares / 2), people**2, 1.0
    else:
        spread = spread / count.clamp(min=1)
        is_pair = is_pair & ~torch.eye(mean.shape[1], dtype=torch.bool, device=mean.device)
        near, pairs, half = torch.exp(-squares), people * (people - 1), 0.5
    pull = spread.sum(dim=1) / people.clamp(min=1)
    return pull, half * (near * is_pair).sum(dim=(1, 2)) / pairs.clamp(min=1)

"""Losses of bottom-up networks: heatmaps and part affinity fields stage by stage, and tags."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


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
    sigma: float = 1.0,
) -> tuple[Float[Tensor, " B"], Float[Tensor, " B"]]:
    """Return for each photo what pulls a person's tags together, and what pushes those of different people apart.

    cell: row × w + column of each keypoint of P people (padded with unlabelled ones); any for unlabelled keypoints.
    With the mean tag h̄ₙ of each of N labelled people: Σₙ Σₖ (h̄ₙ − hₖ(xₙₖ))² / N, and
    Σₙ Σₙ′ exp(−(h̄ₙ − h̄ₙ′)² / 2σ²) / N². Both are 0 without people. Source: Newell, Huang, Deng, Associative Embedding,
    NIPS 2017, section 3.2.
    """
    value = tags.flatten(2).gather(2, cell.transpose(1, 2)).transpose(1, 2)  # (B, P, K)
    count = labelled.sum(dim=2)
    mean = (value * labelled).sum(dim=2) / count.clamp(min=1)  # (B, P)
    is_person = count > 0
    people = is_person.sum(dim=1).clamp(min=1)
    pull = ((value - mean[..., None]) ** 2 * labelled).sum(dim=(1, 2)) / people
    near = torch.exp(-((mean[:, :, None] - mean[:, None]) ** 2) / (2 * sigma**2))
    push = (near * (is_person[:, :, None] & is_person[:, None])).sum(dim=(1, 2)) / people**2
    return pull, push

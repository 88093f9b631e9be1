"""Losses: of trust heads, computed on a part of a batch and scaled to the whole batch; and of bottom-up
networks, stage by stage.

A term here is mean × (this part's count) / (the whole batch's), so parts and processes sum to the mean over the whole
batch (`task.Task`). With one part in one process each is exactly the paper's own function.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trustpose.datasets.detected_boxes import PRESENT
from trustpose.files import InputError
from trustpose.heads.hpcvnet import KeypointOutputs, hpcvnet_loss
from trustpose.heads.keypoint_tokens import TokenAnswers, tokens_losses
from trustpose.heads.oks_net import hard_samples, oks_loss
from trustpose.heads.targets import TrustTargets
from trustpose.heads.visibility import class_weights, visibility_loss
from trustpose.training import distributed
from trustpose.training.bottom_up_options import TagFormula
from trustpose.training.crops import CropLabels
from trustpose.training.recipe import Recipe

Totals = Mapping[str, Tensor]


@dataclass(frozen=True)
class LossOptions:
    """hard_share: OKS-Net's share of worst samples; class_weights: the metamodel's, for v = 0, 1, 2."""

    hard_share: float = 0.25
    class_weights: tuple[float, ...] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class HeadLoss:
    """The loss of a head.

    counts(labels, options): the counts of a part, by name. terms(raw, targets, labels, totals, options): its terms, not
    yet weighted by the stage; `raw` is the output of the head's `raw`.
    """

    counts: Callable[[CropLabels, LossOptions], dict[str, Tensor]]
    terms: Callable[[Any, TrustTargets, CropLabels, Totals, LossOptions], dict[str, Tensor]]


def loss_options(recipe: Recipe, v: Int[np.ndarray, "N K"], is_ternary: Bool[np.ndarray, "N K"]) -> LossOptions:
    """Return a recipe's options, with the metamodel's class weights from their frequency in training.

    v (N, K) of the training people, and where it is known to be COCO's. Raises InputError if a class is empty that the
    metamodel needs.
    """
    if recipe.head != "metamodel":
        return LossOptions(hard_share=recipe.train.hard_share)
    counts = [int((is_ternary & (v == value)).sum()) for value in range(3)]
    try:
        return LossOptions(class_weights=class_weights(counts))
    except ValueError:
        raise InputError(
            f"head metamodel: expected unlabelled, occluded and visible keypoints in the data, got {counts} of them"
        ) from None


def plain(raw: Any) -> Any:
    """Return a dataclass as a dict of its filled fields: wrappings for processes and precision support dicts only."""
    if is_dataclass(raw) and not isinstance(raw, type):
        values = {field.name: getattr(raw, field.name) for field in fields(raw)}
        return {name: value for name, value in values.items() if value is not None}
    return raw


def oks_terms(
    raw: Float[Tensor, " B"], targets: TrustTargets, _: CropLabels, totals: Totals, options: LossOptions
) -> dict[str, Tensor]:
    """Compute `heads.oks_net.oks_loss`, with hard samples chosen over all processes."""
    has_oks = ~torch.isnan(targets.oks)
    errors = (raw - torch.where(has_oks, targets.oks, raw.detach())).abs()
    hard = hard_samples(distributed.gather(errors), distributed.gather(has_oks), options.hard_share)
    mine = hard[distributed.rank() * len(errors) :][: len(errors)]
    return {"oks": _share(oks_loss(errors, has_oks, mine), has_oks, totals["oks"])}


def hpcvnet_terms(
    raw: Mapping[str, Tensor], targets: TrustTargets, labels: CropLabels, totals: Totals, _: LossOptions
) -> dict[str, Tensor]:
    """Compute `heads.hpcvnet.hpcvnet_loss` over the keypoints that the data set labels."""
    is_known = labels.is_known
    counted = {"opks": (targets.visibility > 0, "labelled"), "labelled": (is_known, "known")}
    if "labelled_logits" not in raw:
        counted = {"opks": (is_known, "known")}
    if not is_known.any():  # the mean over an empty set is NaN
        nothing = torch.stack([answer.sum() for answer in raw.values()]).sum() * 0
        return dict.fromkeys(counted, nothing)
    answers = KeypointOutputs(**{name: answer[is_known][None] for name, answer in raw.items()})
    chosen = TrustTargets(targets.opks[is_known][None], targets.oks[:1], targets.visibility[is_known][None])
    terms = hpcvnet_loss(answers, chosen)
    return {name: _share(terms[name], rows, totals[total]) for name, (rows, total) in counted.items()}


def metamodel_terms(
    raw: Float[Tensor, "B K 3"], targets: TrustTargets, labels: CropLabels, totals: Totals, options: LossOptions
) -> dict[str, Tensor]:
    """Compute `heads.visibility.visibility_loss` over the keypoints with known visibility."""
    is_ternary, weights = labels.is_ternary, torch.tensor(options.class_weights, device=raw.device)
    if not is_ternary.any():
        return {"visibility": raw.sum() * 0}
    loss = visibility_loss(raw[is_ternary][None], targets.visibility[is_ternary][None], weights)
    return {"visibility": _share(loss, weights[targets.visibility[is_ternary]], totals["visibility"])}


def tokens_terms(
    raw: Mapping[str, Tensor], targets: TrustTargets, labels: CropLabels, totals: Totals, _: LossOptions
) -> dict[str, Tensor]:
    """`heads.keypoint_tokens.tokens_losses`."""
    answers = TokenAnswers(raw["visibility"], raw["opks"], raw["oks"], raw.get("presence"))
    is_present = labels.overlap >= PRESENT
    terms = tokens_losses(answers, targets, labels.is_known, labels.is_ternary, is_present)
    counted = {"visibility": labels.is_known, "opks": targets.visibility > 0, "oks": ~torch.isnan(targets.oks)}
    counted["presence"] = torch.ones_like(is_present)
    return {name: _share(term, counted[name], totals[name]) for name, term in terms.items()}


def _tokens_counts(labels: CropLabels, options: LossOptions) -> dict[str, Tensor]:
    labelled = (labels.v > 0).sum()
    presence = labels.overlap.new_tensor(len(labels.overlap))
    return {"visibility": labels.is_known.sum(), "opks": labelled, "presence": presence, **_oks_counts(labels, options)}


def _oks_counts(labels: CropLabels, _: LossOptions) -> dict[str, Tensor]:
    return {"oks": (labels.v > 0).any(dim=1).sum()}


def _hpcvnet_counts(labels: CropLabels, _: LossOptions) -> dict[str, Tensor]:
    return {"labelled": (labels.v > 0).sum(), "known": labels.is_known.sum()}


def _metamodel_counts(labels: CropLabels, options: LossOptions) -> dict[str, Tensor]:
    weights = torch.tensor(options.class_weights, device=labels.v.device)
    return {"visibility": weights[labels.v[labels.is_ternary]].sum()}


def _share(mean: Tensor, counted: Tensor, total: Tensor) -> Tensor:
    """Scale a part's mean to its share of the whole batch; 0 if the total count is 0."""
    return mean * (counted.sum() / total.clamp(min=1))


HEAD_LOSSES: dict[str, HeadLoss] = {
    "oks-net": HeadLoss(_oks_counts, oks_terms),
    "hpcvnet": HeadLoss(_hpcvnet_counts, hpcvnet_terms),
    "metamodel": HeadLoss(_metamodel_counts, metamodel_terms),
    "keypoint-tokens": HeadLoss(_tokens_counts, tokens_terms),
}


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

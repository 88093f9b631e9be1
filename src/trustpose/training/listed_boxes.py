"""The loss of a detector that lists boxes: the assignment of cells to people, and their targets.

Cells are assigned by how well they do already (Feng et al., TOOD: Task-aligned One-stage Object Detection, ICCV 2021,
section 3.2, α = 1, β = 6, 13 cells a person); scores learn the assigned quality by the varifocal loss (Zhang et al.,
VarifocalNet, CVPR 2021, equation 2), boxes GIoU (Rezatofighi et al., CVPR 2019), sides the distribution focal loss (Li
et al., Generalized Focal Loss, NeurIPS 2020, equation 6). The weights 1, 2 and 0.5 are PicoDet's (Yu et al., 2021).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from trustpose.datasets.photo_boxes import View
from trustpose.export.onnx import trace_onnx
from trustpose.networks.picodet import BINS, STRIDES, ListedBoxes

LISTS = ("scores", "boxes")  # names of the exported graph's outputs
LIST_MIN_SCORE = 0.25  # of boxes that prediction keeps, unless asked otherwise; trained on, scores rise by about 0.1
_CELLS = 13  # a person
_SCORE_POWER, _OVERLAP_POWER = 1.0, 6.0
_MISS, _FOCUS = 0.75, 2.0  # varifocal loss: the weight of cells without a person, and the power of their score
_BOXES, _BINS = 2.0, 0.5  # weights of the losses beside the scores'
_TINY = 1e-9


class Assigned(NamedTuple):
    """Each cell's person, a row of the photo's people, and the target of its score, 0–1; 0 where it has none."""

    person: Int[Tensor, "B N"]
    quality: Float[Tensor, "B N"]
    is_any: Bool[Tensor, "B N"]


@torch.no_grad()
def assign(predicted: ListedBoxes, people: Float[Tensor, "B M 4"], is_real: Bool[Tensor, "B M"]) -> Assigned:
    """Assign cells to people, boxes xyxy in input pixels; rows that are not `is_real` fill up, M is 1 at least.

    A person's 13 cells are those with the highest score × overlap⁶ whose middles lie in the box; a cell of several
    people goes to the one that it overlaps most. The best cell's quality is the highest overlap (IoU) of that person's.
    """
    x, y = predicted.middle.unbind(dim=1)
    x0, y0, x1, y1 = people[..., None].unbind(dim=2)  # (B, M, 1)
    is_inside = (x > x0) & (x < x1) & (y > y0) & (y < y1) & is_real[..., None]  # (B, M, N)
    overlap = _overlap(people[:, :, None], predicted.boxes[:, None].float())[0]  # (B, M, N)
    aligned = predicted.scores[:, None].float() ** _SCORE_POWER * overlap**_OVERLAP_POWER * is_inside
    highest = aligned.topk(min(_CELLS, aligned.shape[2]), dim=2).indices
    is_chosen = torch.zeros_like(is_inside).scatter(2, highest, value=True) & is_inside
    person = torch.where(is_chosen, overlap, -1.0).argmax(dim=1)  # (B, N)
    is_chosen &= torch.arange(people.shape[1], device=person.device)[:, None] == person[:, None]
    aligned, overlap = aligned * is_chosen, overlap * is_chosen
    share = aligned / (aligned.amax(dim=2, keepdim=True) + _TINY)
    quality = (share * overlap.amax(dim=2, keepdim=True)).amax(dim=1)
    return Assigned(person, quality, is_chosen.any(dim=1))


def listed_losses(
    predicted: ListedBoxes,
    people: Float[Tensor, "B M 4"],
    is_real: Bool[Tensor, "B M"],
    counted: Bool[Tensor, "B N"],
) -> dict[str, Float[Tensor, ""]]:
    """Compute the weighted sums of the losses "scores", "boxes" and "bins".

    people, is_real: see `assign`. counted: false for cells that are neither person nor background; assigned cells count
    in any case.
    """
    predicted = predicted._replace(
        scores=predicted.scores.float(), boxes=predicted.boxes.float(), sides=predicted.sides.float()
    )
    person, quality, is_any = assign(predicted, people, is_real)
    score = predicted.scores.clamp(1e-7, 1 - 1e-7)
    weight = torch.where(is_any, quality, _MISS * score**_FOCUS * counted)
    scores = (F.binary_cross_entropy(score, quality, reduction="none") * weight).sum()
    photo, cell = is_any.nonzero(as_tuple=True)
    box, weight = people[photo, person[photo, cell]], quality[photo, cell]
    overlap, hull = _overlap(predicted.boxes[photo, cell], box)
    boxes = ((1 - overlap + hull) * weight).sum()
    middle = predicted.middle[cell]
    away = torch.cat([middle - box[:, :2], box[:, 2:] - middle], dim=1) / predicted.stride[cell, None]  # (P, 4)
    bins = (_bin_loss(predicted.sides[photo, cell], away).mean(dim=1) * weight).sum()
    return {"scores": scores, "boxes": _BOXES * boxes, "bins": _BINS * bins}


def _bin_loss(logits: Float[Tensor, "P 4 8"], away: Float[Tensor, "P 4"]) -> Float[Tensor, "P 4"]:
    """Return the distribution focal loss: cross entropy with the two bins next to a distance, weighted by nearness."""
    away = away.clamp(0, BINS - 1 - 0.01)
    below = away.floor()
    logarithms = logits.log_softmax(dim=-1)
    low, high = (logarithms.gather(2, (below.long() + step)[..., None])[..., 0] for step in (0, 1))
    return -(low * (below + 1 - away) + high * (away - below))


def _overlap(first: Float[Tensor, "*#N 4"], second: Float[Tensor, "*#N 4"]) -> tuple[Tensor, Tensor]:
    """Return IoU of boxes xyxy, and the share of their hull that neither covers: GIoU is the first minus the second."""
    both = (torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])).clamp(
        min=0
    )
    outer = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    common, hull = both.prod(dim=-1), outer.prod(dim=-1).clamp(min=_TINY)
    areas = [(box[..., 2:] - box[..., :2]).prod(dim=-1) for box in (first, second)]
    union = areas[0] + areas[1] - common
    return common / union.clamp(min=_TINY), (hull - union) / hull


class ListTargets:
    """Targets and losses of a detector that lists boxes, for `detector_task.DetectorTask`."""

    def collate(self, samples: list[View], size: int) -> dict[str, np.ndarray]:
        """Return people (B, M, 4), boxes xyxy padded with zeros; is_real (B, M); counted (B, N), false where
        ignored."""
        max_people = max(1, *(len(view.box) for view in samples))
        people = np.stack([np.pad(view.box, ((0, max_people - len(view.box)), (0, 0))) for view in samples])
        is_real = np.arange(max_people) < np.array([[len(view.box)] for view in samples])
        middles = [slice(stride // 2, None, stride) for stride in STRIDES]  # of cells, row by row
        ignored = [np.concatenate([view.ignored[cells, cells].ravel() for cells in middles]) for view in samples]
        assert ignored[0].size == sum((size // stride) ** 2 for stride in STRIDES)
        return {"people": people.astype(np.float32), "is_real": is_real, "counted": ~np.stack(ignored)}

    def counts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"people": batch["is_real"].sum()}

    def losses(
        self, answer: ListedBoxes, batch: Mapping[str, Tensor], totals: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the losses per person of the batch. Per sum of qualities, as in the papers, those of its parts would
        not add up."""
        losses = listed_losses(answer, batch["people"], batch["is_real"], batch["counted"])
        return {name: value / totals["people"].clamp(min=1) for name, value in losses.items()}

    def graph(self, detector: nn.Module, size: int) -> onnx.ModelProto:
        """Return the ONNX graph for photos of size × size."""
        return trace_onnx(_Lists(detector), {"image": torch.zeros(1, 3, size, size)}, list(LISTS))


class _Lists(nn.Module):
    """A detector with the outputs of the kind "box-list": scores (B, 1, N), boxes (B, N, 4)."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        predicted = self.detector(image)
        return predicted.scores[:, None], predicted.boxes

"""Targets and losses of DeepCut's dense part detector, and its pairwise terms from the same photos.

Source: Pishchulin et al., DeepCut, CVPR 2016, its dense CNN: each part is a question of its own at each cell, by cross
entropy of a sigmoid, and cells of a part learn the offset to it. Of the paper itself only the idea was at hand: the
offsets' loss (smooth L1, as in the detectors that it follows), the weights, and the map of people's sizes are ours.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from trustpose.codecs.part_maps import PartCodec
from trustpose.datasets.labelled_photos import LabelledPhotos, PhotoView
from trustpose.geometry.crops import Grid
from trustpose.grouping.deepcut_terms import PairwiseTerms, fit_detected_pairwise

_MOST_PHOTOS = 1000  # to learn pairwise terms from: their number of pairs grows with the square of a photo's joints
_SMALLEST = 8.0  # pixels: smaller people teach no pairwise terms


def part_targets(view: PhotoView, cells: int, stride: int) -> dict[str, np.ndarray]:
    """Return `parts` (K, h, w), `refinements` (K, 2, h, w) and `scales` (h, w) of a square view."""
    scale = np.sqrt(np.prod(view.box[:, 2:] - view.box[:, :2], axis=1))
    codec = PartCodec(Grid((float(stride), float(stride))))
    maps = codec.encode(view.xy, view.labelled, scale, cells, cells)
    return {"parts": maps.part, "refinements": maps.refinement, "scales": maps.scale}


def part_counts(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the number of cells that are part of a joint, each joint's apart, and that have a scale."""
    return {"parts": (batch["parts"] > 0).sum(), "scales": (batch["scales"] > 0).sum()}


def part_losses(
    maps: Mapping[str, Tensor], batch: Mapping[str, Tensor], totals: Mapping[str, Tensor], stride: int
) -> dict[str, Tensor]:
    """Return the terms of a batch: cross entropy of parts, smooth L1 of refinements, in cells, and the absolute error
    of the logarithm of scales.

    maps: as the network gives them; `counted` (B, h, w) in `batch`: cells that teach though no joint is there.
    """
    target = batch["parts"]
    is_part = target > 0
    weight = (is_part | batch["counted"][:, None]).float()
    entropy = F.binary_cross_entropy_with_logits(maps["parts"], target, weight, reduction="sum")
    away = (maps["refinements"].unflatten(1, (-1, 2)) - batch["refinements"]) / stride
    distance = F.smooth_l1_loss(away, torch.zeros_like(away), reduction="none").sum(dim=2)  # (B, K, h, w)
    has_scale = batch["scales"] > 0
    scale = torch.where(has_scale, batch["scales"], 1.0)
    error = (maps["scales"][:, 0].clamp(min=1e-3).log() - scale.log()).abs()
    return {
        "parts": entropy / totals["parts"],
        "refinements": (distance * is_part).sum() / totals["parts"],
        "scales": (error * has_scale).sum() / totals["scales"],
    }


def learn_pairwise(photos: LabelledPhotos) -> PairwiseTerms:
    """Return the pairwise terms of the labelled joints of a thousand photos at most, evenly chosen."""
    chosen = np.linspace(0, len(photos) - 1, min(len(photos), _MOST_PHOTOS)).astype(np.int64)
    joints = max(xy.shape[1] for xy in photos.xy)
    columns: list[list[np.ndarray]] = [[], [], [], [], []]
    for photo in chosen.tolist():
        box, v = photos.photos.box[photo], photos.v[photo]
        scale = np.sqrt(np.prod(box[:, 2:] - box[:, :2], axis=1))
        person, joint = np.nonzero((v > 0) & (scale[:, None] > _SMALLEST))
        of_photo = (photos.xy[photo][person, joint], scale[person], joint, person, np.full(len(person), photo))
        for column, values in zip(columns, of_photo, strict=True):
            column.append(values)
    xy, scale, joint, person, photo_number = (np.concatenate(column) for column in columns)
    return fit_detected_pairwise(xy, scale, joint, person, photo_number, joints)

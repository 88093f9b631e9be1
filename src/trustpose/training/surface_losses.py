"""Losses of surfaces: the part and the mask by cross entropy, U and V of the labelled part by smooth L1.

Source: Güler, Neverova, Kokkinos, DensePose, CVPR 2018, section 3.1; weights and the reading of maps at points as in
Detectron2's `DensePoseChartLoss`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from trustpose.training.sampling import sample_maps
from trustpose.training.surface_options import SurfaceOptions


@dataclass(frozen=True, eq=False)
class SurfacePoints:
    """P labelled points of a batch of B boxes.

    person (P,): which box. xy (P, 2): position in the box, 0–1 across. part (P,): 0 to 24. uv (P, 2): 0–1, NaN where
    unknown.
    """

    person: Int[Tensor, " P"]
    xy: Float[Tensor, "P 2"]
    part: Int[Tensor, " P"]
    uv: Float[Tensor, "P 2"]

    def inside(self) -> "SurfacePoints":
        """Return the points that lie in their box."""
        keep = ((self.xy >= 0) & (self.xy < 1)).all(dim=1)
        return SurfacePoints(self.person[keep], self.xy[keep], self.part[keep], self.uv[keep])


def read_at_points(maps: Float[Tensor, "B C h w"], points: SurfacePoints, offset: float = 0.5) -> Float[Tensor, "P C"]:
    """Return the maps at points, interpolated bilinearly; beyond the first and the last cell they are constant.

    offset: position of the first cell's value in cells from the box's border; 0.5 is the middle, as decoding takes it,
    Detectron2 trains with 0.
    """
    height, width = maps.shape[2:]
    return sample_maps(maps, points.person, points.xy * maps.new_tensor([width, height]) - offset)


def surface_losses(
    maps: Mapping[str, Tensor],
    points: SurfacePoints,
    mask: Int[Tensor, "B H W"] | None,
    options: SurfaceOptions,
    totals: Mapping[str, Tensor],
    quality: Float[Tensor, " P"] | None = None,
) -> dict[str, Tensor]:
    """Return the weighted terms of a batch's maps, by the names of `codecs.surface.SurfaceMaps`.

    Args:
        maps: mask, parts, u, v, and quality with a head for it.
        points: labelled points, in their boxes (`SurfacePoints.inside`).
        mask: labels 0 to 14 over each box, -1 for a person without masks, of the maps' size; None: no masks.
        options: weights.
        totals: numbers of the whole batch: "points", "people", and "masked", people with masks.
        quality: the geodesic point similarity of the current estimate at each point; NaN where it is unknown.
    """
    offset = options.offset
    part_logits = read_at_points(maps["parts"], points, offset)
    parts = F.cross_entropy(part_logits, points.part, reduction="sum") / totals["points"].clamp(min=1)
    known = (points.part > 0) & ~points.uv.isnan().any(dim=1)
    chart = points.part[known][:, None]
    terms = {"parts": options.part_weight * parts}
    for axis, name in enumerate("uv"):
        estimate = read_at_points(maps[name], points, offset)[known].gather(1, chart)[:, 0]
        loss = F.smooth_l1_loss(estimate, points.uv[known, axis], reduction="sum")
        terms[name] = options.point_weight * loss / (totals["people"].clamp(min=1) if options.per_person else 1)
    terms["mask"] = options.mask_weight * _mask_loss(maps["mask"], mask, totals)
    if "quality" in maps:
        logit = read_at_points(maps["quality"], points, offset)[:, 0]
        target = logit.detach().sigmoid() if quality is None else quality.to(logit)
        counted = ~target.isnan()
        loss = F.binary_cross_entropy_with_logits(logit[counted], target[counted], reduction="sum")
        terms["quality"] = options.quality_weight * loss / totals["points"].clamp(min=1)
    return terms


def _mask_loss(logits: Tensor, mask: Tensor | None, totals: Mapping[str, Tensor]) -> Tensor:
    """Return the mean over cells and people with masks."""
    if mask is None:
        return logits.sum() * 0
    labels = (mask > 0).long() if logits.shape[1] == 2 else mask
    labels = torch.where(mask < 0, -1, labels)
    loss = F.cross_entropy(logits, labels, ignore_index=-1, reduction="sum")
    return loss / (totals["masked"].clamp(min=1) * mask.shape[1] * mask.shape[2])


def expected_quality_target(
    maps: Mapping[str, Tensor], points: SurfacePoints, offset: float
) -> tuple[Int[Tensor, " P"], Float[Tensor, "P 2"]]:
    """Return part and uv that the maps give at points, as decoding reads them: the part is the background where the
    mask's is."""
    with torch.no_grad():
        mask = read_at_points(maps["mask"], points, offset).argmax(dim=1)
        part = read_at_points(maps["parts"], points, offset).argmax(dim=1) * (mask > 0)
        uv = [read_at_points(maps[name], points, offset).gather(1, part[:, None])[:, 0] for name in "uv"]
    return part, torch.stack(uv, dim=1).clamp(0, 1)

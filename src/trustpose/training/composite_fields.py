"""Targets and losses of composite fields.

Source: Kreiss, Bertoni, Alahi, PifPaf: Composite Fields for Human Pose Estimation, CVPR 2019, section 3.4: confidences
by cross entropy, vectors by the Laplace loss |x − μ| / b + log 2b with the spread b that the network gives itself.
Written from the paper. Sizes, for which it has no formula, learn the logarithm by its absolute error.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from trustpose.codecs.composite_fields import INTENSITY, CompositeCodec, joint_sizes
from trustpose.datasets.labelled_photos import PhotoView
from trustpose.geometry.crops import Grid

_AREA = 0.53  # of a box that a person covers: COCO's median (`area_source` "box*0.53")
_SMALLEST_SPREAD = -3.0  # the logarithm, cells: a twentieth of a cell
_LARGEST_SPREAD = 5.0


def composite_targets(
    view: PhotoView, limbs: tuple[tuple[int, int], ...], sigmas: Float[np.ndarray, " K"], cells: int, stride: int
) -> dict[str, np.ndarray]:
    """Return `intensity` (K, 5, h, w) and `association` (L, 7, h, w) of a square view."""
    codec = CompositeCodec(limbs, Grid((float(stride), float(stride))))
    area = _AREA * (view.box[:, 2:] - view.box[:, :2]).prod(axis=1)
    intensity, association = codec.encode(view.xy, view.labelled, joint_sizes(area, sigmas), cells, cells)
    return {"intensity": intensity, "association": association}


def composite_counts(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the number of cells that teach a joint, and a limb."""
    return {name: (batch[name][:, :, 0] > 0).sum() for name in ("intensity", "association")}


def composite_losses(
    maps: Mapping[str, Tensor], batch: Mapping[str, Tensor], totals: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """Return the terms of a batch: confidences, vectors of both fields, and sizes of joints.

    maps: `intensity` and `association` as the network gives them, `counted` (B, h, w) in `batch`: cells whose
    confidence teaches though nobody is there.
    """
    terms = {}
    for name, vectors in (("intensity", ((1, 3),)), ("association", ((1, 3), (4, 6)))):
        target = batch[name]
        predicted = maps[name].unflatten(1, (-1, target.shape[2]))  # (B, K or L, 5 or 7, h, w)
        is_near = target[:, :, 0] > 0
        weight = (is_near | batch["counted"][:, None]).float()
        entropy = F.binary_cross_entropy_with_logits(predicted[:, :, 0], target[:, :, 0], weight, reduction="sum")
        terms[name] = entropy / totals[name]
        loss = sum(_laplace(predicted, target, first, spread, is_near) for first, spread in vectors)
        terms[f"{name}_vectors"] = torch.as_tensor(loss) / totals[name]
    size = torch.where(is_near_joint := batch["intensity"][:, :, 0] > 0, batch["intensity"][:, :, 4], 1.0)
    logarithm = maps["intensity"].unflatten(1, (-1, INTENSITY))[:, :, 4]
    error = (logarithm - size.clamp(min=1e-3).log()).abs()
    return terms | {"sizes": (error * is_near_joint).sum() / totals["intensity"]}


def _laplace(
    predicted: Float[Tensor, "B N C h w"],
    target: Float[Tensor, "B N C h w"],
    first: int,
    spread: int,
    is_near: Bool[Tensor, "B N h w"],
) -> Tensor:
    """Return the sum of |x − μ| / b + log 2b over the cells that teach, of the vector in maps `first` and `first` + 1
    with the logarithm of b in map `spread`."""
    vector, goal = (maps[:, :, first : first + 2].movedim(2, -1)[is_near] for maps in (predicted, target))
    logarithm = predicted[:, :, spread][is_near].clamp(_SMALLEST_SPREAD, _LARGEST_SPREAD)
    distance = torch.linalg.vector_norm(vector - goal, dim=1)
    return (distance * torch.exp(-logarithm) + logarithm + np.log(2)).sum()

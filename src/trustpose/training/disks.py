"""Targets and losses of disks and offsets.

Source: Papandreou, Zhu, Chen, Gidaris, Tompson, Murphy, PersonLab: Person Pose Estimation and Instance Segmentation
with a Bottom-Up, Part-Based, Geometric Embedding Model, ECCV 2018: disks by cross entropy, offsets by their absolute
error in units of the disks' radius, mid-range offsets after their refinement, through which errors reach short-range
offsets, too. Written without the authors' code and without the paper's full text.
"""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from trustpose.codecs.disks import REFINEMENTS, DiskCodec, directed
from trustpose.datasets.labelled_photos import PhotoView
from trustpose.geometry.crops import Grid
from trustpose.training.sampling import sample_maps


def disk_targets(
    view: PhotoView, limbs: tuple[tuple[int, int], ...], radius: float, cells: int, stride: int
) -> dict[str, np.ndarray]:
    """Return `disks`, `short`, `middle` and `taught` of a square view, see `codecs.disks.DiskTargets`."""
    codec = DiskCodec(limbs, Grid((float(stride), float(stride))), radius)
    return codec.encode(view.xy, view.labelled, cells, cells)._asdict()


def disk_counts(batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the number of cells that teach a disk, a short-range and a mid-range offset."""
    is_disk = batch["disks"] > 0
    counts = {"disks": (is_disk | batch["counted"][:, None]).sum(), "short": is_disk.sum()}
    return counts | {"middle": batch["taught"].sum()}


def disk_losses(
    maps: Mapping[str, Tensor],
    batch: Mapping[str, Tensor],
    totals: Mapping[str, Tensor],
    limbs: tuple[tuple[int, int], ...],
    radius: float,
    stride: int,
) -> dict[str, Tensor]:
    """Return the terms of a batch: disks, short-range and mid-range offsets.

    maps: `disks` (logits), `short` and `middle` as the network gives them; `counted` (B, h, w) in `batch`: cells whose
    disks teach though nobody is there.
    """
    target = batch["disks"]
    weight = ((target > 0) | batch["counted"][:, None]).to(target.dtype)
    entropy = F.binary_cross_entropy_with_logits(maps["disks"], target, weight, reduction="sum")
    short, middle = (batch[name].unflatten(1, (-1, 2)) for name in ("short", "middle"))  # (B, C, 2, h, w)
    view, joint, row, column = (target > 0).nonzero(as_tuple=True)
    predicted = maps["short"].unflatten(1, (-1, 2))
    error = (predicted[view, joint, :, row, column] - short[view, joint, :, row, column]).abs().sum()
    view, number, row, column = batch["taught"].nonzero(as_tuple=True)
    ends = torch.tensor([end for _, end in directed(limbs)], device=target.device)
    vector = maps["middle"].unflatten(1, (-1, 2))[view, number, :, row, column]
    cell = torch.stack([column, row], dim=1)
    refined = refine(cell + vector / stride, predicted / stride, view, ends[number])
    middle_error = ((refined - cell) * stride - middle[view, number, :, row, column]).abs().sum()
    return {
        "disks": entropy / totals["disks"],
        "short": error / totals["short"] / radius,
        "middle": middle_error / totals["middle"] / radius,
    }


def refine(
    cells: Float[Tensor, "N 2"], short: Float[Tensor, "B K 2 h w"], view: Int[Tensor, " N"], joint: Int[Tensor, " N"]
) -> Float[Tensor, "N 2"]:
    """Return positions in cells, refined twice by short-range offsets in cells: x' ← x' + S_k(x'), between cells
    bilinearly, beyond the maps by those of their edge."""
    row = view * short.shape[1] + joint
    for _ in range(REFINEMENTS):
        cells = cells + sample_maps(short.flatten(0, 1), row, cells)
    return cells

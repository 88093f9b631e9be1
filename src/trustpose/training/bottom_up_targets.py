"""Targets and losses of bottom-up networks on views of photos: heatmaps, and fields, tags or centres."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from trustpose.codecs.boxes import encode_centres
from trustpose.codecs.fields import FieldCodec
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.datasets.labelled_photos import PhotoView
from trustpose.networks.bottom_up import OFFSET_SCALE, Kind
from trustpose.training.bottom_up_options import TagFormula
from trustpose.training.detector_task import centre_loss, sides_loss
from trustpose.training.grouping_losses import stage_loss, tag_losses

MAX_PEOPLE = 30  # of a view, for tags
_NEAR = 0.1  # height of a target's Gaussian above which a cell counts though it lies in an ignored place
WEIGHTS = {"heatmaps": 1.0, "fields": 8.0, "pull": 5.0, "push": 5.0, "centres": 0.5, "sides": 1.0, "offsets": 1.0}
"""Of the losses: with these all begin between 1 and 10. Those of tags are about HigherHRNet's 0.001, as its heatmaps'
loss is a mean over all cells and ours a sum for each joint."""

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class BottomUpTargets:
    """Targets of views of `size` pixels for a network with these kinds of maps.

    sigma: of heatmaps, width: of fields, in map pixels. tag_formula: of the tags' losses, see `tag_losses`.
    """

    kinds: Sequence[Kind]
    limbs: tuple[tuple[int, int], ...]
    size: int
    stride: int = 4
    sigma: float = 2.0
    width: float = 2.0
    tag_formula: TagFormula = "higherhrnet"

    @property
    def cells(self) -> int:
        return self.size // self.stride

    @property
    def heatmaps(self) -> HeatmapCodec:
        return HeatmapCodec(self.cells, self.cells, float(self.stride), self.sigma, "dark")

    def collate(self, views: list[PhotoView]) -> dict[str, np.ndarray]:
        """Return the targets of views, stacked; `counted` (B, h, w): cells in which all joints are labelled."""
        targets = [self._of_view(view) for view in views]
        return {name: np.stack([view_targets[name] for view_targets in targets]) for name in targets[0]}

    def _of_view(self, view: PhotoView) -> dict[str, np.ndarray]:
        codec, cells = self.heatmaps, self.cells
        heatmaps = codec.encode_people(view.xy, view.labelled)
        ignored = view.ignored[self.stride // 2 :: self.stride, self.stride // 2 :: self.stride]
        targets = {"heatmaps": heatmaps, "counted": ~ignored | (heatmaps > _NEAR).any(axis=0)}
        targets["joints"] = np.array(view.labelled.sum())
        if "fields" in self.kinds:
            fields = FieldCodec(self.limbs, codec.grid, self.width)
            targets["fields"] = fields.encode(view.xy, view.labelled, cells, cells)
        if "tags" in self.kinds:
            targets |= self._tags(view)
        if "centres" in self.kinds:
            targets |= self._centres(view, ignored)
        return targets

    def _tags(self, view: PhotoView) -> dict[str, np.ndarray]:
        """Return cell (30, K), row × w + column, and is_tagged (30, K) of the first 30 people's labelled joints."""
        keypoints = view.xy.shape[1]
        cells = np.rint(self.heatmaps.grid.cells(view.xy)).astype(np.int64).clip(0, self.cells - 1)[:MAX_PEOPLE]
        cell = np.zeros((MAX_PEOPLE, keypoints), np.int64)
        cell[: len(cells)] = cells[..., 1] * self.cells + cells[..., 0]
        is_tagged = np.zeros((MAX_PEOPLE, keypoints), np.bool_)
        is_tagged[: len(cells)] = view.labelled[:MAX_PEOPLE]
        return {"cell": cell, "is_tagged": is_tagged}

    def _centres(self, view: PhotoView, ignored: Bool[np.ndarray, "h w"]) -> dict[str, np.ndarray]:
        """Return bumps, sides, weight (`encode_centres`), of all people with a box; centred (h, w): cells where these
        count; offsets (2 × K, h, w) and learnt (K, h, w): the offsets to joints from all cells that teach sides."""
        cells, stride = self.cells, self.stride
        box = np.concatenate([view.box, view.unlabelled])
        bumps, sides, weight = encode_centres(box, cells, cells, stride)
        owner = (sides[None] == box.astype(np.float32)[:, :, None, None]).all(axis=1) & (weight > 0)  # (P, h, w)
        middle = (np.stack(np.meshgrid(np.arange(cells), np.arange(cells))) + 0.5) * stride  # x, y
        keypoints = view.xy.shape[1]
        joint_offsets = np.zeros((keypoints, 2, cells, cells), np.float32)
        learnt = np.zeros((keypoints, cells, cells), np.float32)
        for person, is_own in enumerate(owner[: len(view.xy)]):
            joint_offsets[:, :, is_own] = view.xy[person][..., None] - middle[:, is_own]
            learnt[:, is_own] = view.labelled[person][:, None]
        counted = ~ignored
        for x0, y0, x1, y1 in np.rint(view.unlabelled / stride).astype(int):
            counted[y0:y1, x0:x1] = True
        return {
            "bumps": bumps,
            "sides": sides,
            "weight": weight,
            "centred": (counted | (bumps == 1)).astype(np.float32),
            "offsets": joint_offsets.reshape(-1, cells, cells),
            "learnt": learnt * weight,
        }

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        """Return what the losses are divided by."""
        counts = {"joints": batch["joints"].sum(), "views": torch.tensor(len(batch["joints"]))}
        if "fields" in self.kinds:
            counts["on_limbs"] = (batch["fields"] != 0).sum()
        if "centres" in self.kinds:
            counts["people"] = (batch["bumps"] == 1).sum()
            counts["weight"], counts["learnt"] = batch["weight"].sum(), batch["learnt"].sum()
        return counts

    def losses(self, maps: Mapping[str, Tensor], batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the weighted terms of a batch's maps, each a sum divided by the whole batch's count."""
        counted, totals = batch["counted"], {name: total.clamp(min=1) for name, total in totals.items()}
        terms = {"heatmaps": stage_loss([maps["heatmaps"]], batch["heatmaps"], counted).sum() / totals["joints"]}
        if "fields" in self.kinds:
            terms["fields"] = stage_loss([maps["fields"]], batch["fields"], counted).sum() / totals["on_limbs"]
        if "tags" in self.kinds:
            pull, push = tag_losses(maps["tags"], batch["cell"], batch["is_tagged"], self.tag_formula)
            terms |= {"pull": pull.sum() / totals["views"], "push": push.sum() / totals["views"]}
        if "centres" in self.kinds:
            terms |= self._centre_losses(maps, batch, totals)
        return {name: WEIGHTS[name] * term for name, term in terms.items()}

    def _centre_losses(
        self, maps: Mapping[str, Tensor], batch: Batch, totals: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        centres = centre_loss(maps["centre"][:, 0], batch["bumps"], batch["centred"]) / totals["people"]
        sides = sides_loss(maps["sides"], batch["sides"], batch["weight"], self.stride) / totals["weight"]
        distance = (maps["joints"] - batch["offsets"]).abs().unflatten(1, (-1, 2)).sum(dim=2)  # (B, K, h, w)
        offset_loss = (distance * batch["learnt"]).sum() / totals["learnt"] / OFFSET_SCALE
        return {"centres": centres, "sides": sides, "offsets": offset_loss}

"""The Task for system "residual": the pose residual network, which learns from labels alone, without photos."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from trustpose.datasets.label_arrays import read_label_arrays
from trustpose.datasets.label_files import published
from trustpose.files import InputError, new_folder
from trustpose.grouping.box_assignment import ResidualAssignment
from trustpose.grouping.box_grids import BoxGrid
from trustpose.grouping.photo_keypoints import PhotoKeypoints, group_photos, photo_keypoints
from trustpose.heads.stages import Stage
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.average_precision import evaluate
from trustpose.networks.multi_pose_net import (
    PoseResidualNetwork,
    read_residual,
    residual_function,
    write_residual,
)
from trustpose.poses import Truth
from trustpose.training import distributed
from trustpose.training.people import COCO_LAYOUTS, rows_by_fold
from trustpose.training.recipe import Recipe
from trustpose.training.task import Samples

ARRAYS = "labels_train2017.npz"
Batch = dict[str, Tensor]


def is_contested(keypoints: PhotoKeypoints, rows: Int[np.ndarray, " n"], grid: BoxGrid) -> Bool[np.ndarray, " n"]:
    """Return whether somebody else's keypoint is in a person's box or its margin."""
    box = keypoints.truth.box
    assert box is not None
    contested = np.zeros(len(rows), np.bool_)
    for index, row in enumerate(rows.tolist()):
        points = keypoints.of_photo(int(keypoints.photo[row]))
        contested[index] = (grid.near(keypoints.xy[points], box[row]) & (keypoints.person[points] != row)).any()
    return contested


class ResidualSamples:
    """The boxes that teach: each with the cells and joints of all keypoints near it, and of its person's."""

    def __init__(self, keypoints: PhotoKeypoints, rows: Int[np.ndarray, " n"], grid: BoxGrid) -> None:
        self.keypoints, self.rows, self.grid = keypoints, rows, grid

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, np.ndarray]:
        row, keypoints = int(self.rows[index]), self.keypoints
        assert keypoints.truth.box is not None
        box, points = keypoints.truth.box[row], keypoints.of_photo(int(keypoints.photo[row]))
        xy, joint = keypoints.xy[points], keypoints.joint[points]
        near, is_person = self.grid.near(xy, box), keypoints.person[points] == row
        cells = self.grid.cells(xy, box)
        return {
            "row": np.array(row),
            "cells": cells[near],
            "joint": joint[near],
            "person_cells": cells[is_person],
            "person_joint": joint[is_person],
        }


class Learner(nn.Module):
    """A pose residual network that returns logits."""

    def __init__(self, network: PoseResidualNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, maps: Float[Tensor, "B h w K"]) -> Float[Tensor, "B n"]:
        return self.network.logits(maps).float()


class ResidualTask:
    """A `training.task.Task` on boxes with keypoints. `residual_task` builds one from a recipe."""

    def __init__(
        self,
        recipe: Recipe,
        network: PoseResidualNetwork,
        keypoints: PhotoKeypoints,
        training: Int[np.ndarray, " T"],
        held_out: Truth | None,
    ) -> None:
        self.recipe, self.network, self.grid = recipe, network, BoxGrid(len(recipe.data.joints))
        self.model: nn.Module = Learner(network)
        self.training = ResidualSamples(keypoints, training, self.grid)
        self.held_out = held_out

    def stage(self, stage: Stage) -> None: ...

    def train_mode(self) -> None:
        self.model.train()

    def samples(self, epoch: int) -> Samples:  # noqa: ARG002  # the same in every epoch
        return self.training  # type: ignore its parameter has another name

    def collate(self, samples: list[dict[str, np.ndarray]]) -> Batch:
        """Return maps and targets (B, h, w, K) and the people's rows (B,)."""
        cells, joint, person_cells, person_joint = (
            [sample[name] for sample in samples] for name in ("cells", "joint", "person_cells", "person_joint")
        )
        return {
            "row": torch.tensor([int(sample["row"]) for sample in samples]),
            "maps": torch.from_numpy(self.grid.inputs(cells, joint)),
            "targets": torch.from_numpy(self.grid.targets(person_cells, person_joint)),
        }

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return {"boxes": torch.tensor(len(batch["row"]))}

    def losses(self, model: nn.Module, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the binary cross-entropy of all cells, as in the authors' code, summed for each box."""
        log_probability = F.log_softmax(model(batch["maps"]), dim=1)
        log_rest = torch.log1p(-log_probability.exp().clamp(max=1 - 1e-6))
        targets = batch["targets"].flatten(1)
        terms = targets * log_probability + (1 - targets) * log_rest
        return {"cells": -terms.sum() / totals["boxes"].clamp(min=1)}

    def describe(self, batch: Batch) -> Mapping[str, Any]:
        truth = self.training.keypoints.truth
        assert truth.annotation_id is not None
        return {"annotation_id": truth.annotation_id[batch["row"].numpy()].tolist()}

    def validate(self) -> dict[str, float]:
        """Return AP and AR of the held-out photos' labelled keypoints, shared out to their labelled boxes."""
        if self.held_out is None or distributed.rank():
            return {}
        keypoints = photo_keypoints(self.held_out)
        poses = group_photos(keypoints, ResidualAssignment(residual_function(self.network), self.grid).group)
        assert poses.pose_score is not None
        sigmas = self.recipe.data.joints.sigmas
        scores = evaluate(poses, self.held_out, poses.pose_score, sigmas=sigmas, area="file").summary()
        return {f"ap.{name}": getattr(scores, name) for name in ("AP", "AP50", "AP75", "AR")}

    def export(self, folder: Path) -> None:
        """Write residual.safetensors and residual.json."""
        self.model.cpu().eval()
        with new_folder(folder) as new:
            write_residual(new, self.network)


def residual_task(recipe: Recipe, data: Path, model: Path | None) -> ResidualTask:
    """Build a recipe's task, on the labels of a data folder; `model`: a folder with the initial network; None: random
    weights. Raises InputError."""
    truth = _labels(data)
    if truth.keypoint_count != len(recipe.data.joints):
        raise InputError(f"data.skeleton: {recipe.data.skeleton} has other joints than {data}")
    assert truth.image_id is not None and truth.num_keypoints is not None
    training, held_out = rows_by_fold(truth.image_id, recipe.data)
    training = training[truth.num_keypoints[training] >= recipe.data.min_keypoints]
    if not len(training):
        raise InputError(f"{data}: no person has {recipe.data.min_keypoints} labelled keypoints or more")
    keypoints, grid = photo_keypoints(truth), BoxGrid(len(recipe.data.joints))
    if recipe.residual.contested:
        training = training[is_contested(keypoints, training, grid)]
    if not len(training):
        raise InputError(f"residual.contested: no box of {data} has a keypoint of somebody else in it or near it")
    torch.manual_seed(recipe.train.seed)
    network = PoseResidualNetwork(grid, recipe.residual.hidden) if model is None else read_residual(model)
    if network.grid != grid:
        raise InputError(f"{model}: is for {network.grid}, expected {grid}")
    return ResidualTask(recipe, network, keypoints, training, truth[held_out] if len(held_out) else None)


def _labels(data: Path) -> Truth:
    """Return the people of a folder's labels who have a box and a labelled keypoint, without crowds."""
    if (data / ARRAYS).is_file():
        truth = read_label_arrays(data / ARRAYS).truth
    else:
        names = dict.fromkeys(labels for labels, _ in COCO_LAYOUTS)
        path = next((data / name for name in names if (data / name).is_file()), None)
        if path is None:
            raise InputError(f"{data}: holds no labels, expected {', '.join((ARRAYS, *names))}{published('COCO')}")
        truth = read_coco_truth(path).truth
    assert truth.box is not None and truth.num_keypoints is not None and truth.iscrowd is not None
    is_person = np.isfinite(truth.box).all(axis=1) & (truth.num_keypoints > 0) & ~truth.iscrowd
    return truth[np.flatnonzero(is_person)]

"""The Task for system "mask-rcnn": torchvision's Keypoint R-CNN, trained on whole photos.

He, Gkioxari, Dollár and Girshick, Mask R-CNN, ICCV 2017, section 5: a keypoint of a region is one cell of 56 × 56, by
cross entropy over all of them. Network, region proposals, sampling and losses are torchvision's; views of photos,
schedule and evaluation are ours. The weights open as `keypointrcnn:FILE`.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.datasets.label_files import published
from trustpose.datasets.labelled_photos import LabelledPhotos, PhotoView, PhotoViews, labelled_photos
from trustpose.export.model_folder import write_tensors
from trustpose.files import InputError, new_folder
from trustpose.heads.stages import Stage
from trustpose.io.coco.truth import read_coco_truth
from trustpose.networks.checkpoint_files import read_own_tensors
from trustpose.predict.adapters.keypoint_rcnn import KeypointRcnn, keypoint_rcnn
from trustpose.predict.detectors import torchvision_of_this_torch
from trustpose.training import distributed
from trustpose.training.bottom_up_task import average_precision_on
from trustpose.training.people import are_complete, coco_layout, rows_by_fold
from trustpose.training.recipe import Recipe

WEIGHTS = "keypointrcnn.safetensors"
Batch = dict[str, Any]


class Learner(nn.Module):
    """Keypoint R-CNN as a module that returns its losses, in training, for views of one size."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Float[Tensor, "B 3 H W"], targets: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        return self.network(list(images), targets)


class MaskRcnnTask:
    """A `training.task.Task` on whole photos. `mask_rcnn_task` builds one from a recipe."""

    def __init__(self, recipe: Recipe, network: nn.Module, training: LabelledPhotos, held_out: LabelledPhotos | None):
        options = recipe.bottom_up
        self.recipe, self.network, self.held_out = recipe, network, held_out
        self.model: nn.Module = Learner(network)
        self._requires_grad = {name: weights.requires_grad for name, weights in network.named_parameters()}
        scales = (options.smallest, options.largest)
        flip_index = recipe.data.joints.flip_index
        self.views = PhotoViews(training, recipe.height, flip_index, scales, options.rotation, recipe.train.seed)

    def stage(self, stage: Stage) -> None:
        for name, weights in self.network.named_parameters():
            is_head = not name.startswith("backbone.")
            weights.requires_grad_(self._requires_grad[name] and (is_head or stage.trains == "all"))

    def train_mode(self) -> None:
        self.model.train()  # torchvision's batch norm is frozen

    def samples(self, epoch: int) -> PhotoViews:
        return self.views.at_epoch(epoch)

    def collate(self, samples: list[PhotoView]) -> Batch:
        """Return pixels (B, H, W, 3), image_id (B,), and targets as torchvision has them, of each view's people."""
        return {
            "pixels": torch.from_numpy(np.stack([view.pixels for view in samples])),
            "image_id": torch.tensor([view.image_id for view in samples]),
            "targets": [_target(view) for view in samples],
        }

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return {"views": torch.tensor(len(batch["image_id"]))}

    def losses(self, model: nn.Module, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return torchvision's losses, means over the regions of this part, weighted by its share of views."""
        images = batch["pixels"].permute(0, 3, 1, 2).float() / 255  # (B, 3, H, W)
        share = len(images) / totals["views"]
        with torchvision_of_this_torch("mask-rcnn"):
            return {name: term * share for name, term in model(images, batch["targets"]).items()}

    def describe(self, batch: Batch) -> Mapping[str, Any]:
        return {"image_id": batch["image_id"].tolist()}

    def validate(self) -> dict[str, float]:
        """Return AP and AR on the held-out photos, whole, with the exported weights."""
        if self.held_out is None or distributed.rank():
            return {}
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            self.export(folder)
            estimator = KeypointRcnn(folder / WEIGHTS, device=str(next(self.network.parameters()).device))
        transform: Any = estimator.module.transform
        transform.min_size, transform.max_size = (self.recipe.height,), self.recipe.height
        return average_precision_on(estimator, self.held_out, estimator.skeleton)

    def export(self, folder: Path) -> None:
        """Write the weights as `keypointrcnn.safetensors` in the new folder."""
        with new_folder(folder) as temporary:
            write_tensors(temporary / WEIGHTS, self.network)


def _target(view: PhotoView) -> dict[str, Tensor]:
    """Return torchvision's target of a view: boxes xyxy, labels 1, keypoints (P, K, 3) x, y, 1 if labelled."""
    boxes = np.concatenate([view.box, view.unlabelled]).astype(np.float32)
    keypoints = np.zeros((len(boxes), view.xy.shape[1], 3), np.float32)
    keypoints[: len(view.xy)] = np.concatenate([view.xy, view.labelled[..., None]], axis=2)
    return {
        "boxes": torch.from_numpy(boxes.reshape(-1, 4)),
        "labels": torch.ones(len(boxes), dtype=torch.int64),
        "keypoints": torch.from_numpy(keypoints),
    }


def mask_rcnn_task(recipe: Recipe, data: Path, model: Path | None) -> MaskRcnnTask:
    """Build a recipe's task, on a data folder in one of COCO's layouts; `model`: a file of Keypoint R-CNN's weights.

    Photos with `all_people_boxed` false are left out, since all regions without a box are learnt as background. Raises
    InputError.
    """
    if recipe.height != recipe.width:
        raise InputError(f"height, width: expected the same number, got {recipe.height}, {recipe.width}")
    if recipe.network or recipe.head is not None or recipe.deepen:
        raise InputError("network, head, deepen: the network is torchvision's, without a head; leave them out")
    layout = coco_layout(data)
    if layout is None:
        raise InputError(f"{data}: holds no photos with keypoints in one of COCO's layouts{published('COCO')}")
    file = read_coco_truth(layout[0])
    joints = KeypointRcnn.skeleton.keypoints
    if file.keypoint_names != joints or recipe.data.joints.keypoints != joints:
        raise InputError(f"data.skeleton: Keypoint R-CNN has COCO's 17 joints, others than {layout[0]} or the recipe")
    photos = labelled_photos(file, layout[1], are_complete(file))
    training, held_out = rows_by_fold(photos.photos.image_id, recipe.data)
    training, held_out = (rows[photos.is_complete[rows]] for rows in (training, held_out))
    torch.manual_seed(recipe.train.seed)
    starts_from_imagenet = model is None and recipe.strategy.starts_from == "imagenet"
    network = keypoint_rcnn(imagenet=starts_from_imagenet, sizes=(recipe.height,))
    if model is not None:
        network.load_state_dict(read_own_tensors(model, network, "Keypoint R-CNN"))
    return MaskRcnnTask(recipe, network, photos.select(training), photos.select(held_out) if len(held_out) else None)

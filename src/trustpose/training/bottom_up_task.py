"""The Task for system "bottom-up": a network that sees all people of a photo, trained on whole photos."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.datasets.labelled_photos import LabelledPhotos, PhotoView, PhotoViews, labelled_photos
from trustpose.files import InputError
from trustpose.formats.coco import read_truth
from trustpose.models.outputs import PHOTO_MAPS
from trustpose.models.spec import ModelSpec, output_kind
from trustpose.networks.bottom_up import BottomUpNetwork
from trustpose.networks.checkpoint_files import read_own_tensors
from trustpose.networks.layers import PoseNetwork
from trustpose.networks.zoo import build
from trustpose.predict import bottom_up
from trustpose.training import distributed
from trustpose.training.bottom_up_models import MULTIPLE, limbs_of, numbers_on, save_maps_folder
from trustpose.training.bottom_up_targets import BottomUpTargets
from trustpose.training.crops import normalise
from trustpose.training.initialization import starting_network
from trustpose.training.people import coco_layout, rows_by_fold
from trustpose.training.photos import are_complete
from trustpose.training.recipe import Recipe
from trustpose.trust.stages import Stage

Batch = dict[str, Tensor]


class Learner(nn.Module):
    """A bottom-up network that returns a plain dict: wrappings for processes do not support dataclasses in results."""

    def __init__(self, network: BottomUpNetwork):
        super().__init__()
        self.network = network

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> dict[str, Tensor]:
        outputs = self.network(image)
        return {"heatmaps": outputs.heatmaps[-1], **outputs.extra}


class BottomUpTask:
    """A `training.task.Task` on whole photos. `bottom_up_task` builds one from a recipe."""

    def __init__(
        self, recipe: Recipe, network: BottomUpNetwork, training: LabelledPhotos, held_out: LabelledPhotos | None
    ):
        options = recipe.bottom_up
        self.recipe, self.network, self.held_out = recipe, network, held_out
        self.model: nn.Module = Learner(network)
        self.is_frozen = False
        limbs = limbs_of(recipe.data.joints)
        of_maps = {"sigma": options.sigma, "width": options.width, "tag_formula": options.tag_formula}
        self.targets = BottomUpTargets(options.kinds, limbs, recipe.height, **of_maps)
        self.views = PhotoViews(
            training,
            recipe.height,
            recipe.data.joints.flip_index,
            (options.smallest, options.largest),
            options.rotation,
            recipe.train.seed,
        )

    def stage(self, stage: Stage) -> None:
        self.model.requires_grad_(True)
        self.network.network.requires_grad_(stage.trains == "all")
        self.is_frozen = stage.trains == "head"

    def train_mode(self) -> None:
        self.model.train()
        if self.is_frozen:
            self.network.network.eval()  # its batch norm statistics are frozen, too

    def samples(self, epoch: int) -> PhotoViews:
        return self.views.at_epoch(epoch)

    def collate(self, samples: list[PhotoView]) -> Batch:
        """Return pixels (B, H, W, 3), image_id (B,), and what `BottomUpTargets.collate` returns."""
        arrays = self.targets.collate(samples) | {
            "pixels": np.stack([view.pixels for view in samples]),
            "image_id": np.array([view.image_id for view in samples]),
        }
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return self.targets.counts(batch)

    def losses(self, model: nn.Module, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        maps = {name: output.float() for name, output in model(normalise(batch["pixels"])).items()}
        return self.targets.losses(maps, batch, totals)

    def describe(self, batch: Batch) -> Mapping[str, Any]:
        return {"image_id": batch["image_id"].tolist()}

    def validate(self) -> dict[str, float]:
        """Return AP and AR of the first kind on the held-out photos, whole, without trust."""
        if self.held_out is None or distributed.rank():
            return {}
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            spec = save_maps_folder(folder, self.network, self.recipe, self.recipe.bottom_up.kinds[0])
            return numbers_on(bottom_up.BottomUpNetwork(spec), self.held_out)

    def export(self, folder: Path) -> None:
        """Write the first kind as model folder, each further kind as folder of its name in it."""
        first, *further_kinds = self.recipe.bottom_up.kinds
        self.model.cpu().eval()
        save_maps_folder(folder, self.network, self.recipe, first)
        for kind in further_kinds:
            save_maps_folder(folder / kind, self.network, self.recipe, kind)


def bottom_up_task(recipe: Recipe, data: Path, model: Path | None) -> BottomUpTask:
    """Build a recipe's task, on a data folder in one of COCO's layouts; `model`: folder or file of the initial pose
    network. Raises InputError."""
    if recipe.height != recipe.width or recipe.height % MULTIPLE:
        raise InputError(
            f"height, width: expected the same multiple of {MULTIPLE}, got {recipe.height}, {recipe.width}"
        )
    if recipe.head is not None or recipe.deepen:
        raise InputError("head, deepen: bottom-up networks have neither, see those")
    layout = coco_layout(data)
    if layout is None:
        raise InputError(f"{data}: holds no photos with keypoints in one of COCO's layouts")
    file = read_truth(layout[0])
    if file.keypoint_names != recipe.data.joints.keypoints:
        raise InputError(f"data.skeleton: {recipe.data.skeleton} has other joints than {layout[0]}")
    photos = labelled_photos(file, layout[1], are_complete(file))
    training, held_out = rows_by_fold(photos.photos.image_id, recipe.data)
    torch.manual_seed(recipe.train.seed)
    network = _started(recipe, model)
    return BottomUpTask(recipe, network, photos.select(training), photos.select(held_out) if len(held_out) else None)


def _started(recipe: Recipe, model: Path | None) -> BottomUpNetwork:
    """Return the network with its initial weights: a pose network's, or all of an earlier training's of its kinds."""
    is_own = model is not None and model.is_dir() and output_kind(model) in [kind.kind for kind in PHOTO_MAPS]
    network = build(recipe.network, len(recipe.data.joints)) if is_own else starting_network(recipe, model)
    if not isinstance(network, PoseNetwork):
        raise InputError(f"network: {recipe.network} is no chain of backbone and heatmap layer, take one that is")
    options = recipe.bottom_up
    limbs = len(limbs_of(recipe.data.joints))
    whole = BottomUpNetwork(network, options.kinds, limbs, tag_coordinates=options.tag_coordinates)
    if is_own:
        weights = ModelSpec.read(model).training_weights
        whole.load_state_dict(read_own_tensors(weights, whole, recipe.name))
    return whole

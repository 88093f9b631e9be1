"""The Task for system "volumes": keypoints with their depths in a person's crop (integral regression on Human3.6M)."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.codecs.volumes import VolumeCodec
from trustpose.datasets.augment import TrainingCrops
from trustpose.datasets.deep_people import DeepCrop, DeepCrops
from trustpose.datasets.human36m import PROTOCOLS, ROOT, Human36M, read_human36m
from trustpose.files import InputError
from trustpose.geometry.crops import invert_affine, transform
from trustpose.heads.stages import Stage
from trustpose.metrics.position_error import PositionErrors
from trustpose.models.outputs.volumes import VolumeOutput
from trustpose.models.spec import ModelSpec
from trustpose.skeletons import HUMAN36M_17
from trustpose.training import distributed
from trustpose.training.crops import AUGMENTATIONS, codec_of, normalise
from trustpose.training.initialization import starting_network
from trustpose.training.network_task import crop_spec, save_network
from trustpose.training.recipe import Recipe
from trustpose.training.volume_losses import volume_terms

Batch = dict[str, Tensor]


class Learner(nn.Module):
    """Returns each stage's maps: wrappings for processes do not support dataclasses in results."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[Float[Tensor, "B channels h w"]]:
        return list(self.network(image).heatmaps)


class VolumeTask:
    """A `training.task.Task` on crops of people with 3D poses. `volume_task` builds one from a recipe.

    Crops are those of the code of Sun et al.: about the root joint, `volumes.extent` metres wide and high at its depth.
    """

    def __init__(
        self, recipe: Recipe, network: nn.Module, codec: VolumeCodec, training: DeepCrops, held_out: "HeldOut"
    ) -> None:
        self.recipe, self.network, self.codec = recipe, network, codec
        self.crops, self.held_out = training, held_out
        self.model: nn.Module = Learner(network)

    def stage(self, stage: Stage) -> None:  # noqa: ARG002  # there is only one kind
        self.model.requires_grad_(True)

    def train_mode(self) -> None:
        self.model.train()

    def samples(self, epoch: int) -> DeepCrops:
        return self.crops.at_epoch(epoch)

    def collate(self, samples: list[DeepCrop]) -> Batch:
        """Return pixels (B, H, W, 3), xyz (B, K, 3) with weights (B, K), as `VolumeCodec` has them, and ids (B,)."""
        crops = [sample.crop for sample in samples]
        depth = np.stack([sample.depth for sample in samples])
        xyz = np.concatenate([np.stack([crop.xy for crop in crops]), depth[..., None]], axis=2)
        arrays = {
            "pixels": np.stack([crop.pixels for crop in crops]),
            "xyz": xyz.astype(np.float32),
            "weights": self.codec.weights(xyz, np.stack([crop.v for crop in crops]) > 0),
            "image_id": np.array([crop.image_id for crop in crops]),
            "annotation_id": np.array([crop.annotation_id for crop in crops]),
        }
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return {"people": torch.tensor(len(batch["xyz"]), device=batch["xyz"].device)}

    def losses(self, model: nn.Module, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        stages = model(normalise(batch["pixels"]))
        return volume_terms(stages, batch, totals["people"], self.codec, self.recipe.train)

    def describe(self, batch: Batch) -> dict[str, list[int]]:
        return {name: batch[name].tolist() for name in ("image_id", "annotation_id")}

    def validate(self) -> dict[str, float]:
        """Return the errors of the protocol's test subjects, millimetres: of the last stage `mpjpe`, `pa_mpjpe` and
        `rigid_mpjpe`, and of each stage under "stage-1." and so on."""
        if distributed.rank():
            return {}
        self.model.eval()
        return self.held_out.errors(self.network, self.codec, self.recipe.train)

    def export(self, folder: Path) -> None:
        save_network(folder, volume_spec(self.recipe, self.codec, folder), self.network.cpu().eval())


class HeldOut:
    """The people of the test subjects with their crops, in order."""

    def __init__(self, data: Human36M, crops: TrainingCrops) -> None:
        self.data, self.crops = data, crops

    @torch.no_grad()
    def errors(self, network: nn.Module, codec: VolumeCodec, options: Any) -> dict[str, float]:
        """Return the position errors of a network, as `VolumeTask.validate` does; `options`: `TrainOptions`."""
        device = next(network.parameters()).device
        sums: list[PositionErrors] = []
        for start in range(0, len(self.crops), options.batch_size):
            rows = np.arange(start, min(start + options.batch_size, len(self.crops)))
            crops = [self.crops[row] for row in rows.tolist()]
            image = normalise(torch.from_numpy(np.stack([crop.pixels for crop in crops])).to(device))
            outputs = _arrays(network(image))
            if options.flip_test:
                mirrored = _arrays(network(image.flip(3)))
                outputs = codec.average_flipped(outputs, mirrored, self.crops.flip_index)
            sums = sums or [PositionErrors(ROOT) for _ in outputs.heatmaps]
            affine = np.stack([crop.affine for crop in crops])
            for stage_sums, maps in zip(sums, outputs.heatmaps, strict=True):
                xyz = codec.decode_volumes(maps).xyz
                stage_sums.add(self._in_camera(rows, xyz, affine), self.data.xyz[rows])
        numbers = [stage_sums.result() for stage_sums in sums]
        by_stage = {
            f"stage-{number}.{name}": value
            for number, of_stage in enumerate(numbers, 1)
            for name, value in of_stage.items()
        }
        return by_stage | numbers[-1]

    def _in_camera(
        self, rows: np.ndarray, xyz: Float[np.ndarray, "B K 3"], affine: Float[np.ndarray, "B 2 3"]
    ) -> Float[np.ndarray, "B K 3"]:
        """Return keypoints with depths in crops as points in each one's camera, metres; the root's true depth is used,
        as in the papers."""
        data = self.data[rows]
        return data.at_depth(transform(invert_affine(affine), xyz[..., :2]), xyz[..., 2])


def _arrays(outputs: Outputs) -> Outputs:
    return Outputs([maps.float().cpu().numpy() for maps in outputs.heatmaps])


def volume_spec(recipe: Recipe, codec: VolumeCodec, folder: Path) -> ModelSpec:
    """Return the spec of the trained network, for prediction."""
    output = VolumeOutput(
        keypoints=len(recipe.data.joints),
        depth=codec.depth,
        height=codec.height,
        width=codec.width,
        stride=codec.stride,
        name="heatmaps",
        decoding=codec.decoding,
        sigma=codec.sigma,
        temperature=codec.temperature,
        extent=codec.extent,
    )
    return crop_spec(recipe, output, folder, skeleton=recipe.data.joints)


def volume_codec(recipe: Recipe) -> VolumeCodec:
    """Return the recipe's codec: the integral's if it learns from that, else the argmax's. Raises InputError."""
    plane = codec_of(recipe)
    decoding = "integral" if recipe.train.objective == "integral" else "argmax"
    sides = (plane.width, plane.height, recipe.volumes.depth)
    return VolumeCodec(*sides, plane.stride, plane.sigma, decoding, plane.temperature, recipe.volumes.extent)


def volume_task(recipe: Recipe, data: Path, model: Path | None = None) -> VolumeTask:
    """Build a recipe's task, on a folder in the layout of `datasets.human36m`.

    model: initial weights of a network of volumes. Raises InputError.
    """
    if recipe.head is not None or recipe.deepen:
        raise InputError(f"head, deepen: expected none with system volumes, got {recipe.head}, {recipe.deepen}")
    if recipe.data.joints.keypoints != HUMAN36M_17.keypoints:
        raise InputError(f"data.skeleton: expected human36m17 with system volumes, got {recipe.data.skeleton}")
    if recipe.data.folds:
        raise InputError(f"data.folds: expected 0 with system volumes, its protocol divides, got {recipe.data.folds}")
    if recipe.train.objective not in ("heatmaps", "integral"):
        got = recipe.train.objective
        raise InputError(f"train.objective: expected heatmaps or integral with system volumes, got {got}")
    codec, protocol = volume_codec(recipe), PROTOCOLS[recipe.volumes.protocol]
    training = read_human36m(data, protocol.training, recipe.volumes.train_every)
    held_out = read_human36m(data, protocol.test, protocol.test_every)
    torch.manual_seed(recipe.train.seed)
    network = starting_network(recipe, model, codec.depth)
    channels = len(HUMAN36M_17) * codec.depth
    if getattr(network, "keypoints", channels) != channels:
        raise InputError(f"{model}: gives {network.keypoints} maps, the recipe's volumes have {channels}")
    crops = _crops(recipe, codec, data, training, AUGMENTATIONS[recipe.data.augmentation])
    plain = _crops(recipe, codec, data, held_out, AUGMENTATIONS["nothing"])
    return VolumeTask(recipe, network, codec, DeepCrops(crops, training.depth), HeldOut(held_out, plain))


def _crops(recipe: Recipe, codec: VolumeCodec, folder: Path, data: Human36M, augmentation: Any) -> TrainingCrops:
    """Return crops about the root joints."""
    return TrainingCrops(
        data.people(folder, data.root_boxes(codec.extent)),
        width=recipe.width,
        height=recipe.height,
        padding=recipe.data.padding,
        augmentation=augmentation,
        seed=recipe.train.seed,
        extent=codec.crop_extent(recipe.width, recipe.height),
    )

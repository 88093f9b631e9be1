"""The Task for system "surfaces": the surface of the body in each pixel of a person's crop (DensePose)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from trustpose.codecs.surface import SurfaceCodec, SurfaceMaps, surface_score
from trustpose.datasets.surface_people import SurfaceCrop, SurfaceCrops, open_surface_people
from trustpose.export.model_folder import write_tensors
from trustpose.export.onnx import export_regions, write_onnx
from trustpose.files import InputError, new_folder, write_json
from trustpose.geometry.surface_mesh import SurfaceMesh
from trustpose.heads.stages import Stage
from trustpose.io.surface_mesh import read_surface_mesh
from trustpose.io.surface_mirror import read_uv_mirror
from trustpose.metrics.surface import geodesic_point_similarity, surface_precision
from trustpose.models.outputs.surfaces import SurfaceOutput
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, ModelSpec
from trustpose.networks.checkpoint_files import read_own_tensors
from trustpose.networks.dense_pose import SURFACE_TENSORS, DensePoseRCNN, SurfaceNetwork
from trustpose.networks.layers import PoseNetwork
from trustpose.poses.surfaces import Surface, Surfaces
from trustpose.training import distributed
from trustpose.training.crops import AUGMENTATIONS, normalise
from trustpose.training.initialization import starting_network
from trustpose.training.network_task import crop_spec
from trustpose.training.people import rows_by_fold
from trustpose.training.recipe import Recipe
from trustpose.training.surface_losses import SurfacePoints, expected_quality_target, surface_losses

Batch = dict[str, Tensor]


class Learner(nn.Module):
    """Returns a plain dict: wrappings for processes do not support dataclasses in results."""

    def __init__(self, network: SurfaceNetwork | DensePoseRCNN):
        super().__init__()
        self.network = network

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        return dict(self.network(*inputs).extra)


class SurfaceTask:
    """A `training.task.Task` on crops of people with labelled surfaces. `surface_task` builds one from a recipe."""

    def __init__(
        self,
        recipe: Recipe,
        network: SurfaceNetwork | DensePoseRCNN,
        training: SurfaceCrops,
        held_out: SurfaceCrops | None,
        mesh: SurfaceMesh | None,
    ):
        self.recipe, self.network, self.mesh = recipe, network, mesh
        self.crops, self.held_out = training, held_out
        self.model: nn.Module = Learner(network)

    def stage(self, stage: Stage) -> None:  # noqa: ARG002  # there is only one kind
        self.model.requires_grad_(True)

    def train_mode(self) -> None:
        self.model.train()

    def samples(self, epoch: int) -> SurfaceCrops:
        return self.crops.at_epoch(epoch)

    def collate(self, samples: list[SurfaceCrop]) -> Batch:
        """Return pixels (B, H, W, 3), boxes (B, 5) as `cut_regions` takes them, mask (B, h, w), ids (B,), and the
        points that lie in their regions."""
        arrays = {
            "pixels": np.stack([crop.pixels for crop in samples]),
            "boxes": np.array([[row, *crop.region] for row, crop in enumerate(samples)], np.float32),
            "mask": np.stack([crop.mask for crop in samples]),
            "image_id": np.array([crop.image_id for crop in samples]),
            "annotation_id": np.array([crop.annotation_id for crop in samples]),
        }
        points = SurfacePoints(
            torch.from_numpy(np.repeat(np.arange(len(samples)), [len(crop.part) for crop in samples])),
            torch.from_numpy(np.concatenate([crop.xy for crop in samples]).astype(np.float32)),
            torch.from_numpy(np.concatenate([crop.part for crop in samples])),
            torch.from_numpy(np.concatenate([crop.uv for crop in samples]).astype(np.float32)),
        ).inside()
        batch = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
        return batch | {f"point_{name}": column for name, column in vars(points).items()}

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return {
            "points": torch.tensor(len(batch["point_part"])),
            "people": torch.tensor(len(batch["mask"])),
            "masked": (batch["mask"].flatten(1) >= 0).any(dim=1).sum().cpu(),
        }

    def losses(self, model: nn.Module, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        maps = {name: value.float() for name, value in model(*self._inputs(batch)).items()}
        points = SurfacePoints(*(batch[f"point_{name}"] for name in ("person", "xy", "part", "uv")))
        quality = self._similarity(maps, points) if "quality" in maps else None
        return surface_losses(maps, points, batch["mask"], self.recipe.surfaces, totals, quality)

    def _inputs(self, batch: Batch) -> list[Tensor]:
        """Return the network's inputs."""
        pixels = normalise(batch["pixels"])
        return [pixels, batch["boxes"]] if self.recipe.surfaces.regions else [pixels]

    def _similarity(self, maps: Mapping[str, Tensor], points: SurfacePoints) -> Tensor:
        """Return the geodesic point similarity of the current estimate at each point; NaN where it is unknown."""
        assert self.mesh is not None  # `surface_task` says so
        part, uv = expected_quality_target(maps, points, self.recipe.surfaces.offset)
        true_uv = points.uv.cpu().numpy().astype(np.float64)
        similarity = self.mesh.similarity(
            part.cpu().numpy(), uv.cpu().numpy().astype(np.float64), points.part.cpu().numpy(), np.nan_to_num(true_uv)
        )
        similarity[np.isnan(true_uv).any(axis=1)] = np.nan
        return torch.from_numpy(similarity).to(maps["quality"])

    def describe(self, batch: Batch) -> dict[str, list[int]]:
        return {name: batch[name].tolist() for name in ("image_id", "annotation_id")}

    def validate(self) -> dict[str, float]:
        if self.held_out is None or distributed.rank():
            return {}
        return surface_numbers(self.predict(self.held_out), self.held_out, self.mesh)

    def predict(self, crops: SurfaceCrops) -> Surfaces:
        """Return the surfaces of people in their labelled boxes, ranked by expected similarity, or without a head for
        it by the mean probability of the parts."""
        self.model.eval()
        codec = SurfaceCodec(*crops.cells)
        device = next(self.model.parameters()).device
        surfaces: list[Surface] = []
        scores: list[float] = []
        size = self.recipe.train.batch_size
        for start in range(0, len(crops), size):
            samples = [crops[row] for row in range(start, min(start + size, len(crops)))]
            batch = {name: values.to(device) for name, values in self.collate(samples).items()}
            with torch.inference_mode():
                maps = {name: value.float().cpu() for name, value in self.model(*self._inputs(batch)).items()}
            for index, crop in enumerate(samples):
                arrays = {name: value[index].numpy() for name, value in maps.items()}
                quality = torch.from_numpy(arrays.pop("quality")[0]).sigmoid().numpy() if "quality" in arrays else None
                person_maps = SurfaceMaps(**arrays, quality=quality)
                surface = codec.decode(person_maps, crop.box, crops.truth.box[start + index])
                surfaces.append(surface)
                scores.append(surface_score(surface))
        return Surfaces(tuple(surfaces), crops.truth.image_id, np.array(scores))

    def export(self, folder: Path) -> None:
        recipe = self.recipe
        network = self.network.cpu().eval()
        with new_folder(folder) as temporary:
            names = [*SURFACE_TENSORS, *(["quality"] if recipe.surfaces.quality else [])]
            writes = export_regions if recipe.surfaces.regions else write_onnx
            writes(_Tensors(network, names), names, temporary / MODEL_ONNX, recipe.height, recipe.width)
            write_tensors(temporary / MODEL_WEIGHTS, network)
            spec = surface_spec(recipe, network.cells(recipe.height, recipe.width), temporary)
            write_json(temporary / MODEL_JSON, spec.to_json())
            ModelSpec.read(temporary)  # validate before publishing


class _Tensors(nn.Module):
    """Returns a tuple of tensors, the expected similarity as a probability."""

    def __init__(self, network: SurfaceNetwork | DensePoseRCNN, names: list[str]):
        super().__init__()
        self.network = network
        self.names = names

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        maps = self.network(*inputs).extra
        return tuple(maps[name].sigmoid() if name == "quality" else maps[name] for name in self.names)


def surface_spec(recipe: Recipe, cells: tuple[int, int], folder: Path) -> ModelSpec:
    """Return the spec of the trained network, for prediction; cells: width and height of its maps."""
    width, height = cells
    quality = "quality" if recipe.surfaces.quality else None
    output = SurfaceOutput(height, width, quality=quality, boxes="boxes" if recipe.surfaces.regions else None)
    return crop_spec(recipe, output, folder)


def surface_numbers(surfaces: Surfaces, crops: SurfaceCrops, mesh: SurfaceMesh | None) -> dict[str, float]:
    """Return how good surfaces of labelled people, in their order, are.

    surface.part: share of the labelled points with the right part; surface.uv: mean distance in U and V where it is.
    With a mesh surface.AP, AP50 and AP75 over GPSm, surface.gps, the mean of the people, and with a head for it
    surface.quality.pearson, the correlation at the points between expected and true similarity.
    """
    truth = crops.truth
    xy = truth.xy(255)
    right, away, expected, similarity = [], [], [], []
    for row, surface in enumerate(surfaces):
        points = truth.points_of(row)
        part, uv = surface.sample(xy[points])
        is_right = part == truth.part[points]
        right.append(is_right)
        away.append(np.abs(uv - truth.uv[points])[is_right].ravel())
        if mesh is not None and surface.quality is not None:
            line, column, _ = surface.pixels(xy[points])
            expected.append(surface.quality[line, column])
            similarity.append(mesh.similarity(part, uv, truth.part[points], truth.uv[points]))
    numbers = {"surface.part": float(np.concatenate(right).mean()), "surface.uv": float(np.concatenate(away).mean())}
    if mesh is None:
        return numbers
    precision = surface_precision(surfaces, truth, mesh)
    numbers |= {f"surface.{name}": getattr(precision, name) for name in ("AP", "AP50", "AP75")}
    gps = [geodesic_point_similarity(surface, truth, row, mesh) for row, surface in enumerate(surfaces)]
    numbers["surface.gps"] = float(np.mean(gps))
    if expected:
        both = np.stack([np.concatenate(expected), np.concatenate(similarity)])
        numbers["surface.quality.pearson"] = float(np.corrcoef(both[:, ~np.isnan(both).any(axis=0)])[0, 1])
    return numbers


def surface_task(recipe: Recipe, data: Path, model: Path | None = None) -> SurfaceTask:
    """Build a recipe's task, on a folder in one of `datasets.surface_people.SURFACE_LAYOUTS`.

    model: initial weights of the recipe's pose network, as for system "network", whose features it uses. Raises
    InputError.
    """
    if recipe.head is not None or recipe.deepen:
        raise InputError(f"head, deepen: expected none with system surfaces, got {recipe.head}, {recipe.deepen}")
    for name, length in (("height", recipe.height), ("width", recipe.width)):
        if length % 32:
            raise InputError(f"{name}: expected a multiple of 32 with system surfaces, got {length}")
    options = recipe.surfaces
    if options.quality and options.mesh is None:
        raise InputError("surfaces.quality: needs surfaces.mesh, the distances along the surface that it learns from")
    truth, photos = open_surface_people(data)
    mesh = None if options.mesh is None else read_surface_mesh(options.mesh)
    mirror = None if options.mirror is None else read_uv_mirror(options.mirror)
    torch.manual_seed(recipe.train.seed)
    network = _paper_network(recipe, model) if options.regions and not recipe.network else _network(recipe, model)
    cells = network.cells(recipe.height, recipe.width)
    training, held_out = rows_by_fold(truth.image_id, recipe.data)
    plain = SurfaceCrops(
        truth[held_out], photos, recipe.width, recipe.height, cells, recipe.data.padding, whole=options.regions
    )
    crops = replace(
        plain,
        truth=truth[training],
        augmentation=AUGMENTATIONS[recipe.data.augmentation],
        mirror=mirror,
        seed=recipe.train.seed,
    )
    return SurfaceTask(recipe, network, crops, plain if len(held_out) else None, mesh)


def _network(recipe: Recipe, model: Path | None) -> SurfaceNetwork:
    """Return a network of surfaces on the features of the recipe's network."""
    options = recipe.surfaces
    base = starting_network(recipe, model)
    if not isinstance(base, PoseNetwork):
        raise InputError(f"network: expected one with a single stage of heatmaps, got {recipe.network}")
    return SurfaceNetwork(base, options.hidden, options.layers, quality=options.quality, regions=options.regions)


def _paper_network(recipe: Recipe, model: Path | None) -> DensePoseRCNN:
    """Return the paper's network on regions; `model`: a file of its weights."""
    try:
        network = DensePoseRCNN(
            quality=recipe.surfaces.quality, imagenet=model is None and recipe.strategy.starts_from == "imagenet"
        )
    except OSError as error:  # of the download
        raise InputError(f"{recipe.name}: torchvision could not fetch ImageNet's weights ({error})") from None
    if model is not None:
        network.load_state_dict(read_own_tensors(model, network, "DensePose on regions"))
    return network

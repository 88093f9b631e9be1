"""The Task for system "bottom-up": a network that sees all people of a photo, trained on whole photos."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from trustpose.codecs.boxes import encode_centres
from trustpose.codecs.fields import FieldCodec
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.datasets.label_files import published
from trustpose.datasets.labelled_photos import LabelledPhotos, PhotoView, PhotoViews, labelled_photos
from trustpose.export.model_folder import write_tensors
from trustpose.export.onnx import export_maps, export_residual
from trustpose.files import InputError, new_folder, write_json
from trustpose.grouping.deepcut_terms import PairwiseTerms
from trustpose.heads.stages import Stage
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.average_precision import evaluate
from trustpose.models.outputs.boxed import BoxedOutput
from trustpose.models.outputs.centres import CentreOutput
from trustpose.models.outputs.composite_fields import CompositeOutput
from trustpose.models.outputs.disks import DiskOutput
from trustpose.models.outputs.fields import FieldOutput
from trustpose.models.outputs.kinds import PHOTO_MAPS, PhotoMapOutputs
from trustpose.models.outputs.parts import PartOutput
from trustpose.models.outputs.tags import TagOutput
from trustpose.models.spec import (
    MODEL_JSON,
    MODEL_ONNX,
    MODEL_PAIRWISE,
    MODEL_RESIDUAL,
    MODEL_WEIGHTS,
    InputSpec,
    ModelSpec,
    output_kind,
)
from trustpose.networks.bottom_up import BOXES, OFFSET_SCALE, BottomUpNetwork, Kind
from trustpose.networks.checkpoint_files import read_own_tensors
from trustpose.networks.layers import STRIDE, MapNetwork
from trustpose.networks.multi_pose_net import read_residual
from trustpose.networks.zoo import build
from trustpose.poses import Poses, Truth
from trustpose.predict import bottom_up
from trustpose.skeletons import COCO_17, COCO_17_REDUNDANT, Skeleton
from trustpose.training import distributed
from trustpose.training.bottom_up_options import TagFormula
from trustpose.training.composite_fields import composite_counts, composite_losses, composite_targets
from trustpose.training.crops import MEAN, STD, normalise
from trustpose.training.detector_task import centre_loss, sides_loss
from trustpose.training.disks import disk_counts, disk_losses, disk_targets
from trustpose.training.initialization import starting_network
from trustpose.training.losses import stage_loss, tag_losses
from trustpose.training.part_maps import learn_pairwise, part_counts, part_losses, part_targets
from trustpose.training.people import are_complete, coco_layout, rows_by_fold
from trustpose.training.recipe import Recipe

MAX_PEOPLE = 30  # of a view, for tags
_NEAR = 0.1  # height of a target's Gaussian above which a cell counts though it lies in an ignored place
WEIGHTS = {"heatmaps": 1.0, "fields": 8.0, "pull": 5.0, "push": 5.0, "centres": 0.5, "sides": 1.0, "offsets": 1.0}
WEIGHTS |= {"intensity": 0.5, "intensity_vectors": 1.0, "association": 0.5, "association_vectors": 0.5, "sizes": 1.0}
WEIGHTS |= {"parts": 0.5, "refinements": 2.0, "scales": 2.0}
WEIGHTS |= {"disks": 32.0, "short": 8.0, "middle": 2.0}  # eight times PersonLab's own
"""Of the losses: with these all begin between 1 and 10. Those of tags are about HigherHRNet's 0.001, as its heatmaps'
loss is a mean over all cells and ours a sum for each joint."""

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class BottomUpTargets:
    """Targets of views of `size` pixels for a network with these kinds of maps.

    sigma: of heatmaps, width: of fields, in map pixels. radius: of disks, in view pixels. tag_formula: of the tags'
    losses, see `tag_losses`. sigmas: the skeleton's, for composite fields.
    """

    kinds: Sequence[Kind]
    limbs: tuple[tuple[int, int], ...]
    size: int
    stride: int = 4
    sigma: float = 2.0
    width: float = 2.0
    radius: float = 16.0
    tag_formula: TagFormula = "higherhrnet"
    sigmas: tuple[float, ...] = tuple(COCO_17.sigmas.tolist())

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
        if BOXES & set(self.kinds):
            targets |= self._centres(view, ignored)
        if "composite-fields" in self.kinds:
            targets |= composite_targets(view, self.limbs, np.array(self.sigmas), cells, self.stride)
        if "parts" in self.kinds:
            targets |= part_targets(view, cells, self.stride)
        if "disks" in self.kinds:
            targets |= disk_targets(view, self.limbs, self.radius, cells, self.stride)
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
        if BOXES & set(self.kinds):
            counts["people"] = (batch["bumps"] == 1).sum()
            counts["weight"], counts["learnt"] = batch["weight"].sum(), batch["learnt"].sum()
        if "composite-fields" in self.kinds:
            counts |= composite_counts(batch)
        if "parts" in self.kinds:
            counts |= part_counts(batch)
        if "disks" in self.kinds:
            counts |= disk_counts(batch)
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
        if BOXES & set(self.kinds):
            terms |= self._centre_losses(maps, batch, totals)
        if "composite-fields" in self.kinds:
            terms |= composite_losses(maps, batch, totals)
        if "parts" in self.kinds:
            terms |= part_losses(maps, batch, totals, self.stride)
        if "disks" in self.kinds:
            terms |= disk_losses(maps, batch, totals, self.limbs, self.radius, self.stride)
        return {name: WEIGHTS[name] * term for name, term in terms.items()}

    def _centre_losses(
        self, maps: Mapping[str, Tensor], batch: Batch, totals: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        centres = centre_loss(maps["centre"][:, 0], batch["bumps"], batch["centred"]) / totals["people"]
        sides = sides_loss(maps["sides"], batch["sides"], batch["weight"], self.stride) / totals["weight"]
        terms = {"centres": centres, "sides": sides}
        if "joints" not in maps:
            return terms
        distance = (maps["joints"] - batch["offsets"]).abs().unflatten(1, (-1, 2)).sum(dim=2)  # (B, K, h, w)
        offset_loss = (distance * batch["learnt"]).sum() / totals["learnt"] / OFFSET_SCALE
        return terms | {"offsets": offset_loss}


MULTIPLE = 32  # a photo's sides must be multiples of this


def limbs_of(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    """Return the limbs of part affinity fields: the skeleton's edges, for COCO's joints with the redundant ones."""
    more = COCO_17_REDUNDANT if skeleton.keypoints == COCO_17.keypoints else ()
    return (*skeleton.edges, *more)


def maps_spec(recipe: Recipe, kind: Kind, folder: Path) -> ModelSpec:
    """Return the spec for prediction with one kind of maps of the recipe's network."""
    side = recipe.bottom_up.longest
    return ModelSpec(
        onnx=folder / MODEL_ONNX,
        name=recipe.name,
        licence="unknown",
        source=f"trustpose train {recipe.name}",
        input=InputSpec(
            "image", "NCHW", "float32", side, side, "RGB", 1 / 255, MEAN, STD, multiple=MULTIPLE, longest=side
        ),
        output=_output(recipe, kind),
        skeleton=recipe.data.joints,
    )


def _output(recipe: Recipe, kind: Kind) -> PhotoMapOutputs:
    """Return the decoding options of maps, as chosen by AP on the held-out photos of `train` for the recipes
    "bottom-up" and "bottom-up-tags"."""
    skeleton, sigma = recipe.data.joints, recipe.bottom_up.sigma
    if kind == "fields":
        limbs = limbs_of(skeleton)
        more = tuple(range(len(skeleton.edges), len(limbs)))
        links: dict[str, Any] = {"min_value": 0.005, "min_share": 0.6, "matching": "optimal", "order": "scores"}
        links |= {"redundant": more, "min_parts": 3, "min_score": 0.1}
        return FieldOutput(len(skeleton), float(STRIDE), limbs, sigma=sigma, **links)
    if kind == "tags":
        order = tuple(range(len(skeleton)))
        return TagOutput(len(skeleton), float(STRIDE), order, sigma=sigma, min_peak=0.3, fill=True)
    if kind == "boxed":
        residual = None if recipe.bottom_up.residual is None else MODEL_RESIDUAL
        return BoxedOutput(len(skeleton), float(STRIDE), sigma=sigma, residual=residual)
    if kind == "composite-fields":
        return CompositeOutput(len(skeleton), float(STRIDE), limbs_of(skeleton), min_parts=3)
    if kind == "parts":
        return PartOutput(len(skeleton), float(STRIDE), pairwise=MODEL_PAIRWISE)
    if kind == "disks":
        sigmas = tuple(skeleton.sigmas.tolist())
        return DiskOutput(len(skeleton), float(STRIDE), limbs_of(skeleton), sigmas, radius=recipe.bottom_up.radius)
    return CentreOutput(len(skeleton), float(STRIDE), sigma=sigma, reach=0.5, overlap=0.4)


def save_maps_folder(
    out: Path, network: BottomUpNetwork, recipe: Recipe, kind: Kind, terms: PairwiseTerms | None = None
) -> ModelSpec:
    """Write the network, with one kind of its maps, as the new model folder `out`; return its spec.

    terms: DeepCut's, for the kind "parts". Raises InputError.
    """
    with new_folder(out) as folder:
        side = recipe.bottom_up.longest
        export_maps(network, kind, folder / MODEL_ONNX, side, side, free_size=MULTIPLE)
        write_tensors(folder / MODEL_WEIGHTS, network)
        if kind == "boxed" and recipe.bottom_up.residual is not None:
            export_residual(read_residual(Path(recipe.bottom_up.residual)), folder / MODEL_RESIDUAL)
        if kind == "parts" and terms is not None:
            terms.save(folder / MODEL_PAIRWISE)
        write_json(folder / MODEL_JSON, maps_spec(recipe, kind, folder).to_json())
        ModelSpec.read(folder)  # validate before publishing
    return ModelSpec.read(out)


def average_precision_on(
    detect: Callable[[UInt8[np.ndarray, "H W 3"]], Poses], photos: LabelledPhotos, skeleton: Skeleton
) -> dict[str, float]:
    """Return COCO's AP and AR, by the audit's names, of the people that a function detects in whole photos, RGB.

    People without labelled joints are ignored; everybody's area is 0.53 of the box's, as segments are not kept.
    """
    parts: list[Poses] = []
    for index, image_id in enumerate(photos.photos.image_id.tolist()):
        pixels, scale = photos.photos.photo(index)
        detected = detect(pixels)
        shift = (scale - 1) / 2  # positions are those of pixels' middles
        image_ids = np.full(len(detected), image_id)
        parts.append(Poses((detected.xy - shift) / scale, detected.score, detected.pose_score, image_id=image_ids))
    poses, truth = Poses.concatenate(parts), _truth(photos)
    assert poses.pose_score is not None
    scores = evaluate(poses, truth, poses.pose_score, sigmas=skeleton.sigmas, area="box*0.53").summary()
    return {f"ap.{name}": getattr(scores, name) for name in ("AP", "AP50", "AP75", "AR")}


def _truth(photos: LabelledPhotos) -> Truth:
    counts = [len(xy) for xy in photos.xy]
    v, box = np.concatenate(photos.v), np.concatenate(photos.photos.box)
    return Truth(
        xy=np.concatenate(photos.xy),
        v=v,
        box=box,
        iscrowd=np.zeros(len(v), np.bool_),
        image_id=np.repeat(photos.photos.image_id, counts),
        annotation_id=np.arange(len(v)) + 1,
    )


class Learner(nn.Module):
    """A bottom-up network that returns plain dicts: wrappings for processes do not support dataclasses in results."""

    def __init__(self, network: BottomUpNetwork):
        super().__init__()
        self.network = network

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> list[dict[str, Tensor]]:
        return self.network.stage_maps(image)


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
        of_maps: dict[str, Any] = {name: getattr(options, name) for name in ("sigma", "width", "radius", "tag_formula")}
        if "composite-fields" in options.kinds:
            of_maps["sigmas"] = tuple(recipe.data.joints.sigmas.tolist())
        self.targets = BottomUpTargets(options.kinds, limbs, recipe.height, **of_maps)
        self.views = PhotoViews(
            training,
            recipe.height,
            recipe.data.joints.flip_index,
            (options.smallest, options.largest),
            options.rotation,
            recipe.train.seed,
        )

    @cached_property
    def terms(self) -> PairwiseTerms | None:
        """DeepCut's pairwise terms, learnt from the training photos; None without its maps."""
        return learn_pairwise(self.views.photos) if "parts" in self.recipe.bottom_up.kinds else None

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
        terms: dict[str, Tensor] = {}
        for stage in model(normalise(batch["pixels"])):
            maps = {name: output.float() for name, output in stage.items()}
            for name, term in self.targets.losses(maps, batch, totals).items():
                terms[name] = terms[name] + term if name in terms else term
        return terms

    def describe(self, batch: Batch) -> Mapping[str, Any]:
        return {"image_id": batch["image_id"].tolist()}

    def validate(self) -> dict[str, float]:
        """Return AP and AR of the first kind on the held-out photos, whole, without trust."""
        if self.held_out is None or distributed.rank():
            return {}
        with TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            spec = save_maps_folder(folder, self.network, self.recipe, self.recipe.bottom_up.kinds[0], self.terms)
            return average_precision_on(bottom_up.BottomUpNetwork(spec), self.held_out, spec.skeleton)

    def export(self, folder: Path) -> None:
        """Write the first kind as model folder, each further kind as folder of its name in it."""
        first, *further_kinds = self.recipe.bottom_up.kinds
        self.model.cpu().eval()
        save_maps_folder(folder, self.network, self.recipe, first, self.terms)
        for kind in further_kinds:
            save_maps_folder(folder / kind, self.network, self.recipe, kind, self.terms)


def bottom_up_task(recipe: Recipe, data: Path, model: Path | None) -> BottomUpTask:
    """Build a recipe's task, on a data folder in one of COCO's layouts; `model`: folder or file of the initial pose
    network. Raises InputError."""
    if recipe.height != recipe.width or recipe.height % MULTIPLE:
        raise InputError(
            f"height, width: expected the same multiple of {MULTIPLE}, got {recipe.height}, {recipe.width}"
        )
    if recipe.head is not None or recipe.deepen:
        raise InputError("head, deepen: bottom-up networks have neither; leave them out")
    layout = coco_layout(data)
    if layout is None:
        raise InputError(f"{data}: holds no photos with keypoints in one of COCO's layouts{published('COCO')}")
    file = read_coco_truth(layout[0])
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
    if not isinstance(network, MapNetwork):
        raise InputError(f"network: {recipe.network} is not a backbone followed by a heatmap layer; choose one that is")
    options = recipe.bottom_up
    limbs = len(limbs_of(recipe.data.joints))
    whole = BottomUpNetwork(
        network, options.kinds, limbs, tag_coordinates=options.tag_coordinates, branch_style=options.branch_style
    )
    if is_own:
        weights = ModelSpec.read(model).training_weights
        whole.load_state_dict(read_own_tensors(weights, whole, recipe.name))
    return whole

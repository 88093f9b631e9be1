"""The Task for system "network": a network of the zoo on crops, with a trust head if the recipe names one."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.codecs.coordinates import CoordinateCodec
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.codecs.joint_candidates import joint_candidate_targets
from trustpose.datasets.augment import TrainingCrop, TrainingCrops
from trustpose.datasets.dataset_ops import subset
from trustpose.datasets.detected_boxes import PRESENT
from trustpose.datasets.people import People
from trustpose.datasets.proposals import ProposalGenerator, fit_proposals
from trustpose.export.model_folder import write_tensors
from trustpose.export.onnx import export_coordinates, export_onnx
from trustpose.export.trust_folder import Fitted, save_trust_network
from trustpose.files import InputError, new_folder, write_json
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.crops import Boxes, invert_affine, transform
from trustpose.heads.heads import Trust, TrustHead
from trustpose.heads.network import TrustNetwork, attach
from trustpose.heads.stages import Stage
from trustpose.heads.targets import TrustTargets, trust_targets
from trustpose.models.outputs.crops import CoordinateOutput
from trustpose.models.runtime.weights import load_trust_network
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, HeatmapOutput, InputSpec, ModelSpec
from trustpose.names import expected_one_of
from trustpose.poses import describe_sources
from trustpose.predict.boxes import boxes_from_detections
from trustpose.training.crops import MEAN, STD, Batch, CropLabels, codec_of, collate, normalise, training_crops
from trustpose.training.initialization import parallel_branch, starting_network
from trustpose.training.interference import OtherPeople
from trustpose.training.learner import (
    PARTWISE,
    Learner,
    check_parts,
    heatmap_loss,
    lesson_of,
    neighbour_matrix,
    network_terms,
    parts_of,
)
from trustpose.training.losses import HEAD_LOSSES, loss_options
from trustpose.training.people import area_of, open_training, require_sigmas
from trustpose.training.recipe import Recipe
from trustpose.training.teacher import CACHE, open_teacher, with_teacher
from trustpose.training.validation import Validation, ValidationOptions


def decode_keypoints(codec: HeatmapCodec, heatmaps: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K 2"]:
    """Return the keypoints (B, K, 2) in crop pixels of `codec.decode`, on the heatmaps' device, without gradients.

    Argmax + quarter, which trains the head in every recipe of the papers, is computed on the device; the other decoders
    use numpy, so their maps go to the CPU and back.
    """
    heatmaps = heatmaps.detach().float()
    if codec.decoding != "argmax-quarter" or codec.smoothing is not None:
        return torch.from_numpy(codec.decode(Outputs([heatmaps.cpu().numpy()])).xy).to(heatmaps)
    height, width = heatmaps.shape[2:]
    flat = heatmaps.flatten(2)  # (B, K, h × w)
    peak = flat.argmax(dim=2, keepdim=True)  # the first in ties
    x, y = peak % width, peak // width  # (B, K, 1)
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    last = height * width - 1
    slopes = [
        flat.gather(2, (peak + step).clamp(max=last)) - flat.gather(2, (peak - step).clamp(min=0))
        for step in (1, width)  # along x, along y
    ]
    quarter = 0.25 * torch.cat(slopes, dim=2).sign() * inside  # (B, K, 2)
    strides = heatmaps.new_tensor(codec.strides)
    return (torch.cat([x, y], dim=2) + quarter) * strides + codec.offset


def gives_coordinates(recipe: Recipe) -> bool:
    """Whether the network's pose is in its coordinates, not in its heatmaps."""
    return recipe.train.objective in ("coordinates", "cascade", "coarse-to-fine")


def model_spec(recipe: Recipe, codec: HeatmapCodec, folder: Path) -> ModelSpec:
    """Return the spec of the trained network, for prediction."""
    return crop_spec(
        recipe,
        _output(recipe, codec),
        folder,
        skeleton=recipe.data.joints,
        deepen=recipe.deepen,
        localisation=recipe.transformer.localisation,
    )


def crop_spec(recipe: Recipe, output: Any, folder: Path, **more: Any) -> ModelSpec:
    """Return the spec of a network that was trained on crops of people and gives `output`; more: further fields."""
    return ModelSpec(
        onnx=folder / MODEL_ONNX,
        name=recipe.name,
        licence="unknown",
        source=f"trustpose train {recipe.name}",
        input=InputSpec("image", "NCHW", "float32", recipe.height, recipe.width, "RGB", 1 / 255, MEAN, STD),
        output=output,
        padding=recipe.data.padding,
        network=recipe.network or None,
        **more,
    )


def _output(recipe: Recipe, codec: HeatmapCodec) -> HeatmapOutput | CoordinateOutput:
    keypoints = len(recipe.data.joints)
    if gives_coordinates(recipe):
        return CoordinateOutput(keypoints, ("x", "y", "score"), normalised=True, name="coordinates")
    return HeatmapOutput(
        keypoints=keypoints,
        height=codec.height,
        width=codec.width,
        stride=codec.stride,
        name="heatmaps",
        decoding=codec.decoding,
        convention=codec.convention,
        sigma=codec.sigma,
        temperature=codec.temperature,
    )


def save_network(folder: Path, spec: ModelSpec, network: nn.Module) -> None:
    """Write a network without a head as the new folder `folder`."""
    with new_folder(folder) as temporary:
        writes = export_coordinates if isinstance(spec.output, CoordinateOutput) else export_onnx
        writes(network, temporary / MODEL_ONNX, spec.input.height, spec.input.width)
        write_tensors(temporary / MODEL_WEIGHTS, network)
        write_json(temporary / MODEL_JSON, spec.to_json())
        ModelSpec.read(temporary)  # validate before publishing


def fit_detector_proposals(people: People, detections: str) -> ProposalGenerator:
    """Learn the errors of a detector from its boxes of these people, a file of COCO results.

    A person's box is the one that overlaps the labelled one most, and by half at least (IoU). Raises InputError.
    """
    rows, detected_boxes = matched_boxes(people, boxes_from_detections(Path(detections)))
    labels = people.labels[rows]
    try:
        return fit_proposals(labels.xy, labels.v > 0, labels.box, detected_boxes, people.skeleton)
    except ValueError as error:
        reason = str(error).removeprefix("fit_proposals: ")
        raise InputError(
            f"data.proposals: {detections}, whose boxes fit {len(rows)} of {len(people)} people: {reason}"
        ) from None


def matched_boxes(people: People, boxes: Boxes) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows (L,) of people whom a box overlaps by half, and the best box of each (L, 4), xyxy."""
    order = np.argsort(boxes.image_id, kind="stable")
    ids, xyxy = boxes.image_id[order], boxes.xyxy[order]
    rows, boxes_found = [], []
    for row, (image, box) in enumerate(zip(people.image_id, people.labels.box, strict=True)):
        near = xyxy[np.searchsorted(ids, image) : np.searchsorted(ids, image, side="right")]
        overlap = paired_iou(near, box[None])
        if overlap.max(initial=0) >= PRESENT:
            rows.append(row)
            boxes_found.append(near[overlap.argmax()])
    return np.array(rows, np.int64), np.array(boxes_found, np.float64).reshape(-1, 4)


def centred_targets(
    crops: list[TrainingCrop], codec: HeatmapCodec, other_people: OtherPeople, interference: float
) -> dict[str, Tensor]:
    """Return the parallel branch's targets, "centred" (B, K, h, w) with "centred_weights" (B, K): heatmaps of the crops
    as they would be by the labelled boxes alone."""
    xy, affines = [], []
    for crop in crops:
        assert crop.centred is not None  # `TrainingCrops` sets it
        xy.append(transform(crop.centred, transform(invert_affine(crop.affine), crop.xy)))
        affines.append(crop.centred)
    centred_xy, labelled = np.stack(xy), np.stack([crop.v for crop in crops]) > 0
    heatmaps = codec.encode(centred_xy, labelled)
    if interference:
        joints = [other_people.of(crop, affine) for crop, affine in zip(crops, affines, strict=True)]
        heatmaps = joint_candidate_targets(codec, heatmaps, joints, interference)
    return {
        "centred": torch.from_numpy(heatmaps),
        "centred_weights": torch.from_numpy(np.asarray(codec.weights(centred_xy, labelled))),
    }


_EXTRA = 23  # a random stream separate from those of the order and the augmentation


class NetworkTask:
    """A `training.task.Task` on crops of people. `network_task` builds one from a recipe.

    first_count: the number of people of the first data set, whom every epoch includes (`people_of_epoch`); all if None.
    The network learns by the recipe's objective only (`training.learner`), with heatmap_weight; the head, with
    trust_weight, from the network's current poses, decoded and detached. A stage with trains "head" freezes the network
    with its batch norm statistics, one with a part all its other parts; one with a trust_weight of 0 freezes the head,
    and does not run it.
    """

    def __init__(
        self,
        recipe: Recipe,
        learner: Learner,
        training: People,
        held_out: People | None,
        first_count: int | None = None,
    ):
        self.recipe = recipe
        self.first_count = len(training) if first_count is None else first_count
        self.model: nn.Module = learner
        self.learner = learner
        self.codec: HeatmapCodec = codec_of(recipe)
        self.crops: TrainingCrops = training_crops(training, recipe, self.codec)
        if recipe.data.proposals is not None:
            first_people = subset(training, np.arange(self.first_count))
            self.crops = replace(self.crops, proposals=fit_detector_proposals(first_people, recipe.data.proposals))
        self.skeleton = training.skeleton
        self.neighbours = neighbour_matrix(training.skeleton) if recipe.train.structure else None
        self.other_people = OtherPeople(training)
        self.current_stage: Stage = recipe.plan.stages[0]
        self.head_loss = None if recipe.head is None else HEAD_LOSSES[recipe.head]
        self.loss_options = loss_options(recipe, training.labels.v, training.labels.is_ternary)
        initial = learner.network.state_dict() if recipe.train.weight_interpolation else {}
        self.start = {name: value.clone() for name, value in initial.items()}
        self.validation = None if held_out is None else _validation(recipe, held_out, self.codec)

    def stage(self, stage: Stage) -> None:
        self.current_stage = stage
        self.learner.network.requires_grad_(stage.trains == "all" and stage.part is None)
        if stage.part is not None:
            parts_of(self.learner.network)[stage.part].requires_grad_(stage.trains == "all")
        if self.learner.head is not None:
            self.learner.head.requires_grad_(stage.trust_weight > 0)
            self.learner.head.detach = stage.detach or stage.trains == "head"

    def train_mode(self) -> None:
        self.learner.network.train(self.current_stage.trains == "all" and self.current_stage.part is None)
        if self.current_stage.part is not None:
            parts_of(self.learner.network)[self.current_stage.part].train(self.current_stage.trains == "all")
        if self.learner.head is not None:
            self.learner.head.train(self.current_stage.trust_weight > 0)

    def samples(self, epoch: int) -> TrainingCrops:
        people = people_of_epoch(self.crops.people, self.first_count, self.recipe, epoch)
        return replace(self.crops, people=people, epoch=epoch)

    def collate(self, samples: list[TrainingCrop]) -> Batch:
        batch = collate(samples, self.codec, self.recipe.train.area)
        share = self.recipe.data.interference
        if share:
            other_joints = [self.other_people.of(crop) for crop in samples]
            mixed = joint_candidate_targets(self.codec, batch["heatmaps"].numpy(), other_joints, share)
            batch["heatmaps"] = torch.from_numpy(mixed)
        if self.learner.parallel is not None:
            batch |= centred_targets(samples, self.codec, self.other_people, share)
        return batch

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        people = torch.tensor(len(batch["v"]), device=batch["v"].device)
        if self.head_loss is None or not self.current_stage.trust_weight:
            return {"people": people}
        return {"people": people, **self.head_loss.counts(CropLabels.of(batch), self.loss_options)}

    def losses(self, model: nn.Module, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        asks_head = self.head_loss is not None and self.current_stage.trust_weight > 0
        lesson = None if asks_head else lesson_of(self.recipe.train.objective, batch, self.current_stage.part)
        answer = model(normalise(batch["pixels"]), batch["box"], asks_head, lesson)
        if asks_head and self.recipe.train.objective in PARTWISE:  # the network is frozen
            network_losses: dict[str, Tensor] = {}
        else:
            network_losses = network_terms(
                answer, batch, totals["people"], self.codec, self.recipe.train, self.neighbours
            )
        terms = {name: self.current_stage.heatmap_weight * term for name, term in network_losses.items()}
        if "centred" in answer:
            centred = heatmap_loss(answer["centred"], batch["centred"], batch["centred_weights"], totals["people"])
            terms["parallel"] = self.current_stage.heatmap_weight * self.recipe.transformer.parallel * centred
        if self.head_loss is None or not asks_head:
            return terms
        labels = CropLabels.of(batch)
        targets = self._targets(answer, labels)
        trust = self.head_loss.terms(answer["raw"], targets, labels, totals, self.loss_options)
        return terms | {name: self.current_stage.trust_weight * term for name, term in trust.items()}

    def describe(self, batch: Batch) -> dict[str, list[int]]:
        return {name: batch[name].tolist() for name in ("image_id", "annotation_id")}

    def validate(self) -> dict[str, float]:
        if self.validation is None:
            return {}
        self.model.eval()
        return self.validation(self._predict, next(self.model.parameters()).device)

    def export(self, folder: Path) -> None:
        spec, network = model_spec(self.recipe, self.codec, folder), copy.deepcopy(self.learner.network).cpu().eval()
        network.load_state_dict(
            interpolate_weights(self.start, network.state_dict(), self.recipe.train.weight_interpolation)
        )
        if self.learner.head is None:
            save_network(folder, spec, network)
            return
        recipe, head = self.recipe, self.learner.head.cpu().eval()
        trained_on = {"dataset": recipe.data.dataset, "recipe": recipe.name, "people": float(len(self.crops))}
        trained_on |= {"areas": describe_sources(self.crops.people.labels.area_source)}
        fitted = Fitted(
            str(recipe.head), area_of(self.crops.people, recipe.train.area), trained_on, dict(recipe.head_options)
        )
        save_trust_network(folder, spec, TrustNetwork(network, head), fitted)

    def _predict(self, image: Tensor, box: Tensor) -> tuple[Outputs, Trust | None]:
        head = self.learner.head
        if head is None:
            return self.learner.network(image), None
        return TrustNetwork(self.learner.network, head).eval()(image, box if head.reads_box else None)

    def _targets(self, answer: Mapping[str, Any], labels: CropLabels) -> TrustTargets:
        """Compute the targets of the decoded poses, in crop pixels."""
        if "coordinates" in answer:
            xy = answer["coordinates"][..., :2].detach() * labels.xy.new_tensor([self.crops.width, self.crops.height])
        else:
            xy = decode_keypoints(self.codec, answer["heatmaps"][-1][:, : labels.xy.shape[1]]).to(labels.xy)
        sigmas = torch.from_numpy(self.skeleton.sigmas).to(labels.xy)
        return trust_targets(xy, labels.xy, labels.v, labels.area, sigmas)


def people_of_epoch(people: People, first_count: int, recipe: Recipe, epoch: int) -> People:
    """Return the first `first_count` people, and `data.extra_share` of the rest, redrawn by the seed for each epoch."""
    extra = len(people) - first_count
    share = recipe.data.extra_share
    if not extra or share == 1:
        return people
    random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([recipe.train.seed, epoch, _EXTRA])))
    drawn = np.sort(random.permutation(extra)[: round(share * extra)])
    return subset(people, np.concatenate([np.arange(first_count), first_count + drawn]))


def interpolate_weights(start: Mapping[str, Tensor], trained: Mapping[str, Tensor], share: float) -> dict[str, Tensor]:
    """Interpolate: `share` of the initial tensor and the rest of the trained one; integers are the trained one's."""
    return {
        name: torch.lerp(value, start[name].to(value), share) if share and value.is_floating_point() else value
        for name, value in trained.items()
    }


def network_task(
    recipe: Recipe, data: Sequence[Path], model: Path | None, folder: Path, teacher: str | None = None
) -> NetworkTask:
    """Build a recipe's task, on data folders (`open_training`), starting from `model` if given.

    `teacher`: a model that labels what the data leaves unknown (`with_teacher`); its predictions are stored in
    `folder`. Random weights are drawn by the seed.

    Raises InputError.
    """
    if recipe.head is not None and recipe.head not in HEAD_LOSSES:
        raise InputError(f"head: {expected_one_of(HEAD_LOSSES, recipe.head)}")
    people = open_training(data, recipe.data)
    torch.manual_seed(recipe.train.seed)
    network = starting_network(recipe, model)
    check_parts(recipe, network)
    head = None
    if recipe.head is not None:
        require_sigmas(recipe, people.training, f"head {recipe.head}")
        try:
            head = attach(recipe.head, network, recipe.height, recipe.width, **recipe.head_options).head
            _start_head(head, recipe, model)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"head {recipe.head}: {str(error).splitlines()[0]}") from None
    training = people.training
    if teacher is not None:
        training = with_teacher(
            training, open_teacher(teacher, training.skeleton), recipe.data.teacher_quality, folder / CACHE
        )
    learner = Learner(network, head, parallel_branch(network, recipe))
    return NetworkTask(recipe, learner, training, people.held_out, people.first_count)


def _start_head(head: TrustHead, recipe: Recipe, model: Path | None) -> None:
    """Initialise from the model folder's head, if it has the same head with the same options."""
    if model is None or not model.is_dir():
        return
    spec = ModelSpec.read(model)
    if (
        spec.trust is not None
        and spec.trust.head == recipe.head
        and dict(spec.trust.options) == dict(recipe.head_options)
    ):
        head.load_state_dict(load_trust_network(spec).head.state_dict())


def _validation(recipe: Recipe, held_out: People, codec: HeatmapCodec) -> Validation:
    require_sigmas(recipe, held_out, "validation (data.folds=0 trains without)")
    reads = CoordinateCodec(recipe.width, recipe.height) if gives_coordinates(recipe) else codec
    options = ValidationOptions(recipe.train.batch_size, recipe.train.workers, recipe.train.flip_test)
    return Validation(training_crops(held_out, recipe, codec), reads, recipe.train.area, options)

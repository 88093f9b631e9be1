"""The Task for system "detector": a person detector, trained on whole photos with the boxes of all people.

The loss of a detector that lists boxes: the assignment of cells to people, and their targets. Cells are assigned by
how well they do already (Feng et al., TOOD: Task-aligned One-stage Object Detection, ICCV 2021, section 3.2, α = 1, β
= 6, 13 cells a person); scores learn the assigned quality by the varifocal loss (Zhang et al., VarifocalNet, CVPR
2021, equation 2), boxes GIoU (Rezatofighi et al., CVPR 2019), sides the distribution focal loss (Li et al.,
Generalized Focal Loss, NeurIPS 2020, equation 6). The weights 1, 2 and 0.5 are PicoDet's (Yu et al., 2021).
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from trustpose.codecs.boxes import encode_centres
from trustpose.datasets.photo_boxes import BoxedPhotos, TrainingViews, View
from trustpose.export.model_folder import write_tensors
from trustpose.export.onnx import trace_onnx
from trustpose.files import InputError, atomic_write, new_folder, write_json
from trustpose.heads.stages import Stage
from trustpose.metrics.average_precision import box_average_precision
from trustpose.models.spec import (
    MODEL_JSON,
    MODEL_ONNX,
    MODEL_WEIGHTS,
    BoxListOutput,
    BoxOutput,
    InputSpec,
    ModelSpec,
    output_kind,
)
from trustpose.networks.centre_detector import DETECTOR_MULTIPLE, CentreDetector
from trustpose.networks.checkpoint_files import read_own_tensors
from trustpose.networks.layers import PoseNetwork
from trustpose.networks.movenet import MoveNetDetector, MoveNetPose
from trustpose.networks.picodet import BINS, STRIDES, ListedBoxes, PicoDet
from trustpose.networks.zoo import BOX_DETECTORS
from trustpose.training import distributed
from trustpose.training.crops import MEAN, STD, normalise
from trustpose.training.initialization import starting_network
from trustpose.training.people import find_boxes, open_photos, rows_by_fold, with_pseudo_labels
from trustpose.training.recipe import Recipe

LISTS = ("scores", "boxes")  # names of the exported graph's outputs
LIST_MIN_SCORE = 0.25  # of boxes that prediction keeps, unless asked otherwise; trained on, scores rise by about 0.1
_CELLS = 13  # a person
_SCORE_POWER, _OVERLAP_POWER = 1.0, 6.0
_MISS, _FOCUS = 0.75, 2.0  # varifocal loss: the weight of cells without a person, and the power of their score
_BOXES, _BINS = 2.0, 0.5  # weights of the losses beside the scores'
_TINY = 1e-9


class Assigned(NamedTuple):
    """Each cell's person, a row of the photo's people, and the target of its score, 0–1; 0 where it has none."""

    person: Int[Tensor, "B N"]
    quality: Float[Tensor, "B N"]
    is_any: Bool[Tensor, "B N"]


@torch.no_grad()
def assign(predicted: ListedBoxes, people: Float[Tensor, "B M 4"], is_real: Bool[Tensor, "B M"]) -> Assigned:
    """Assign cells to people, boxes xyxy in input pixels; rows that are not `is_real` fill up, M is 1 at least.

    A person's 13 cells are those with the highest score × overlap⁶ whose middles lie in the box; a cell of several
    people goes to the one that it overlaps most. The best cell's quality is the highest overlap (IoU) of that person's.
    """
    x, y = predicted.middle.unbind(dim=1)
    x0, y0, x1, y1 = people[..., None].unbind(dim=2)  # (B, M, 1)
    is_inside = (x > x0) & (x < x1) & (y > y0) & (y < y1) & is_real[..., None]  # (B, M, N)
    overlap = _overlap(people[:, :, None], predicted.boxes[:, None].float())[0]  # (B, M, N)
    aligned = predicted.scores[:, None].float() ** _SCORE_POWER * overlap**_OVERLAP_POWER * is_inside
    highest = aligned.topk(min(_CELLS, aligned.shape[2]), dim=2).indices
    is_chosen = torch.zeros_like(is_inside).scatter(2, highest, value=True) & is_inside
    person = torch.where(is_chosen, overlap, -1.0).argmax(dim=1)  # (B, N)
    is_chosen &= torch.arange(people.shape[1], device=person.device)[:, None] == person[:, None]
    aligned, overlap = aligned * is_chosen, overlap * is_chosen
    share = aligned / (aligned.amax(dim=2, keepdim=True) + _TINY)
    quality = (share * overlap.amax(dim=2, keepdim=True)).amax(dim=1)
    return Assigned(person, quality, is_chosen.any(dim=1))


def listed_losses(
    predicted: ListedBoxes,
    people: Float[Tensor, "B M 4"],
    is_real: Bool[Tensor, "B M"],
    counted: Bool[Tensor, "B N"],
) -> dict[str, Float[Tensor, ""]]:
    """Compute the weighted sums of the losses "scores", "boxes" and "bins".

    people, is_real: see `assign`. counted: false for cells that are neither person nor background; assigned cells count
    in any case.
    """
    predicted = predicted._replace(
        scores=predicted.scores.float(), boxes=predicted.boxes.float(), sides=predicted.sides.float()
    )
    person, quality, is_any = assign(predicted, people, is_real)
    score = predicted.scores.clamp(1e-7, 1 - 1e-7)
    weight = torch.where(is_any, quality, _MISS * score**_FOCUS * counted)
    scores = (F.binary_cross_entropy(score, quality, reduction="none") * weight).sum()
    photo, cell = is_any.nonzero(as_tuple=True)
    box, weight = people[photo, person[photo, cell]], quality[photo, cell]
    overlap, hull = _overlap(predicted.boxes[photo, cell], box)
    boxes = ((1 - overlap + hull) * weight).sum()
    middle = predicted.middle[cell]
    away = torch.cat([middle - box[:, :2], box[:, 2:] - middle], dim=1) / predicted.stride[cell, None]  # (P, 4)
    bins = (_bin_loss(predicted.sides[photo, cell], away).mean(dim=1) * weight).sum()
    return {"scores": scores, "boxes": _BOXES * boxes, "bins": _BINS * bins}


def _bin_loss(logits: Float[Tensor, "P 4 8"], away: Float[Tensor, "P 4"]) -> Float[Tensor, "P 4"]:
    """Return the distribution focal loss: cross entropy with the two bins next to a distance, weighted by nearness."""
    away = away.clamp(0, BINS - 1 - 0.01)
    below = away.floor()
    logarithms = logits.log_softmax(dim=-1)
    low, high = (logarithms.gather(2, (below.long() + step)[..., None])[..., 0] for step in (0, 1))
    return -(low * (below + 1 - away) + high * (away - below))


def _overlap(first: Float[Tensor, "*#N 4"], second: Float[Tensor, "*#N 4"]) -> tuple[Tensor, Tensor]:
    """Return IoU of boxes xyxy, and the share of their hull that neither covers: GIoU is the first minus the second."""
    both = (torch.minimum(first[..., 2:], second[..., 2:]) - torch.maximum(first[..., :2], second[..., :2])).clamp(
        min=0
    )
    outer = torch.maximum(first[..., 2:], second[..., 2:]) - torch.minimum(first[..., :2], second[..., :2])
    common, hull = both.prod(dim=-1), outer.prod(dim=-1).clamp(min=_TINY)
    areas = [(box[..., 2:] - box[..., :2]).prod(dim=-1) for box in (first, second)]
    union = areas[0] + areas[1] - common
    return common / union.clamp(min=_TINY), (hull - union) / hull


class ListTargets:
    """Targets and losses of a detector that lists boxes, for `detector_task.DetectorTask`."""

    def collate(self, samples: list[View], size: int) -> dict[str, np.ndarray]:
        """Return people (B, M, 4), boxes xyxy padded with zeros; is_real (B, M); counted (B, N), false where
        ignored."""
        max_people = max(1, *(len(view.box) for view in samples))
        people = np.stack([np.pad(view.box, ((0, max_people - len(view.box)), (0, 0))) for view in samples])
        is_real = np.arange(max_people) < np.array([[len(view.box)] for view in samples])
        middles = [slice(stride // 2, None, stride) for stride in STRIDES]  # of cells, row by row
        ignored = [np.concatenate([view.ignored[cells, cells].ravel() for cells in middles]) for view in samples]
        assert ignored[0].size == sum((size // stride) ** 2 for stride in STRIDES)
        return {"people": people.astype(np.float32), "is_real": is_real, "counted": ~np.stack(ignored)}

    def counts(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {"people": batch["is_real"].sum()}

    def losses(
        self, answer: ListedBoxes, batch: Mapping[str, Tensor], totals: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Return the losses per person of the batch. Per sum of qualities, as in the papers, those of its parts would
        not add up."""
        losses = listed_losses(answer, batch["people"], batch["is_real"], batch["counted"])
        return {name: value / totals["people"].clamp(min=1) for name, value in losses.items()}

    def graph(self, detector: nn.Module, size: int) -> onnx.ModelProto:
        """Return the ONNX graph for photos of size × size."""
        return trace_onnx(_Lists(detector), {"image": torch.zeros(1, 3, size, size)}, list(LISTS))


class _Lists(nn.Module):
    """A detector with the outputs of the kind "box-list": scores (B, 1, N), boxes (B, N, 4)."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        predicted = self.detector(image)
        return predicted.scores[:, None], predicted.boxes


Detector = CentreDetector | MoveNetDetector | PicoDet
DETECTORS: dict[str, type[Detector]] = {  # by the zoo's network with that backbone, if there is one
    "light-mobilenetv2-050": CentreDetector,
    "movenet-multipose": MoveNetDetector,
    **BOX_DETECTORS,
}
_SIDES_WEIGHT = 5.0  # weight of the boxes' loss relative to the centres', as in TTFNet
_FILLING: dict[str, Any] = {"mosaic": 0.25, "scales": (0.8, 1.6)}
"""Views for a detector that stretches photos, to which a photo fills its input: after one epoch of PicoDet box AP on a
fold is .475, and .456 with the usual views."""
_MIN_SCORE = 0.02  # minimum score of boxes in validation
MIN_SCORE = 0.3  # default minimum score of boxes in prediction

Batch = dict[str, Tensor]


class DetectorTask:
    """A `training.task.Task` on whole photos. `detector_task` builds one from a recipe.

    The backbone's first layers are frozen, so they should come from a trained network.
    """

    def __init__(self, recipe: Recipe, detector: Detector, training: BoxedPhotos, held_out: BoxedPhotos | None):
        self.recipe = recipe
        self.model: nn.Module = detector
        self._first_layers = nn.ModuleList(detector.first_layers())
        self.targets = ListTargets() if isinstance(detector, PicoDet) else CentreTargets(detector.stride)
        view_options = _FILLING if training.stretched else {}
        self.views = TrainingViews(training, recipe.height, seed=recipe.train.seed, **view_options)
        self.held_out = held_out

    def stage(self, stage: Stage) -> None:  # noqa: ARG002  # there is only one kind
        self.model.requires_grad_(True)
        self._first_layers.requires_grad_(False)

    def train_mode(self) -> None:
        self.model.train()
        self._first_layers.eval()

    def samples(self, epoch: int) -> TrainingViews:
        return self.views.at_epoch(epoch)

    def collate(self, samples: list[View]) -> Batch:
        """Return pixels (B, H, W, 3), image_id (B,), and what `targets.collate` returns."""
        arrays = self.targets.collate(samples, self.recipe.height) | {
            "pixels": np.stack([view.pixels for view in samples]),
            "image_id": np.array([view.image_id for view in samples]),
        }
        return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return self.targets.counts(batch)

    def losses(self, model: nn.Module, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return self.targets.losses(model(normalise(batch["pixels"])), batch, totals)

    def describe(self, batch: Batch) -> dict[str, list[int]]:
        return {"image_id": batch["image_id"].tolist()}

    def validate(self) -> dict[str, float]:
        if self.held_out is None or distributed.rank():
            return {}
        self.model.eval()
        spec, photos = detector_spec(self.recipe, Path()), self.held_out
        detections = [find_boxes(self.model, photos, index, spec, _MIN_SCORE) for index in range(len(photos))]
        image = np.repeat(photos.image_id, [len(score) for _, score in detections])
        true = [np.concatenate(both) for both in zip(photos.box, photos.crowd, strict=True)]
        numbers = box_average_precision(
            np.concatenate([box for box, _ in detections]),
            np.concatenate([score for _, score in detections]),
            image,
            np.concatenate(true),
            np.repeat(photos.image_id, [len(boxes) for boxes in true]),
            np.concatenate([np.arange(len(t)) >= len(b) for t, b in zip(true, photos.box, strict=True)]),
        )
        return {f"box.{name}": value for name, value in asdict(numbers).items()}

    def export(self, folder: Path) -> None:
        spec, detector = detector_spec(self.recipe, folder), self.model.cpu().eval()
        with new_folder(folder) as temporary:
            graph = self.targets.graph(detector, self.recipe.height)
            with atomic_write(temporary / MODEL_ONNX) as file:
                file.write(graph.SerializeToString())
            write_tensors(temporary / MODEL_WEIGHTS, detector)
            write_json(temporary / MODEL_JSON, spec.to_json())
            ModelSpec.read(temporary)  # validate before publishing


class CentreTargets:
    """Targets and losses of a detector of centres and sides: see `codecs.boxes`."""

    def __init__(self, stride: int):
        self.stride = stride

    def collate(self, samples: list[View], size: int) -> dict[str, np.ndarray]:
        """Return bumps and weight (B, h, w); sides (B, 4, h, w); counted (B, h, w), 0 where ignored."""
        cells = size // self.stride
        targets = [encode_centres(view.box, cells, cells, self.stride) for view in samples]
        bumps, sides, weight = (np.stack(arrays) for arrays in zip(*targets, strict=True))
        middle = slice(self.stride // 2, None, self.stride)
        ignored = np.stack([view.ignored[middle, middle] for view in samples])
        counted = (~ignored | (bumps == 1)).astype(np.float32)
        return {"bumps": bumps, "sides": sides, "weight": weight, "counted": counted}

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return {"people": (batch["bumps"] == 1).sum(), "weight": batch["weight"].sum()}

    def losses(self, answer: Tensor, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        centres = centre_loss(answer[:, 0].float(), batch["bumps"], batch["counted"]) / totals["people"].clamp(min=1)
        sides = sides_loss(answer[:, 1:].float(), batch["sides"], batch["weight"], self.stride)
        return {"centres": centres, "sides": _SIDES_WEIGHT * sides / totals["weight"].clamp(min=1)}

    def graph(self, detector: nn.Module, size: int) -> onnx.ModelProto:
        """Return the ONNX graph for photos of any size."""
        graph = trace_onnx(_Probable(detector), {"image": torch.zeros(1, 3, size, size)}, ["boxes"])
        for value in (*graph.graph.input, *graph.graph.output):  # fully convolutional
            for dimension, name in zip(value.type.tensor_type.shape.dim[2:], ("height", "width"), strict=True):
                dimension.dim_param = f"{value.name}_{name}"
        return graph


class _Probable(nn.Module):
    """A detector with probabilities in its first map."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor]:
        answer = self.detector(image)
        return (torch.cat([answer[:, :1].sigmoid(), answer[:, 1:]], dim=1),)


def detector_spec(recipe: Recipe, folder: Path) -> ModelSpec:
    """Return the spec of the trained detector, for prediction."""
    kind, usual = DETECTORS[recipe.network], (recipe.height, recipe.width)
    inputs = InputSpec("image", "NCHW", "float32", *usual, "RGB", 1 / 255, MEAN, STD)
    if issubclass(kind, PicoDet):
        inputs = replace(inputs, resize="stretched")
        output = BoxListOutput(*LISTS, LIST_MIN_SCORE)
    else:
        inputs = replace(inputs, multiple=DETECTOR_MULTIPLE, longest=recipe.height)
        output = BoxOutput(kind.stride, MIN_SCORE, "boxes")
    return ModelSpec(
        onnx=folder / MODEL_ONNX,
        name=recipe.name,
        licence="unknown",
        source=f"trustpose train {recipe.name}",
        input=inputs,
        output=output,
    )


def centre_loss(
    logit: Float[Tensor, "B h w"], bumps: Float[Tensor, "B h w"], counted: Float[Tensor, "B h w"]
) -> Float[Tensor, ""]:
    """Compute the summed focal loss of centres: Law and Deng, CornerNet, ECCV 2018, equation 1, with α = 2 and β =
    4."""
    probability = logit.sigmoid()
    hit = -F.logsigmoid(logit) * (1 - probability) ** 2
    miss = -F.logsigmoid(-logit) * probability**2 * (1 - bumps) ** 4
    return (torch.where(bumps == 1, hit, miss) * counted).sum()


def sides_loss(
    sides: Float[Tensor, "B 4 h w"], box: Float[Tensor, "B 4 h w"], weight: Float[Tensor, "B h w"], stride: int
) -> Float[Tensor, ""]:
    """Compute the weighted sum of 1 − GIoU between predicted and target boxes of the cells.

    sides: from each cell's middle, box: xyxy, both in image pixels. Rezatofighi et al., Generalized IoU, CVPR 2019.
    """
    rows, columns = (torch.arange(length, device=sides.device) for length in sides.shape[2:])
    y, x = ((index + 0.5) * stride for index in torch.meshgrid(rows, columns, indexing="ij"))
    predicted = torch.stack([x - sides[:, 0], y - sides[:, 1], x + sides[:, 2], y + sides[:, 3]], dim=1)
    low, high = torch.maximum(predicted[:, :2], box[:, :2]), torch.minimum(predicted[:, 2:], box[:, 2:])
    outer_low, outer_high = torch.minimum(predicted[:, :2], box[:, :2]), torch.maximum(predicted[:, 2:], box[:, 2:])
    both = (high - low).clamp(min=0).prod(dim=1)
    union = (predicted[:, 2:] - predicted[:, :2]).prod(dim=1) + (box[:, 2:] - box[:, :2]).prod(dim=1) - both
    hull = (outer_high - outer_low).prod(dim=1).clamp(min=1e-6)
    giou = both / union.clamp(min=1e-6) - (hull - union) / hull
    return ((1 - giou) * weight).sum()


def detector_task(recipe: Recipe, data: Path, model: Path | None) -> DetectorTask:
    """Build a recipe's task, on a data folder in one of COCO's layouts; `model`: folder or file of the initial pose
    network or detector.

    Photos with `all_people_boxed` false are left out, unless the initial network already detects people: then its boxes
    complete the labels. Raises InputError.
    """
    if recipe.height != recipe.width or recipe.height % 64:
        raise InputError(f"height, width: expected the same multiple of 64, got {recipe.height}, {recipe.width}")
    if recipe.network not in DETECTORS or recipe.head is not None or recipe.deepen:
        names = " or ".join(DETECTORS)
        raise InputError(
            f"network, head, deepen: detectors have the backbone of {names} and neither head nor deepen; leave them out"
        )
    photos, is_complete = open_photos(data)
    spec = detector_spec(recipe, Path())
    photos = replace(photos, stretched=spec.input.resize == "stretched")
    training, held_out = rows_by_fold(photos.image_id, recipe.data)
    torch.manual_seed(recipe.train.seed)
    detector = DETECTORS[recipe.network]()
    if _start(detector, recipe, model):
        photos = with_pseudo_labels(photos, training[~is_complete[training]], detector.eval(), spec)
    else:
        training = training[is_complete[training]]
    held_out = held_out[is_complete[held_out]]
    return DetectorTask(recipe, detector, photos.select(training), photos.select(held_out) if len(held_out) else None)


def _start(detector: Detector, recipe: Recipe, model: Path | None) -> bool:
    """Set the initial weights; return whether they already detect people."""
    if isinstance(detector, PicoDet):
        return _start_picodet(detector, recipe, model)
    if model is not None and output_kind(model) == BoxOutput.kind:
        weights = ModelSpec.read(model).training_weights
        detector.load_state_dict(read_own_tensors(weights, detector, "the detector"))
        return True
    if isinstance(detector, MoveNetDetector) and model is not None and model.suffix == ".onnx":
        detector.read(model)
        return True
    if model is not None or recipe.strategy.starts_from != "scratch":
        network = starting_network(recipe, model)
        if isinstance(detector, MoveNetDetector):
            assert isinstance(network, MoveNetPose)
            detector.encoder.load_state_dict(network.encoder.state_dict())
        else:
            assert isinstance(network, PoseNetwork)
            detector.backbone.load_state_dict(network.backbone.state_dict())
    return False


def _start_picodet(detector: PicoDet, recipe: Recipe, model: Path | None) -> bool:
    """Set PicoDet's initial weights, from a trained detector's folder or the published ONNX file."""
    if model is None:
        if recipe.strategy.starts_from != "scratch":
            raise InputError(
                f"{recipe.name}: starts from a trained {recipe.network}; give its folder or file as --model"
            )
        return False
    if model.is_dir():
        weights = ModelSpec.read(model).training_weights
        detector.load_state_dict(read_own_tensors(weights, detector, "the detector"))
    else:
        detector.read(model)
    return True

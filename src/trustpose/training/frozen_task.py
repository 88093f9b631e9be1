"""The Task for system "frozen": a trust head on the stored features of a frozen network."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from trustpose.calibration.accuracy import fit_accuracy
from trustpose.calibration.measure_errors import fit_measure_errors
from trustpose.datasets.augment import TrainingCrops
from trustpose.datasets.dataset_ops import subset
from trustpose.datasets.detected_boxes import PRESENT
from trustpose.export.trust_folder import Fitted, save_trust_folder
from trustpose.files import InputError
from trustpose.geometry.crops import invert_affine, transform
from trustpose.geometry.expected_error import AREA_OF_BOX, LabelledErrors, fit_error_model
from trustpose.geometry.oks import oks, opks
from trustpose.heads.heads import Tensors, Trust, TrustHead, average_flipped
from trustpose.heads.keypoint_tokens import KeypointTokens
from trustpose.heads.network import HEADS, new_head
from trustpose.heads.stages import Stage
from trustpose.heads.targets import TrustTargets, trust_targets
from trustpose.heads.token_calibration import (
    apply_calibration,
    calibrate,
    calibrate_presence,
    flip_lines,
    presence_logit,
    uncalibrated_components,
)
from trustpose.images import fold_of
from trustpose.io.coco.truth import read_coco_truth
from trustpose.models.outputs.trust import MIN_PROBABILITY
from trustpose.models.spec import ModelSpec
from trustpose.names import expected_one_of
from trustpose.poses import ErrorModel, Poses, Truth, describe_sources
from trustpose.training import distributed
from trustpose.training.crops import AUGMENTATIONS, LABELS, CropLabels
from trustpose.training.features import Features, FrozenNetwork, Reading, max_views, store_features
from trustpose.training.learner import HeadLearner
from trustpose.training.logs import progress
from trustpose.training.losses import HEAD_LOSSES, loss_options
from trustpose.training.people import area_of, detector_people, open_people, require_sigmas, rows_by_fold
from trustpose.training.recipe import Recipe
from trustpose.training.validation import numbers_of, poses_of, truth_of


class HeldOutPeople(Protocol):
    """What a `FrozenTask` knows of the people on whom its head is calibrated."""

    is_cross_fit: bool
    held_out: np.ndarray
    held_out_boxes: np.ndarray
    features: Features
    flip: Features | None
    flip_index: torch.Tensor
    fold: np.ndarray
    crops: TrainingCrops
    learner: HeadLearner

    def collate(self, samples: list[int]) -> dict[str, Any]: ...
    def labels(self, rows: np.ndarray, features: Features) -> dict[str, Any]: ...
    def pooled(self, rows: np.ndarray, features: Features) -> Tensors: ...
    def targets(self, batch: Mapping[str, Any]) -> TrustTargets: ...


def calibrate_head(task: HeldOutPeople, head: KeypointTokens) -> dict[str, str]:
    """Fit slopes, offsets and corrections of the head; return the people it was fitted on, for `Fitted.fitted_on`."""
    copies = ", by copies of the head that have not seen them" if task.is_cross_fit else ""
    rows, batch = _both_views(task, task.held_out)
    labels = CropLabels.of(batch)
    occlusion_inputs = None if head.occlusion is None else (batch["pooled"][2], task.flip_index)
    parts = unseen(task, uncalibrated_components, rows, task.features)
    calibrate(head, parts, task.targets(batch), (labels.is_known, labels.is_ternary), occlusion_inputs)
    fitted_on = {"calibrated_on": f"the {len(task.held_out)} held-out people{copies}"}
    if head.presence is not None and len(task.held_out_boxes):
        rows, batch = _both_views(task, task.held_out_boxes)
        (logit,) = unseen(task, lambda copy, pooled: (presence_logit(copy, pooled),), rows, task.features)
        calibrate_presence(head, logit, CropLabels.of(batch).overlap >= PRESENT)
        fitted_on["presence_calibrated_on"] = f"the {len(task.held_out_boxes)} held-out boxes of a detector{copies}"
    return fitted_on


def calibrate_flip(task: HeldOutPeople, head: KeypointTokens) -> dict[str, tuple[float, float]]:
    """Return `TrustOutput.flip` of a calibrated head; {} without features of the flip test."""
    if task.flip is None:
        return {}
    mean, batch = _flip_test(task, head)
    return flip_lines(mean, task.targets(batch), CropLabels.of(batch).is_known)


def calibrate_errors(
    task: HeldOutPeople, head: KeypointTokens, lines: Mapping[str, tuple[float, float]], fitted_on: str
) -> dict[str, ErrorModel]:
    """Return `TrustOutput.errors` of a calibrated head, and with features of the flip test `errors_flip`; `lines` are
    those of `calibrate_flip`. Without enough labelled keypoints there is none."""
    (trust,), features = _calibrated(task, head, [(task.features, task.held_out)]), task.features
    models = {"errors": _error_model(task, trust, task.held_out, features, fitted_on)}
    if task.flip is not None:
        mean, _ = _flip_test(task, head)
        quality = mean.filled()["quality"].double()
        if line := lines.get("quality"):
            quality = (line[0] * quality.logit(MIN_PROBABILITY) + line[1]).sigmoid()
        rows = np.arange(len(task.held_out))
        models["errors_flip"] = _error_model(
            task, replace(mean, quality=quality), rows, task.flip, f"{fitted_on}, flip test"
        )
    return {name: model for name, model in models.items() if model is not None}


def _error_model(
    task: HeldOutPeople, trust: Trust, rows: np.ndarray, features: Features, fitted_on: str
) -> ErrorModel | None:
    columns = {name: np.asarray(column[rows]) for name, column in features.columns.items() if "pooled" not in name}
    values = {name: value.double().numpy() for name, value in trust.filled().items()}
    labelled = np.maximum(1 - values["visibility"][..., 0], np.finfo(np.float64).tiny)
    offset = columns["found_xy"].astype(np.float64) - columns["xy"]
    sides = columns["box"] * (task.crops.width, task.crops.height)  # of the person's box, crop pixels
    skeleton = task.crops.people.skeleton
    errors = LabelledErrors.of(
        values["quality"] / labelled,
        np.hypot(offset[..., 0], offset[..., 1]),
        AREA_OF_BOX * sides.prod(axis=1),
        skeleton.sigmas,
        (columns["v"] > 0) & columns["is_known"],
    )
    model = fit_error_model(errors, skeleton, fitted_on)
    if model is None:
        return None
    corners = np.concatenate([np.zeros_like(sides), sides], axis=1)  # errors depend on the box's size alone
    poses = Poses(
        xy=columns["found_xy"].astype(np.float64),
        quality=values["quality"],
        visibility=values["visibility"],
        pose_quality=values.get("pose_quality"),
        box=corners,
        image_id=columns["image_id"],
        skeleton=skeleton,
    )
    v = np.where(columns["is_known"], columns["v"], 0)
    truth = Truth(xy=columns["xy"].astype(np.float64), v=v, image_id=columns["image_id"], skeleton=skeleton)
    measured = (poses.xy, truth.xy, v, AREA_OF_BOX * sides.prod(axis=1), skeleton.sigmas)
    rows = np.flatnonzero((v > 0).any(axis=1))
    accuracy = fit_accuracy(poses[rows], oks(*measured)[rows], opks(*measured)[rows], v[rows], skeleton)
    measures = fit_measure_errors(poses, truth, np.arange(len(poses)), skeleton)
    return replace(model, measures=measures, accuracy=accuracy)


def _flip_test(task: HeldOutPeople, head: KeypointTokens) -> tuple[Trust, dict[str, Any]]:
    """Return the mean of both views' calibrated trust in the held-out people, and their batch in the flip test."""
    assert task.flip is not None
    people = np.arange(len(task.held_out))
    original, mirrored = _calibrated(task, head, [(task.features, task.held_out), (task.flip, people)])
    return average_flipped(original, mirrored, task.flip_index), task.labels(people, task.flip)


def _calibrated(
    task: HeldOutPeople, head: KeypointTokens, views: list[tuple[Features, np.ndarray]]
) -> tuple[Trust, ...]:
    """Return the calibrated trust in the held-out people by heads that have not seen them, in rows of features."""
    fold, trusts = task.fold[task.held_out], []
    for features, people in views:
        parts = unseen(task, uncalibrated_components, people, features, fold)
        occlusion_maps = None if head.occlusion is None else task.pooled(people, features)[2]
        trusts.append(head.trust(apply_calibration(head, parts, occlusion_maps)))
    return tuple(trusts)


def unseen(
    task: HeldOutPeople,
    run: Callable[[KeypointTokens, Tensors], Tensors],
    rows: np.ndarray,
    features: Features,
    fold: np.ndarray | None = None,
) -> Tensors:
    """Return the outputs of `run` for stored rows, each by a head that has not seen that person.

    fold: each row's fold, if not the task's.
    """
    gathered: list[torch.Tensor] = []
    for head, positions in task.learner.unseen(rows, task.fold[rows] if fold is None else fold):
        assert isinstance(head, KeypointTokens)
        parts = run(head, task.pooled(rows[positions], features))
        gathered = gathered or [part.new_zeros(len(rows), *part.shape[1:]) for part in parts]
        for room, part in zip(gathered, parts, strict=True):
            room[torch.from_numpy(positions)] = part
    return tuple(gathered)


def _both_views(task: HeldOutPeople, people: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the stored rows of both views of some people, and their batch."""
    views = np.arange(min(task.features.views, 2))
    rows = (views[:, None] * task.features.people + people).ravel()
    return rows, task.collate(rows.tolist())


FEATURES, FLIP_FEATURES = "features", "flip-features"
_COLUMNS = ("found_xy", *LABELS, "image_id", "annotation_id")
_AT_ONCE = 256  # people per run of the head in evaluation

Batch = dict[str, Any]


class Rows:
    """The samples of an epoch: row numbers, each person once, in a view chosen by (seed, epoch, person)."""

    def __init__(self, people: np.ndarray, features: Features, seed: int, epoch: int):
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch])))
        self.rows = people + features.people * random.integers(features.views, size=len(people))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> int:
        return int(self.rows[index])


class FrozenTask:
    """A `training.task.Task` for a head on stored features. `frozen_task` builds one from a recipe.

    Stages set only the duration and the weight of the head's loss. Validation and calibration use the held-out people,
    whom the head, or in a cross-fit the copy that judges them, has not seen, in the crops of prediction (and their
    mirror images). labelled_count: the number of people in labelled boxes, who come first; the others are a detector's
    boxes (`people.detector_people`), whose held-out part calibrates `Trust.presence`. `flip` has features of the
    held-out people as the flip test sees them, if stored.
    """

    def __init__(
        self,
        recipe: Recipe,
        network: FrozenNetwork,
        head: TrustHead,
        crops: TrainingCrops,
        stored: Features,
        labelled_count: int | None = None,
    ):
        labelled_count = stored.people if labelled_count is None else labelled_count
        self.recipe = recipe
        self.network = network
        self.is_cross_fit = recipe.frozen.cross_fit
        self.learner = HeadLearner(head, recipe.data.folds if self.is_cross_fit else 0)
        self.model: nn.Module = self.learner
        self.crops = crops
        self.features = stored
        self.flip: Features | None = None
        self.sigmas = torch.from_numpy(crops.people.skeleton.sigmas).float()
        self.flip_index = torch.from_numpy(crops.people.skeleton.flip_index)
        image_id = np.asarray(stored.columns["image_id"])
        self.fold = fold_of(image_id, max(recipe.data.folds, 1))
        self.training, held_out = rows_by_fold(image_id[: stored.people], recipe.data)
        self.held_out, self.held_out_boxes = held_out[held_out < labelled_count], held_out[held_out >= labelled_count]
        if self.is_cross_fit:
            self.training, _ = rows_by_fold(image_id[: stored.people], replace(recipe.data, folds=0))
            self.held_out = np.arange(labelled_count)
        if recipe.data.unseen is not None:
            self.held_out = self.held_out[_of_photos(image_id[self.held_out], recipe.data.unseen)]
        self.head_loss = HEAD_LOSSES[str(recipe.head)]
        columns = [stored.columns[name] for name in ("v", "is_ternary")]
        self.loss_options = loss_options(recipe, columns[0][self.training], columns[1][self.training])
        self.current_stage: Stage = recipe.plan.stages[0]

    def stage(self, stage: Stage) -> None:
        self.current_stage = stage

    def train_mode(self) -> None:
        self.model.train()

    def samples(self, epoch: int) -> Rows:
        return Rows(self.training, self.features, self.recipe.train.seed, epoch)

    def collate(self, samples: list[int]) -> Batch:
        rows = np.array(samples)
        batch = {"pooled": list(self.pooled(rows, self.features))} | self.labels(rows, self.features)
        return batch | {"fold": torch.from_numpy(self.fold[rows])}

    @staticmethod
    def labels(rows: np.ndarray, features: Features) -> Batch:
        """Return the labels, the network's keypoints and the ids of stored rows."""
        return {name: torch.from_numpy(features.columns[name][rows]) for name in _COLUMNS}

    @staticmethod
    def pooled(rows: np.ndarray, features: Features) -> Tensors:
        """Return the pooled maps of stored rows."""
        return tuple(torch.from_numpy(column[rows]).float() for column in features.pooled)

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        return self.head_loss.counts(CropLabels.of(batch), self.loss_options)

    def losses(self, model: nn.Module, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        summed: dict[str, Tensor] = {}
        learning = self.learner.learning(batch["fold"])
        for (_, rows), raw in zip(learning, model(*batch["pooled"], fold=batch["fold"]), strict=True):
            chosen = {name: batch[name][rows] for name in _COLUMNS}
            labels = CropLabels.of(chosen)
            terms = self.head_loss.terms(raw, self.targets(chosen), labels, totals, self.loss_options)
            summed = {
                name: self.current_stage.trust_weight * term + summed.get(name, 0) for name, term in terms.items()
            }
        return summed

    def describe(self, batch: Batch) -> dict[str, list[int]]:
        return {name: batch[name].tolist() for name in ("image_id", "annotation_id")}

    def validate(self) -> dict[str, float]:
        if not len(self.held_out):
            return {}
        columns = self.columns_of(self.held_out)
        return numbers_of(poses_of(columns), truth_of(columns, self.crops.people.skeleton), self.recipe.train.area)

    def columns_of(self, people: np.ndarray) -> dict[str, np.ndarray]:
        """Return poses of these people, the head's trust in them, and their labels, all in photo pixels.

        With `train.flip_test` the trust is the mean of both views, and the poses are those of the first.
        """
        trust = self.trust_in(people)
        if self.recipe.train.flip_test and self.features.views > 1:
            trust = average_flipped(trust, self.trust_in(people + self.features.people), self.flip_index)
        stored = {name: column[people] for name, column in self.features.columns.items() if "pooled" not in name}
        back = invert_affine(stored["affine"])
        wide, high = self.crops.extent or (self.crops.width, self.crops.height)
        reach = stored["box"] * (self.crops.width, self.crops.height) / 2  # crop pixels; centred in the extent
        middle = np.array([wide / 2, high / 2])
        corners = np.stack([middle - reach, middle + reach], axis=1)  # (n, 2, 2)
        truth_xy = transform(back, stored["xy"].astype(np.float64))
        return {
            "xy": transform(back, stored["found_xy"].astype(np.float64)),
            "score": stored["score"].astype(np.float64),
            "truth_xy": np.where((stored["v"] > 0)[..., None], truth_xy, 0),
            "v": stored["v"],
            "is_ternary": stored["is_ternary"],
            "area": stored["segment"].astype(np.float64) / np.abs(np.linalg.det(stored["affine"][:, :, :2])),
            "box": transform(back, corners).reshape(-1, 4),
            "image_id": stored["image_id"],
        } | {name: value.double().numpy() for name, value in trust.filled().items()}

    @torch.no_grad()
    def trust_in(self, rows: np.ndarray) -> Trust:
        """Return the head's trust for stored rows, in evaluation mode; with a cross-fit that of each one's copy."""
        answers: dict[str, Tensor] = {}
        for head, positions in self.learner.unseen(rows, self.fold[rows]):
            device = next(head.eval().parameters()).device
            for start in range(0, len(positions), _AT_ONCE):
                chunk = positions[start : start + _AT_ONCE]
                pooled = tuple(part.to(device) for part in self.pooled(rows[chunk], self.features))
                for name, value in head.trust(head.logits(pooled)).filled().items():
                    room = answers.setdefault(name, value.new_zeros(len(rows), *value.shape[1:], device="cpu"))
                    room[torch.from_numpy(chunk)] = value.cpu()
        return Trust(**answers)

    def export(self, folder: Path) -> None:
        head = self.learner.head.cpu().eval()
        fitted_on: dict[str, float | int | str] = {
            "dataset": self.recipe.data.dataset,
            "recipe": self.recipe.name,
            "people": len(self.training),
            "held_out_people": len(self.held_out),
            "areas": describe_sources(self.crops.people.labels.area_source),
        }
        lines: dict[str, tuple[float, float]] = {}
        errors: dict[str, ErrorModel] = {}
        if isinstance(head, KeypointTokens) and len(self.held_out):
            self.learner.cpu()
            fitted_on |= calibrate_head(self, head)
            lines = calibrate_flip(self, head)
            errors = calibrate_errors(self, head, lines, str(fitted_on["calibrated_on"]))
        if lines:
            spec = self.network.spec
            padding = spec.padding if spec.flip_padding is None else spec.flip_padding
            fitted_on["flip_calibrated_on"] = f"{fitted_on['calibrated_on']}, mirrored crops of padding {padding}"
        maps = {name: tensor.name for name, tensor in self.network.maps.items()}
        area = area_of(self.crops.people, self.recipe.train.area)
        fitted = Fitted(str(self.recipe.head), area, fitted_on, dict(self.recipe.head_options), flip=lines)
        fitted = replace(fitted, errors=errors.get("errors"), errors_flip=errors.get("errors_flip"))
        save_trust_folder(folder, self.network.spec, head, maps, fitted)

    def targets(self, batch: Mapping[str, Any]) -> TrustTargets:
        labels = CropLabels.of(batch)
        predicted_xy, sigmas = batch["found_xy"].to(labels.xy), self.sigmas.to(labels.xy)
        return trust_targets(predicted_xy, labels.xy, labels.v, labels.area, sigmas)


def frozen_task(recipe: Recipe, data: Path, model: Path | None, folder: Path) -> FrozenTask:
    """Build a recipe's task, on a data folder and the network `model`; features are stored in `folder`/features.

    Raises InputError.
    """
    if model is None:
        raise InputError(f"{recipe.name}: trains a head on a frozen network; give the network's ONNX file as --model")
    if recipe.head not in HEADS or recipe.head not in HEAD_LOSSES:
        raise InputError(f"head: {expected_one_of(HEAD_LOSSES, recipe.head)}")
    if recipe.frozen.cross_fit and not recipe.data.folds:
        raise InputError("frozen.cross_fit: expected data.folds of 2 or more, got 0")
    labelled = open_people(data, recipe.data)
    people, labelled_count = detector_people(labelled, data, recipe.data)
    require_sigmas(recipe, people, f"head {recipe.head}")
    spec = ModelSpec.read(model)
    if spec.skeleton.keypoints != recipe.data.joints.keypoints:
        raise InputError(f"{model}: has skeleton {spec.skeleton.name}, the recipe expects {recipe.data.skeleton}")
    if spec.cutting != "affine":
        raise InputError(f"{model}: its crop.cutting is {spec.cutting}; heads are trained on affine crops only")
    for name in recipe.frozen.maps:
        if name not in (reads := HEADS[recipe.head].reads):
            raise InputError(f"frozen.maps.{name}: {recipe.head} does not read it, expected {' or '.join(reads)}")
    network = FrozenNetwork(spec, HEADS[recipe.head].reads, recipe.frozen.maps)
    extent = network.codec.crop_extent(spec.input.width, spec.input.height)
    crops = TrainingCrops(
        people, spec.input.width, spec.input.height, spec.padding, seed=recipe.train.seed, extent=extent
    )
    torch.manual_seed(recipe.train.seed)
    try:
        shapes = [tensor.shape for tensor in network.maps.values()]
        head = new_head(recipe.head, shapes, len(spec.skeleton), tokens=network.tokens, **recipe.head_options)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"head {recipe.head}: {str(error).splitlines()[0]}") from None

    def pool(inputs: Tensors) -> Tensors:
        return head.pool(inputs if head.reads_box else inputs[:-1])

    views = recipe.frozen.views or max_views(network, pool, len(people))
    reading = Reading(
        network,
        pool,
        AUGMENTATIONS[recipe.data.augmentation],
        views,
        recipe.train.area,
        {"head": recipe.head, "skeleton": recipe.data.skeleton, "min_keypoints": recipe.data.min_keypoints},
    )
    stored = _stored(folder / FEATURES, reading, crops)
    task = FrozenTask(recipe, network, head, crops, stored, labelled_count)
    if isinstance(head, KeypointTokens) and len(task.held_out):
        held_out_crops = replace(crops, people=subset(people, task.held_out))
        task.flip = _stored(folder / FLIP_FEATURES, replace(reading, views=1, is_flip=True), held_out_crops)
    return task


def _of_photos(image_id: np.ndarray, path: str) -> np.ndarray:
    """Return which people are on photos of a COCO ground truth. Raises InputError if none is."""
    is_on_photos = np.isin(image_id, read_coco_truth(Path(path)).images.id)
    if not is_on_photos.any():
        raise InputError(f"data.unseen: {path}: none of its photos has held-out people")
    return is_on_photos


def _stored(folder: Path, reading: Reading, crops: TrainingCrops) -> Features:
    """Return the features, with a progress bar; with several processes the first one stores them and the others
    wait."""
    if distributed.rank() > 0:
        distributed.gather_objects(None)  # until the first process has written them
        return store_features(folder, reading, crops)
    done = 0
    with progress(len(crops) * reading.views, 0, True) as show:

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            show(done, "features of the network")

        stored = store_features(folder, reading, crops, advance)
    distributed.gather_objects(None)
    return stored

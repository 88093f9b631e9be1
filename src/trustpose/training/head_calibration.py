"""The calibration of a head of `frozen_task` on held-out people: one view, boxes without a person, the flip test, and
which discs of expected errors hold."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from trustpose.datasets.augment import TrainingCrops
from trustpose.datasets.detected_boxes import PRESENT
from trustpose.geometry.error_discs import LabelledErrors, fit_error_model
from trustpose.geometry.expected_error import AREA_OF_BOX
from trustpose.models.trust_output import MIN_PROBABILITY
from trustpose.poses import ErrorModel
from trustpose.training.crops import CropLabels
from trustpose.training.features import Features
from trustpose.training.head_learner import Learner
from trustpose.trust.heads import Tensors, Trust, average_flipped
from trustpose.trust.keypoint_tokens import KeypointTokens
from trustpose.trust.targets import TrustTargets
from trustpose.trust.token_calibration import (
    apply_calibration,
    calibrate,
    calibrate_presence,
    flip_lines,
    presence_logit,
    uncalibrated_components,
)


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
    learner: Learner

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
    return fit_error_model(errors, skeleton, fitted_on)


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

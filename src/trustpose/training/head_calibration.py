"""The calibration of a head of `frozen_task` on held-out people: one view, boxes without a person, the flip test."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from trustpose.datasets.detected_boxes import PRESENT
from trustpose.training.crops import CropLabels
from trustpose.training.features import Features
from trustpose.trust.heads import Tensors, average_flipped
from trustpose.trust.keypoint_tokens import KeypointTokens
from trustpose.trust.token_calibration import (
    calibrate,
    calibrate_presence,
    calibrated,
    flip_lines,
    presence_logit,
    uncalibrated,
)

if TYPE_CHECKING:
    from trustpose.training.frozen_task import FrozenTask


def calibrate_head(task: "FrozenTask", head: KeypointTokens) -> dict[str, str]:
    """Fit slopes, offsets and corrections of the head; return on whom, for `Fitted.fitted_on`."""
    copies = ", by copies of the head that have not seen them" if task.is_cross_fit else ""
    rows, batch = _both_views(task, task.held_out)
    labels = CropLabels.of(batch)
    places = None if head.occlusion is None else (batch["pooled"][2], task.flip_index)
    parts = unseen(task, uncalibrated, rows, task.features)
    calibrate(head, parts, task.targets(batch), (labels.is_known, labels.is_ternary), places)
    fitted_on = {"calibrated_on": f"the {len(task.held_out)} held-out people{copies}"}
    if head.presence is not None and len(task.held_out_boxes):
        rows, batch = _both_views(task, task.held_out_boxes)
        (logit,) = unseen(task, lambda one, pooled: (presence_logit(one, pooled),), rows, task.features)
        calibrate_presence(head, logit, CropLabels.of(batch).overlap >= PRESENT)
        fitted_on["presence_calibrated_on"] = f"the {len(task.held_out_boxes)} held-out boxes of a detector{copies}"
    return fitted_on


def calibrate_flip(task: "FrozenTask", head: KeypointTokens) -> dict[str, tuple[float, float]]:
    """Return `TrustOutput.flip` of a calibrated head; {} without features of the flip test."""
    if task.flip is None:
        return {}
    people = np.arange(len(task.held_out))
    fold, views = task.fold[task.held_out], []
    for features, some in ((task.features, task.held_out), (task.flip, people)):
        parts = unseen(task, uncalibrated, some, features, fold)
        places = None if head.occlusion is None else task.pooled(some, features)[2]
        views.append(head.trust(calibrated(head, parts, places)))
    own, mirrored = views
    batch = task.labels(people, task.flip)
    mean = average_flipped(own, mirrored, task.flip_index)
    return flip_lines(mean, task.targets(batch), CropLabels.of(batch).is_known)


def unseen(
    task: "FrozenTask",
    run: Callable[[KeypointTokens, Tensors], Tensors],
    rows: np.ndarray,
    features: Features,
    fold: np.ndarray | None = None,
) -> Tensors:
    """Return what heads that have not seen them say of stored rows, given each row's fold if not the task's."""
    found: list[torch.Tensor] = []
    for head, places in task.learner.unseen(rows, task.fold[rows] if fold is None else fold):
        assert isinstance(head, KeypointTokens)
        parts = run(head, task.pooled(rows[places], features))
        found = found or [part.new_zeros(len(rows), *part.shape[1:]) for part in parts]
        for room, part in zip(found, parts, strict=True):
            room[torch.from_numpy(places)] = part
    return tuple(found)


def _both_views(task: "FrozenTask", people: np.ndarray) -> tuple[np.ndarray, dict[str, Any]]:
    """Return the stored rows of both views of some people, and their batch."""
    views = np.arange(min(task.features.views, 2))
    rows = (views[:, None] * task.features.people + people).ravel()
    return rows, task.collate(rows.tolist())

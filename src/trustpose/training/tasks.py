"""The Task of a recipe's `system`."""

from collections.abc import Callable, Sequence
from pathlib import Path

from trustpose.files import InputError
from trustpose.names import expected_one_of
from trustpose.training.bottom_up_task import bottom_up_task
from trustpose.training.detector_task import detector_task
from trustpose.training.frozen_task import frozen_task
from trustpose.training.group_task import group_task
from trustpose.training.mask_rcnn_task import mask_rcnn_task
from trustpose.training.network_task import network_task
from trustpose.training.recipe import Recipe
from trustpose.training.residual_task import residual_task
from trustpose.training.surface_task import surface_task
from trustpose.training.task import Task
from trustpose.training.volume_task import volume_task

TASKS: dict[str, Callable[[Recipe, Sequence[Path], Path | None, Path, str | None], Task]] = {
    "network": network_task,
    "frozen": lambda recipe, data, model, folder, _: frozen_task(recipe, data[0], model, folder),
    "detector": lambda recipe, data, model, *_: detector_task(recipe, data[0], model),
    "bottom-up": lambda recipe, data, model, *_: bottom_up_task(recipe, data[0], model),
    "mask-rcnn": lambda recipe, data, model, *_: mask_rcnn_task(recipe, data[0], model),
    "surfaces": lambda recipe, data, model, *_: surface_task(recipe, data[0], model),
    "volumes": lambda recipe, data, model, *_: volume_task(recipe, data[0], model),
    "residual": lambda recipe, data, model, *_: residual_task(recipe, data[0], model),
    "groups": lambda recipe, data, model, folder, _: group_task(recipe, data[0], model, folder),
}
"""Builds the loop's task from a recipe, the data's folders, a model's folder or file or None, a folder for
intermediate files, and a teacher or None."""


def make_task(
    recipe: Recipe, data: Path | Sequence[Path], model: Path | None, folder: Path, teacher: str | None = None
) -> Task:
    """Build the recipe's task, on a data set's folder or, to train a network, on several: the first is for validation.

    `teacher`: a model that labels what the data leaves unknown, for training a network. Raises InputError if this data
    and model do not allow it.
    """
    folders = [data] if isinstance(data, Path) else list(data)
    if recipe.system not in TASKS:
        raise InputError(f"system: {expected_one_of(TASKS, recipe.system)}")
    if recipe.train.weight_interpolation and recipe.system != "network":
        raise InputError(
            f"train.weight_interpolation: is for training networks, expected 0 with system {recipe.system}"
        )
    if len(folders) != 1 and recipe.system != "network":
        raise InputError(f"--data: was given {len(folders)} times, but system {recipe.system} trains on one data set")
    for name in ("detections", "unseen"):
        if getattr(recipe.data, name) is not None and recipe.system != "frozen":
            raise InputError(f"data.{name}: is for trust heads on a frozen network, got system {recipe.system}")
    if recipe.data.photos is not None and recipe.system not in ("frozen", "network", "groups"):
        raise InputError(f"data.photos: is for networks and trust heads, got system {recipe.system}")
    if recipe.system != "network" and (
        recipe.data.proposals is not None or recipe.transformer.localisation is not None
    ):
        name = "data.proposals" if recipe.data.proposals is not None else "transformer.localisation"
        raise InputError(f"{name}: is for training networks, expected none with system {recipe.system}")
    if teacher is not None and recipe.system != "network":
        raise InputError(f"--teacher: is for training networks, expected none with system {recipe.system}")
    return TASKS[recipe.system](recipe, folders, model, folder, teacher)

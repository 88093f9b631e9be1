"""Which Task a recipe's `system` names."""

from collections.abc import Callable
from pathlib import Path

from trustpose.files import InputError
from trustpose.training.detector_task import detector_task
from trustpose.training.frozen_task import frozen_task
from trustpose.training.network_task import network_task
from trustpose.training.recipe import Recipe
from trustpose.training.task import Task

TASKS: dict[str, Callable[[Recipe, Path, Path | None, Path], Task]] = {
    "network": lambda recipe, data, model, _: network_task(recipe, data, model),
    "frozen": frozen_task,
    "detector": lambda recipe, data, model, _: detector_task(recipe, data, model),
}
"""From a recipe, the data's folder, a model's folder or file or None, and a folder for what is worth keeping on the
way, to what the loop trains."""


def make_task(recipe: Recipe, data: Path, model: Path | None, folder: Path) -> Task:
    """The recipe's task. Raises InputError where it cannot be made of this data and model."""
    if recipe.system not in TASKS:
        raise InputError(f"system: expected one of {', '.join(TASKS)}, got {recipe.system!r}")
    if recipe.train.keep_start and recipe.system != "network":
        raise InputError(f"train.keep_start: is for networks that train, expected 0 with system {recipe.system}")
    return TASKS[recipe.system](recipe, data, model, folder)

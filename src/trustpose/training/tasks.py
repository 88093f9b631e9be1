"""Which Task a recipe's `system` names."""

from collections.abc import Callable
from pathlib import Path

from trustpose.files import InputError
from trustpose.training.network_task import network_task
from trustpose.training.recipe import Recipe
from trustpose.training.task import Task

TASKS: dict[str, Callable[[Recipe, Path, Path | None], Task]] = {"network": network_task}
"""From a recipe, the data's folder, and a model's folder or file or None, to what the loop trains."""


def make_task(recipe: Recipe, data: Path, model: Path | None) -> Task:
    """The recipe's task. Raises InputError where it cannot be made of this data and model."""
    if recipe.system not in TASKS:
        raise InputError(f"system: expected one of {', '.join(TASKS)}, got {recipe.system!r}")
    return TASKS[recipe.system](recipe, data, model)

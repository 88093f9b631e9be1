"""Which Task a recipe's `system` names."""

from collections.abc import Callable, Sequence
from pathlib import Path

from trustpose.files import InputError
from trustpose.training.detector_task import detector_task
from trustpose.training.frozen_task import frozen_task
from trustpose.training.network_task import network_task
from trustpose.training.recipe import Recipe
from trustpose.training.task import Task

TASKS: dict[str, Callable[[Recipe, Sequence[Path], Path | None, Path, str | None], Task]] = {
    "network": network_task,
    "frozen": lambda recipe, data, model, folder, _: frozen_task(recipe, data[0], model, folder),
    "detector": lambda recipe, data, model, *_: detector_task(recipe, data[0], model),
}
"""From a recipe, the data's folders, a model's folder or file or None, a folder for what is worth keeping on the way,
and a teacher or None, to what the loop trains."""


def make_task(
    recipe: Recipe, data: Path | Sequence[Path], model: Path | None, folder: Path, teacher: str | None = None
) -> Task:
    """The recipe's task, on a data set's folder or, where a network trains, on several: the first is validated on.

    `teacher`: a model that labels for a network that trains what the data leaves unknown.
    Raises InputError where it cannot be made of this data and model.
    """
    folders = [data] if isinstance(data, Path) else list(data)
    if recipe.system not in TASKS:
        raise InputError(f"system: expected one of {', '.join(TASKS)}, got {recipe.system!r}")
    if recipe.train.weight_interpolation and recipe.system != "network":
        raise InputError(
            f"train.weight_interpolation: is for networks that train, expected 0 with system {recipe.system}"
        )
    if len(folders) != 1 and recipe.system != "network":
        raise InputError(f"--data: is given {len(folders)} times, but system {recipe.system} trains on one data set")
    if teacher is not None and recipe.system != "network":
        raise InputError(f"--teacher: is for networks that train, expected none with system {recipe.system}")
    return TASKS[recipe.system](recipe, folders, model, folder, teacher)

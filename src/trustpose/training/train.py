"""`tp.train`: train a recipe on a data set and write a model folder."""

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustpose.datasets.label_files import published
from trustpose.extras import not_installed
from trustpose.files import InputError, cannot_write, read_json
from trustpose.models.spec import MODEL_JSON
from trustpose.training.recipe import Precision, Recipe, from_json, with_overrides
from trustpose.training.recipes import check_runnable, find_recipe

if TYPE_CHECKING:
    from trustpose.training.task import Task

TRAINING = "training"  # the folder inside the model folder with checkpoint and logs


def train(
    recipe: Recipe | str | Path,
    data: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    model: str | Path | None = None,
    teacher: str | None = None,
    head: str | None = None,
    precision: Precision | None = None,
    changes: Mapping[str, Any] | None = None,
    resume: bool = True,
    accelerator: str = "auto",
    devices: int = 1,
    minutes: float | None = None,
) -> dict[str, float]:
    """Train a recipe on a data set, and write a model folder that `tp.load` reads.

    Needs the extra `train`.

    Args:
        recipe: a `Recipe`, the name of one (`trustpose recipes` lists them), or a recipe's JSON file.
        data: the folder of a data set or of its shards (`trustpose shard`); of several the first is divided into folds
            and used for validation, and the others are used for training only.
        out: the model folder to write; logs and checkpoint go to its folder training/.
        model: the initial network: a model folder (with its head, if the recipe has the same), a checkpoint or an ONNX
            file.
        teacher: a model folder with a trust head, or "default", that predicts labels for unlabelled joints.
        head: a trust head that replaces the recipe's.
        precision: "32-true", "bf16-mixed" or "16-mixed", instead of the recipe's.
        changes: values of the recipe's fields by dotted name, such as {"train.lr": 3e-4, "data.fold": 1}.
        resume: continue from the checkpoint in `out`, if there is one.
        accelerator: "cpu", "cuda", "mps", or "auto" for the best available.
        devices: number of devices.
        minutes: stop after this time; the same call resumes.

    Returns:
        The numbers of the last validation by the audit's names, such as "ap.AP"; empty without a held-out fold.

    Raises:
        InputError: for an unknown recipe or field, and for data and models that do not fit it.
        KeyboardInterrupt: `OutOfTime` when the minutes are over, `InterruptedRun` after Ctrl-C; both can be resumed.

    Example:
        >>> numbers = tp.train("ours/crops/hrnet-w32-256x192", "coco/", "my-model/")  # doctest: +SKIP
    """
    if minutes is not None and not 0 < minutes < inf:
        raise InputError(f"--minutes: expected a number above 0, got {minutes:g}")
    until = None if minutes is None else time.monotonic() + 60 * minutes
    for package in ("torch", "lightning_fabric", "tensorboard"):
        if find_spec(package) is None:
            raise InputError(not_installed(package, "train"))
    overrides = dict(changes or {})
    overrides |= {} if head is None else {"head": head}
    overrides |= {} if precision is None else {"train.precision": precision}
    chosen = _changed(recipe if isinstance(recipe, Recipe) else recipe_of(recipe), overrides)
    folders = [Path(folder) for folder in ([data] if isinstance(data, (str, Path)) else data)]
    where = published(chosen.data.dataset)
    for folder in folders:
        if not folder.is_dir():
            problem = "is not a directory" if folder.exists() else "no such directory"
            raise InputError(f"{folder}: {problem}, see --data{where}")
    out, model = Path(out), None if model is None else Path(model)
    if (out / MODEL_JSON).exists() and not (out / TRAINING).is_dir():
        raise InputError(f"{out}: holds a model of another origin, --out expects a new folder")
    return _train(chosen, folders, out, model, teacher, resume, (accelerator, devices), until)


def recipe_of(name: str | Path) -> Recipe:
    """Return the recipe of that name or in that JSON file. Raises InputError if there is none."""
    if not str(name).endswith(".json"):
        return find_recipe(str(name))
    try:
        return from_json(read_json(name))
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(str(name)) else f"{name}: {error}") from None


def _changed(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with other values of its fields. Raises InputError, also if it cannot be run."""
    if changes.get("head", recipe.head) != recipe.head:
        # they belong to the other head
        recipe = replace(recipe, head_options={}, frozen=replace(recipe.frozen, maps={}))
    changed = with_overrides(recipe, changes)
    check_runnable(changed)
    return changed


def _train(
    recipe: Recipe,
    data: list[Path],
    out: Path,
    model: Path | None,
    teacher: str | None,
    resume: bool,
    on: tuple[str, int],
    until: float | None,
) -> dict[str, float]:
    from trustpose.training.checkpoint import time_limit
    from trustpose.training.devices import launch_fabric
    from trustpose.training.loop import fit
    from trustpose.training.tasks import make_task

    fabric = launch_fabric(*on, recipe.train.precision)
    try:
        # storing features is resumable; other preparation starts over, so it must not be interrupted
        stores = recipe.system == "frozen" and fabric.world_size == 1
        with time_limit(until if stores else None, "storing features"):
            task = make_task(recipe, data, model, out / TRAINING, teacher)
        numbers = fit(task, recipe, out / TRAINING, fabric, resume=resume, until=until)
        if fabric.is_global_zero:
            _publish(task, out)
    except OSError as error:  # a full disk, a folder removed meanwhile
        raise cannot_write(os.fsdecode(error.filename or out), error) from None
    return numbers


def _publish(task: "Task", out: Path) -> None:
    """Move the model folder's files, and folders of further models, into `out`, the JSON last: without it there is no
    model yet."""
    model_folder = out / TRAINING / "model"
    shutil.rmtree(model_folder, ignore_errors=True)
    task.export(model_folder)
    for path in sorted(model_folder.iterdir(), key=lambda path: path.suffix == ".json"):
        if path.is_dir():
            shutil.rmtree(out / path.name, ignore_errors=True)
        path.replace(out / path.name)
    model_folder.rmdir()

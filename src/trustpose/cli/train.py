"""`trustpose train`: train a recipe on a data set and write a model folder."""

import os
import shutil
import time
from dataclasses import replace
from importlib.util import find_spec
from math import inf, isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.choices import choices, completed, recipe_names
from trustpose.cli.endings import resumable
from trustpose.cli.outputs import MODEL_FILES, check_outputs, model_files
from trustpose.extras import not_installed
from trustpose.files import InputError, cannot_write, read_json

if TYPE_CHECKING:
    from trustpose.training.recipe import Recipe
    from trustpose.training.task import Task

CONTEXT = {"ignore_unknown_options": True}  # other options are fields of the recipe, or refused
TRAINING = "training"  # the folder in --out with checkpoint and logs
TIME_IS_UP = 75  # the exit code: EX_TEMPFAIL, "the user is invited to retry"
_SHOWN = ("ap.AP", "network.ap.AP", "pose.pearson", "keypoint.pearson", "visibility.ternary.total.f1", "box.AP")


def train(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE [--FIELD=VALUE]...",
            **completed(recipe_names),
            help="A name (see `trustpose recipes`) or a recipe's JSON file, and fields to change.",
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            help="Folder of the data set or of its shards (`trustpose shard`). May be repeated: "
            "the first is divided into folds and used for validation, all of the others is used for training."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The model folder to write; logs and checkpoint go to its training/.")],
    model: Annotated[
        Path | None,
        typer.Option(
            help="Initial network: model folder (with its head, if the recipe has the same), checkpoint, ONNX."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Model folder with a trust head, or `default`: predicts labels for unlabelled joints, where "
            "its expected OPKS is high enough (data.teacher_quality)."
        ),
    ] = None,
    head: Annotated[str | None, typer.Option(help="Trust head that replaces the recipe's.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Resume from the checkpoint in --out, if there is one.")
    ] = True,
    accelerator: Annotated[
        str, typer.Option(**choices("auto", "cpu", "cuda", "mps", about="auto: the best available."))
    ] = "auto",
    devices: Annotated[int, typer.Option(help="Number of devices; torchrun and `fabric run` set it themselves.")] = 1,
    precision: Annotated[
        str | None, typer.Option(**choices("32-true", "bf16-mixed", "16-mixed", about="Default: the recipe's."))
    ] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after this many minutes with exit code 75; the same command resumes.")
    ] = None,
) -> None:
    """Train a recipe. Every field of it is an option: --train.lr=3e-4, --data.fold=1, --head_options.attention=none.

    An interrupted run is resumed. Writes model.onnx, model.json and model.safetensors to --out.
    """
    until = None if minutes is None else time.monotonic() + 60 * minutes
    if minutes is not None and not 0 < minutes < inf:
        raise InputError(f"--minutes: expected a number above 0, got {minutes:g}")
    name, given = split(words)
    changes: dict[str, Any] = {**given}
    changes |= {at: value for at, value in (("head", head), ("train.precision", precision)) if value is not None}
    for needed in ("torch", "lightning_fabric", "tensorboard"):
        if find_spec(needed) is None:
            raise InputError(not_installed(needed, "train"))
    chosen = _change(chosen_recipe(name), changes)
    for at in data:
        if not at.is_dir():
            raise InputError(
                f"{at}: " + ("is not a directory" if at.exists() else "no such directory") + ", see --data"
            )
    if (out / "model.json").exists() and not (out / TRAINING).is_dir():
        raise InputError(f"{out}: holds a model of another origin, --out expects a new folder")
    taught = None if teacher is None else Path(teacher)
    check_outputs(
        {"--out": [out / name for name in MODEL_FILES]},
        {"--model": model_files(model), "--teacher": model_files(taught)},
    )
    _run(chosen, data, out, model, teacher, resume, (accelerator, devices), until)


def split(words: list[str]) -> tuple[str, dict[str, str]]:
    """Return the recipe, and {"train.lr": "3e-4"} for --train.lr=3e-4 or --train.lr 3e-4. Raises InputError."""
    recipes: list[str] = []
    found: dict[str, str] = {}
    left = list(words)
    while left:
        word = left.pop(0)
        if not word.startswith("-"):
            recipes.append(word)
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise InputError(f"{word}: unexpected, change a recipe's fields with --name=value")
        if not equals:
            if not left or left[0].startswith("--"):
                raise InputError(f"--{name}: expected a value, as in --{name}=…")
            value = left.pop(0)
        if name in found:
            raise InputError(f"--{name}: was given twice")
        found[name] = value
    if len(recipes) != 1:
        raise InputError(f"expected one recipe, got {', '.join(recipes) or 'none'}")
    return recipes[0], found


def chosen_recipe(name: str) -> "Recipe":
    """Return the recipe of that name or JSON file. Raises InputError if there is none."""
    from trustpose.training.recipe import from_json
    from trustpose.training.recipes import find_recipe

    if not name.endswith(".json"):
        return find_recipe(name)
    try:
        return from_json(read_json(name))
    except InputError as error:
        raise InputError(str(error) if str(error).startswith(name) else f"{name}: {error}") from None


def _change(recipe: "Recipe", changes: dict[str, Any]) -> "Recipe":
    from trustpose.training.recipe import with_overrides
    from trustpose.training.recipes import check_runnable

    if changes.get("head", recipe.head) != recipe.head:
        # they belong to the other head
        recipe = replace(recipe, head_options={}, frozen=replace(recipe.frozen, maps={}))
    changed = with_overrides(recipe, changes)
    check_runnable(changed)
    return changed


def _run(
    recipe: "Recipe",
    data: list[Path],
    out: Path,
    model: Path | None,
    teacher: str | None,
    resume: bool,
    on: tuple[str, int],
    until: float | None,
) -> None:
    from trustpose.training.devices import launched
    from trustpose.training.interrupts import OutOfTime, interrupted_at
    from trustpose.training.loop import NonFiniteLossError, fit
    from trustpose.training.tasks import make_task

    fabric = launched(*on, recipe.train.precision)
    with resumable(f"the same command continues from {out / TRAINING}"):
        try:
            # storing features is resumable; other preparation starts over, so it must not be interrupted
            stores = recipe.system == "frozen" and fabric.world_size == 1
            with interrupted_at(until if stores else None, "storing features"):
                task = make_task(recipe, data, model, out / TRAINING, teacher)
            numbers = fit(task, recipe, out / TRAINING, fabric, resume=resume, until=until)
            if fabric.is_global_zero:
                _publish(task, out)
        except NonFiniteLossError as error:
            typer.echo(f"trustpose: {error}", err=True)
            raise typer.Exit(1) from None
        except OutOfTime as reached:
            if fabric.is_global_zero:
                message = f"trustpose: time is up: {reached}; the same command continues from {out / TRAINING}"
                typer.echo(message, err=True)
            raise typer.Exit(TIME_IS_UP) from None
        except OSError as error:  # a full disk, a folder removed meanwhile
            raise cannot_write(os.fsdecode(error.filename or out), error) from None
    if fabric.is_global_zero:
        shown = ", ".join(f"{name} {numbers[name]:.3f}" for name in _SHOWN if isfinite(numbers.get(name, nan)))
        typer.echo(f"{out}: {recipe.name}" + (f", {shown} on the held-out fold" if shown else ""))


def _publish(task: "Task", out: Path) -> None:
    """Move the model folder's files, and folders of further models, into `out`, the JSON last: without it there is no
    model yet."""
    made = out / TRAINING / "model"
    shutil.rmtree(made, ignore_errors=True)
    task.export(made)
    for path in sorted(made.iterdir(), key=lambda path: path.suffix == ".json"):
        if path.is_dir():
            shutil.rmtree(out / path.name, ignore_errors=True)
        path.replace(out / path.name)
    made.rmdir()

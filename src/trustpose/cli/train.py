"""`trustpose train`: a recipe, a data set's folder, and a model folder comes out."""

import os
import shutil
import time
from dataclasses import replace
from importlib.util import find_spec
from math import inf, isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.endings import resumable
from trustpose.cli.outputs import MODEL_FILES, check_outputs, model_files
from trustpose.extras import not_installed
from trustpose.files import InputError, cannot_write, read_json

if TYPE_CHECKING:
    from trustpose.training.recipe import Recipe
    from trustpose.training.task import Task

CONTEXT = {"ignore_unknown_options": True}  # what is no option of the command is a field of the recipe, or refused
TRAINING = "training"  # the folder in --out where checkpoint and logs are
TIME_IS_UP = 75  # the exit code: EX_TEMPFAIL, "the user is invited to retry"
_SHOWN = ("ap.AP", "network.ap.AP", "pose.pearson", "keypoint.pearson", "visibility.ternary.total.f1", "box.AP")


def train(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="RECIPE [--FIELD=VALUE]...",
            help="A name (`trustpose recipes` lists them) or a recipe's JSON file; and fields of it to change.",
        ),
    ],
    data: Annotated[
        list[Path],
        typer.Option(
            help="The folder of the data set, or of its shards (`trustpose shard`). Given again for a network to train "
            "on more: the first is divided into folds and validated on, all of the others is trained on."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The model folder to make; logs and checkpoint go to its training/.")],
    model: Annotated[
        Path | None,
        typer.Option(
            help="Network to start from: model folder (its head too, if the recipe has the same), checkpoint, ONNX."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Model folder with a trust head, or `default`: labels the joints that the data says nothing of, where "
            "it is sure (data.teacher_quality)."
        ),
    ] = None,
    head: Annotated[str | None, typer.Option(help="Another head than the recipe's.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume/--no-resume", help="Go on from the checkpoint in --out, where there is one.")
    ] = True,
    accelerator: Annotated[str, typer.Option(help="cpu, cuda, mps, or auto for the best there is.")] = "auto",
    devices: Annotated[int, typer.Option(help="How many of them; torchrun and `fabric run` say so themselves.")] = 1,
    precision: Annotated[str | None, typer.Option(help="32-true, bf16-mixed or 16-mixed.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Stop after so many, to be gone on with by the same command; exit code 75.")
    ] = None,
) -> None:
    """Train by a recipe. Every field of it is an option: --train.lr=3e-4, --data.fold=1, --head_options.attention=none.

    A run that was stopped goes on where it was. Writes model.onnx, model.json and model.safetensors to --out.
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
            raise InputError(f"{at}: " + ("is no directory" if at.exists() else "no such directory") + ", see --data")
    if (out / "model.json").exists() and not (out / TRAINING).is_dir():
        raise InputError(f"{out}: holds a model that no training here made, --out expects a new folder")
    taught = None if teacher is None else Path(teacher)
    check_outputs(
        {"--out": [out / name for name in MODEL_FILES]},
        {"--model": model_files(model), "--teacher": model_files(taught)},
    )
    _run(chosen, data, out, model, teacher, resume, (accelerator, devices), until)


def split(words: list[str]) -> tuple[str, dict[str, str]]:
    """The recipe, and {"train.lr": "3e-4"} of --train.lr=3e-4 or --train.lr 3e-4. Raises InputError for other words."""
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
            raise InputError(f"{word}: unexpected, a recipe's fields are changed by --name=value")
        if not equals:
            if not left or left[0].startswith("--"):
                raise InputError(f"--{name}: expected a value, as in --{name}=…")
            value = left.pop(0)
        if name in found:
            raise InputError(f"--{name}: is given twice")
        found[name] = value
    if len(recipes) != 1:
        raise InputError(f"expected one recipe, got {', '.join(recipes) or 'none'}")
    return recipes[0], found


def chosen_recipe(name: str) -> "Recipe":
    """The recipe of that name, or of that JSON file. Raises InputError where there is none."""
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
        # they were the other head's
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
    with resumable(f"the same command goes on from {out / TRAINING}"):
        try:
            # storing features goes on where it was; whatever else makes a task begins anew, and must come to its end
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
                said = f"trustpose: time is up: {reached}; the same command goes on from {out / TRAINING}"
                typer.echo(said, err=True)
            raise typer.Exit(TIME_IS_UP) from None
        except OSError as error:  # a disk that is full, a folder that was removed meanwhile
            raise cannot_write(os.fsdecode(error.filename or out), error) from None
    if fabric.is_global_zero:
        shown = ", ".join(f"{name} {numbers[name]:.3f}" for name in _SHOWN if isfinite(numbers.get(name, nan)))
        typer.echo(f"{out}: {recipe.name}" + (f", {shown} on the fold held out" if shown else ""))


def _publish(task: "Task", out: Path) -> None:
    """The model folder's files into `out`, its JSON last: without that it is no model yet."""
    made = out / TRAINING / "model"
    shutil.rmtree(made, ignore_errors=True)
    task.export(made)
    for path in sorted(made.iterdir(), key=lambda path: path.suffix == ".json"):
        path.replace(out / path.name)
    made.rmdir()

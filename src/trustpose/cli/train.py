"""`trustpose train`: train a recipe on a data set and write a model folder."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import isfinite, nan
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs
from trustpose.cli.progress import resumable
from trustpose.cli.recipes import recipe_names
from trustpose.files import InputError
from trustpose.io.output_files import MODEL_FILES, model_files
from trustpose.options import argument, option

if TYPE_CHECKING:
    from trustpose.training.recipe import Recipe

TIME_IS_UP = 75  # the exit code: EX_TEMPFAIL, "the user is invited to retry"
_SHOWN = (
    "ap.AP",
    "network.ap.AP",
    "pose.pearson",
    "keypoint.pearson",
    "visibility.ternary.total.f1",
    "box.AP",
    "mpjpe",
    "pa_mpjpe",
    "surface.AP",
)


@dataclass(frozen=True)
class TrainFiles:
    """What is trained on which data, and where the model is written."""

    words: Sequence[str] = argument(
        metavar="RECIPE [--FIELD=VALUE]...",
        names=recipe_names,
        help="A name (see `trustpose recipes`) or a recipe's JSON file, and fields to change.",
    )
    data: Sequence[Path] = option(
        (),
        help="Required. Folder of the data set or of its shards (`trustpose shard`). May be repeated: the first is "
        "divided into folds and used for validation, the others are used for training only.",
    )
    out: Path | None = option(
        None, help="Required. The model folder to write; logs and checkpoint go to its training/."
    )
    model: Path | None = option(
        None, help="Initial network: model folder (with its head, if the recipe has the same), checkpoint or ONNX."
    )
    teacher: str | None = option(
        None,
        help="Model folder with a trust head, or 'default', that predicts labels for unlabelled joints where its "
        "expected OPKS is high enough (data.teacher_quality).",
    )


@dataclass(frozen=True)
class TrainOptions:
    """How it is trained."""

    head: str | None = option(None, help="Trust head that replaces the recipe's.")
    resume: bool = option(True, help="Resume from the checkpoint in --out, if there is one.")
    accelerator: str = option(
        "auto",
        names=("auto", "cpu", "cuda", "mps"),
        help="Device to train on. auto: the best available.",
    )
    devices: int = option(1, help="Number of devices; torchrun and `fabric run` set it themselves.")
    precision: str | None = option(
        None, names=("32-true", "bf16-mixed", "16-mixed"), help="Precision of the training. Default: the recipe's."
    )
    minutes: float | None = option(
        None, help="Stop after this many minutes with exit code 75; the same command resumes."
    )


@command(
    "trustpose recipes",
    "trustpose train default-network --data coco --out model",
    "trustpose train default-network --data coco --out model --train.lr=3e-4",
    "trustpose predict photos/ --model model",
    ignore_unknown_options=True,  # they are fields of the recipe, or refused
)
def train(files: TrainFiles, options: TrainOptions) -> None:
    """Train a recipe. Every field of it is an option: --train.lr=3e-4, --data.fold=1, --head_options.attention=none.

    An interrupted run is resumed. Writes model.onnx, model.json and model.safetensors to --out.
    """
    from trustpose.training.checkpoint import NonFiniteLossError, OutOfTime
    from trustpose.training.train import TRAINING, recipe_of, train

    name, changes = split(files.words)
    recipe = recipe_of(name)
    out = _check_required(recipe, files)
    continues = f"run the same command to continue from {out / TRAINING}"
    teacher = None if files.teacher is None else Path(files.teacher)
    inputs = {"--model": model_files(files.model), "--teacher": model_files(teacher)}
    check_outputs({"--out": [out / name for name in MODEL_FILES]}, inputs)
    try:
        with resumable(continues, but_not=OutOfTime):
            numbers = train(
                recipe,
                files.data,
                out,
                model=files.model,
                teacher=files.teacher,
                changes=changes,
                **asdict(options),  # type: ignore[bad-argument-type]
            )
    except NonFiniteLossError as error:
        typer.echo(f"trustpose: {error}", err=True)
        raise typer.Exit(1) from None
    except OutOfTime as reached:
        if _is_first_process():
            typer.echo(f"trustpose: time is up: {reached}; {continues}", err=True)
        raise typer.Exit(TIME_IS_UP) from None
    if _is_first_process():
        shown = ", ".join(f"{name} {numbers[name]:.3f}" for name in _SHOWN if isfinite(numbers.get(name, nan)))
        typer.echo(f"{out}: {recipe.name}" + (f", {shown} on the held-out fold" if shown else ""))


def _check_required(recipe: "Recipe", files: TrainFiles) -> Path:
    """Return the folder to write. Raises InputError for a recipe that cannot be run, and if its data set, which the
    message names, or the folder is not given."""
    from trustpose.training.recipes import check_runnable
    from trustpose.training.recipes.needs import needs_of

    check_runnable(recipe)
    if not files.data:
        needs = needs_of(recipe)
        raise InputError(f"{recipe.name}: --data: expected the folder of {needs.data}, see {needs.published}")
    if files.out is None:
        raise InputError(f"{recipe.name}: --out: expected the model folder to write")
    return files.out


def _is_first_process() -> bool:
    from trustpose.training.distributed import rank

    return rank() == 0


def split(words: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Return the recipe, and {"train.lr": "3e-4"} for --train.lr=3e-4 or --train.lr 3e-4. Raises InputError."""
    recipes: list[str] = []
    changes: dict[str, str] = {}
    remaining = list(words)
    while remaining:
        word = remaining.pop(0)
        if not word.startswith("-"):
            recipes.append(word)
            continue
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("--") or not name:
            raise InputError(f"{word}: unexpected, change a recipe's fields with --name=value")
        if not equals:
            if not remaining or remaining[0].startswith("--"):
                raise InputError(f"--{name}: expected a value, as in --{name}=…")
            value = remaining.pop(0)
        if name in changes:
            raise InputError(f"--{name}: was given twice")
        changes[name] = value
    if len(recipes) != 1:
        raise InputError(f"expected one recipe, got {', '.join(recipes) or 'none'}")
    return recipes[0], changes

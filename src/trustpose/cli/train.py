"""`trustpose train`: train a recipe on a data set and write a model folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from math import isfinite, nan
from pathlib import Path
from typing import Annotated

import typer

from trustpose.cli.choices import choices, completed, recipe_names
from trustpose.cli.endings import resumable
from trustpose.cli.outputs import MODEL_FILES, check_outputs, model_files
from trustpose.files import InputError

CONTEXT = {"ignore_unknown_options": True}  # other options are fields of the recipe, or refused
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
    from trustpose.training.train import TRAINING, recipe_of, train

    name, changes = split(words)
    chosen = recipe_of(name)
    taught = None if teacher is None else Path(teacher)
    check_outputs(
        {"--out": [out / name for name in MODEL_FILES]},
        {"--model": model_files(model), "--teacher": model_files(taught)},
    )
    with resumable(f"the same command continues from {out / TRAINING}"), _reported_ends(out / TRAINING):
        numbers = train(
            chosen,
            data,
            out,
            model=model,
            teacher=teacher,
            head=head,
            precision=precision,  # type: ignore[bad-argument-type]
            changes=changes,
            resume=resume,
            accelerator=accelerator,
            devices=devices,
            minutes=minutes,
        )
        from trustpose.training.distributed import rank

        if not rank():
            shown = ", ".join(f"{name} {numbers[name]:.3f}" for name in _SHOWN if isfinite(numbers.get(name, nan)))
            typer.echo(f"{out}: {chosen.name}" + (f", {shown} on the held-out fold" if shown else ""))


@contextmanager
def _reported_ends(folder: Path) -> Iterator[None]:
    """Print a line, and exit, for a loss that is not finite (1) and when the time is up (75)."""
    from trustpose.training.interrupts import NonFiniteLossError, OutOfTime

    try:
        yield
    except NonFiniteLossError as error:
        typer.echo(f"trustpose: {error}", err=True)
        raise typer.Exit(1) from None
    except OutOfTime as reached:
        from trustpose.training.distributed import rank

        if not rank():
            typer.echo(f"trustpose: time is up: {reached}; the same command continues from {folder}", err=True)
        raise typer.Exit(TIME_IS_UP) from None


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

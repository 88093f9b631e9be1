"""`trustpose models`: list the available networks with their specs."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import print_columns
from trustpose.options import option

FOLDER = "TRUSTPOSE_MODELS"
_COLUMNS = ("model", "name", "gives", "input", "skeleton", "MB", "licence", "measured")


@dataclass(frozen=True)
class ModelsOptions:
    """What is listed."""

    dir: Path | None = option(
        None, help=f"Folder with the networks. Default: the environment's {FOLDER}, else the current folder."
    )
    zoo: bool = option(False, help="List the networks for training and for imported checkpoints instead.")
    shipped: bool = option(False, help="List the bundled models and calibrators instead.")
    adapters: bool = option(False, help="List the supported estimators of other packages instead.")
    validate: Path | None = option(
        None, help="Check this model (a folder, NETWORK.onnx or NETWORK.json) and describe it."
    )
    json: bool = option(False, help="Print JSON.")


@command(
    "trustpose models",
    "trustpose models --adapters",
    "trustpose models --dir networks --json",
    "trustpose models --validate network.onnx",
)
def models(options: ModelsOptions) -> None:
    """List the networks of a folder with their outputs, input, size, licence and measurements.

    A network is NETWORK.onnx with NETWORK.json next to it, or a folder with model.json. Without --dir and networks in
    the current folder, the bundled ones are listed. The list shows what the JSON says. A network whose JSON cannot be
    read is reported, and the exit code is then 1.

    --validate opens the network too; if it does not match its JSON, prints the reason in one line, with exit code 2.
    """
    from trustpose.predict import model_lists

    if options.validate is not None:
        _print_description(model_lists.describe_model(options.validate), as_json=options.json)
    elif options.adapters:
        columns = ("model", "gives", "installed", "licence", "install")
        _print(model_lists.other_estimators(), columns, as_json=options.json)
    elif options.zoo:
        _print(model_lists.networks_for_training(), ("name", "parameters"), as_json=options.json)
    elif options.shipped:
        _print(model_lists.bundled_models(), _COLUMNS, as_json=options.json)
    else:
        _print_folder(options)


def _print_folder(options: ModelsOptions) -> None:
    from trustpose.predict.model_lists import bundled_models, models_in

    folder = options.dir or Path(os.environ.get(FOLDER) or ".")
    rows, problems = models_in(folder)
    _print(rows, _COLUMNS, as_json=options.json)
    for problem in problems:
        typer.echo("trustpose: " + " ".join(str(problem).split()), err=True)
    if problems:
        raise typer.Exit(1)
    if not rows and not options.json:
        choose = ""
        if options.dir is None:
            _print(bundled_models(), _COLUMNS, as_json=False)
            choose = f"; --dir FOLDER or {FOLDER} choose another folder"
        typer.echo(f"{folder.resolve()}: holds no networks{choose}; --zoo lists the networks for training and import")
        typer.echo("--adapters lists supported estimators of other packages")


def _print(rows: list[dict[str, Any]], columns: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        print_columns(rows, columns)


def _print_description(description: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(description, ensure_ascii=False, indent=2))
        return
    width = max(map(len, description))
    for name, text in description.items():
        typer.echo(f"{name:<{width}}  {text}")

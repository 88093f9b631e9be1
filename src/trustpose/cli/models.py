"""`trustpose models`: list the available networks with their specs."""

import json
import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from trustpose.extras import install_line, not_installed
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.models.spec import ModelSpec

FOLDER = "TRUSTPOSE_MODELS"
_COLUMNS = ["model", "name", "gives", "input", "skeleton", "MB", "licence", "measured"]


def models(
    directory: Annotated[
        Path | None,
        typer.Option("--dir", help=f"The folder with the networks. [default: env {FOLDER}, else the current one]"),
    ] = None,
    zoo: Annotated[
        bool, typer.Option("--zoo", help="List the networks for training and for imported checkpoints instead.")
    ] = False,
    shipped: Annotated[
        bool, typer.Option("--shipped", help="List the bundled models and calibrators instead.")
    ] = False,
    adapters: Annotated[
        bool, typer.Option("--adapters", help="List the supported estimators of other packages instead.")
    ] = False,
    validate: Annotated[
        Path | None,
        typer.Option(help="Check this model (a folder, NETWORK.onnx, NETWORK.json) and describe it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks of a folder with their outputs, input, size, licence and measurements.

    A network is NETWORK.onnx with NETWORK.json next to it, or a folder with model.json. Without --dir and networks in
    the current folder, the bundled ones are listed. The list shows what the JSON gives. A network whose JSON cannot be
    read is reported, and the exit code is then 1. --validate opens the network too; if it does not match its JSON,
    prints the reason in one line, with exit code 2.
    """
    if validate is not None:
        from trustpose.cli.model_check import check_model

        check_model(validate, as_json=as_json)
        return
    if adapters:
        columns = ["model", "gives", "installed", "licence", "install"]
        _print(_adapters(), columns, as_json=as_json)
        return
    if zoo:
        _print(_zoo(), ["name", "parameters"], as_json=as_json)
        return
    if shipped:
        _print(_shipped(), _COLUMNS, as_json=as_json)
        return
    folder = directory or Path(os.environ.get(FOLDER) or ".")
    if not folder.is_dir():
        raise InputError(f"{folder}: " + ("is a file, expected a folder" if folder.exists() else "no such folder"))
    rows, problems = _networks(folder)
    _print(rows, _COLUMNS, as_json=as_json)
    for problem in problems:
        typer.echo("trustpose: " + " ".join(str(problem).split()), err=True)
    if problems:
        raise typer.Exit(1)
    if not rows and not as_json:
        if directory is None:
            _print(_shipped(), _COLUMNS, as_json=False)
        where = f"; --dir FOLDER or {FOLDER} choose another folder" if directory is None else ""
        typer.echo(f"{folder.resolve()}: holds no networks{where}; --zoo lists the networks for training and import")
        typer.echo("--adapters lists supported estimators of other packages")


def _networks(folder: Path) -> tuple[list[dict[str, Any]], list[InputError]]:
    """Return a row for each network's spec, sorted by name, and the errors of those that cannot be read."""
    found = [path for path in folder.iterdir() if path.suffix == ".onnx" or (path / "model.json").is_file()]
    if (folder / "model.json").is_file():  # the folder of one model
        found = [folder]
    rows, problems = [], []
    for path in sorted(found):
        try:
            rows.append(_row(path, folder))
        except InputError as problem:
            problems.append(problem)
    return rows, problems


def _row(path: Path, folder: Path) -> dict[str, Any]:
    from trustpose.models.spec import ModelSpec

    spec = ModelSpec.read(path)
    if not spec.onnx.is_file():
        raise InputError(f"{spec.onnx}: no such file, but its JSON exists")
    return {
        "model": path.name if path == folder else str(path.relative_to(folder)),
        "name": spec.name,
        "gives": _gives(spec),
        "input": spec.input.size,
        "skeleton": f"{spec.skeleton.name} ({len(spec.skeleton)})" if len(spec.skeleton) else "",
        "MB": round(spec.onnx.stat().st_size / 1e6, 1),
        "licence": spec.licence,
        "source": spec.source,
        "measured": dict(spec.measured),
        "trust": None if spec.trust is None else spec.trust.to_json(),
    }


def _shipped() -> list[dict[str, Any]]:
    """Return a row for each bundled model, then for each bundled calibrator."""
    from trustpose.models.spec import shipped_folders

    return [_row(path, path.parent) for path in shipped_folders()] + _calibrators()


def _calibrators() -> list[dict[str, Any]]:
    """Return a row for each bundled calibrator; `measured` has its out-of-fold numbers."""
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.calibration.shipped import PREFIX, shipped_calibrators

    labels = {"pose.pearson": "r(pose, OKS)", "keypoint.pearson": "r(keypoint)", "pose.ece": "pose ECE"}
    rows = []
    for name, file in shipped_calibrators().items():
        card = Calibrator.load(file).card
        numbers = {label: round(value[0], 3) for key, label in labels.items() if (value := card.after[key]) is not None}
        rows.append(
            {
                "model": PREFIX + name,
                "name": f"calibrator for {card.estimator}, {card.results.used} people",
                "gives": f"trust ({card.method}): quality, visibility, pose_quality",
                "input": "COCO results",
                "skeleton": f"{card.skeleton.name} ({len(card.keypoints)})",
                "MB": round(file.stat().st_size / 1e6, 1),
                "licence": "Apache-2.0",
                "source": f"{card.truth.file}",
                "measured": numbers,
                "trust": None,
            }
        )
    return rows


def _gives(spec: "ModelSpec") -> str:
    trust = "" if spec.trust is None else f"; trust ({spec.trust.head}): {', '.join(spec.trust.outputs)}"
    return spec.output.describe() + trust


def _zoo() -> list[dict[str, Any]]:
    """Return names and parameter counts, from networks built without memory for their weights."""
    try:
        torch, zoo = import_module("torch"), import_module("trustpose.networks.zoo")
    except ModuleNotFoundError as missing:
        raise InputError(not_installed(missing.name, "train")) from None
    draws = {"normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "constant_", "fill_", "zero_"}

    class Undrawn(torch.overrides.TorchFunctionMode):
        """Weights stay as they are: without memory there is nothing to draw, and drawing takes half of the time."""

        def __torch_function__(self, function: Any, _: Any, given: Any = (), named: Any = None) -> Any:
            if function.__name__ in draws:
                return given[0] if given else named["tensor"]
            return function(*given, **(named or {}))

    rows = []
    for name in zoo.NETWORKS:
        with torch.device("meta"), Undrawn():
            network = zoo.build(name)
        rows.append({"name": name, "parameters": sum(tensor.numel() for tensor in network.parameters())})
    return rows


def _adapters() -> list[dict[str, Any]]:
    """Return the adapters that `--model` accepts: whether they are installed, their licence and install line."""
    from trustpose.predict.adapters import ADAPTERS

    return [
        {
            "model": adapter.usage,
            "gives": adapter.gives,
            "installed": "yes" if adapter.is_installed else "no",
            "licence": adapter.licence,
            "install": install_line(adapter.extra),
        }
        for adapter in ADAPTERS.values()
    ]


def _print(rows: list[dict[str, Any]], columns: list[str], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    if not rows:
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 200)
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = [column for column in columns if any(row[column] not in ({}, "") for row in rows)]
    for column in columns:
        is_number = isinstance(rows[0][column], (int, float))
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in columns))
    console.print(table)


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return f"{value:,}" if isinstance(value, int) else escape(str(value))

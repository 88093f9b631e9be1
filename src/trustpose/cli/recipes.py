"""`trustpose recipes`: list every row of the papers' tables, its training and the published number."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.choices import choices, completed, recipe_names
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.training.recipe import Recipe

_SHOWN = 3  # at most this many numbers of a row


def recipes(
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Print this complete recipe as JSON.", **completed(recipe_names)),
    ] = None,
    paper: Annotated[
        str | None,
        typer.Option(**choices("oks-net", "metamodel", "hpcvnet", "single-person", about="Only this paper's.")),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the recipes of `trustpose train`: all rows of the papers' tables, with the papers' numbers.

    Numbers are as printed: AP and labelled F1 in percent, correlations and ternary F1 as fractions. Rows that share one
    training name the first of them. A row that cannot be run gives the reason.
    """
    from trustpose.training.recipe import to_json
    from trustpose.training.recipes import find_recipe

    if name is not None:
        typer.echo(json.dumps(to_json(find_recipe(name)), ensure_ascii=False, indent=2))
        return
    rows = [_row(recipe) for recipe in _of_paper(paper)]
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        _print(rows)


def _of_paper(paper: str | None) -> "list[Recipe]":
    from trustpose.training.recipes import RECIPES

    papers = {recipe.name: {source.paper for source in recipe.sources} for recipe in RECIPES.values()}
    known = sorted(set().union(*papers.values()))
    if paper is not None and paper not in known:
        raise InputError(f"--paper: expected one of {', '.join(known)}, got {paper!r}")
    return [recipe for recipe in RECIPES.values() if paper is None or paper in papers[recipe.name]]


def _row(recipe: "Recipe") -> dict[str, Any]:
    from trustpose.training.recipes import RECIPES, same_training

    order = list(RECIPES)
    same = [other for other in same_training(recipe) if order.index(other) < order.index(recipe.name)]
    parts = [recipe.network or "the given model", *([recipe.head] if recipe.head else [])]
    boxes = "" if recipe.evaluation.boxes == "ground-truth" else ", detected boxes"
    return {
        "recipe": recipe.name,
        "system": f"{' + '.join(parts)}, {recipe.height}×{recipe.width}",
        "data": f"{recipe.data.dataset} {recipe.evaluation.split}{boxes}" if recipe.sources else recipe.data.dataset,
        "where": [f"{source.table}: {source.row}" for source in recipe.sources],
        "printed": [dict(source.numbers) for source in recipe.sources],
        "training": same[0] if same else recipe.name,
        "not_runnable": recipe.not_runnable,
    }


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if Console().is_terminal else 240)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("recipe", no_wrap=True)
    for column in ("system", "data", "paper prints", "where", "runs"):
        table.add_column(column, overflow="fold")
    for row in rows:
        printed = "\n".join(_numbers(numbers) for numbers in row["printed"])
        table.add_row(row["recipe"], row["system"], row["data"], printed, "\n".join(row["where"]) or "ours", _runs(row))
    console.print(table)


def _numbers(numbers: dict[str, float]) -> str:
    """Format the first numbers; `visibility.labelled.f1` is shown as labelled f1."""
    words = [f"{key.removeprefix('visibility.').replace('.', ' ')} {value}" for key, value in numbers.items()]
    return ", ".join(words[:_SHOWN]) + (", …" if len(words) > _SHOWN else "")


def _runs(row: dict[str, Any]) -> str:
    status = f"no: {row['not_runnable']}" if row["not_runnable"] else "yes"
    return status if row["training"] == row["recipe"] else f"{status}; trains as {row['training']}"

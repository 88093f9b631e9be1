"""`trustpose recipes`: list every row of the papers' tables, its training and the published number."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import print_columns
from trustpose.options import argument, option

if TYPE_CHECKING:
    from trustpose.training.recipe import Recipe

_SHOWN = 3  # at most this many numbers of a row


def recipe_names() -> Iterable[str]:
    """Return the names of the recipes."""
    from trustpose.training.recipes import RECIPES

    return RECIPES


@dataclass(frozen=True)
class RecipesOptions:
    """Which recipes are listed, and how."""

    name: str | None = argument(
        None, metavar="[NAME]", names=recipe_names, help="Print this recipe, with all of its fields, as JSON."
    )
    paper: str | None = option(
        None,
        names=("hpcvnet", "metamodel", "multi-pose-net", "oks-net", "single-person"),
        help="List only the recipes of this paper.",
    )
    json: bool = option(False, help="Print JSON.")


@command(
    "trustpose recipes",
    "trustpose recipes --paper oks-net",
    "trustpose recipes default-network > mine.json",
)
def recipes(options: RecipesOptions) -> None:
    """List the recipes of `trustpose train`: all rows of the papers' tables, with the papers' numbers.

    Numbers are as printed: AP and labelled F1 in percent, correlations and ternary F1 as fractions. Rows that share a
    training name the first of them. A row that cannot be run gives the reason.
    """
    from trustpose.training.recipe import to_json
    from trustpose.training.recipes import RECIPES, find_recipe

    if options.name is not None:
        typer.echo(json.dumps(to_json(find_recipe(options.name)), ensure_ascii=False, indent=2))
        return
    listed = [recipe for recipe in RECIPES.values() if options.paper in (None, *_papers(recipe))]
    rows = [_row(recipe) for recipe in listed]
    if options.json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
    else:
        columns = ("recipe", "system", "data", "paper prints", "where", "runs")
        print_columns([_cells(row) for row in rows], columns, width=240, unwrapped="recipe")


def _papers(recipe: "Recipe") -> set[str]:
    return {source.paper for source in recipe.sources}


def _row(recipe: "Recipe") -> dict[str, Any]:
    from trustpose.training.recipes import RECIPES, same_training

    order = list(RECIPES)
    earlier = [same for same in same_training(recipe) if order.index(same) < order.index(recipe.name)]
    network = "pose residual network" if recipe.system == "residual" else recipe.network or "the given model"
    parts = [network, *([recipe.head] if recipe.head else [])]
    boxes = "" if recipe.evaluation.boxes == "ground-truth" else ", detected boxes"
    return {
        "recipe": recipe.name,
        "system": " + ".join(parts) + ("" if recipe.system == "residual" else f", {recipe.height}×{recipe.width}"),
        "data": f"{recipe.data.dataset} {recipe.evaluation.split}{boxes}" if recipe.sources else recipe.data.dataset,
        "where": [f"{source.table}: {source.row}" for source in recipe.sources],
        "printed": [dict(source.numbers) for source in recipe.sources],
        "training": earlier[0] if earlier else recipe.name,
        "not_runnable": recipe.not_runnable,
    }


def _cells(row: dict[str, Any]) -> dict[str, str]:
    """Return a row's cells of the printed table."""
    runs = f"no: {row['not_runnable']}" if row["not_runnable"] else "yes"
    return {
        "recipe": row["recipe"],
        "system": row["system"],
        "data": row["data"],
        "paper prints": "\n".join(_numbers(numbers) for numbers in row["printed"]),
        "where": "\n".join(row["where"]) or "ours",
        "runs": runs if row["training"] == row["recipe"] else f"{runs}; trains as {row['training']}",
    }


def _numbers(numbers: dict[str, float]) -> str:
    """Format the first numbers; `visibility.labelled.f1` is shown as labelled f1."""
    words = [f"{key.removeprefix('visibility.').replace('.', ' ')} {value}" for key, value in numbers.items()]
    return ", ".join(words[:_SHOWN]) + (", …" if len(words) > _SHOWN else "")

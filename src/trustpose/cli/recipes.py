"""`trustpose recipes`: list every row of the papers' tables, its training, what it needs and the published number."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import print_columns
from trustpose.files import InputError
from trustpose.options import argument, option

if TYPE_CHECKING:
    from trustpose.training.recipe import Recipe

_PAPERS = ("hpcvnet", "lecture", "metamodel", "oks-net", "ours")
_COLUMNS = ("paper prints", "data", "weights", "time", "trains")  # after the recipe's name
_NETWORKS = {"residual": "pose residual network", "mask-rcnn": "torchvision's Keypoint R-CNN"}  # without a zoo name
_WIDTH = 120  # characters of a line that is not on a terminal
_HEADLINE = ("AP", "PCKh", "MPJPE", "visibility.labelled.f1", "visibility.ternary.total.f1")  # shown if there


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
        names=_PAPERS,
        help="List only the recipes of this document; lecture: Cao's leaderboards, from DeepPose to DensePose.",
    )
    json: bool = option(False, help="Print JSON, with all numbers and addresses.")


@command(
    "trustpose recipes",
    "trustpose recipes --paper lecture",
    "trustpose recipes default-network > mine.json",
)
def recipes(options: RecipesOptions) -> None:
    """List the recipes of `trustpose train` by document: what each trains, the paper's number, and what it needs.

    Numbers are as printed: AP and labelled F1 in percent, correlations and ternary F1 as fractions. Rows that share a
    training name the first of them. A row that cannot be run gives the reason.
    """
    from trustpose.training.recipe import to_json
    from trustpose.training.recipes import find_recipe

    if options.name in _PAPERS:
        raise InputError(f"{options.name}: is no recipe, `trustpose recipes --paper {options.name}` lists its rows")
    if options.name is not None:
        typer.echo(json.dumps(to_json(find_recipe(options.name)), ensure_ascii=False, indent=2))
        return
    rows_by_document = _rows(options.paper)
    if options.json:
        rows = [row for rows in rows_by_document.values() for row in rows]
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for document, rows in rows_by_document.items():
        _print_document(document, rows)
    typer.echo(
        "All need the extra train. imagenet: timm's weights. --model: a trained network. as X: the training of X."
    )


def _rows(paper: str | None) -> dict[str, list[dict[str, Any]]]:
    """Return the rows of each document, or of this one, in order."""
    from trustpose.training.recipes import RECIPES
    from trustpose.training.recipes.documents import DOCUMENTS, recipes_by_section

    return {
        document: [
            {"document": document, "section": section, **_row(recipe)}
            for section, recipes in recipes_by_section(document, RECIPES.values()).items()
            for recipe in recipes
        ]
        for document in DOCUMENTS
        if paper in (None, document)
    }


def _row(recipe: "Recipe") -> dict[str, Any]:
    from trustpose.training.recipes import RECIPES, same_training
    from trustpose.training.recipes.needs import needs_of

    order = list(RECIPES)
    earlier = [same for same in same_training(recipe) if order.index(same) < order.index(recipe.name)]
    network = _NETWORKS.get(recipe.system) or recipe.network or "the given model"
    kinds = recipe.bottom_up.kinds if recipe.system == "bottom-up" else ()
    parts = [network, *([recipe.head] if recipe.head else []), *kinds]
    boxes = "" if recipe.evaluation.boxes == "ground-truth" else ", detected boxes"
    return {
        "recipe": recipe.name,
        "system": " + ".join(parts) + ("" if recipe.system == "residual" else f", {recipe.height}×{recipe.width}"),
        "data": f"{recipe.data.dataset} {recipe.evaluation.split}{boxes}" if recipe.sources else recipe.data.dataset,
        "where": [f"{source.table}: {source.row}" for source in recipe.sources],
        "printed": [dict(source.numbers) for source in recipe.sources],
        "training": earlier[0] if earlier else recipe.name,
        "not_runnable": recipe.not_runnable,
        "needs": asdict(needs_of(recipe)),
    }


def _print_document(document: str, rows: list[dict[str, Any]]) -> None:
    """Print a document's title, a table of each of its sections, and where its data sets are published."""
    from trustpose.training.recipes.documents import DOCUMENTS

    typer.echo(f"{document}: {DOCUMENTS[document].title}\n")
    for section, members in groupby(rows, key=lambda row: row["section"]):
        name = section or "recipe"
        print_columns([_cells(row, name) for row in members], (name, *_COLUMNS), width=_WIDTH, unwrapped=name)
        typer.echo()
    published = {row["needs"]["data"]: row["needs"]["published"] for row in rows}
    typer.echo("\n".join(f"{data}: {source}" for data, source in published.items() if source) + "\n")


def _cells(row: dict[str, Any], name: str) -> dict[str, str]:
    """Return a row's cells of the printed table, the recipe in the column of this name."""
    needs = row["needs"]
    cells = {
        name: row["recipe"],
        "paper prints": "\n".join(_numbers(numbers) for numbers in row["printed"]),
        "data": needs["data"] + (" labels" if needs["labels_only"] else ""),
        "weights": "" if needs["initial"] == "none" else needs["initial"],
        "time": f"{needs['epochs']} epochs" + (f", {needs['measured']}" if needs["measured"] else ""),
        "trains": row["system"],
    }
    if row["training"] != row["recipe"]:
        same = row["training"].removeprefix(f"{row['document']}/")
        cells |= {"trains": f"as {same}", "weights": "", "time": ""}
    return cells | ({"trains": f"cannot be run: {row['not_runnable']}"} if row["not_runnable"] else {})


def _numbers(numbers: dict[str, float]) -> str:
    """Format a row's main number, else its first; `visibility.labelled.f1` is shown as labelled f1."""
    main = next((key for key in _HEADLINE if key in numbers), next(iter(numbers), None))
    if main is None:
        return ""
    return f"{main.removeprefix('visibility.').replace('.', ' ')} {numbers[main]}" + (", …" if len(numbers) > 1 else "")

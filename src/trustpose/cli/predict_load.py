"""Load a predictor for a command, and print what it warns of."""

import warnings
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from trustpose.predict.base import BasePredictor
    from trustpose.predict.options import PredictOptions


def load_predictor(model: str, options: "PredictOptions") -> "BasePredictor":
    """Load the predictor; print its warnings as lines, and what a fast setting costs."""
    from trustpose.models.spec import ModelSpec
    from trustpose.predict.load import load

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", category=UserWarning)
        predictor = load(model, options)
    say_warnings(caught)
    setting = ModelSpec.read(model).fast if options.fast else None
    if setting is not None:
        typer.echo(f"trustpose: --fast: {setting.describe()}", err=True)
    return predictor


def say_warnings(caught: "list[warnings.WarningMessage]") -> None:
    """Print warnings as lines."""
    for warning in caught:
        typer.echo(f"trustpose: warning: {' '.join(str(warning.message).split())}", err=True)

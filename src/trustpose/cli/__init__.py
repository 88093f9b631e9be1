"""The command line: one file a command. Nothing heavy is imported before a command runs, so that --help answers."""

import sys
from typing import Annotated, Any

import typer

from trustpose import __version__
from trustpose.cli.audit import audit
from trustpose.cli.calibrate import calibrate
from trustpose.cli.convert import convert
from trustpose.cli.import_checkpoint import import_checkpoint
from trustpose.cli.models import models
from trustpose.cli.predict import predict
from trustpose.cli.recipes import recipes
from trustpose.cli.shard import shard
from trustpose.cli.suppress import suppress
from trustpose.cli.train import CONTEXT, train
from trustpose.files import InputError

app = typer.Typer(
    name="trustpose",
    help="2D human pose estimation that knows how far to trust itself.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(predict)
app.command()(audit)
app.add_typer(calibrate, name="calibrate")
app.command()(convert)
app.command("import")(import_checkpoint)
app.command()(suppress)
app.command()(shard)
app.command(context_settings=CONTEXT)(train)
app.command()(models)
app.command()(recipes)

# the parent of every "no such option", "missing argument": click's class, wherever this typer keeps its click
_UsageError: Any = typer.BadParameter.__mro__[1]


def _show_version(wanted: bool | None) -> None:
    if wanted:
        typer.echo(f"trustpose {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool | None, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = None,
) -> None:
    pass


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 done, 1 done but for what was reported, 2 wrong input (one line says what), 130 after
    Ctrl-C; 75 where `train --minutes` stopped and goes on when called again.
    """
    try:
        code = app(arguments, standalone_mode=False, prog_name="trustpose")
    except InputError as error:
        code = _complain(str(error))
    except _UsageError as error:
        code = 0 if type(error).__name__ == "NoArgsIsHelpError" else _complain(error.format_message())
        if not code:
            typer.echo(error.format_message())
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("trustpose: interrupted", err=True)
        code = 130
    sys.exit(code if isinstance(code, int) else 0)


def _complain(message: str) -> int:
    typer.echo("trustpose: error: " + " ".join(message.split()), err=True)
    return 2

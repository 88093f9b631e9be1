"""The command line: one file per command. Heavy imports wait until a command runs, so that --help is fast.

A command parses its options, calls one function of the package, shows progress and prints what was written. Errors of
the user's input become one line and exit code 2 (`main`). Read `smooth.py` first, a command of average size.
"""

import os
import sys
from contextlib import nullcontext, redirect_stdout
from functools import cache
from io import TextIOWrapper
from typing import Annotated, Any

import typer

from trustpose.cli.audit import audit
from trustpose.cli.calibrate import calibrate
from trustpose.cli.cameras import cameras
from trustpose.cli.cameras_place import place
from trustpose.cli.cameras_synchronise import synchronise
from trustpose.cli.convert import convert
from trustpose.cli.endings import Interrupted, Interruption
from trustpose.cli.examples import examples
from trustpose.cli.import_checkpoint import import_checkpoint
from trustpose.cli.library_lines import hidden_library_lines
from trustpose.cli.models import models
from trustpose.cli.predict import predict
from trustpose.cli.recipes import recipes
from trustpose.cli.serve import serve
from trustpose.cli.shard import shard
from trustpose.cli.smooth import smooth
from trustpose.cli.suppress import suppress
from trustpose.cli.track import track
from trustpose.cli.train import CONTEXT, train
from trustpose.cli.triangulate import triangulate
from trustpose.file_names import SHOWN
from trustpose.files import STDOUT, DiskError, InputError, cannot_write
from trustpose.version import __version__

INTERRUPTED = 130  # typer's code for a KeyboardInterrupt

app = typer.Typer(
    name="trustpose",
    help="2D human pose estimation with scores that you can trust.",
    no_args_is_help=True,
    epilog=examples("trustpose"),
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain --help: twice as compact in 80 columns, and without importing rich
    context_settings={"help_option_names": ["-h", "--help"]},
)
_ABOUT = {
    predict: "Predict poses in photos or a video.",
    audit: "How good are poses, and how reliable their scores?",
    convert: "Convert another tool's files to COCO results.",
    suppress: "Suppress duplicate poses in a results file.",
    track: "Give the poses of a results file track ids.",
    triangulate: "Put people that several cameras see into the world.",
    serve: "Serve a local web page: poses, audits, calibration.",
    smooth: "Smooth the tracks of a results file, fill gaps.",
    models: "List the available models.",
    recipes: "List the recipes of `train`.",
    train: "Train a recipe.",
    shard: "Write person crops to tar files, for training.",
    import_checkpoint: "Convert a public checkpoint to a model folder.",
}
for _command, _about in _ABOUT.items():
    _name = "import" if _command is import_checkpoint else _command.__name__
    _settings = CONTEXT if _command is train else None
    app.command(_name, short_help=_about, epilog=examples(_name), context_settings=_settings)(_command)
app.add_typer(calibrate, name="calibrate", short_help="Repair the scores of any estimator.")
cameras.command(epilog=examples("cameras place"))(place)
cameras.command(epilog=examples("cameras synchronise"))(synchronise)
app.add_typer(cameras, name="cameras", short_help="Calibrate and place cameras, convert their files.")

# the base class of "no such option", "missing argument": click's, wherever this version of typer keeps click
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


@cache
def _commands() -> Any:
    """Build all commands, once: it takes longer than some of them run."""
    return typer.main.get_command(app)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 success, 1 success except for reported problems, 2 wrong input (one line gives the
    reason), 130 after Ctrl-C, 143 after SIGTERM, 75 if `train --minutes` stopped and the same command resumes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # escape characters that the encoding lacks, and bytes of file names
            stream.reconfigure(errors=SHOWN)
    interruption, words = Interruption(), sys.argv[1:] if arguments is None else arguments
    hidden = nullcontext() if words[:1] == ["train"] else hidden_library_lines()  # training libraries may print
    try:
        # restore standard output afterwards, even if a command redirected it to standard error
        with hidden, interruption, redirect_stdout(sys.stdout):
            code = _commands()(arguments, standalone_mode=False, prog_name="trustpose")
            if sys.stdout is not None:  # it may be closed
                sys.stdout.flush()
        if code == INTERRUPTED:
            typer.echo("trustpose: interrupted", err=True)
            code = interruption.code
    except (Exception, KeyboardInterrupt) as error:
        code = _ended_by(error, interruption)
    sys.exit(code if isinstance(code, int) else 0)


def _ended_by(error: Any, interruption: Interruption) -> int:
    """Print in one line what ended a command; return the exit code. Raises internal errors again."""
    if interruption.came or isinstance(error, (Interrupted, KeyboardInterrupt, typer.Abort)):
        how = f"; {error}" if isinstance(error, Interrupted) else ""
        typer.echo(f"trustpose: interrupted{how}", err=True)
        return interruption.code
    if isinstance(error, InputError):
        return _complain(str(error))
    if isinstance(error, _UsageError):
        if type(error).__name__ != "NoArgsIsHelpError":
            return _complain(error.format_message())
        typer.echo(error.format_message())
        return 0
    if isinstance(error, OSError) and error.filename is None:  # others name their file, or are `atomic_write`'s
        problem = cannot_write(STDOUT, error)
        if isinstance(problem, DiskError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise the rest would be written at exit, and fail again
            return _complain(str(problem))
    raise error


def _complain(message: str) -> int:
    typer.echo("trustpose: error: " + " ".join(message.split()), err=True)
    return 2

"""The command line: one file per command. Heavy imports wait until a command runs, so that --help is fast.

A command is a function of option records (`command.py`): it calls one function of the package, shows progress and
prints what was written. Errors of the user's input become one line and exit code 2 (`main`). Read `smooth.py` first, a
command of average size.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext, redirect_stdout
from functools import cache
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from trustpose.cli.command import add_command, new_app
from trustpose.cli.library_messages import hide_library_messages
from trustpose.cli.progress import Interrupted, Interruption
from trustpose.files import SHOWN, STDOUT, DiskError, InputError, cannot_write
from trustpose.version import __version__

INTERRUPTED = 130  # typer's code for a KeyboardInterrupt

COMMANDS = {  # in the order of --help; each is the function or app of its name in its module
    "predict": ("predict", "Predict poses in photos or a video."),
    "audit": ("audit", "Measure how good poses are, and how reliable their scores."),
    "calibrate": ("calibrate", "Calibrate the scores of any estimator."),
    "convert": ("convert", "Convert another tool's files to COCO results."),
    "suppress": ("suppress", "Suppress duplicate poses in a results file."),
    "track": ("track", "Track people through the frames of a results file."),
    "smooth": ("smooth", "Smooth the tracks of a results file and fill gaps."),
    "measure": ("measure", "Measure joint angles and lengths, with their errors."),
    "agree": ("agree", "Compare measurements with a reference."),
    "estimate": ("estimate", "Estimate accuracy without labels."),
    "review": ("review", "List suspected label errors."),
    "correct": ("correct", "Correct labels by a review."),
    "triangulate": ("triangulate", "Reconstruct people in 3D from calibrated cameras."),
    "cameras": ("cameras", "Calibrate and place cameras, and convert their files."),
    "surfaces": ("surfaces", "Predict the surfaces of people in photos: DensePose."),
    "serve": ("serve", "Serve a local web page: poses, audits, calibration."),
    "models": ("models", "List the available models."),
    "import": ("import_checkpoint", "Convert a public checkpoint to a model folder."),
    "recipes": ("recipes", "List the recipes of `train`."),
    "train": ("train", "Train a recipe."),
    "shard": ("shard", "Write person crops to tar files, for training."),
}


class _Commands(Mapping[str, Any]):
    """The commands by name, built when they are looked up: a command imports its own modules only."""

    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._built:
            self._built[name] = _build(name, COMMANDS[name][0])
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


def _build(name: str, module: str) -> Any:
    function = getattr(import_module(f"trustpose.cli.{module}"), module)
    if isinstance(function, typer.Typer):
        built = typer.main.get_command(function)
    else:
        app = new_app("", (), add_completion=False)
        add_command(app, name, function)
        built = typer.main.get_command(app)
    built.name = name
    return built


class _Group(TyperGroup):
    """The program: its help lists the commands without importing them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.commands: Any = _Commands()

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """Write a line for each command."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])


app = new_app(
    "2D human pose estimation with scores that you can trust.",
    (
        "trustpose predict photos/",
        "trustpose audit --gt gt.json --results results.json --report page.html",
        "trustpose calibrate fit --gt gt.json --results mine.json --out cal.json",
        "trustpose predict --help",
    ),
    name="trustpose",
    cls=_Group,
)

# the base class of "no such option", "missing argument": click's, wherever this version of typer keeps click
_UsageError: Any = typer.BadParameter.__mro__[1]


def _show_version(is_requested: bool | None) -> None:
    if is_requested:
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
    """Build the program, once."""
    return typer.main.get_command(app)


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit: 0 success, 1 success except for reported problems, 2 wrong input (one line gives the
    reason), 130 after Ctrl-C, 143 after SIGTERM, 75 if `train --minutes` stopped and the same command resumes.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # escape characters that the encoding lacks, and bytes of file names
            stream.reconfigure(errors=SHOWN)
    interruption, words = Interruption(), sys.argv[1:] if arguments is None else arguments
    hidden = nullcontext() if words[:1] == ["train"] else hide_library_messages()  # training libraries may print
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
        advice = f"; {error}" if isinstance(error, Interrupted) else ""
        typer.echo(f"trustpose: interrupted{advice}", err=True)
        return interruption.code
    if isinstance(error, InputError):
        return _complain(str(error))
    if isinstance(error, _UsageError):
        if type(error).__name__ != "NoArgsIsHelpError":
            return _complain(_usage_message(error))
        typer.echo(error.format_message())
        return 0
    if isinstance(error, OSError) and error.filename is None:  # others name their file, or are `atomic_write`'s
        problem = cannot_write(STDOUT, error)
        if isinstance(problem, DiskError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # otherwise the rest would be written at exit, and fail again
            return _complain(str(problem))
    raise error


def _usage_message(error: Any) -> str:
    """Return the message of a wrong command line, with the option that was probably meant."""
    similar = list(getattr(error, "possibilities", None) or ())  # the most similar first
    return f"{error.message} (did you mean {similar[0]!r}?)" if similar else error.format_message()


def _complain(message: str) -> int:
    typer.echo("trustpose: error: " + " ".join(message.split()), err=True)
    return 2

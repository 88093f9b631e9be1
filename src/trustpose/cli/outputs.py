"""What commands print about the files that they write."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import typer

from trustpose.files import is_stdout
from trustpose.io import output_files
from trustpose.io.output_files import Files
from trustpose.io.output_files import skeleton_file as skeleton_file
from trustpose.io.output_files import write_together as write_together


def check_outputs(outputs: Mapping[str, Files], inputs: Mapping[str, Files]) -> None:
    """Check a command's outputs, see `io.output_files`. If one is standard output (`-`), everything else that the
    command prints goes to standard error, until `main` ends. Raises InputError."""
    output_files.check_outputs(outputs, inputs)
    for files in outputs.values():
        paths = [files] if isinstance(files, Path) else files or ()
        if any(is_stdout(path) for path in paths):
            sys.stdout = sys.stderr


def print_note(note: str) -> None:
    """Print a line that the user should know."""
    typer.echo(f"note: {note}", err=True)


def print_notes(notes: Iterable[str]) -> None:
    """Print a line for each note."""
    for note in notes:
        print_note(note)


def say_written(path: Path, content: str) -> None:
    """Print in one line that a file was written; nothing for standard output, whose reader has it."""
    if not is_stdout(path):
        typer.echo(f"{path}: {content}")


def print_warnings(file: Path, warnings: Iterable[str]) -> None:
    """Print a line for each warning about a file."""
    for warning in warnings:
        typer.echo(f"trustpose: warning: {file}: {warning}", err=True)

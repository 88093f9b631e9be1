"""What commands print: lines about the files that they write, and tables."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

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


def print_columns(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], *, width: int = 200, unwrapped: str = ""
) -> None:
    """Print rows as columns; those that are empty in all rows are left out.

    Args:
        rows: cells by column.
        columns: the columns, in order.
        width: characters of a line that is not on a terminal.
        unwrapped: a column whose cells stay on one line.
    """
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    console = Console(width=None if Console().is_terminal else width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    filled = [column for column in columns if any(row[column] not in ({}, "") for row in rows)]
    for column in filled:
        is_number = isinstance(rows[0][column], (int, float))
        justify, is_unwrapped = "right" if is_number else "left", column == unwrapped
        table.add_column(column, justify=justify, no_wrap=is_unwrapped, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in filled))
    console.print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return f"{value:,}" if isinstance(value, int) else escape(str(value))

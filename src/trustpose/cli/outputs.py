"""Check a command's outputs before it reads: none may overwrite an input or another output."""

import mimetypes
import os
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

import typer

from trustpose.files import InputError, atomic_write, is_stdout

MODEL_FILES = ("model.onnx", "model.json", "model.safetensors")  # of a model that is a folder

Files = Path | Iterable[Path] | None


def check_outputs(outputs: Mapping[str, Files], inputs: Mapping[str, Files]) -> None:
    """Refuse outputs that are folders, inputs or each other; the keys are the options' names, for the messages.

    Existing files are compared by device and inode number, so other spellings and links are detected; new files by
    their resolved names. An input folder stands for the photos in it. Several outputs may go to the null device.
    If an output is standard output (`-`), everything else that the command prints goes to
    standard error, until `main` ends. Raises InputError.
    """
    taken: dict[object, str] = {}
    folders: dict[Path, str] = {}
    for option, files in inputs.items():
        for path in _each(files):
            if path.is_dir():
                folders[path.resolve()] = option
            else:
                taken.setdefault(_identity(path), option)
    written: dict[object, str] = {}
    for option, files in outputs.items():
        for path in _each(files):
            if path.is_dir():
                raise InputError(f"{path}: is a directory, {option} expects a file to write")
            given, found = _photo_in(folders, path), _identity(path)
            given = given or taken.get(found)
            if given is not None:
                raise InputError(
                    f"{path}: would be overwritten by {option}, but is given as {given}; choose another place"
                )
            if found in written and found != _identity(Path(os.devnull)):
                raise InputError(f"{path}: would be written by both {written[found]} and {option}")
            written[found] = option
            if is_stdout(path):
                sys.stdout = sys.stderr


def table_format(out: Path) -> str:
    """Return the format of results written to a file: Parquet or CSV by its suffix, else JSON."""
    return {".parquet": "parquet", ".csv": "csv"}.get(out.suffix.lower(), "json")


def write_together(contents: Mapping[Path, bytes]) -> None:
    """Write all of these files or, where one cannot be written, none. Raises InputError, DiskError."""
    with ExitStack() as stack:
        for path, content in contents.items():
            file = stack.enter_context(atomic_write(path))
            file.write(content)
            file.flush()  # a full disk is noticed here, before any file takes its name


def say_written(path: Path, what: str) -> None:
    """Print in one line that a file was written; nothing for standard output, whose reader has it."""
    if not is_stdout(path):
        typer.echo(f"{path}: {what}")


def print_warnings(file: Path, warnings: Iterable[str]) -> None:
    """Print a line for each warning about a file."""
    for warning in warnings:
        typer.echo(f"trustpose: warning: {file}: {warning}", err=True)


def print_notes(notes: Iterable[str]) -> None:
    """Print a line for each note."""
    for note in notes:
        typer.echo(f"note: {note}", err=True)


def model_files(model: Path | None) -> list[Path]:
    """Return the files of a model: a folder's, or a network and the JSON next to it."""
    if model is None:
        return []
    if model.is_dir():
        return [model / name for name in MODEL_FILES]
    return [model, model.with_suffix(".json")]


def skeleton_file(name: str | None) -> Path | None:
    """Return the file that `--skeleton` names; None for a skeleton's name or if not given."""
    return None if name is None or Path(name).suffix.lower() != ".json" else Path(name)


def _each(files: Files) -> Iterable[Path]:
    return [] if files is None else [files] if isinstance(files, Path) else files


def _identity(path: Path) -> object:
    """Return a key that is equal for all names of the same file."""
    try:
        found = os.fstat(1) if is_stdout(path) else path.stat()
    except (OSError, ValueError):
        return os.path.normcase(os.path.realpath(path))
    return found.st_dev, found.st_ino


def _photo_in(folders: Mapping[Path, str], path: Path) -> str | None:
    """Return the option whose folder contains the file, if it exists and has a photo's suffix."""
    if not folders or not path.is_file() or not (mimetypes.guess_type(path.name)[0] or "").startswith("image/"):
        return None
    place = path.resolve()
    return next((option for folder, option in folders.items() if place.is_relative_to(folder)), None)

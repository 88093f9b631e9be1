"""Where a command writes, checked before it reads: never over what it was given, nor two things into one file."""

import mimetypes
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from trustpose.files import InputError, is_stdout

MODEL_FILES = ("model.onnx", "model.json", "model.safetensors")  # of a model that is a folder

Files = Path | Iterable[Path] | None


def check_outputs(outputs: Mapping[str, Files], inputs: Mapping[str, Files]) -> None:
    """Refuse outputs that are folders, inputs or each other; the keys are the options' names, for the messages.

    Files are the same by device and inode number, so that other spellings and links count; files that are not there
    yet by their names with links followed. An input that is a folder stands for the photos in it. The null device may
    be written to twice. Where an output is standard output (`-`), whatever else the command prints from now on goes to
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


def model_files(model: Path | None) -> list[Path]:
    """The files of a model: a folder's, or a network and the JSON beside it."""
    if model is None:
        return []
    if model.is_dir():
        return [model / name for name in MODEL_FILES]
    return [model, model.with_suffix(".json")]


def skeleton_file(name: str | None) -> Path | None:
    """The file that `--skeleton` names; None where it is a name, or not given."""
    return None if name is None or Path(name).suffix.lower() != ".json" else Path(name)


def _each(files: Files) -> Iterable[Path]:
    return [] if files is None else [files] if isinstance(files, Path) else files


def _identity(path: Path) -> object:
    """What is equal for the same file, under whatever name."""
    try:
        found = os.fstat(1) if is_stdout(path) else path.stat()
    except (OSError, ValueError):
        return os.path.normcase(os.path.realpath(path))
    return found.st_dev, found.st_ino


def _photo_in(folders: Mapping[Path, str], path: Path) -> str | None:
    """The option whose folder the file is in, where it is there already and called as photos are."""
    if not folders or not path.is_file() or not (mimetypes.guess_type(path.name)[0] or "").startswith("image/"):
        return None
    place = path.resolve()
    return next((option for folder, option in folders.items() if place.is_relative_to(folder)), None)

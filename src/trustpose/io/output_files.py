"""Check a job's outputs before it starts: none may overwrite an input or another output."""

import mimetypes
import os
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path

from trustpose.files import InputError, atomic_write, is_stdout

MODEL_FILES = ("model.onnx", "model.json", "model.safetensors")  # of a model that is a folder

Files = Path | Iterable[Path] | None


def check_outputs(outputs: Mapping[str, Files], inputs: Mapping[str, Files]) -> None:
    """Refuse outputs that are folders, inputs or each other.

    Existing files are compared by device and inode number, so other spellings and links are detected; new files by
    their resolved names. An input folder stands for the photos in it. Several outputs may go to the null device.

    Args:
        outputs: the files to write, by the option that names them.
        inputs: the files and folders to read, by the option that names them.

    Raises:
        InputError: one line that names the file and both options.
    """
    read_by: dict[object, str] = {}
    folders: dict[Path, str] = {}
    for option, files in inputs.items():
        for path in _listed(files):
            if path.is_dir():
                folders[path.resolve()] = option
            else:
                read_by.setdefault(_identity(path), option)
    written_by: dict[object, str] = {}
    for option, files in outputs.items():
        for path in _listed(files):
            if path.is_dir():
                raise InputError(f"{path}: is a directory, {option} expects a file to write")
            identity = _identity(path)
            input_option = _folder_of_photo(folders, path) or read_by.get(identity)
            if input_option is not None:
                raise InputError(
                    f"{path}: would be overwritten by {option}, but is given as {input_option}; choose another place"
                )
            if identity in written_by and identity != _identity(Path(os.devnull)):
                raise InputError(f"{path}: would be written by both {written_by[identity]} and {option}")
            written_by[identity] = option


def check_not_inside(out: Path, results: Path) -> None:
    """Raise InputError if an output would become a part of the folder that is read."""
    if results.is_dir() and results.resolve() in out.resolve().parents:
        raise InputError(f"{out}: lies in the folder that is read; choose another --out")


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


def model_files(model: Path | None) -> list[Path]:
    """Return the files of a model: a folder's, or a network and the JSON next to it."""
    if model is None:
        return []
    if model.is_dir():
        return [model / name for name in MODEL_FILES]
    return [model, model.with_suffix(".json")]


def skeleton_file(skeleton: object) -> Path | None:
    """Return the file that `--skeleton` names; None for a skeleton or its name, or without the option."""
    is_file = isinstance(skeleton, (str, Path)) and Path(skeleton).suffix.lower() == ".json"
    return Path(str(skeleton)) if is_file else None


def _listed(files: Files) -> Iterable[Path]:
    return [] if files is None else [files] if isinstance(files, Path) else files


def _identity(path: Path) -> object:
    """Return a key that is equal for all names of the same file."""
    try:
        status = os.fstat(1) if is_stdout(path) else path.stat()
    except (OSError, ValueError):
        return os.path.normcase(os.path.realpath(path))
    return status.st_dev, status.st_ino


def _folder_of_photo(folders: Mapping[Path, str], path: Path) -> str | None:
    """Return the option whose folder contains the file, if it exists and has a photo's suffix."""
    if not folders or not path.is_file() or not (mimetypes.guess_type(path.name)[0] or "").startswith("image/"):
        return None
    resolved = path.resolve()
    return next((option for folder, option in folders.items() if resolved.is_relative_to(folder)), None)

"""Companion files of results: `images.json`, the ids of the photos, `skeleton.json`, and NAME.errors.json, the
error model.

The error model of results, NAME.errors.json beside NAME.json or a folder: which discs of `expected_error` hold.
Results are a list of rows with no room for what all of them share. The file names the SHA-256 of its results, so that
it is never read for others: edited or merged results are read with the mixture of `geometry.expected_error`.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError, is_stdout, read_json, write_json
from trustpose.images import Images
from trustpose.io.parquet import parts_in
from trustpose.json_records import read_record
from trustpose.poses import ErrorModel
from trustpose.skeletons import Skeleton, read_skeleton, skeleton_value

IMAGES, SKELETON = "images.json", "skeleton.json"


@dataclass(frozen=True)
class Companions:
    """What to print: `lines` name the written files, `notes` the files that could not be written."""

    lines: tuple[str, ...]
    notes: tuple[str, ...]


def write_companions(out: Path, counted: Mapping[str, int], skeleton: Skeleton | None) -> Companions:
    """Write the companion files that are needed.

    If the results go to standard output or a device, a note replaces them.

    Args:
        out: the results file.
        counted: ids of photos that were counted, by name, for `images.json` in the layout of a ground truth's
            `images`; none if it is empty.
        skeleton: of the results, for `skeleton.json` in the layout that `--skeleton` reads.

    Raises:
        InputError: if a file exists and has other content, or is the results file; nothing is written then.
    """
    images = Images(np.array([*counted.values()], dtype=np.int64), list(counted)).to_json()
    files: list[tuple[Path, Any, str]] = []
    notes = []
    if counted:
        path = _companion(out, IMAGES, "photos", lambda path: read_json(path) == images)
        photos = f"{len(counted):,} photo{'' if len(counted) == 1 else 's'}"
        if path is not None:
            files.append((path, images, f"{photos}, counted from 1 in the order of their names"))
        else:
            notes.append(f"photos were counted, but --out is not a file next to which they could be listed in {IMAGES}")
    if skeleton is not None:
        content = _content(skeleton)
        path = _companion(out, SKELETON, "keypoints", lambda path: _content(read_skeleton(path)) == content)
        if path is not None:
            sigmas = "their sigmas" if skeleton.has_sigmas else "no sigmas"
            files.append((path, skeleton_value(skeleton), f"{len(skeleton)} keypoints and {sigmas}, for --skeleton"))
        else:
            notes.append(f"--out is not a file next to which the keypoints could be described in {SKELETON}")
    for path, value, _ in files:
        if not path.exists():
            write_json(path, value)
    return Companions(tuple(f"{path}: {description}" for path, _, description in files), tuple(notes))


def _companion(out: Path, name: str, content: str, is_same: Callable[[Path], bool]) -> Path | None:
    """Return the path for a file of that name next to the results, None if they are not a file. Raises InputError."""
    if is_stdout(out) or (out.exists() and not out.is_file()):
        return None
    path = out.parent / name
    if out.name == name:
        raise InputError(f"{out}: this name is reserved for {name}, --out expects another name")
    if path.exists() and not is_same(path):
        raise InputError(f"{path}: exists and lists other {content}; choose another folder for --out")
    return path


def _content(skeleton: Skeleton) -> tuple[Any, ...]:
    sigmas = skeleton.sigmas.tolist() if skeleton.has_sigmas else None
    return skeleton.name, skeleton.keypoints, skeleton.edges, skeleton.flip_pairs, sigmas


_BLOCK = 2**20


@dataclass(frozen=True)
class _ErrorsFile:
    """NAME.errors.json: the error model of the results with this name and SHA-256."""

    results: str
    sha256: str
    errors: Mapping[str, Any]


def errors_path(results: str | Path) -> Path:
    """Return the path of the file for these results."""
    return Path(results).with_suffix(".errors.json")


def write_errors(results: str | Path, model: ErrorModel | None) -> None:
    """Write the file beside results that were just written, a file or a folder of parts, or remove the one of earlier
    results. Nothing is written for results on standard output or a device. Raises InputError if the file cannot be
    written."""
    path = Path(results)
    if is_stdout(path) or not (path.is_file() or path.is_dir()):
        return
    errors_file = errors_path(path)
    if model is not None:
        write_json(errors_file, {"results": path.name, "sha256": results_sha256(path), "errors": model.to_json()})
    elif errors_file.is_file():
        errors_file.unlink()


def results_sha256(results: Path) -> str | None:
    """Return the SHA-256 of a file, or of a folder's Parquet files one after another; None for a stream."""
    files: Sequence[Path] = parts_in(results) if results.is_dir() else [results]
    digest = hashlib.sha256()
    for file in files:
        if not file.is_file():
            return None
        with file.open("rb") as opened:
            while content := opened.read(_BLOCK):
                digest.update(content)
    return digest.hexdigest()


def read_errors(results: str | Path, sha256: str | None = None) -> ErrorModel | None:
    """Return the error model beside results with this SHA-256, computed if it is None; None if there is none, or it is
    of other results.

    Raises InputError naming the file if it is damaged or of a later version.
    """
    path = errors_path(results)
    if not path.is_file():
        return None
    file = read_record(_ErrorsFile, read_json(path), path)
    if file.sha256 != (sha256 or results_sha256(Path(results))):
        return None
    return ErrorModel.of_json(file.errors, path)

"""Companion files of `trustpose convert`, next to its results: `images.json`, the ids of the photos, and
`skeleton.json`, the keypoints."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError, is_stdout, read_json, write_json
from trustpose.images import Images
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

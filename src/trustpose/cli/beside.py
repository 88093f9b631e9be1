"""Files that `trustpose convert` writes next to its results: `images.json`, the photo ids, and `skeleton.json`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustpose.files import InputError

if TYPE_CHECKING:
    import numpy as np

    from trustpose.skeletons import Skeleton

IMAGES, SKELETON = "images.json", "skeleton.json"


@dataclass(frozen=True)
class Beside:
    """What to print: `lines` name the written files, `notes` the files that could not be written."""

    lines: tuple[str, ...]
    notes: tuple[str, ...]


def write_beside(out: Path, counted: Mapping[str, int], skeleton: "Skeleton | None") -> Beside:
    """Write `images.json`, the counted photos in the layout of a ground truth's `images`, and `skeleton.json`, the
    keypoints of the results in the layout that `--skeleton` reads. Each is written only if needed.

    If the results go to standard output or a device, a note replaces them. An existing file is never overwritten:
    raises InputError, and writes nothing, if it has other content or is the results file.
    """
    import numpy as np

    from trustpose.files import read_json, write_json
    from trustpose.images import Images
    from trustpose.skeletons import read_skeleton, skeleton_value

    images = Images(np.array([*counted.values()], dtype=np.int64), list(counted)).to_json()
    files: list[tuple[Path, Any, str]] = []
    notes = []
    if counted:
        path = _place(out, IMAGES, "photos", lambda path: read_json(path) == images)
        photos = f"{len(counted):,} photo{'' if len(counted) == 1 else 's'}"
        if path is not None:
            files.append((path, images, f"{photos}, counted from 1 in the order of their names"))
        else:
            notes.append(f"photos were counted, but --out is not a file next to which they could be listed in {IMAGES}")
    if skeleton is not None:
        meant = _meaning(skeleton)
        path = _place(out, SKELETON, "keypoints", lambda path: _meaning(read_skeleton(path)) == meant)
        if path is not None:
            known = "their sigmas" if skeleton.has_sigmas else "no sigmas"
            files.append((path, skeleton_value(skeleton), f"{len(skeleton)} keypoints and {known}, for --skeleton"))
        else:
            notes.append(f"--out is not a file next to which the keypoints could be described in {SKELETON}")
    for path, value, _ in files:
        if not path.exists():
            write_json(path, value)
    return Beside(tuple(f"{path}: {content}" for path, _, content in files), tuple(notes))


def with_sigmas(skeleton: "Skeleton", given: "np.ndarray | None") -> "Skeleton":
    """Return the skeleton with the sigmas of `--sigmas`, if given. Raises InputError if their number differs."""
    from dataclasses import replace

    from trustpose.skeletons import sigmas_of

    if given is None:
        return skeleton
    sigmas = tuple(sigmas_of(given, len(skeleton)).tolist())
    return replace(skeleton, _sigmas=sigmas, sigmas_source="given to trustpose convert, --sigmas")


def _place(out: Path, name: str, what: str, is_same: Callable[[Path], bool]) -> Path | None:
    """Return the path for a file of that name next to the results, None if they are not a file. Raises InputError."""
    from trustpose.files import is_stdout

    if is_stdout(out) or (out.exists() and not out.is_file()):
        return None
    path = out.parent / name
    if out.name == name:
        raise InputError(f"{out}: this name is reserved for {name}, --out expects another name")
    if path.exists() and not is_same(path):
        raise InputError(f"{path}: exists and lists other {what}; choose another folder for --out")
    return path


def _meaning(skeleton: "Skeleton") -> tuple[Any, ...]:
    sigmas = skeleton.sigmas.tolist() if skeleton.has_sigmas else None
    return skeleton.name, skeleton.keypoints, skeleton.edges, skeleton.flip_pairs, sigmas

"""Find the files that users name, and recognise the tool from a file's content."""

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from trustpose.files import BOM, InputError, read_bytes
from trustpose.io import (
    alphapose,
    coco_variants,
    cvat,
    deeplabcut_csv,
    deeplabcut_hdf5,
    label_studio,
    mediapipe,
    mmpose,
    movenet,
    openpose,
    sleap,
    ultralytics,
    via,
    videopose3d,
)
from trustpose.io.columns import parse_finite_json
from trustpose.io.hdf5 import is_hdf5
from trustpose.io.labelled import LabelledPeople
from trustpose.io.tool_poses import ToolPoses, files_in, no_people

_NPY = b"\x93NUMPY"
_ARRAY = 'in Python, trustpose.Poses(xy=…, score=…, image_id=…).save("results.json") writes an array\'s poses'
_WORLD = "people in 3D, which trustpose.io.poses3d.read_poses3d reads"


def describe_unread(content: bytes, path: Path) -> str | None:
    """Return what a file is and what reads it; None for other kinds."""
    if content.startswith(_NPY):
        header = re.search(rb"'shape': \(([\d, ]*)\)", content[:1000])
        shape = " × ".join(header[1].decode().replace(" ", "").strip(",").split(",")) if header is not None else ""
        return f"is an array of NumPy{shape and f' ({shape})'}, which does not say what its axes are; {_ARRAY}"
    if content.removeprefix(BOM).startswith(b"PathFileType"):
        return f"is TRC, {_WORLD}"
    if path.suffix.lower() == ".c3d" and content[1:2] == b"\x50":
        return f"is C3D, {_WORLD}"
    if path.suffix.lower() == ".csv":
        return _of_csv(content)
    return None


def _of_csv(content: bytes) -> str | None:
    """Return what a CSV is by its first line."""
    first = content[:20_000].decode("utf-8-sig", "replace").splitlines()[:1]
    names = [name.strip().lower() for line in csv.reader(io.StringIO("".join(first))) for name in line]
    if {"image_id", "keypoints", "score"} <= set(names):
        return "is a table of COCO results, which audit, calibrate and the other commands read as it is"
    if {"frame", "x", "y", "z"} <= set(names) and "visibility" not in names:
        return f"is a table of 3D joints, {_WORLD}"
    landmarks = [name for name in names if "visibility" in name or name.startswith("landmark")]
    if (
        landmarks
        or len([name for name in names if re.fullmatch(r"(left|right)_?(pinky|index|thumb)_?[xyz]", name)]) > 2
    ):
        return (
            "looks like landmarks of MediaPipe, of which every program writes its own columns; predict --model "
            "mediapipe:… writes results with MediaPipe, and " + _ARRAY
        )
    return None


FORMATS = (
    *("mmpose", "ultralytics", "openpose", "alphapose", "deeplabcut", "sleap", "mediapipe", "movenet", "videopose3d"),
    *("detectron2", "coco"),
)
_SUFFIXES = (".json", ".txt", ".csv", ".h5", ".hdf5", ".slp")
_BINARY = {  # what a file with such a suffix is expected to hold
    ".csv": "a CSV file of DeepLabCut (its first row begins with 'scorer'), MoveNet ('file_name') or MediaPipe",
    ".h5": "DeepLabCut's HDF5 or SLEAP's",
    ".hdf5": "DeepLabCut's HDF5 or SLEAP's",
    ".slp": "SLEAP's HDF5",
    ".npz": "VideoPose3D's data_2d_*.npz",
}
_HDF5 = (".h5", ".hdf5")
_PICKLES = (".pth", ".pt", ".pkl", ".pickle")
_JSON: tuple[tuple[str, Callable[[Any], bool], Callable[[Any, str], ToolPoses]], ...] = (
    ("mmpose", mmpose.fits, mmpose.read),
    ("openpose", openpose.fits, openpose.read),
    ("ultralytics", ultralytics.fits, ultralytics.read),
    ("alphapose", alphapose.fits, alphapose.read),
    ("mediapipe", mediapipe.fits_json, mediapipe.read_json),
    ("movenet", movenet.fits_json, movenet.read_json),
    ("coco", coco_variants.fits, coco_variants.read),
)
_CONTENTS: tuple[tuple[str, Callable[[bytes], bool], Callable[[bytes, str], ToolPoses]], ...] = (
    ("deeplabcut", deeplabcut_csv.fits, deeplabcut_csv.read),
    ("sleap", sleap.fits, sleap.read),
    ("deeplabcut", deeplabcut_hdf5.fits, deeplabcut_hdf5.read),
    ("videopose3d", videopose3d.fits, videopose3d.read),
    ("movenet", movenet.fits_csv, movenet.read_csv),
    ("mediapipe", mediapipe.fits_csv, mediapipe.read_csv),
)
_KINDS = {  # formats of a tool's files: AlphaPose writes OpenPose's format too, mmpose and others COCO results
    "mmpose": ("mmpose", "coco"),
    "ultralytics": ("ultralytics", "coco"),
    "alphapose": ("alphapose", "openpose"),
    "detectron2": ("coco",),
}


def find_files(sources: Sequence[str | Path]) -> list[Path]:
    """Return the files that `sources` name, each once; a folder gives its .json, .txt, .csv, .h5, .hdf5 and .slp files
    by name.

    Of NAME.csv and NAME.h5 in a folder, which DeepLabCut writes with the same content, the CSV is used. Raises
    InputError if a source is missing, empty, or of a kind that is never read.
    """
    paths: dict[Path, None] = {}
    for source in sources:
        path = Path(source)
        if not path.is_dir():
            paths[path] = None
            continue
        inside = files_in(path)
        readable = [file for file in inside if file.suffix.lower() in _SUFFIXES]
        if not readable:
            for file in inside:
                _refuse(file)
            raise InputError(f"{path}: the folder holds no pose files ({', '.join(_SUFFIXES)})")
        csv = {file.stem for file in readable if file.suffix.lower() == ".csv"}
        paths.update({file: None for file in readable if file.suffix.lower() not in _HDF5 or file.stem not in csv})
    for path in paths:
        _refuse(path)
    return list(paths)


def read_pose_files(
    files: Sequence[Path],
    tool: str = "auto",
    *,
    keypoint_counts: Sequence[int] = (17,),
    track: Callable[[Sequence[Path]], Iterable[Path]] = iter,
) -> tuple[str, list[ToolPoses]]:
    """Return the poses of each file and the tool that wrote them, recognised if `tool` is "auto".

    `keypoint_counts` are tried for files that do not state their number; `track` iterates over the files, for a
    progress bar. Raises InputError naming a file with an unexpected content, or of another tool than the rest.
    """
    if tool not in ("auto", *FORMATS):
        raise InputError(f"--format: expected auto, {', '.join(FORMATS)}, got {tool!r}")
    results: list[ToolPoses] = []
    first: tuple[str, Path] | None = None
    for path in track(files):
        kind, poses = _read(path, tool, tuple(keypoint_counts))
        if kind is not None and first is not None and kind != first[0]:
            raise InputError(f"{path}: is a file of {kind}, but {first[1]} of {first[0]}; convert them separately")
        first = first or (None if kind is None else (kind, path))
        results.append(poses)
    return (first[0] if first is not None and tool == "auto" else tool), results


def _read(path: Path, tool: str, counts: tuple[int, ...]) -> tuple[str | None, ToolPoses]:
    """Return the kind of file and its poses; None if its content does not show the kind."""
    allowed = FORMATS if tool == "auto" else _KINDS.get(tool, (tool,))
    suffix = path.suffix.lower()
    if suffix == ".txt":
        _check(path, "ultralytics", allowed)
        content = b"\n" if path.is_file() and not path.stat().st_size else read_bytes(path, "labels")
        return "ultralytics", ultralytics.read_labels(content, str(path), counts)
    content = read_bytes(path, "poses")
    if suffix == ".slp" and is_hdf5(content):
        _check(path, "sleap", allowed)
        return "sleap", sleap.read(content, str(path))
    for kind, fits, reader in _CONTENTS:
        if fits(content):
            _check(path, kind, allowed)
            return kind, reader(content, str(path))
    description = describe_unread(content, path)
    if suffix in _BINARY or tool in ("deeplabcut", "sleap", "videopose3d"):
        note = "" if description is None else f"; it {description}"
        raise InputError(f"{path}: expected {_BINARY.get(suffix, f'a file of {tool}')}{note}")
    if description is not None:
        raise InputError(f"{path}: {description}")
    value = parse_finite_json(content, path)
    if value == [] and set(allowed) & {kind for kind, *_ in _JSON}:
        return None, no_people(str(path), path.stem)
    for kind, fits, reader in _JSON:
        if fits(value):
            _check(path, kind, allowed)
            return kind, reader(value, str(path))
    if isinstance(value, dict) and "annotations" in value:
        raise InputError(f"{path}: holds annotations, so it is a ground truth (for --gt), expected a tool's results")
    if tool == "auto":
        raise InputError(f"{path}: is not a known pose file; select its tool with --format ({', '.join(FORMATS)})")
    return tool, next(reader for kind, _, reader in _JSON if kind in allowed)(value, str(path))


def _check(path: Path, kind: str, allowed: Sequence[str]) -> None:
    if kind not in allowed:
        raise InputError(f"{path}: looks like a file of {kind}, --format expects one of {' or '.join(allowed)}")


def _refuse(path: Path) -> None:
    """Raise InputError for files that are not read, naming an alternative."""
    if path.suffix.lower() in _PICKLES:
        raise InputError(
            f"{path}: is a pickle, which can run code when opened, and is refused; Detectron2 writes "
            "coco_instances_results.json next to instances_predictions.pth, DeepLabCut its animals as .h5"
        )


_FIELDS = (b'"keypointlabels"', b'"regions"')  # of Label Studio's JSON and VIA's


def is_labelled(content: bytes, path: str) -> bool:
    """Return whether a file is one of these tools'."""
    return cvat.fits(content) or via.fits_csv(content) or _reader(content, path) is not None


def read_labelled(content: bytes, path: str) -> LabelledPeople | None:
    """Return the people that a file of CVAT, Label Studio or VIA holds, None for other files. Raises InputError."""
    if cvat.fits(content):
        return cvat.read(content, path)
    if via.fits_csv(content):
        return via.read_csv(content, path)
    match = _reader(content, path)
    return None if match is None else match[0](match[1], path)


def _reader(content: bytes, path: str) -> tuple[Callable[[Any, str], LabelledPeople], Any] | None:
    """Return what reads a JSON file, and its value; None if it is of another kind."""
    if not any(field in content for field in _FIELDS):
        return None
    try:
        value = parse_finite_json(content, path)
    except InputError:
        return None  # the reader of another layout says so
    readers = ((label_studio.fits, label_studio.read), (via.fits_json, via.read_json))
    return next(((reader, value) for fits, reader in readers if fits(value)), None)

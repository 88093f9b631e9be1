"""Find the files that users name, and recognise the tool from a file's content."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from trustpose.files import InputError, read_bytes
from trustpose.formats import (
    alphapose,
    coco_variants,
    deeplabcut_csv,
    deeplabcut_hdf5,
    mediapipe,
    mmpose,
    movenet,
    openpose,
    sleap,
    ultralytics,
    videopose3d,
)
from trustpose.formats.columns import parse_finite_json
from trustpose.formats.hdf5 import is_hdf5
from trustpose.formats.tool_poses import ToolPoses, files_in, no_people
from trustpose.formats.unread_kinds import describe_unread

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

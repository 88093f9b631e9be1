"""Which tool wrote a file, told from its content, and the files that users name."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from trustpose.data.columns import parse_finite_json
from trustpose.data.pose_files import alphapose, coco_results, deeplabcut, mmpose, openpose, ultralytics
from trustpose.data.pose_files.record import FoundPoses, files_in, nobody
from trustpose.files import InputError, read_bytes

FORMATS = ("mmpose", "ultralytics", "openpose", "alphapose", "deeplabcut", "detectron2", "coco")
_SUFFIXES = (".json", ".txt", ".csv")
_PICKLES = (".pth", ".pt", ".pkl", ".pickle")
_JSON: tuple[tuple[str, Callable[[Any], bool], Callable[[Any, str], FoundPoses]], ...] = (
    ("mmpose", mmpose.fits, mmpose.read),
    ("openpose", openpose.fits, openpose.read),
    ("ultralytics", ultralytics.fits, ultralytics.read),
    ("alphapose", alphapose.fits, alphapose.read),
    ("coco", coco_results.fits, coco_results.read),
)
_KINDS = {  # what a tool's files may look like: AlphaPose writes OpenPose's format too, mmpose and others COCO results
    "mmpose": ("mmpose", "coco"),
    "ultralytics": ("ultralytics", "coco"),
    "alphapose": ("alphapose", "openpose"),
    "detectron2": ("coco",),
}


def find_files(sources: Sequence[str | Path]) -> list[Path]:
    """The files that `sources` name, each once; a folder gives its .json, .txt and .csv files by name.

    Raises InputError where one is missing, holds nothing, or is of a kind that is never read.
    """
    found: dict[Path, None] = {}
    for source in sources:
        path = Path(source)
        if not path.is_dir():
            found[path] = None
            continue
        inside = files_in(path)
        readable = [one for one in inside if one.suffix.lower() in _SUFFIXES]
        if not readable:
            for one in inside:
                _refuse(one)
            raise InputError(f"{path}: the folder holds no pose files ({', '.join(_SUFFIXES)})")
        found.update(dict.fromkeys(readable))
    for path in found:
        _refuse(path)
    return list(found)


def read_pose_files(
    files: Sequence[Path],
    tool: str = "auto",
    *,
    keypoint_counts: Sequence[int] = (17,),
    track: Callable[[Sequence[Path]], Iterable[Path]] = iter,
) -> tuple[str, list[FoundPoses]]:
    """The poses of each file and the tool that wrote them, recognised where `tool` is "auto".

    `keypoint_counts` are looked for in files that do not say how many they hold; `track` walks the files, and may show
    how far it is. Raises InputError naming the file that is not what was expected, or of another tool than the rest.
    """
    if tool not in ("auto", *FORMATS):
        raise InputError(f"--format: expected auto, {', '.join(FORMATS)}, got {tool!r}")
    read: list[FoundPoses] = []
    first: tuple[str, Path] | None = None
    for path in track(files):
        kind, found = _read(path, tool, tuple(keypoint_counts))
        if kind is not None and first is not None and kind != first[0]:
            raise InputError(f"{path}: is a file of {kind}, and {first[1]} of {first[0]}; convert them apart")
        first = first or (None if kind is None else (kind, path))
        read.append(found)
    return (first[0] if first is not None and tool == "auto" else tool), read


def _read(path: Path, tool: str, counts: tuple[int, ...]) -> tuple[str | None, FoundPoses]:
    """The kind of file and its poses; no kind where nothing in it shows one."""
    allowed = FORMATS if tool == "auto" else _KINDS.get(tool, (tool,))
    suffix = path.suffix.lower()
    if suffix == ".txt":
        _check(path, "ultralytics", allowed)
        content = b"\n" if path.is_file() and not path.stat().st_size else read_bytes(path, "labels")
        return "ultralytics", ultralytics.read_labels(content, str(path), counts)
    content = read_bytes(path, "poses")
    if suffix == ".csv" or tool == "deeplabcut" or deeplabcut.fits(content):
        _check(path, "deeplabcut", allowed)
        if not deeplabcut.fits(content):
            raise InputError(f"{path}: expected DeepLabCut's CSV, whose first row begins with 'scorer'")
        return "deeplabcut", deeplabcut.read(content, str(path))
    value = parse_finite_json(content, path)
    if value == [] and set(allowed) & {kind for kind, *_ in _JSON}:
        return None, nobody(str(path))
    for kind, fits, reader in _JSON:
        if fits(value):
            _check(path, kind, allowed)
            return kind, reader(value, str(path))
    if tool == "auto":
        raise InputError(f"{path}: is no pose file known here; --format says whose it is ({', '.join(FORMATS)})")
    return tool, next(reader for kind, _, reader in _JSON if kind in allowed)(value, str(path))


def _check(path: Path, kind: str, allowed: Sequence[str]) -> None:
    if kind not in allowed:
        raise InputError(f"{path}: looks like a file of {kind}, --format expects one of {' or '.join(allowed)}")


def _refuse(path: Path) -> None:
    """Says what to use instead of files that are not read."""
    suffix = path.suffix.lower()
    if suffix in (".h5", ".hdf5"):
        raise InputError(
            f"{path}: HDF5 is not read here; DeepLabCut writes the same as CSV (save_as_csv=True, or "
            "analyze_videos_converth5_to_csv)"
        )
    if suffix in _PICKLES:
        raise InputError(
            f"{path}: is a pickle, which can run code when it is opened, and is not read; Detectron2 leaves "
            "coco_instances_results.json beside instances_predictions.pth"
        )

"""Files that hold poses and are no results: what they are, and what reads them, for the message of `convert`."""

import csv
import io
import re
from pathlib import Path

from trustpose.files import BOM

_NPY = b"\x93NUMPY"
_ARRAY = 'in Python, trustpose.Poses(xy=…, score=…, image_id=…).save("results.json") writes an array\'s poses'
_WORLD = "people in 3D, which trustpose.formats.poses3d.read_poses3d reads"


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
        return f"is a table of joints in the world, {_WORLD}"
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

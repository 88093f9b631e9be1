"""TRC, the marker files of OpenSim and Motion Analysis: tab-separated text, one file of frames with named markers.

Format: OpenSim's documentation, "Marker (.trc) Files". Three lines of header (path, fields, values), a line of marker
names, one of their coordinates, an empty one, then number, time and x, y, z of each marker. A marker without a position
is nan: OpenSim drops empty cells at the end of a line, and then counts too few. The header's tabs are Pose2Sim's, as
are the names of markers, RHip for right_hip, which its filters and models look for. The format has neither people nor
trust.
"""

import re
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError, atomic_write, read_bytes
from trustpose.geometry.expected_error import metres_of
from trustpose.io.poses3d.columns import skeleton_named, whole_numbers
from trustpose.poses import Poses3D
from trustpose.skeletons import SKELETONS

_FIELDS = ("DataRate", "CameraRate", "NumFrames", "NumMarkers", "Units", "OrigDataRate", "OrigDataStartFrame")
_FIELDS = (*_FIELDS, "OrigNumFrames")


def marker_of(joint: str) -> str:
    """Return a joint's name as a marker: RHip for right_hip, LBigToe for left_big_toe, Nose for nose."""
    if joint.startswith("keypoint_"):
        return joint
    side, _, rest = joint.partition("_")
    words = rest.split("_") if side in _SIDES else joint.replace("\t", " ").split("_")
    return _SIDES.get(side, "") + "".join(word[:1].upper() + word[1:] for word in words)


_SIDES = {"left": "L", "right": "R"}
_JOINTS = {marker_of(joint): joint for skeleton in SKELETONS.values() for joint in skeleton.keypoints}


def write(
    path: str | Path,
    xyz: Float[np.ndarray, "F K 3"],
    names: tuple[str, ...],
    frame: Int[np.ndarray, " F"],
    time: Float[np.ndarray, " F"],
    rate: float,
) -> None:
    """Write the frames of one person in metres, `rate` of them a second."""
    k, count = len(names), len(xyz)
    values = (f"{rate:g}", f"{rate:g}", str(count), str(k), "m", f"{rate:g}", str(frame[0]), str(count))
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{Path(path).name}",
        "\t".join(_FIELDS),
        "\t".join(values),
        "Frame#\tTime\t" + "".join(f"{marker_of(name)}\t\t\t" for name in names),
        "\t\t" + "".join(f"X{number}\tY{number}\tZ{number}\t" for number in range(1, k + 1)),
        "",
    ]
    for number, seconds, points in zip(frame.tolist(), time.tolist(), xyz.reshape(count, -1).tolist(), strict=True):
        cells = (f"{value:.6f}" for value in points)
        lines.append(f"{number}\t{seconds:.6f}\t" + "\t".join(cells))
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def read(path: str | Path) -> Poses3D:
    """Read one person's frames, in metres. Raises InputError naming the line."""
    lines = read_bytes(path, "TRC").decode("utf-8-sig", errors="replace").splitlines()
    if len(lines) < 5 or not lines[0].startswith("PathFileType"):
        raise InputError(f"{path}: line 1: expected 'PathFileType', as TRC begins")
    separator = "\t" if "\t" in lines[1] else ","  # some spreadsheets save it so
    split = [[cell.strip() for cell in line.split(separator)] for line in lines]
    header = dict(zip(split[1], split[2], strict=False))
    try:
        metres = metres_of(header.get("Units", ""))
    except ValueError as error:
        raise InputError(f"{path}: field 'Units': {error}") from None
    names = [name for name in split[3][2:] if name]
    rows = [row for row in split[5:] if any(row)]
    k = len(names)
    if not k:
        raise InputError(f"{path}: line 4: expected the markers' names, got none")
    table = np.full((len(rows), 2 + 3 * k), np.nan)
    for index, row in enumerate(rows):
        cells = row[: 2 + 3 * k]
        if not all(re.fullmatch(r"\s*(?:nan)?\s*", cell, re.IGNORECASE) or _is_number(cell) for cell in cells):
            raise InputError(f"{path}: row {index}: expected numbers, or empty cells")
        table[index, : len(cells)] = [float(cell) if _is_number(cell) else np.nan for cell in cells]
    if np.isnan(table[:, :2]).any():
        raise InputError(f"{path}: expected a number and a time in every row")
    try:
        skeleton = skeleton_named([_JOINTS.get(name, name) for name in names])
    except ValueError as error:
        raise InputError(f"{path}: markers: {error}") from None
    xyz = table[:, 2:].reshape(-1, k, 3) * metres
    return Poses3D(xyz, frame=whole_numbers(table[:, 0], "field 'Frame#'", path), time=table[:, 1], skeleton=skeleton)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True

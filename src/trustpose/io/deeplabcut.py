"""Convert a DeepLabCut table, from CSV (deeplabcut_csv.py) or HDF5 (deeplabcut_hdf5.py), to poses.

Format: DeepLabCut's documentation (`analyze_videos`; LGPL-3.0, its source was not opened). There is one file per video
or folder of photos, with a row per frame, named by its number or its photo's name, and columns x, y, likelihood for
each keypoint of each individual. Cells of an animal that is not in the frame are empty. There is neither a pose score
nor a box. `single` holds the unique body parts, which belong to no individual.
"""

from pathlib import PurePath
from typing import NamedTuple

import numpy as np

from trustpose.files import InputError
from trustpose.io.tool_poses import ToolPoses, no_people
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton, find_skeleton

COORDS = ("x", "y", "likelihood")


class Table(NamedTuple):
    """A file's numbers, NaN for an empty cell, and the names of its rows and columns."""

    columns: list[tuple[str, str, str]]  # individual, "" where there is one, body part and one of COORDS
    frames: list[str]
    values: np.ndarray  # (F, C) float64


class _Layout(NamedTuple):
    """The column indices of each individual's keypoints."""

    individuals: tuple[str, ...]
    keypoints: tuple[str, ...]
    columns: np.ndarray  # (M, K, 3) of each individual's keypoints' x, y, likelihood
    left_out: tuple[str, ...]


def poses_of_table(table: Table, path: str) -> ToolPoses:
    """Return the poses frame by frame; `track_id` numbers the individuals from 1. Raises InputError."""
    layout = _layout(table.columns, path)
    skeleton = find_skeleton(layout.keypoints) or Skeleton("the file's bodyparts", layout.keypoints, ())
    values = table.values[:, layout.columns]  # (F, M, K, 3)
    _check(values, layout, path)
    frame, individual = np.nonzero(~np.isnan(values).all(axis=(2, 3)))
    if not len(frame):
        return no_people(path)
    keypoints = values[frame, individual]  # (N, K, 3)
    is_tracked = len(layout.individuals) > 1
    photo, image_id = _photos(table.frames, frame, path)
    poses = Poses(
        xy=keypoints[:, :, :2],
        score=keypoints[:, :, 2],
        track_id=individual + 1 if is_tracked else None,
        image_id=image_id,
    )
    notes = (f"unique body parts left out: {', '.join(layout.left_out)}",) if layout.left_out else ()
    return ToolPoses(path, poses, photo=photo, skeleton=skeleton, notes=notes)


def _layout(names: list[tuple[str, str, str]], path: str) -> _Layout:
    column_of: dict[tuple[str, str, str], int] = {}
    for column, (owner, part, coord) in enumerate(names):
        if coord not in COORDS or (owner, part, coord) in column_of:
            called = " ".join(repr(name) for name in (owner, part, coord) if name)
            raise InputError(f"{path}: column {called}: expected x, y, likelihood of each body part once")
        column_of[owner, part, coord] = column
    if not column_of:
        raise InputError(f"{path}: has no columns, expected x, y, likelihood of each body part")
    bodies = {
        owner: tuple(dict.fromkeys(part for name, part, _ in column_of if name == owner)) for owner, *_ in column_of
    }
    left_out = bodies.pop("single", ()) if len(bodies) > 1 else ()
    keypoints = next(iter(bodies.values()))
    if any(body != keypoints for body in bodies.values()):
        raise InputError(f"{path}: individuals have different body parts, expected the same in each")
    columns = np.zeros((len(bodies), len(keypoints), 3), dtype=np.int64)
    for i, owner in enumerate(bodies):
        for k, part in enumerate(keypoints):
            for c, coord in enumerate(COORDS):
                if (owner, part, coord) not in column_of:
                    hint = ": labels, not predictions?" if coord == "likelihood" else ""
                    raise InputError(f"{path}: body part {part!r} has no column {coord!r}{hint}")
                columns[i, k, c] = column_of[owner, part, coord]
    return _Layout(tuple(bodies), keypoints, columns, left_out)


def _check(values: np.ndarray, layout: _Layout, path: str) -> None:
    """Check that each keypoint (F, M, K, 3) has three finite numbers or none."""
    infinite, blank = np.isinf(values).any(axis=3), np.isnan(values)
    half = blank.any(axis=3) & ~blank.all(axis=3)
    for wrong, expected in ((infinite, "finite numbers"), (half, "x, y and likelihood, or none")):
        if wrong.any():
            row, _, part = (int(number) for number in np.argwhere(wrong)[0])
            raise InputError(f"{path}: frame row {row}: {layout.keypoints[part]!r}: expected {expected}")


def _photos(frames: list[str], frame: np.ndarray, path: str) -> tuple[tuple[str, ...] | None, np.ndarray | None]:
    """Return the photos' names, or the frames' numbers, of the rows."""
    names = [PurePath(name).name for name in frames]
    lacking = next((row for row, name in enumerate(names) if not name), None)
    if lacking is not None:
        raise InputError(f"{path}: frame row {lacking}: expected the frame's number or its photo's name, got nothing")
    if len(set(names)) != len(names):
        raise InputError(f"{path}: a frame's number or name occurs twice")
    if all(name.isdecimal() and len(name) <= 18 for name in names):
        return None, np.array([int(name) for name in names], dtype=np.int64)[frame]
    return tuple(names[index] for index in frame), None

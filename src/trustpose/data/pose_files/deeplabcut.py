"""Poses as DeepLabCut writes them as CSV: one file a video, or one a folder of photos.

Format: DeepLabCut's documentation (`analyze_videos(…, save_as_csv=True)`, `analyze_videos_converth5_to_csv`; LGPL-3.0,
its source was not opened). Three header rows, scorer, bodyparts, coords, or four, with individuals after the scorer;
then a row a frame, its number or its photo's name first, with x, y, likelihood of each keypoint. Cells of an animal
that is not in the frame are empty. There is no score of a pose and no box. `single` holds the unique body parts, which
belong to nobody.
"""

import csv
import io
from pathlib import PurePath
from typing import NamedTuple

import numpy as np

from trustpose.data.pose_files.record import FoundPoses, nobody
from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton, find_skeleton

_COORDS = ("x", "y", "likelihood")


class _Header(NamedTuple):
    """How many rows the header and how many columns the index have, and each further column's place."""

    row_count: int
    index_width: int
    individuals: tuple[str, ...]
    keypoints: tuple[str, ...]
    columns: np.ndarray  # (M, K, 3) of each individual's keypoints' x, y, likelihood
    left_out: tuple[str, ...]


def fits(content: bytes) -> bool:
    """Whether a CSV file begins as DeepLabCut's do."""
    return content[:10].removeprefix(b"\xef\xbb\xbf").startswith(b"scorer")


def read(content: bytes, path: str) -> FoundPoses:
    """The poses of one file, frame by frame; `track_id` counts the individuals from 1. Raises InputError."""
    try:
        lines = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV file ({error})") from None
    lines = [line for line in lines if line]
    header = _read_header(lines, path)
    skeleton = find_skeleton(header.keypoints) or Skeleton("the file's bodyparts", header.keypoints, ())
    frames = lines[header.row_count :]
    table = _numbers(frames, header, path)  # (F, M, K, 3)
    blank = np.isnan(table)
    _check_blanks(blank, header, path)
    frame, individual = np.nonzero(~blank.all(axis=(2, 3)))
    if not len(frame):
        return nobody(path)
    keypoints = table[frame, individual]  # (N, K, 3)
    is_tracked = len(header.individuals) > 1
    photo, image_id = _photos(frames, header, frame, path)
    poses = Poses(
        xy=keypoints[:, :, :2],
        score=keypoints[:, :, 2],
        track_id=individual + 1 if is_tracked else None,
        image_id=image_id,
    )
    notes = (f"unique body parts left out: {', '.join(header.left_out)}",) if header.left_out else ()
    return FoundPoses(path, poses, photo=photo, skeleton=skeleton, notes=notes)


def _read_header(lines: list[list[str]], path: str) -> _Header:
    names = {line[0]: line for line in lines[:4]}
    is_multi = "individuals" in names
    expected = ["scorer", "individuals", "bodyparts", "coords"] if is_multi else ["scorer", "bodyparts", "coords"]
    if [line[0] for line in lines[: len(expected)]] != expected:
        raise InputError(f"{path}: expected DeepLabCut's header rows scorer, (individuals,) bodyparts, coords")
    coords, parts = names["coords"], names["bodyparts"]
    owners = names["individuals"] if is_multi else [""] * len(parts)
    index = next((at for at, name in enumerate(coords) if at and name), len(coords))
    if not len(coords) == len(parts) == len(owners) or index == len(coords):
        raise InputError(f"{path}: header rows: expected equally many columns in each, with x, y, likelihood")
    place: dict[tuple[str, str, str], int] = {}
    for at in range(index, len(coords)):
        key = (owners[at], parts[at], coords[at])
        if coords[at] not in _COORDS or key in place:
            raise InputError(f"{path}: header rows, column {at + 1}: expected x, y, likelihood of each body part once")
        place[key] = at
    bodies = {owner: tuple(dict.fromkeys(part for one, part, _ in place if one == owner)) for owner, *_ in place}
    left_out = bodies.pop("single", ()) if len(bodies) > 1 else ()
    keypoints = next(iter(bodies.values()))
    if any(body != keypoints for body in bodies.values()):
        raise InputError(f"{path}: header rows: individuals have different body parts, expected the same in each")
    columns = np.zeros((len(bodies), len(keypoints), 3), dtype=np.int64)
    for i, owner in enumerate(bodies):
        for k, part in enumerate(keypoints):
            for c, coord in enumerate(_COORDS):
                if (owner, part, coord) not in place:
                    hint = ": labels, not predictions?" if coord == "likelihood" else ""
                    raise InputError(f"{path}: header rows: body part {part!r} has no column {coord!r}{hint}")
                columns[i, k, c] = place[owner, part, coord]
    return _Header(len(expected), index, tuple(bodies), keypoints, columns, left_out)


def _numbers(frames: list[list[str]], header: _Header, path: str) -> np.ndarray:
    """The cells (F, M, K, 3) of all frames; NaN where one is empty."""
    width = int(header.columns.max()) + 1
    for at, line in enumerate(frames):
        if len(line) < width:
            raise InputError(f"{path}: line {header.row_count + at + 1}: expected {width} cells, got {len(line)}")
    wanted = header.columns.ravel()
    cells = [[line[column] or "nan" for column in wanted] for line in frames]
    try:
        table = np.array(cells, dtype=np.float64).reshape(len(frames), *header.columns.shape)
    except ValueError:
        raise _not_a_number(cells, header, path) from None
    infinite = np.isinf(table)
    if infinite.any():
        at, _, part, _ = (int(one) for one in np.argwhere(infinite)[0])
        raise InputError(f"{path}: frame row {at}: {header.keypoints[part]!r}: expected finite numbers")
    return table


def _not_a_number(cells: list[list[str]], header: _Header, path: str) -> InputError:
    for at, line in enumerate(cells):
        for k, cell in enumerate(line):
            try:
                float(cell)
            except ValueError:
                part = header.keypoints[k // 3 % len(header.keypoints)]
                where = f"{path}: frame row {at}: {part!r} {_COORDS[k % 3]!r}"
                return InputError(f"{where}: expected a number, got the text {cell[:30]!r}")
    return InputError(f"{path}: expected a number in each cell")


def _check_blanks(blank: np.ndarray, header: _Header, path: str) -> None:
    """A keypoint is there with all three numbers, or not at all."""
    half = blank.any(axis=3) & ~blank.all(axis=3)
    if half.any():
        at, _, part = (int(one) for one in np.argwhere(half)[0])
        raise InputError(f"{path}: frame row {at}: {header.keypoints[part]!r}: expected x, y and likelihood, or none")


def _photos(
    frames: list[list[str]], header: _Header, frame: np.ndarray, path: str
) -> tuple[tuple[str, ...] | None, np.ndarray | None]:
    """The names of the photos, or the numbers of the frames, that rows are of."""
    # newer projects keep a photo's folders in columns of their own: the last is its name
    names = [PurePath("/".join(line[: header.index_width])).name for line in frames]
    lacking = next((at for at, name in enumerate(names) if not name), None)
    if lacking is not None:
        raise InputError(f"{path}: frame row {lacking}: expected the frame's number or its photo's name, got nothing")
    if len(set(names)) != len(names):
        raise InputError(f"{path}: a frame's number or name stands twice")
    if all(name.isdecimal() and len(name) <= 18 for name in names):
        return None, np.array([int(name) for name in names], dtype=np.int64)[frame]
    return tuple(names[at] for at in frame), None

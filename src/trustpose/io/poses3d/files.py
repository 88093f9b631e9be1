"""Write and read people in 3D; the format follows from a file's suffix."""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np

from trustpose.files import InputError, atomic_write, parse_json, read_bytes, write_json
from trustpose.io.csv_rows import read_table
from trustpose.io.poses3d import c3d, trc
from trustpose.io.poses3d.columns import UPPER, columns_of, names_of, poses_of, whole_numbers
from trustpose.json_records import Count, OpenRecord, described, read_record
from trustpose.poses import MISSING_ID, Poses3D
from trustpose.poses.tables import package
from trustpose.skeletons import registered_skeleton
from trustpose.skeletons.skeleton import skeleton_value

FORMATS: Mapping[str, str] = {".json": "json", ".csv": "csv", ".parquet": "parquet", ".trc": "trc", ".c3d": "c3d"}
PERSON = "{person}"  # in the name of TRC files: the track id of each one's person


def format_of(path: str | Path) -> str:
    """Return the format of a file to write. Raises InputError for another suffix."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise InputError(f"{path}: expected a file ending in {', '.join(FORMATS)}")
    return FORMATS[suffix]


def write_poses3d(path: str | Path, poses: Poses3D, *, rate: float | None = None, y_up: bool = False) -> list[Path]:
    """Write poses in the format of the file's suffix, atomically; return the files written.

    JSON, CSV and Parquet hold every field. TRC and C3D hold positions only, frame by frame from the first to the last,
    `rate` of them a second (default: from `poses.time`). TRC holds one person: of several, "{person}" in the name
    stands for each one's track id, p_{person}.trc. With `y_up` those two have the world's z as y, as OpenSim expects
    it. Raises InputError.
    """
    path, kind = Path(path), format_of(path)
    if kind in ("trc", "c3d"):
        turned = poses.xyz[..., [1, 2, 0]] if y_up else poses.xyz
        return _write_markers(path, poses, turned, _rate(path, poses, rate))
    if y_up:
        raise InputError(f"{path}: y_up is for .trc and .c3d, other formats keep the world's axes")
    if kind == "json":
        write_json(path, _json(poses))
    elif kind == "csv":
        with atomic_write(path) as file:
            file.write(_csv(columns_of(poses)).encode())
    else:
        arrow = package("pyarrow")
        table = arrow.table({name: arrow.array(column, from_pandas=True) for name, column in columns_of(poses).items()})
        content = io.BytesIO()
        package("pyarrow.parquet").write_table(table, content)
        with atomic_write(path) as file:
            file.write(content.getvalue())
    return [path]


def read_poses3d(path: str | Path) -> Poses3D:
    """Read poses that `write_poses3d` wrote; TRC and C3D of other programs too, as one person. Raises InputError."""
    kind = format_of(path)
    if kind == "trc":
        return trc.read(path)
    if kind == "c3d":
        return c3d.read(path)
    content = read_bytes(path, "poses in the world")
    if kind == "json":
        return _of_json(parse_json(content, path), str(path))
    if kind == "csv":
        return _of_csv(content, str(path))
    try:
        table = package("pyarrow.parquet").read_table(io.BytesIO(content))
        columns = {name: table.column(name).to_pylist() for name in table.column_names}
    except (OSError, ValueError, package("pyarrow").ArrowException) as error:
        raise InputError(f"{path}: is not a readable Parquet file ({str(error).splitlines()[0]})") from None
    return poses_of(columns, str(path))


def _rate(path: Path, poses: Poses3D, rate: float | None) -> float:
    if rate is not None:
        if not rate > 0:
            raise InputError(f"{path}: expected a frame rate above 0, got {rate:g}")
        return rate
    if poses.time is not None and poses.frame is not None and len(poses):
        frames = np.ptp(poses.frame)
        if frames and np.ptp(poses.time) > 0:
            return float(frames / np.ptp(poses.time))
    raise InputError(f"{path}: needs the frame rate, as the poses have no times; give it with --fps")


def _write_markers(path: Path, poses: Poses3D, xyz: np.ndarray, rate: float) -> list[Path]:
    """Write every frame from the first to the last; people by track."""
    if not len(poses):
        raise InputError(f"{path}: there are no people to write, and the format holds no empty trial")
    frame = np.arange(len(poses)) if poses.frame is None else poses.frame
    person = np.full(len(poses), MISSING_ID) if poses.track_id is None else poses.track_id
    first, count = int(frame.min()), int(np.ptp(frame)) + 1
    people = np.unique(person)
    grid = np.full((len(people), count, *xyz.shape[1:]), np.nan)
    grid[np.searchsorted(people, person), frame - first] = xyz
    names, numbers = names_of(poses), np.arange(first, first + count)
    if path.suffix.lower() == ".c3d":
        labels = (
            names if len(people) == 1 else tuple(f"person{track_id}_{name}" for track_id in people for name in names)
        )
        c3d.write(path, grid.transpose(1, 0, 2, 3).reshape(count, -1, 3), labels, first, rate)
        return [path]
    if len(people) > 1 and PERSON not in path.name:
        raise InputError(
            f"{path}: TRC holds one person, and there are {len(people)}: {path.stem}_{PERSON}{path.suffix} writes a "
            "file for each, --people 1 keeps the one in most frames"
        )
    files = [path.with_name(path.name.replace(PERSON, str(track_id))) for track_id in people]
    for file, points in zip(files, grid, strict=True):
        trc.write(file, points, names, numbers, numbers / rate, rate)
    return files


def _json(poses: Poses3D) -> dict[str, Any]:
    """Return the value to write: lists per pose, null where a number is unknown; a covariance as its upper triangle."""
    rows = []
    for index in range(len(poses)):
        row = {name: getattr(poses, name)[index] for name in ("frame", "time", "track_id") if _has(poses, name)}
        row["xyz"] = poses.xyz[index]
        row |= {name: getattr(poses, name)[index] for name in ("quality", "error", "camera_count") if _has(poses, name)}
        if poses.covariance is not None:
            row["covariance"] = np.stack([poses.covariance[index, :, a, b] for a, b in UPPER], axis=1)
        rows.append({name: value.tolist() for name, value in row.items()})
    skeleton = None if poses.skeleton is None else skeleton_value(poses.skeleton)
    return {"poses3d": 1, "unit": "m", "keypoint_count": poses.keypoint_count, "skeleton": skeleton, "poses": rows}


def _has(poses: Poses3D, name: str) -> bool:
    return getattr(poses, name) is not None


@dataclass(frozen=True)
class _File(OpenRecord):
    poses3d: Annotated[Literal[1], described("1, the version of a file of 3D poses")]
    unit: Literal["m"]
    keypoint_count: Count
    poses: tuple[dict[str, Any], ...]
    skeleton: Any = None


def _of_json(value: Any, path: str) -> Poses3D:
    file = read_record(_File, value, path)
    skeleton = None if file.skeleton is None else registered_skeleton(file.skeleton, path, "skeleton")
    rows, k = file.poses, file.keypoint_count
    if not all("xyz" in row for row in rows):
        raise InputError(f"{path}: expected 'xyz' in every pose")
    tails = {"xyz": (k, 3), "quality": (k,), "error": (k,), "camera_count": (k,), "covariance": (k, 6)}
    tails |= {"frame": (), "time": (), "track_id": ()}
    columns: dict[str, Any] = {}
    for name, tail in tails.items():
        if any(name in row for row in rows) or name == "xyz":
            try:
                column = np.array([row.get(name) for row in rows], dtype=np.float64).reshape(len(rows), *tail)
            except (TypeError, ValueError):
                raise InputError(f"{path}: field '{name}': expected numbers, {tail or 'one'} a pose") from None
            whole = name in ("camera_count", "frame", "track_id")
            columns[name] = whole_numbers(column, f"field '{name}'", path) if whole else column
    if "covariance" in columns:
        full = np.empty((len(rows), k, 3, 3))
        for index, (a, b) in enumerate(UPPER):
            full[:, :, a, b] = full[:, :, b, a] = columns["covariance"][..., index]
        columns["covariance"] = full
    try:
        return Poses3D(**columns, skeleton=skeleton)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _csv(columns: dict[str, np.ndarray]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    lists = [["" if cell != cell else cell for cell in column.tolist()] for column in columns.values()]
    writer.writerows(zip(*lists, strict=True))
    return text.getvalue()


def _of_csv(content: bytes, path: str) -> Poses3D:
    names, rows = read_table(content, path)
    return poses_of({name: [row[index] for row in rows] for index, name in enumerate(names)}, path)

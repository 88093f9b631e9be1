"""Points in a scene and where photos show them: a JSON file of ours, or a CSV, which users fill by hand.

JSON: `{"unit": "m", "points": {"corner": [x, y, z], …}, "cameras": {"cam_01": {"corner": [u, v], …}, …}}`.
CSV: a header `camera,point,u,v,x,y,z,unit`, one row for each point that a camera shows. u, v are image pixels, (0, 0)
the centre of the first one.
"""

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError, parse_json, read_bytes
from trustpose.geometry.expected_error import METRES
from trustpose.io.cameras.values import Vector2, Vector3
from trustpose.json_records import Text, read_record
from trustpose.names import expected_one_of

_HEADER = ("camera", "point", "u", "v", "x", "y", "z", "unit")


@dataclass(frozen=True, eq=False)
class ScenePoints:
    """The points that one camera shows: `names`, their positions `xyz` (N, 3), metres, and `pixels` (N, 2)."""

    names: tuple[str, ...]
    xyz: Float[np.ndarray, "N 3"]
    pixels: Float[np.ndarray, "N 2"]


@dataclass(frozen=True, eq=False)
class _File:
    unit: Text
    points: Mapping[str, Vector3]
    cameras: Mapping[str, Mapping[str, Vector2]]

    def __post_init__(self) -> None:
        if self.unit not in METRES:
            raise ValueError(f"unit: {expected_one_of(METRES, self.unit)}")
        for camera, points in self.cameras.items():
            unknown = next((name for name in points if name not in self.points), None)
            if unknown is not None:
                raise ValueError(f"camera {camera!r}: point {unknown!r} is none of 'points'")


def read_scene_points(path: str | Path) -> dict[str, ScenePoints]:
    """Return the points of each camera by its name. Raises InputError naming the file and the field."""
    path = Path(path)
    content = read_bytes(path, "points")
    if path.suffix.lower() == ".csv":
        return _of_rows(content, path)
    file = read_record(_File, parse_json(content, path), path)
    xyz = {name: position * METRES[file.unit] for name, position in file.points.items()}
    return {
        camera: _points({name: (xyz[name], pixels) for name, pixels in points.items()})
        for camera, points in file.cameras.items()
    }


def _of_rows(content: bytes, path: Path) -> dict[str, ScenePoints]:
    try:
        rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a CSV file ({error})") from None
    if not rows or not set(_HEADER) <= {str(name) for name in rows[0]}:
        raise InputError(f"{path}: expected rows below the header {','.join(_HEADER)}")
    points_of_camera: dict[str, dict[str, tuple[np.ndarray, np.ndarray]]] = {}
    for number, row in enumerate(rows, 2):
        line = f"line {number}"
        try:
            xyz, pixels = (np.array([float(row[name]) for name in names]) for names in ("xyz", "uv"))
        except (TypeError, ValueError):
            raise InputError(f"{path}: {line}: expected numbers in u, v, x, y and z") from None
        if row["unit"] not in METRES or not (np.isfinite(xyz).all() and np.isfinite(pixels).all()):
            raise InputError(f"{path}: {line}: expected finite numbers and a unit among {', '.join(METRES)}")
        points_of_camera.setdefault(str(row["camera"]), {})[str(row["point"])] = (xyz * METRES[row["unit"]], pixels)
    return {camera: _points(points) for camera, points in points_of_camera.items()}


def _points(points: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> ScenePoints:
    xyz = np.array([xyz for xyz, _ in points.values()]).reshape(-1, 3)
    return ScenePoints(tuple(points), xyz, np.array([seen for _, seen in points.values()]).reshape(-1, 2))

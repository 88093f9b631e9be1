"""Our own camera file, JSON: every field of `Camera` by its name, in metres, without loss.

`{"trustpose_cameras": 1, "unit": "m", "cameras": [{"name", "size", "lens", "matrix", "distortion", "rotation",
"translation"}]}`; matrix and rotation are 3 × 3, from the world to the camera, size is width and height or null.
"""

from dataclasses import dataclass
from typing import Any, Literal

import orjson

from trustpose.geometry.cameras import Camera, Cameras, Lens
from trustpose.geometry.expected_error import METRES
from trustpose.io.cameras.values import Matrix, Vector, Vector2, Vector3, image_size
from trustpose.json_records import Text, naming, read_record
from trustpose.names import expected_one_of

VERSION = 1


@dataclass(frozen=True, eq=False)
class _Camera:
    name: Text
    lens: Lens
    matrix: Matrix
    distortion: Vector
    rotation: Matrix
    translation: Vector3
    size: Vector2 | None = None


@dataclass(frozen=True, eq=False)
class _File:
    trustpose_cameras: Literal[1]
    unit: Text
    cameras: tuple[_Camera, ...]

    def __post_init__(self) -> None:
        if self.unit not in METRES:
            raise ValueError(f"unit: {expected_one_of(METRES, self.unit)}")


def fits(value: Any) -> bool:
    """Return whether a JSON value is such a file."""
    return isinstance(value, dict) and "trustpose_cameras" in value


def read(value: Any, path: str, metres: float | None) -> list[Camera]:
    """Return the cameras of a JSON value; `metres` overrides the unit of the file. Raises InputError."""
    file = read_record(_File, value, path)
    metres = metres or METRES[file.unit]
    return [_camera(camera, path, f"cameras.{number}", metres) for number, camera in enumerate(file.cameras)]


def _camera(camera: _Camera, path: str, field: str, metres: float) -> Camera:
    with naming(path, field):
        position = (camera.rotation, camera.translation * metres)
        size = image_size(camera.size, "size")
        return Camera(camera.name, camera.matrix, camera.distortion, *position, size, camera.lens)


def write(cameras: Cameras) -> bytes:
    """Return the file's content."""
    listed = [
        {
            "name": camera.name,
            "size": camera.size,
            "lens": camera.lens,
            "matrix": camera.matrix.tolist(),
            "distortion": camera.distortion.tolist(),
            "rotation": camera.rotation.tolist(),
            "translation": camera.translation.tolist(),
        }
        for camera in cameras
    ]
    return orjson.dumps({"trustpose_cameras": VERSION, "unit": "m", "cameras": listed}, option=orjson.OPT_INDENT_2)

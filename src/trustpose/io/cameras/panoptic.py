"""The calibration of CMU's Panoptic Studio: `calibration_SEQUENCE.json`, centimetres.

Format: the Panoptic toolbox's documentation. `cameras` is a list with `name`, `type` (vga, hd, kinect-color),
`resolution`, `K`, `distCoef` (OpenCV's five), `R` and `t` from the world to the camera.
"""

from dataclasses import dataclass
from typing import Any

import orjson

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.cameras.values import Matrix, Vector, Vector2, Vector3, brown, image_size
from trustpose.json_records import OpenRecord, Text, naming, read_record

METRES = 0.01


@dataclass(frozen=True, eq=False)
class _Camera(OpenRecord):
    name: Text
    K: Matrix
    distCoef: Vector
    R: Matrix
    t: Vector3
    resolution: Vector2 | None = None


def fits(value: Any) -> bool:
    """Return whether a JSON value is such a file."""
    listed = value.get("cameras") if isinstance(value, dict) else None
    return isinstance(listed, list) and all(isinstance(camera, dict) and "K" in camera for camera in listed)


def read(value: Any, path: str, metres: float | None) -> list[Camera]:
    """Return all cameras of a JSON value. Raises InputError."""
    cameras = []
    for number, content in enumerate(value["cameras"]):
        field = f"cameras.{number}"
        camera = read_record(_Camera, content, path, field)
        with naming(path, field):
            translation, size = camera.t * (metres or METRES), image_size(camera.resolution, "resolution")
            cameras.append(Camera(camera.name, camera.K, camera.distCoef, camera.R, translation, size))
    return cameras


def write(cameras: Cameras) -> bytes:
    """Return the file's content. Raises InputError if a camera has more than five coefficients."""
    listed = [
        {
            "name": camera.name,
            "type": "hd",
            "resolution": camera.size,
            "panel": 0,
            "node": number,
            "K": camera.matrix.tolist(),
            "distCoef": brown(camera, 5, "Panoptic's file").tolist(),
            "R": camera.rotation.tolist(),
            "t": (camera.translation[:, None] / METRES).tolist(),
        }
        for number, camera in enumerate(cameras)
    ]
    return orjson.dumps({"calibDataSource": "trustpose", "cameras": listed}, option=orjson.OPT_INDENT_2)

"""The calibration of CMU's Panoptic Studio: `calibration_SEQUENCE.json`, centimetres.

Format: the Panoptic toolbox's documentation. `cameras` is a list with `name`, `type` (vga, hd, kinect-color),
`resolution`, `K`, `distCoef` (OpenCV's five), `R` and `t` from the world to the camera.
"""

from typing import Any

import orjson

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.cameras.values import CameraFields, brown

METRES = 0.01


def fits(value: Any) -> bool:
    """Return whether a JSON value is such a file."""
    listed = value.get("cameras") if isinstance(value, dict) else None
    return isinstance(listed, list) and all(isinstance(camera, dict) and "K" in camera for camera in listed)


def read(value: Any, path: str, metres: float | None) -> list[Camera]:
    """Return all cameras of a JSON value. Raises InputError."""
    cameras = []
    for number, camera in enumerate(value["cameras"]):
        fields = CameraFields(camera, path, f"camera {number}")
        distortion, translation = fields.numbers("distCoef", None), fields.numbers("t", 3) * (metres or METRES)
        matrix, rotation = fields.numbers("K", 3, 3), fields.numbers("R", 3, 3)
        cameras.append(
            fields.camera(fields.text("name"), matrix, distortion, rotation, translation, fields.size("resolution"))
        )
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

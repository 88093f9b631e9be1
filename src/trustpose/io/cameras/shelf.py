"""The calibration of Shelf and Campus as VoxelPose spread it: `calibration_shelf.json`, millimetres.

Format: an object by camera number with `fx`, `fy`, `cx`, `cy`, `k` (k1, k2, k3), `p` (p1, p2), `R` from the world to
the camera, and `T`, which is the camera's position in the world, not the translation: with it all cameras look at the
scene's centre that VoxelPose prints (a test shows it).
"""

from typing import Any

import numpy as np
import orjson

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.cameras.values import CameraFields, brown, intrinsic

METRES = 0.001
_FIELDS = {"fx", "fy", "cx", "cy", "k", "p", "R", "T"}


def fits(value: Any) -> bool:
    """Return whether a JSON value is such a file."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(o, dict) and o.keys() >= _FIELDS for o in value.values())
    )


def read(value: Any, path: str, metres: float | None) -> list[Camera]:
    """Return the cameras of a JSON value; their image size is not known. Raises InputError."""
    cameras = []
    for key, camera in value.items():
        fields = CameraFields(camera, path, f"camera {key!r}")
        fx, fy, cx, cy = (fields.number(field) for field in ("fx", "fy", "cx", "cy"))
        k, p = fields.numbers("k", 3), fields.numbers("p", 2)
        rotation, position = fields.numbers("R", 3, 3), fields.numbers("T", 3) * (metres or METRES)
        matrix = intrinsic(np.array([fx, fy]), np.array([cx, cy]))
        distortion = np.concatenate([k[:2], p, k[2:]])
        cameras.append(fields.camera(key, matrix, distortion, rotation, -rotation @ position, None))
    return cameras


def write(cameras: Cameras) -> bytes:
    """Return the file's content, without image sizes. Raises InputError if a camera has more than five coefficients."""
    listed = {}
    for camera in cameras:
        k1, k2, p1, p2, k3 = brown(camera, 5, "this file").tolist()
        fx, fy, (cx, cy) = camera.matrix[0, 0], camera.matrix[1, 1], camera.matrix[:2, 2].tolist()
        position = (camera.centre[:, None] / METRES).tolist()
        lens = {"fx": float(fx), "fy": float(fy), "cx": cx, "cy": cy, "k": [[k1], [k2], [k3]], "p": [[p1], [p2]]}
        listed[camera.name] = {"R": camera.rotation.tolist(), "T": position} | lens
    return orjson.dumps(listed, option=orjson.OPT_INDENT_2)

"""The calibration of Shelf and Campus as VoxelPose spread it: `calibration_shelf.json`, millimetres.

Format: an object by camera number with `fx`, `fy`, `cx`, `cy`, `k` (k1, k2, k3), `p` (p1, p2), `R` from the world to
the camera, and `T`, which is the camera's position in the world, not the translation: with it all cameras look at the
scene's centre that VoxelPose prints (a test shows it).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.cameras.values import Matrix, Vector2, Vector3, brown, intrinsic
from trustpose.json_records import Number, OpenRecord, declared_fields, naming, read_record

METRES = 0.001


@dataclass(frozen=True, eq=False)
class _Camera(OpenRecord):
    fx: Number
    fy: Number
    cx: Number
    cy: Number
    k: Vector3
    p: Vector2
    R: Matrix
    T: Vector3


def fits(value: Any) -> bool:
    """Return whether a JSON value is such a file."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(isinstance(o, dict) and o.keys() >= set(declared_fields(_Camera)) for o in value.values())
    )


def read(value: Any, path: str, metres: float | None) -> list[Camera]:
    """Return the cameras of a JSON value; their image size is not known. Raises InputError."""
    cameras = []
    for key, content in value.items():
        camera = read_record(_Camera, content, path, str(key))
        matrix = intrinsic(np.array([camera.fx, camera.fy]), np.array([camera.cx, camera.cy]))
        distortion = np.concatenate([camera.k[:2], camera.p, camera.k[2:]])
        with naming(path, str(key)):
            translation = -camera.R @ (camera.T * (metres or METRES))
            cameras.append(Camera(key, matrix, distortion, camera.R, translation))
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

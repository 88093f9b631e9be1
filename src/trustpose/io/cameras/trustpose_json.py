"""Our own camera file, JSON: every field of `Camera` by its name, in metres, without loss.

`{"trustpose_cameras": 1, "unit": "m", "cameras": [{"name", "size", "lens", "matrix", "distortion", "rotation",
"translation"}]}`; matrix and rotation are 3 × 3, from the world to the camera, size is width and height or null.
"""

from typing import Any

import orjson

from trustpose.files import InputError
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.geometry.expected_error import METRES
from trustpose.io.cameras.values import CameraFields
from trustpose.names import expected_one_of

VERSION = 1
_FIELDS = ("name", "size", "lens", "matrix", "distortion", "rotation", "translation")


def fits(value: Any) -> bool:
    """Return whether a JSON value is such a file."""
    return isinstance(value, dict) and "trustpose_cameras" in value


def read(value: Any, path: str, metres: float | None) -> list[Camera]:
    """Return the cameras of a JSON value; `metres` overrides the unit of the file. Raises InputError."""
    if value["trustpose_cameras"] != VERSION:
        raise InputError(f"{path}: field 'trustpose_cameras': expected {VERSION}, got {value['trustpose_cameras']!r}")
    unit, listed = value.get("unit"), value.get("cameras")
    if not isinstance(unit, str) or unit not in METRES:
        raise InputError(f"{path}: field 'unit': {expected_one_of(METRES, unit)}")
    if not isinstance(listed, list):
        raise InputError(f"{path}: field 'cameras': expected a list of cameras")
    return [
        _camera(CameraFields(camera, path, f"camera {n}"), metres or METRES[unit]) for n, camera in enumerate(listed)
    ]


def _camera(fields: CameraFields, metres: float) -> Camera:
    unknown = [field for field in fields.value if field not in _FIELDS]
    if unknown:
        raise InputError(f"{fields.path}: {fields.where}: field '{unknown[0]}' is unknown, expected {_FIELDS}")
    lens = fields.text("lens")
    if lens not in ("pinhole", "fisheye"):
        raise fields.fail("lens", "pinhole or fisheye", lens)
    return fields.camera(
        fields.text("name"),
        fields.numbers("matrix", 3, 3),
        fields.numbers("distortion", None),
        fields.numbers("rotation", 3, 3),
        fields.numbers("translation", 3) * metres,
        fields.size("size"),
        "fisheye" if lens == "fisheye" else "pinhole",
    )


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

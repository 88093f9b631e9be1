"""OpenCV's YAML and XML (`cv2.FileStorage`), and OpenPose's camera XML, which is one.

Formats: `camera_matrix`, `distortion_coefficients`, `image_width`, `image_height`, `fisheye_model` as OpenCV's sample
calibration.cpp writes them, or `cameraMatrix`, `dist_coeffs`, `cameraResolution` of its interactive-calibration. Either
may hold `rotation` (3 × 3) and `translation` from the world to the camera, and its `unit`: ours do; OpenCV fixes none.
Several cameras are the sequence `cameras` of such maps, each with its `name`.

OpenPose's (doc/advanced/calibration_module.md): one file NAME.xml a camera with `CameraMatrix` (3 × 4: rotation and
translation from the world, metres), `Intrinsics` (3 × 3) and `Distortion` (8); no image size.
"""

from typing import Any

import cv2
import numpy as np

from trustpose.files import InputError
from trustpose.formats.cameras.opencv_text import parse_xml, parse_yaml
from trustpose.formats.cameras.values import CameraFields, brown
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.geometry.lengths import METRES

OPENPOSE_METRES = 1.0
_NAMES = {"cameraMatrix": "camera_matrix", "dist_coeffs": "distortion_coefficients"}


def parse(content: bytes, path: str) -> dict[str, Any]:
    """Return a file's content as plain Python. Raises InputError if it is no YAML or XML of OpenCV."""
    is_xml = content.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<")
    try:
        value = parse_xml(content) if is_xml else parse_yaml(content)
    except ValueError as error:  # UnicodeDecodeError is one
        raise InputError(f"{path}: is not a YAML or XML file of OpenCV ({str(error)[:120]})") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected OpenCV's YAML or XML with the names of its fields")
    return value


def is_openpose(value: dict[str, Any]) -> bool:
    """Return whether the fields are those of OpenPose's camera."""
    return {"CameraMatrix", "Intrinsics", "Distortion"} <= value.keys()


def read(value: dict[str, Any], path: str, name: str, metres: float | None) -> list[Camera]:
    """Return the cameras; a single one without a name is called `name`. Raises InputError."""
    listed = value.get("cameras")
    if isinstance(listed, list):
        return [_camera(CameraFields(o, path, f"camera {n}"), f"{n}", metres) for n, o in enumerate(listed)]
    return [_camera(CameraFields(value, path, "OpenCV camera"), name, metres)]


def _camera(fields: CameraFields, name: str, metres: float | None) -> Camera:
    value = {_NAMES.get(key, key): field_value for key, field_value in fields.value.items()}
    if "image_width" in value and "image_height" in value:
        value["cameraResolution"] = [value["image_width"], value["image_height"]]
    fields = CameraFields(value, fields.path, fields.where)
    rotation, translation = np.eye(3), np.zeros(3)
    if "rotation" in value or "translation" in value:
        rotation, translation = fields.numbers("rotation", 3, 3), fields.numbers("translation", 3)
        metres = metres or METRES.get(str(value.get("unit")))
        if metres is None and translation.any():
            units = ", ".join(METRES)
            raise InputError(f"{fields.path}: {fields.where}: its unit of length is unknown; state it ({units})")
    lens = "fisheye" if value.get("fisheye_model") else "pinhole"
    matrix, distortion = fields.numbers("camera_matrix", 3, 3), fields.numbers("distortion_coefficients", None)
    size = fields.size("cameraResolution")
    return fields.camera(
        str(value.get("name") or name), matrix, distortion, rotation, translation * (metres or 1), size, lens
    )


def read_openpose(value: dict[str, Any], path: str, name: str, metres: float | None) -> list[Camera]:
    """Return OpenPose's camera, named after its file. Raises InputError."""
    fields = CameraFields(value, path, "OpenPose camera")
    placed = fields.numbers("CameraMatrix", 3, 4)
    distortion = fields.numbers("Distortion", None)
    translation = placed[:, 3] * (metres or OPENPOSE_METRES)
    return [fields.camera(name, fields.numbers("Intrinsics", 3, 3), distortion, placed[:, :3], translation, None)]


def write(cameras: Cameras, suffix: str) -> bytes:
    """Return the content of a `.xml` or `.yml` file with the cameras, metres."""
    storage = cv2.FileStorage(suffix, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    storage.startWriteStruct("cameras", cv2.FILE_NODE_SEQ)
    for camera in cameras:
        storage.startWriteStruct("", cv2.FILE_NODE_MAP)
        storage.write("name", camera.name)
        if camera.size is not None:
            storage.write("image_width", camera.size[0])
            storage.write("image_height", camera.size[1])
        storage.write("fisheye_model", int(camera.lens == "fisheye"))
        storage.write("camera_matrix", camera.matrix)
        storage.write(
            "distortion_coefficients", camera.distortion[:, None] if len(camera.distortion) else np.zeros((5, 1))
        )
        storage.write("rotation", camera.rotation)
        storage.write("translation", camera.translation[:, None])
        storage.write("unit", "m")
        storage.endWriteStruct()
    storage.endWriteStruct()
    return storage.releaseAndGetString().encode()


def write_openpose(camera: Camera) -> bytes:
    """Return the content of one camera's XML. Raises InputError if it has more than eight coefficients."""
    storage = cv2.FileStorage(".xml", cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    storage.write("CameraMatrix", np.concatenate([camera.rotation, camera.translation[:, None]], axis=1))
    storage.write("Intrinsics", camera.matrix)
    storage.write("Distortion", brown(camera, 8, "OpenPose's file")[:, None])
    return storage.releaseAndGetString().encode()

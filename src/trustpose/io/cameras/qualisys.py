"""Qualisys Track Manager's calibration, `.qca.txt`, which is XML.

Format: Qualisys' documentation of its camera model, and what reprojects the people of Pose2Sim's demonstration (a test
shows it). Focal lengths and principal points are in 1/64 pixel of the sensor, of which the video shows the part from
`left`, `top`. The transform's columns are the camera's axes in the world, with y up and z backwards: OpenCV's rotation
is diag(1, -1, -1) R with R as printed by rows r11 r12 r13 …, and x, y, z is the camera's position, millimetres.
"""

from dataclasses import dataclass
from typing import Annotated
from xml.etree import ElementTree

import numpy as np

from trustpose.files import InputError
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.cameras.values import brown, intrinsic
from trustpose.json_records import OpenRecord, Shape, naming, read_record

METRES = 0.001
_TURN = np.diag([1.0, -1.0, -1.0])  # from y up, z backwards to y down, z forwards
_SUBPIXELS = 64
_DISTORTION = tuple(
    f"{kind}Distortion{n}"
    for kind, n in zip(("radial", "radial", "tangental", "tangental", "radial"), (1, 2, 1, 2, 3), strict=True)
)
_CELLS = tuple(f"r{row}{column}" for row in (1, 2, 3) for column in (1, 2, 3))
_Number = Annotated[np.ndarray, Shape()]  # a text in the XML


@dataclass(frozen=True, eq=False)
class _Camera(OpenRecord):
    """The attributes of a camera's <intrinsic>, <transform> and <fov_video>."""

    left: _Number
    top: _Number
    right: _Number
    bottom: _Number
    focalLengthU: _Number
    focalLengthV: _Number
    centerPointU: _Number
    centerPointV: _Number
    r11: _Number
    r12: _Number
    r13: _Number
    r21: _Number
    r22: _Number
    r23: _Number
    r31: _Number
    r32: _Number
    r33: _Number
    x: _Number
    y: _Number
    z: _Number
    skew: _Number | float = 0.0
    radialDistortion1: _Number | float = 0.0
    radialDistortion2: _Number | float = 0.0
    radialDistortion3: _Number | float = 0.0
    tangentalDistortion1: _Number | float = 0.0
    tangentalDistortion2: _Number | float = 0.0


def read(root: ElementTree.Element, path: str, metres: float | None) -> list[Camera]:
    """Return the cameras of the XML's root; those without intrinsics, which record markers only, are left out."""
    cameras = []
    for number, element in enumerate(root.iterfind("cameras/camera")):
        if element.find("intrinsic") is not None:
            cameras.append(_camera(element, path, f"camera {element.get('serial') or number}", metres or METRES))
    return cameras


def _camera(element: ElementTree.Element, path: str, label: str, metres: float) -> Camera:
    parts = {name: element.find(name) for name in ("intrinsic", "transform", "fov_video")}
    missing = [name for name, part in parts.items() if part is None]
    if missing:
        raise InputError(f"{path}: {label}: <{missing[0]}> is missing")
    content = {name: text for part in parts.values() if part is not None for name, text in part.items()}
    camera = read_record(_Camera, content, path, label)
    focal = np.array([camera.focalLengthU, camera.focalLengthV]) / _SUBPIXELS
    centre = np.array([camera.centerPointU, camera.centerPointV]) / _SUBPIXELS - (camera.left, camera.top)
    rotation = _TURN @ np.array([getattr(camera, cell) for cell in _CELLS]).reshape(3, 3)
    translation = -rotation @ np.array([camera.x, camera.y, camera.z]) * metres
    distortion = np.array([getattr(camera, name) for name in _DISTORTION])
    size = (round(float(camera.right - camera.left + 1)), round(float(camera.bottom - camera.top + 1)))
    matrix = intrinsic(focal, centre, float(camera.skew) / _SUBPIXELS)
    with naming(path):
        return Camera(element.get("serial") or label, matrix, distortion, rotation, translation, size)


def write(cameras: Cameras) -> bytes:
    """Return the file's content. Raises InputError for a camera without size, or whose lens the format cannot hold."""
    root = ElementTree.Element("calibration", {"type": "regular", "source": "trustpose"})
    listed = ElementTree.SubElement(root, "cameras")
    for camera in cameras:
        if camera.size is None:
            raise InputError(f"camera {camera.name!r}: size: unknown, Qualisys' file needs it")
        width, height = camera.size
        element = ElementTree.SubElement(listed, "camera", {"active": "1", "model": "none", "serial": camera.name})
        ElementTree.SubElement(
            element, "fov_video", {"left": "0", "top": "0", "right": str(width - 1), "bottom": str(height - 1)}
        )
        turned, position = _TURN @ camera.rotation, camera.centre / METRES
        cells = dict(zip(_CELLS, turned.ravel().tolist(), strict=True)) | dict(
            zip("xyz", position.tolist(), strict=True)
        )
        ElementTree.SubElement(element, "transform", {key: repr(value) for key, value in cells.items()})
        matrix = camera.matrix * _SUBPIXELS
        values = dict(zip(_DISTORTION, brown(camera, 5, "Qualisys' file").tolist(), strict=True)) | {
            "focalLengthU": float(matrix[0, 0]),
            "focalLengthV": float(matrix[1, 1]),
            "centerPointU": float(matrix[0, 2]),
            "centerPointV": float(matrix[1, 2]),
            "skew": float(matrix[0, 1]),
            "sensorMinU": 0.0,
            "sensorMinV": 0.0,
            "sensorMaxU": float((width - 1) * _SUBPIXELS),
            "sensorMaxV": float((height - 1) * _SUBPIXELS),
        }
        ElementTree.SubElement(element, "intrinsic", {key: repr(value) for key, value in values.items()})
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="UTF-8", xml_declaration=True)

"""Qualisys Track Manager's calibration, `.qca.txt`, which is XML.

Format: Qualisys' documentation of its camera model, and what reprojects the people of Pose2Sim's demonstration (a test
shows it). Focal lengths and principal points are in 1/64 pixel of the sensor, of which the video shows the part from
`left`, `top`. The transform's columns are the camera's axes in the world, with y up and z backwards: OpenCV's rotation
is diag(1, -1, -1) R with R as printed by rows r11 r12 r13 …, and x, y, z is the camera's position, millimetres.
"""

from xml.etree import ElementTree

import numpy as np

from trustpose.files import InputError
from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.cameras.values import CameraFields, brown, intrinsic

METRES = 0.001
_TURN = np.diag([1.0, -1.0, -1.0])  # from y up, z backwards to y down, z forwards
_SUBPIXELS = 64
_DISTORTION = tuple(
    f"{kind}Distortion{n}"
    for kind, n in zip(("radial", "radial", "tangental", "tangental", "radial"), (1, 2, 1, 2, 3), strict=True)
)
_CELLS = tuple(f"r{row}{column}" for row in (1, 2, 3) for column in (1, 2, 3))


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
    fields = CameraFields({k: v for part in parts.values() if part is not None for k, v in part.items()}, path, label)
    left, top, right, bottom = (fields.number(side) for side in ("left", "top", "right", "bottom"))
    focal = np.array([fields.number("focalLengthU"), fields.number("focalLengthV")]) / _SUBPIXELS
    centre = np.array([fields.number("centerPointU"), fields.number("centerPointV")]) / _SUBPIXELS - (left, top)
    skew = fields.number("skew") if "skew" in fields.value else 0.0
    distortion = np.array([fields.number(name) if name in fields.value else 0.0 for name in _DISTORTION])
    turned = np.array([fields.number(cell) for cell in _CELLS]).reshape(3, 3)
    rotation = _TURN @ turned
    position = np.array([fields.number(axis) for axis in "xyz"]) * metres
    size = (round(right - left + 1), round(bottom - top + 1))
    matrix = intrinsic(focal, centre, skew / _SUBPIXELS)
    return fields.camera(element.get("serial") or label, matrix, distortion, rotation, -rotation @ position, size)


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

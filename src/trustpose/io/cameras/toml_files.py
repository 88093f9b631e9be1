"""The TOML of anipose, which Pose2Sim and FreeMoCap took over: one table per camera, and `metadata`.

Format: aniposelib (BSD-2-Clause), `CameraGroup.dump`; Pose2Sim (BSD-3-Clause), `toml_write`. A camera has `name`,
`size` (width, height), `matrix`, `distortions` (OpenCV's; four of a fisheye lens), `rotation` (a rotation vector, from
the world to the camera) and `translation`. Its unit is the metre in Pose2Sim, the millimetre in FreeMoCap, and that of
the calibration board in anipose: unknown.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.io.cameras.values import Matrix, Vector, Vector2, Vector3, image_size, rotation_of, vector_of
from trustpose.json_records import OpenRecord, naming, read_record

METRES = {"pose2sim": 1.0, "freemocap": 0.001, "anipose": None}
_FREEMOCAP = ("charuco_square_size", "charuco_board_object", "path_to_recorded_videos")
_OTHERS = ("metadata", "capture_volume", "charuco", "checkerboard")  # tables that are no cameras


@dataclass(frozen=True, eq=False)
class _Camera(OpenRecord):
    matrix: Matrix
    distortions: Vector
    rotation: Vector3
    translation: Vector3
    name: Any = None
    size: Vector2 | None = None
    fisheye: bool = False


def kind_of(value: dict[str, Any]) -> str | None:
    """Return which tool wrote the file; None if it holds no cameras. Only Pose2Sim writes `fisheye = false`."""
    cameras = _cameras(value)
    if not cameras or not all("distortions" in camera and "matrix" in camera for camera in cameras.values()):
        return None
    metadata = value.get("metadata")
    if isinstance(metadata, dict) and any(key in metadata for key in _FREEMOCAP):
        return "freemocap"
    return "pose2sim" if any(camera.get("fisheye") is False for camera in cameras.values()) else "anipose"


def _cameras(value: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {key: table for key, table in value.items() if isinstance(table, dict) and key not in _OTHERS}


def read(value: dict[str, Any], path: str, metres: float) -> list[Camera]:
    """Return the cameras, whose translations are in units of `metres`. Raises InputError."""
    return [_camera(table, key, path, metres) for key, table in _cameras(value).items()]


def _camera(table: dict[str, Any], key: str, path: str, metres: float) -> Camera:
    camera = read_record(_Camera, table, path, key)
    with naming(path, key):
        return Camera(
            name=str(key if camera.name is None else camera.name),
            matrix=camera.matrix,
            distortion=camera.distortions,
            rotation=rotation_of(camera.rotation),
            translation=camera.translation * metres,
            size=image_size(camera.size, "size"),
            lens="fisheye" if camera.fisheye else "pinhole",
        )


def write(cameras: Cameras, kind: str, metres: float) -> bytes:
    """Return the file's content in `kind`'s way, with translations in units of `metres`."""
    digits = len(str(len(cameras) - 1))  # aniposelib sorts the tables by name
    tables = []
    for number, camera in enumerate(cameras):
        key = camera.name if kind == "pose2sim" else f"cam_{number:0{digits}d}"
        distortion = camera.distortion if len(camera.distortion) else np.zeros(5)
        lines = [f"[{json.dumps(key)}]" if not _is_bare(key) else f"[{key}]", f"name = {json.dumps(camera.name)}"]
        if camera.size is not None:
            lines.append(f"size = {list(camera.size)}")
        lines += [
            f"matrix = {camera.matrix.tolist()}",
            f"distortions = {distortion.tolist()}",
            f"rotation = {vector_of(camera.rotation).tolist()}",
            f"translation = {(camera.translation / metres).tolist()}",
        ]
        if kind == "pose2sim" or camera.lens == "fisheye":
            lines.append(f"fisheye = {json.dumps(camera.lens == 'fisheye')}")
        tables.append("\n".join(lines) + "\n")
    metadata = {"pose2sim": "adjusted = false\nerror = 0.0\n", "freemocap": 'charuco_board_object = ""\n'}.get(kind, "")
    return "\n".join([*tables, f"[metadata]\n{metadata}"]).encode()


def _is_bare(key: str) -> bool:
    return bool(key) and all(c.isascii() and (c.isalnum() or c in "-_") for c in key)

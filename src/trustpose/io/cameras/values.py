"""The numbers of one camera, checked while they are read: every error names the file, the camera and the field."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from trustpose.files import InputError
from trustpose.geometry.cameras import Camera, Lens
from trustpose.io.columns import LARGEST
from trustpose.json_records import short

_NUMBERS = 10_000  # no field of a camera is longer


class CameraFields:
    """The fields of one camera in a file; `name` and `label` are for messages."""

    def __init__(self, value: Any, path: str, label: str) -> None:
        if not isinstance(value, Mapping):
            raise InputError(f"{path}: {label}: expected a camera's fields, got {short(value)}")
        self.value, self.path, self.where = value, path, label

    def fail(self, field: str, expected: str, got: Any) -> InputError:
        return InputError(f"{self.path}: {self.where}: field '{field}': expected {expected}, got {short(got)}")

    def _take(self, field: str, expected: str) -> Any:
        if field not in self.value:
            raise InputError(f"{self.path}: {self.where}: field '{field}' is missing, expected {expected}")
        return self.value[field]

    def text(self, field: str) -> str:
        value = self._take(field, "a text")
        if not isinstance(value, str) or not value:
            raise self.fail(field, "a text", value)
        return value

    def numbers(self, field: str, *shape: int | None) -> Float[np.ndarray, "..."]:
        """Return numbers of a shape, at most 1e12, None for any length; nested lists may be flat or a column."""
        sides = " × ".join("any number of" if side is None else str(side) for side in shape)
        expected = f"{sides} numbers"
        value = self._take(field, expected)
        try:
            array = np.asarray(value, dtype=np.float64)
        except (TypeError, ValueError, OverflowError):
            raise self.fail(field, expected, value) from None
        if not array.size <= _NUMBERS or not (np.abs(array) <= LARGEST).all():
            raise self.fail(field, expected, value)
        if None in shape:
            return array.ravel()
        if array.size != np.prod(np.array(shape)):
            raise self.fail(field, expected, value)
        return array.reshape([side for side in shape if side is not None])

    def number(self, field: str) -> float:
        return float(self.numbers(field, 1)[0])

    def size(self, field: str) -> tuple[int, int] | None:
        """Return the width and height in pixels; None if the field is missing or null, as some tools write it."""
        if self.value.get(field) is None:
            return None
        width, height = self.numbers(field, 2)
        if width % 1 or height % 1 or min(width, height) < 1:
            raise self.fail(field, "a width and a height in whole pixels", self.value[field])
        return int(width), int(height)

    def camera(
        self,
        name: str,
        matrix: np.ndarray,
        distortion: np.ndarray,
        rotation: np.ndarray,
        translation: np.ndarray,
        size: tuple[int, int] | None,
        lens: Lens = "pinhole",
    ) -> Camera:
        """Return the camera. Raises InputError naming the file if its fields do not make one."""
        try:
            return Camera(name, matrix, distortion, rotation, translation, size, lens)
        except ValueError as error:
            raise InputError(f"{self.path}: {error}") from None


def rotation_of(vector: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """Return the rotation matrix of a rotation vector (3,), radians along its axis, as OpenCV's `Rodrigues`."""
    return Rotation.from_rotvec(vector).as_matrix()


def vector_of(rotation: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, " 3"]:
    """Return the rotation vector (3,) of a rotation matrix, radians."""
    return Rotation.from_matrix(rotation).as_rotvec()


def intrinsic(focal: np.ndarray, centre: np.ndarray, skew: float = 0.0) -> Float[np.ndarray, "3 3"]:
    """Return the camera matrix of two focal lengths and a principal point, pixels."""
    return np.array([[focal[0], skew, centre[0]], [0, focal[1], centre[1]], [0, 0, 1]], dtype=np.float64)


def brown(camera: Camera, count: int, of: str) -> Float[np.ndarray, " D"]:
    """Return exactly `count` of OpenCV's coefficients, zeros added. Raises InputError if the camera has more, or a
    fisheye lens, which the format cannot hold."""
    used = np.trim_zeros(camera.distortion, "b")
    if camera.lens != "pinhole":
        raise InputError(f"camera {camera.name!r}: lens: {of} holds no fisheye lens")
    if len(used) > count:
        raise InputError(f"camera {camera.name!r}: distortion: {of} holds {count} coefficients, this has {len(used)}")
    return np.pad(used, (0, count - len(used)))

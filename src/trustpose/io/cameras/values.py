"""What files of cameras declare: arrays of numbers, image sizes, rotations, lenses."""

from typing import Annotated

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from trustpose.files import InputError
from trustpose.geometry.cameras import Camera
from trustpose.json_records import Shape

Matrix = Annotated[np.ndarray, Shape(3, 3)]
Vector = Annotated[np.ndarray, Shape(None)]
Vector2 = Annotated[np.ndarray, Shape(2)]
Vector3 = Annotated[np.ndarray, Shape(3)]


def image_size(numbers: Float[np.ndarray, " 2"] | None, field: str) -> tuple[int, int] | None:
    """Return the width and height in pixels, None if unknown. Raises ValueError naming the `field`."""
    if numbers is None:
        return None
    width, height = numbers
    if width % 1 or height % 1 or min(width, height) < 1:
        raise ValueError(f"{field}: expected a width and a height in whole pixels, got {numbers.tolist()}")
    return int(width), int(height)


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

"""Points seen by a camera and the derivatives of their pixels, for least squares: OpenCV's models and Jacobians.

The parameters of a lens are a vector (4 + D,): focal lengths x and y, principal point x and y, all in pixels, then the
D coefficients of `Camera.distortion`.
"""

import cv2
import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Lens


def matrix_of(lens: Float[np.ndarray, " L"]) -> Float[np.ndarray, "3 3"]:
    """Return the camera matrix (3, 3) of a lens."""
    return np.array([[lens[0], 0, lens[2]], [0, lens[1], lens[3]], [0, 0, 1]])


def project(
    kind: Lens, lens: Float[np.ndarray, " L"], pose: Float[np.ndarray, " 6"], xyz: Float[np.ndarray, "N 3"]
) -> tuple[
    Float[np.ndarray, "N 2"], Float[np.ndarray, "N 2 L"], Float[np.ndarray, "N 2 6"], Float[np.ndarray, "N 2 3"]
]:
    """Return the pixels (N, 2) of points (N, 3), and their derivatives by `lens`, `pose` and the points.

    `pose` (6,) is the rotation vector and the translation into the camera's frame. Points behind the camera are
    mirrored, as OpenCV leaves them: least squares moves them back in front.
    """
    matrix, coefficients = matrix_of(lens), lens[4:]
    if kind == "fisheye":
        pixels, by = cv2.fisheye.projectPoints(xyz[:, None], pose[:3], pose[3:], matrix, coefficients)
        by_turn, by_shift = by[:, 8:11], by[:, 11:14]
        by_lens = by[:, :8]
    else:
        pixels, by = cv2.projectPoints(xyz, pose[:3], pose[3:], matrix, coefficients)
        by_turn, by_shift = by[:, :3], by[:, 3:6]
        by_lens = by[:, 6 : 6 + len(lens)]
    by_point = by_shift @ cv2.Rodrigues(pose[:3])[0]  # as xyz_camera = rotation @ xyz + translation
    by_pose = np.concatenate([by_turn, by_shift], axis=1)
    count = len(xyz)
    return (
        pixels.reshape(count, 2),
        by_lens.reshape(count, 2, -1),
        by_pose.reshape(count, 2, 6),
        by_point.reshape(count, 2, 3),
    )

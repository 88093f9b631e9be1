"""Find a camera's pose from points with known positions that it sees: a board, or measured points of a scene."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Camera
from trustpose.multiview.intrinsics import board_pose, rotation_matrix


@dataclass(frozen=True, eq=False)
class PlacedByPoints:
    """A placed `camera`, and each point's reprojection error `errors` (N,), pixels; NaN for one that it does not
    see."""

    camera: Camera
    errors: Float[np.ndarray, " N"]

    @property
    def error(self) -> float:
        """The root mean square of the errors, pixels."""
        return float(np.sqrt(np.nanmean(self.errors**2)))


def place_by_points(camera: Camera, xyz: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"]) -> PlacedByPoints:
    """Return the camera where it sees points (N, 3) of the world, metres, at those pixels (N, 2); NaN: unseen.

    Raises ValueError naming the camera if it sees fewer than 4 points (of a plane; else 6), or no pose fits.
    """
    seen = np.isfinite(pixels).all(axis=1)
    flat = seen.sum() > 3 and np.linalg.matrix_rank(xyz[seen] - xyz[seen].mean(axis=0), tol=1e-9) < 3
    fewest = 4 if flat else 6
    if seen.sum() < fewest:
        raise ValueError(f"camera {camera.name!r}: sees {seen.sum()} of the points, {fewest} are needed")
    try:
        pose = board_pose(camera, xyz[seen], pixels[seen])
    except ValueError as error:
        raise ValueError(f"camera {camera.name!r}: {error}") from None
    placed = camera.placed(rotation_matrix(pose[:3]), pose[3:])
    return PlacedByPoints(placed, np.linalg.norm(placed.project(xyz) - pixels, axis=1))

"""Intrinsics from photos of a board: OpenCV's calibration, then least squares with a mild prior, without bad photos.

Zhang's method (2000), as OpenCV's `calibrateCamera` and `fisheye.calibrate` do it, gives the start. A few photos of a
board leave some parameters almost free: the principal point, and the higher coefficients of the lens. The prior keeps
them where lenses are: the principal point near the image's centre, square pixels, small coefficients. A corner's error
is taken as `noise` pixels, more than the corners' scatter, since the principal point is shifted not by scatter but by a
board that is not quite flat, or that was held in one part of the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from trustpose.geometry.cameras import Camera, Lens
from trustpose.multiview.boards import Board
from trustpose.multiview.lens_fit import LensFit, Prior
from trustpose.multiview.lenses import matrix_of, project

DEFAULT_PRIOR = Prior()
_FEWEST = 3  # photos
_OUTLIER = 3.0  # times the other photos' median error
_BLUR = 0.3  # pixels by which an outlier is above it at least


@dataclass(frozen=True, eq=False)
class Intrinsics:
    """A calibrated lens. `camera` stands at the origin; `std` (4 + D,) are the standard deviations of focal lengths,
    principal point (pixels) and coefficients, `rotations` (P, 3) and `translations` (P, 3) the board's pose in each
    photo (rotation vector; metres), `errors` (P,) the root mean square distance of its
    corners in pixels, `residuals` (P, N, 2) each corner's, and `is_used` (P,) which photos were calibrated from.
    """

    camera: Camera
    std: Float[np.ndarray, " L"]
    rotations: Float[np.ndarray, "P 3"]
    translations: Float[np.ndarray, "P 3"]
    errors: Float[np.ndarray, " P"]
    residuals: Float[np.ndarray, "P N 2"]
    is_used: Bool[np.ndarray, " P"]

    @property
    def error(self) -> float:
        """The root mean square distance of the used photos' corners, pixels."""
        distance = np.linalg.norm(self.residuals[self.is_used], axis=2)
        return float(np.sqrt(np.nanmean(distance**2)))


def calibrate(
    corners: Sequence[Float[np.ndarray, "N 2"]],
    board: Board,
    size: tuple[int, int],
    *,
    name: str = "camera",
    lens: Lens = "pinhole",
    coefficients: int = 5,
    prior: Prior | None = DEFAULT_PRIOR,
) -> Intrinsics:
    """Return the intrinsics of the camera that took photos with these corners (P of (N, 2), image pixels, NaN where a
    corner is not seen). `size` is the photos' width and height, pixels.

    `lens` "pinhole" has 5, 8 or 14 `coefficients` (OpenCV's k1, k2, p1, p2, k3, then the rational, thin-prism and
    tilted terms), "fisheye" 4. Photos whose error stands out are dropped, one after the other. Without a `prior` the
    result is OpenCV's. Raises ValueError if fewer than three photos are left, or OpenCV finds no solution.
    """
    allowed = (4,) if lens == "fisheye" else (5, 8, 14)
    if coefficients not in allowed:
        raise ValueError(f"coefficients: expected {' or '.join(map(str, allowed))} ({lens}), got {coefficients}")
    is_used = np.ones(len(corners), dtype=bool)
    while True:
        if is_used.sum() < _FEWEST:
            raise ValueError(f"expected at least {_FEWEST} photos of the board, got {is_used.sum()}")
        fit = LensFit(
            board.points,
            [photo_corners for photo_corners, used in zip(corners, is_used, strict=True) if used],
            size,
            lens,
            prior,
        )
        fitted = fit.solve(coefficients)
        errors = fit.errors(fitted)
        worst = int(np.argmax(errors))
        rest = float(np.median(np.delete(errors, worst)))
        if len(errors) <= _FEWEST or errors[worst] <= max(_OUTLIER * rest, rest + _BLUR):
            return _result(fit, fitted, corners, board, is_used, name)
        is_used[np.flatnonzero(is_used)[worst]] = False


def _result(
    fit: LensFit,
    fitted: tuple[np.ndarray, np.ndarray],
    corners: Sequence[Float[np.ndarray, "N 2"]],
    board: Board,
    is_used: Bool[np.ndarray, " P"],
    name: str,
) -> Intrinsics:
    x, jacobian = fitted
    lens = x[: fit.length]
    camera = Camera(name, matrix_of(lens), lens[4:], np.eye(3), np.zeros(3), fit.size, fit.lens)
    scatter = 1.0  # the prior states the noise
    if fit.prior is None:
        off = np.concatenate([residuals_of_photo.ravel() for residuals_of_photo in fit.off(x)])
        scatter = (off**2).sum() / max(1, len(off) - len(x))
    std = np.sqrt(np.diag(np.linalg.pinv(jacobian.T @ jacobian)) * scatter)[: fit.length]
    poses = np.full((len(corners), 6), np.nan)
    poses[is_used] = x[fit.length :].reshape(-1, 6)
    residuals = np.full((len(corners), len(board.points), 2), np.nan)
    for photo, seen in enumerate(corners):
        is_seen = np.isfinite(seen).all(axis=1)
        if not is_used[photo]:
            poses[photo] = board_pose(camera, board.points[is_seen], seen[is_seen])
        residuals[photo, is_seen] = seen[is_seen] - project(fit.lens, lens, poses[photo], board.points[is_seen])[0]
    errors = np.sqrt(np.nanmean((residuals**2).sum(axis=2), axis=1))
    return Intrinsics(camera, std, poses[:, :3], poses[:, 3:], errors, residuals, is_used)


def board_pose(
    camera: Camera, points: Float[np.ndarray, "N 3"], pixels: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, " 6"]:
    """Return the pose (6,) from the frame of known points (N, 3), metres, into the camera's: rotation vector and
    translation, by OpenCV's `solvePnP` on ideal pixels. N is at least 4, or 6 if the points are not in a plane.

    Raises ValueError if OpenCV finds none.
    """
    ideal = camera.undistort(pixels)
    # IPPE wants the plane z = 0, so that other planes are left to SQPNP, which takes any points
    is_flat = (
        not points[:, 2].any()
        and np.linalg.matrix_rank(points - points.mean(axis=0), tol=1e-6 * np.abs(points).max()) < 3
    )
    method = cv2.SOLVEPNP_IPPE if is_flat else cv2.SOLVEPNP_SQPNP
    none = np.zeros(5)
    is_found, turn, shift = cv2.solvePnP(points[:, None], ideal[:, None], camera.matrix, none, flags=method)
    if not is_found:
        raise ValueError("OpenCV finds no pose from which the points are seen so")
    turn, shift = cv2.solvePnPRefineLM(points[:, None], ideal[:, None], camera.matrix, none, turn, shift)
    return np.concatenate([turn.ravel(), shift.ravel()])


def rotation_matrix(turn: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "3 3"]:
    """Return the rotation matrix of a rotation vector, radians."""
    return cv2.Rodrigues(turn)[0]


def coverage(corners: Sequence[Float[np.ndarray, "N 2"]], size: tuple[int, int], cells: int = 10) -> float:
    """Return the share of the image's cells (`cells` × `cells`) in which a corner was seen, 0 to 1."""
    xy = np.concatenate([*corners, np.full((1, 2), np.nan)])
    xy = xy[np.isfinite(xy).all(axis=1)]
    cell = np.clip(((xy + 0.5) / size * cells).astype(int), 0, cells - 1)
    return len(np.unique(cell[:, 0] * cells + cell[:, 1])) / cells**2

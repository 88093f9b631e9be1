"""Intrinsics from photos of a board: OpenCV's calibration, then least squares with a mild prior, without bad photos.

Zhang's method (2000), as OpenCV's `calibrateCamera` and `fisheye.calibrate` do it, gives the start. A few photos of a
board leave some parameters almost free: the principal point, and the higher coefficients of the lens. The prior keeps
them where lenses are: the principal point near the image's centre, square pixels, small coefficients. A corner's
error is taken as `noise` pixels, more than the corners' scatter, since the principal point is shifted not by scatter
but by a board that is not quite flat, or that was held in one part of the image.

Points seen by a camera and the derivatives of their pixels, for least squares: OpenCV's models and Jacobians. The
parameters of a lens are a vector (4 + D,): focal lengths x and y, principal point x and y, all in pixels, then the D
coefficients of `Camera.distortion`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import least_squares

from trustpose.geometry.cameras import Camera, Lens
from trustpose.multiview.boards import Board


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


@dataclass(frozen=True)
class Prior:
    """The prior on a lens: standard deviations.

    `centre` is that of the principal point around the image's centre, as a share of the image's longer side, `aspect`
    that of the ratio of the focal lengths around 1, `radial` and `tangential` those of coefficients around 0, and
    `noise` the pixels that a corner may be off. The values are about the root mean squares of the Panoptic Studio's
    HD and Kinect cameras (https://trustpose.github.io/trustpose/benchmarks/cameras.html).
    """

    centre: float = 0.01
    aspect: float = 0.001
    radial: float = 0.3
    tangential: float = 0.001
    noise: float = 1.0


class LensFit:
    """The least squares problem of some photos: parameters are the lens (4 + D,), then each photo's pose (6,)."""

    def __init__(
        self,
        points: Float[np.ndarray, "N 3"],
        corners: Sequence[Float[np.ndarray, "N 2"]],
        size: tuple[int, int],
        lens: Lens,
        prior: Prior | None,
    ) -> None:
        self.lens: Lens = lens
        self.size, self.prior = size, prior
        seen = [np.isfinite(photo_corners).all(axis=1) for photo_corners in corners]
        self.points = [points[is_seen] for is_seen in seen]
        self.corners = [photo_corners[is_seen] for photo_corners, is_seen in zip(corners, seen, strict=True)]

    def start(self, count: int) -> Float[np.ndarray, " X"]:
        """Return OpenCV's calibration with few free parameters, near enough for least squares to converge."""
        side = max(self.size)
        matrix = np.array([[side, 0, (self.size[0] - 1) / 2], [0, side, (self.size[1] - 1) / 2], [0, 0, 1]])
        try:
            if self.lens == "fisheye":
                points = [photo_points[None].astype(np.float64) for photo_points in self.points]
                corners = [photo_corners[None].astype(np.float64) for photo_corners in self.corners]
                flags = _fisheye_flag("CALIB_RECOMPUTE_EXTRINSIC") | _fisheye_flag("CALIB_FIX_SKEW")
                flags |= _fisheye_flag("CALIB_USE_INTRINSIC_GUESS")
                matrix[[0, 1], [0, 1]] = side / np.pi  # half a turn across the image
                _, matrix, distortion, turns, shifts = cv2.fisheye.calibrate(
                    points, corners, self.size, matrix, np.zeros(4), flags=flags
                )
            else:
                points = [photo_points[:, None].astype(np.float32) for photo_points in self.points]
                corners = [photo_corners[:, None].astype(np.float32) for photo_corners in self.corners]
                flags = cv2.CALIB_USE_INTRINSIC_GUESS | cv2.CALIB_FIX_PRINCIPAL_POINT | cv2.CALIB_FIX_ASPECT_RATIO
                flags |= cv2.CALIB_ZERO_TANGENT_DIST | cv2.CALIB_FIX_K3
                _, matrix, distortion, turns, shifts = cv2.calibrateCamera(
                    points, corners, self.size, matrix, np.zeros(5), flags=flags
                )
        except cv2.error as error:
            raise ValueError(f"OpenCV finds no solution ({str(error).splitlines()[0][:120]})") from None
        coefficients = np.zeros(count)
        coefficients[: min(count, distortion.size)] = distortion.ravel()[:count]
        focal = [matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]]
        poses = [np.concatenate([turn.ravel(), shift.ravel()]) for turn, shift in zip(turns, shifts, strict=True)]
        return np.concatenate([focal, coefficients, *poses])

    def solve(self, count: int) -> tuple[Float[np.ndarray, " X"], Float[np.ndarray, "M X"]]:
        """Return the parameters that fit best, and the residuals' Jacobian there."""
        first = self.start(count)
        self.length = 4 + count
        jacobian: Any = lambda x: self.system(x)[1]  # noqa: E731 - SciPy's types know only its names
        solution = least_squares(lambda x: self.system(x)[0], first, jac=jacobian, x_scale="jac", max_nfev=200)
        return solution.x, self.system(solution.x)[1]

    def system(self, x: Float[np.ndarray, " X"]) -> tuple[Float[np.ndarray, " M"], Float[np.ndarray, "M X"]]:
        """Return the residuals (M,) and their derivatives (M, X), in corners' noise; the prior's rows come last."""
        noise = 1.0 if self.prior is None else self.prior.noise
        residuals, rows = [], []
        for photo, (points, corners) in enumerate(zip(self.points, self.corners, strict=True)):
            start = self.length + 6 * photo
            pixels, by_lens, by_pose, _ = project(self.lens, x[: self.length], x[start : start + 6], points)
            part = np.zeros((2 * len(points), len(x)))
            part[:, : self.length] = by_lens.reshape(-1, self.length)
            part[:, start : start + 6] = by_pose.reshape(-1, 6)
            residuals.append((pixels - corners).ravel() / noise)
            rows.append(part / noise)
        if self.prior is not None:
            values, derivatives = self._prior_rows(self.prior, x)
            residuals.append(values)
            rows.append(derivatives)
        return np.concatenate(residuals), np.concatenate(rows)

    def _prior_rows(
        self, prior: Prior, x: Float[np.ndarray, " X"]
    ) -> tuple[Float[np.ndarray, " R"], Float[np.ndarray, "R X"]]:
        rows = np.zeros((self.length - 1, len(x)))
        centre = (np.array(self.size) - 1) / 2
        std = np.full(self.length - 4, prior.radial)
        if self.lens == "pinhole":
            std[2:4] = prior.tangential
        values = np.concatenate(
            [
                (x[2:4] - centre) / (prior.centre * max(self.size)),
                [(x[1] / x[0] - 1) / prior.aspect],
                x[4 : self.length] / std,
            ]
        )
        rows[[0, 1], [2, 3]] = 1 / (prior.centre * max(self.size))
        rows[2, :2] = np.array([-x[1] / x[0] ** 2, 1 / x[0]]) / prior.aspect
        rows[np.arange(3, self.length - 1), np.arange(4, self.length)] = 1 / std
        return values, rows

    def errors(self, fitted: tuple[np.ndarray, np.ndarray]) -> Float[np.ndarray, " P"]:
        """Return each photo's root mean square distance, pixels."""
        return np.array([np.sqrt((off**2).sum(axis=1).mean()) for off in self.off(fitted[0])])

    def off(self, x: Float[np.ndarray, " X"]) -> list[Float[np.ndarray, "N 2"]]:
        """Return each photo's residuals, pixels."""
        parts = []
        for photo, (points, corners) in enumerate(zip(self.points, self.corners, strict=True)):
            start = self.length + 6 * photo
            parts.append(corners - project(self.lens, x[: self.length], x[start : start + 6], points)[0])
        return parts


def _fisheye_flag(name: str) -> int:
    """Return a flag of `fisheye.calibrate`, which is in `cv2.fisheye` in OpenCV 4, and in `cv2` in OpenCV 5."""
    return getattr(cv2.fisheye if hasattr(cv2.fisheye, name) else cv2, name)


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

"""The least squares problem of a lens: photos of known points, and a weak prior on its parameters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from trustpose.geometry.cameras import Lens
from trustpose.multiview.lenses import project


@dataclass(frozen=True)
class Prior:
    """The prior on a lens: standard deviations.

    `centre` is that of the principal point around the image's centre, as a share of the image's longer side, `aspect`
    that of the ratio of the focal lengths around 1, `radial` and `tangential` those of coefficients around 0, and
    `noise` the pixels that a corner may be off. The values are about the root mean squares of the Panoptic Studio's
    HD and Kinect cameras (docs/benchmarks/cameras.md).
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

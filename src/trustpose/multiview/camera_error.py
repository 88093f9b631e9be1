"""The cameras' own error in pixels, estimated from the poses of a trial.

An estimator's expected error does not include that of a camera that was moved or calibrated imprecisely, of frames that
are not quite of the same moment, or of a joint that appears elsewhere from behind. Such an error stays the same
for whole seconds and all people, and adds to each view's variance. It is the s that makes the reprojection errors of
all points, in units of √(σ² + s²), as large as a Gaussian's, by their median, which gross errors hardly change.
"""

import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Cameras
from trustpose.multiview.triangulation import triangulate_points
from trustpose.poses import ExpectedError

_MAX_POINTS = 20_000  # points that are used, spread over the trial
_LARGEST = 500.0  # pixels
_MEDIAN = 2 * np.log(2)  # of the squared length of a two-dimensional Gaussian with σ = 1
_HALVINGS = 30
_ROUNDS = 3


def camera_error(
    xy: Float[np.ndarray, "V N K 2"],
    cameras: Cameras,
    error: ExpectedError,
) -> float:
    """Return the cameras' own error, σ along each axis in image pixels; 0 if the expected errors explain all.

    xy: as for `triangulate`; points seen by fewer than three views are not used, and without others it is 0.
    Points are fitted to their views, so that with V of them only 2V − 3 of 2V numbers are free: their errors are
    enlarged accordingly.
    """
    seen = np.isfinite(xy).all(axis=3) & np.isfinite(error.std)
    points = np.flatnonzero((seen.sum(axis=0) >= 3).ravel())
    points = points[:: max(1, len(points) // _MAX_POINTS)]
    if not len(points):
        return 0.0

    def at_points(column: np.ndarray) -> np.ndarray:
        return column.reshape(len(cameras), -1, 1, *column.shape[3:])[:, points]

    xy, seen, std = at_points(xy), at_points(seen), at_points(error.std)
    views, own_error = seen.sum(axis=0), 0.0
    for _ in range(_ROUNDS):  # the weights of the views depend on it
        variance = std**2 + own_error**2
        people = triangulate_points(xy, cameras, weight=1 / np.where(seen, variance, np.inf), method="weighted")
        squared = ((cameras.project(people.xyz) - xy) ** 2).sum(axis=-1) * (2 * views / (2 * views - 3))
        is_known = np.isfinite(squared) & seen
        own_error = _added(squared[is_known], std[is_known] ** 2)
    return own_error


def _added(squared: np.ndarray, variance: np.ndarray) -> float:
    """Return the s with which the median of squared / (variance + s²) is a Gaussian's; 0 if it is below without."""
    if not len(squared) or np.median(squared / variance) <= _MEDIAN:
        return 0.0
    low, high = 0.0, _LARGEST
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        is_more = np.median(squared / (variance + middle**2)) > _MEDIAN
        low, high = (middle, high) if is_more else (low, middle)
    return (low + high) / 2


def with_camera_error(error: ExpectedError, pixels: float) -> ExpectedError:
    """Return expected errors with that of the cameras added to both of their parts."""
    return ExpectedError(np.hypot(error.std, pixels), error.gross, np.hypot(error.gross_std, pixels))

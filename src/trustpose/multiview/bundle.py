"""Bundle adjustment: where the cameras stand, so that what they see agrees with points in the world, found with them.

For given cameras the best points are a triangulation, so only the cameras are parameters of SciPy's least squares; the
points follow, and so do the derivatives (variable projection, Golub and Pereyra 1973, with Kaufman's approximation:
the part of a residual that moving its point takes away is projected out). Robust by reweighting with Student's t.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float
from scipy.optimize import least_squares

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.multiview.symmetric import full_matrix, inverse_symmetric
from trustpose.multiview.triangulation import solve_linear, to_plane

_ROUNDS = 15  # of reweighting
_FREEDOM = 4.0  # of Student's t
_DONE = 1e-3  # relative change of the errors' scale
_NEAREST = 0.05  # metres in front of a camera
_STEPS = 2  # of moving the points to the least squares, after the linear solution


@dataclass(frozen=True, eq=False)
class Bundle:
    """Placed `cameras`, the points `xyz` (M, 3) that they see, NaN where fewer than two do, and the reprojection
    errors (V, M), ideal pixels, NaN where a point was not seen."""

    cameras: Cameras
    xyz: Float[np.ndarray, "M 3"]
    errors: Float[np.ndarray, "V M"]


def adjust(
    xy: Float[np.ndarray, "V M 2"], weight: Float[np.ndarray, "V M"], cameras: Cameras, rounds: int = _ROUNDS
) -> Bundle:
    """Return the cameras, moved and turned so that the points that they see agree; the first one stays.

    xy: image pixels, NaN where not seen; weight: trust in each, 0 or more; `cameras` stand roughly right. The scale,
    which no image shows, stays as it is. rounds: of reweighting, at most.
    """
    ideal = cameras.undistort(xy)
    seen = np.isfinite(ideal).all(axis=2) & (weight > 0)
    seen &= seen.sum(axis=0) >= 2
    trust = np.where(seen, weight, 0.0)
    ideal = np.where(seen[..., None], ideal, 0.0)
    weights, scale = trust, np.inf
    for _ in range(rounds):
        cameras = _least_squares(ideal, weights, cameras)
        _, off = _points(ideal, weights, cameras)
        error = np.linalg.norm(off, axis=2)
        new_scale = 1.4826 / 1.1774 * float(np.median(error[seen])) if seen.any() else 0.0  # σ of each axis
        weights = trust * (_FREEDOM + 2) / (_FREEDOM + (error / max(new_scale, 1e-9)) ** 2)
        if abs(new_scale - scale) <= _DONE * new_scale:
            break
        scale = new_scale
    xyz, off = _points(ideal, weights, cameras)
    return Bundle(cameras, xyz, np.where(seen, np.linalg.norm(off, axis=2), np.nan))


def _least_squares(ideal: np.ndarray, weight: np.ndarray, cameras: Cameras) -> Cameras:
    """Return the cameras that fit best with fixed weights; the parameters are small turns and shifts of all but the
    first."""
    if len(cameras) < 2:
        return cameras
    root = np.sqrt(weight)[..., None]
    last: tuple[np.ndarray, np.ndarray] | None = None  # SciPy asks for both at the same x, the residuals first

    def residuals(x: np.ndarray) -> np.ndarray:
        nonlocal last
        xyz, off = _points(ideal, weight, _apply_steps(cameras, x))
        last = x.copy(), xyz
        return (off * root).ravel()

    def jacobian(x: np.ndarray) -> np.ndarray:
        xyz = last[1] if last is not None and np.array_equal(last[0], x) else None
        return _jacobian(ideal, weight, _apply_steps(cameras, x), xyz)

    start = np.zeros(6 * (len(cameras) - 1))
    solution = least_squares(residuals, start, jac=jacobian, max_nfev=6, ftol=1e-5)  # type: ignore[arg-type]
    return _rescaled(_apply_steps(cameras, solution.x), cameras)


def _rescaled(cameras: Cameras, before: Cameras) -> Cameras:
    """Return the cameras about the first as far from it as before: no image shows the scale, so it drifts."""
    first = cameras[0]
    spread_now, spread_before = (
        np.linalg.norm([camera.centre - group[0].centre for camera in group]) for group in (cameras, before)
    )
    centres = [
        first.centre + (camera.centre - first.centre) * spread_before / max(spread_now, 1e-12) for camera in cameras
    ]
    return Cameras(
        tuple(
            camera.placed(camera.rotation, -camera.rotation @ centre)
            for camera, centre in zip(cameras, centres, strict=True)
        )
    )


def _apply_steps(cameras: Cameras, x: Float[np.ndarray, " X"]) -> Cameras:
    """Return the cameras, each but the first turned by a rotation vector and shifted, in its own frame."""
    moved = [cameras[0]]
    for camera, step in zip(cameras[1:], x.reshape(-1, 6), strict=True):
        turn = cv2.Rodrigues(step[:3])[0]
        moved.append(camera.placed(turn @ camera.rotation, turn @ camera.translation + step[3:]))
    return Cameras(tuple(moved))


def _points(
    ideal: Float[np.ndarray, "V M 2"], weight: Float[np.ndarray, "V M"], cameras: Cameras
) -> tuple[Float[np.ndarray, "M 3"], Float[np.ndarray, "V M 2"]]:
    """Return the points with the least weighted squares, and the residuals there, ideal pixels, 0 where not seen."""
    plane = np.stack([to_plane(camera, pixels) for camera, pixels in zip(cameras, ideal, strict=True)])
    xyz = solve_linear(plane, weight, cameras)
    xyz = np.where(np.isfinite(xyz), xyz, 0.0)
    for _ in range(_STEPS):
        off, by_point = _residuals_and_derivatives(ideal, xyz, weight, cameras)
        rows = np.moveaxis(by_point, 1, 0).reshape(len(xyz), -1, 3)  # (M, 2 V, 3)
        weighed = (rows * np.repeat(weight.T, 2, axis=1)[..., None]).transpose(0, 2, 1)
        a = weighed @ rows
        b = (weighed @ np.moveaxis(off, 1, 0).reshape(len(xyz), -1, 1))[..., 0]
        inverse = full_matrix(inverse_symmetric(_upper(a)))
        xyz = xyz - np.nan_to_num(inverse @ b[..., None])[..., 0]
    return xyz, _residuals(ideal, xyz, weight, cameras)


def _upper(a: Float[np.ndarray, "M 3 3"]) -> Float[np.ndarray, "M 6"]:
    return a[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]


def _in_front(camera: Camera, xyz: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the points' coordinates in the camera's frame; one behind the camera is far off, not unseen."""
    x, y, z = camera.to_camera(xyz).T
    return x, y, np.maximum(z, _NEAREST)


def _residuals(ideal: np.ndarray, xyz: np.ndarray, weight: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Return the residuals (V, M, 2), 0 for what is not seen."""
    off = np.zeros(ideal.shape)
    for view, camera in enumerate(cameras):
        is_seen = weight[view] > 0
        x, y, z = _in_front(camera, xyz[is_seen])
        pixels = np.stack([x / z, y / z], axis=1) @ camera.matrix[:2, :2].T + camera.matrix[:2, 2]
        off[view, is_seen] = pixels - ideal[view, is_seen]
    return off


def _by_camera_point(camera: Camera, xyz: np.ndarray) -> np.ndarray:
    """Return the derivatives (m, 2, 3) of pixels by points in the camera's frame."""
    x, y, z = _in_front(camera, xyz)
    by_plane = np.zeros((len(z), 2, 3))
    by_plane[:, 0, 0] = by_plane[:, 1, 1] = 1 / z
    by_plane[:, 0, 2], by_plane[:, 1, 2] = -x / z**2, -y / z**2
    return camera.matrix[:2, :2] @ by_plane


def _residuals_and_derivatives(
    ideal: np.ndarray, xyz: np.ndarray, weight: np.ndarray, cameras: Cameras
) -> tuple[np.ndarray, np.ndarray]:
    """Return residuals (V, M, 2), and their derivatives by the points (V, M, 2, 3), 0 for what is not seen."""
    by_point = np.zeros((*weight.shape, 2, 3))
    for view, camera in enumerate(cameras):
        is_seen = weight[view] > 0
        by_point[view, is_seen] = _by_camera_point(camera, xyz[is_seen]) @ camera.rotation
    return _residuals(ideal, xyz, weight, cameras), by_point


def _by_cameras(xyz: np.ndarray, weight: np.ndarray, cameras: Cameras) -> np.ndarray:
    """Return the residuals' derivatives by each camera's small turn and shift (V, M, 2, 6), 0 for what is not seen."""
    by_camera = np.zeros((*weight.shape, 2, 6))
    for view, camera in enumerate(cameras):
        is_seen = weight[view] > 0
        x, y, z = _in_front(camera, xyz[is_seen])
        turned = np.zeros((len(z), 3, 3))  # a small turn w moves a point p by w × p, which is -[p]× w
        turned[:, 0, 1], turned[:, 0, 2] = z, -y
        turned[:, 1, 0], turned[:, 1, 2] = -z, x
        turned[:, 2, 0], turned[:, 2, 1] = y, -x
        by_own = _by_camera_point(camera, xyz[is_seen])
        by_camera[view, is_seen] = np.concatenate([by_own @ turned, by_own], axis=2)
    return by_camera


def _jacobian(
    ideal: np.ndarray, weight: np.ndarray, cameras: Cameras, xyz: np.ndarray | None = None
) -> Float[np.ndarray, "R X"]:
    """Return the derivatives of the weighted residuals by the cameras' parameters, the points following; `xyz` (M, 3)
    are the points, where they are known."""
    if xyz is None:
        xyz, _ = _points(ideal, weight, cameras)
    _, by_point = _residuals_and_derivatives(ideal, xyz, weight, cameras)
    by_camera = _by_cameras(xyz, weight, cameras)
    views, count = weight.shape
    root = np.sqrt(weight)[..., None, None]
    by_point, by_camera = by_point * root, by_camera * root
    rows = np.moveaxis(by_point, 1, 0).reshape(count, -1, 3)
    a = rows.transpose(0, 2, 1) @ rows
    inverse = np.nan_to_num(full_matrix(inverse_symmetric(_upper(a))))
    whole = np.zeros((views, count, 2, 6 * (views - 1)))
    for view in range(1, views):
        columns = slice(6 * (view - 1), 6 * view)
        pulled = inverse @ (by_point[view].transpose(0, 2, 1) @ by_camera[view])  # (M, 3, 6)
        whole[:, :, :, columns] -= by_point @ pulled
        whole[view, :, :, columns] += by_camera[view]
    return whole.reshape(-1, 6 * (views - 1))

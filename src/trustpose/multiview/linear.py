"""Triangulation by linear least squares (the direct linear transform), of any number of points at once.

With r1, r2, r3 the rows of a camera's [R | t] and (u, v) a point's position in the plane one metre in front of it, the
point X satisfies (u r3 − r1) X = 0 and (v r3 − r2) X = 0. Multiplied by the focal lengths the residuals are pixels
times depth. The sum of their squares over the views is Xᵀ Q X, and Q is linear in (u² + v², u, v, 1): all points are
one matrix product, and one closed-form solution of 3 × 3 equations each.

Source: Hartley and Zisserman, Multiple View Geometry, 12.2, with the last coordinate of X set to 1 ("inhomogeneous").
That does not depend on where the world's origin lies.
"""

import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Camera, Cameras

_UPPER = (np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3]), np.array([0, 1, 2, 3, 1, 2, 3, 2, 3, 3]))  # of a 4 × 4 matrix
_SINGULAR = 1e-12  # of the determinant against the product of the diagonal: rays within 10⁻⁶ rad of each other


def to_plane(camera: Camera, ideal: Float[np.ndarray, "M 2"]) -> Float[np.ndarray, "M 2"]:
    """Return ideal pixels (M, 2) as positions in the plane one metre in front of the camera."""
    return (ideal - camera.matrix[:2, 2]) @ np.linalg.inv(camera.matrix[:2, :2]).T


def solve_linear(
    plane: Float[np.ndarray, "V M 2"], weight: Float[np.ndarray, "V M"], cameras: Cameras
) -> Float[np.ndarray, "M 3"]:
    """Return the points (M, 3), metres, that minimise the weighted sum of squared algebraic errors.

    plane: (V, M, 2) from `to_plane`, any finite number where `weight` (V, M) is 0. NaN for a point whose rays determine
    none: fewer than two, or parallel.
    """
    views, count = weight.shape
    u, v = plane[..., 0], plane[..., 1]
    terms = np.empty((count, 4 * views))
    constants = np.empty((4 * views, len(_UPPER[0])))
    for view, camera in enumerate(cameras):
        fx, fy = camera.matrix[0, 0] ** 2, camera.matrix[1, 1] ** 2
        wu, wv = weight[view] * u[view] * fx, weight[view] * v[view] * fy
        terms[:, 4 * view] = wu * u[view] + wv * v[view]
        terms[:, 4 * view + 1] = wu
        terms[:, 4 * view + 2] = wv
        terms[:, 4 * view + 3] = weight[view]
        r1, r2, r3 = np.concatenate([camera.rotation, camera.translation[:, None]], axis=1)
        products = (
            np.outer(r3, r3),
            -np.outer(r1, r3) - np.outer(r3, r1),
            -np.outer(r2, r3) - np.outer(r3, r2),
            fx * np.outer(r1, r1) + fy * np.outer(r2, r2),
        )
        constants[4 * view : 4 * view + 4] = np.stack([product[_UPPER] for product in products])
    q = terms @ constants  # (M, 10)
    return solve_symmetric(q[:, [0, 1, 2, 4, 5, 7]], -q[:, [3, 6, 8]])


def inverse_symmetric(a: Float[np.ndarray, "M 6"]) -> Float[np.ndarray, "M 6"]:
    """Return the inverse of symmetric positive 3 × 3 matrices, both as (xx, xy, xz, yy, yz, zz); NaN if singular."""
    xx, xy, xz, yy, yz, zz = a.T
    first = (yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy)
    adjugate = np.stack([*first, xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy], axis=1)
    determinant = xx * adjugate[:, 0] + xy * adjugate[:, 1] + xz * adjugate[:, 2]
    singular = ~(determinant > _SINGULAR * xx * yy * zz)
    return adjugate / np.where(singular, np.nan, determinant)[:, None]


def solve_symmetric(a: Float[np.ndarray, "M 6"], b: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "M 3"]:
    """Return x of a x = b, with `a` as in `inverse_symmetric`; NaN where it is singular."""
    xx, xy, xz, yy, yz, zz = inverse_symmetric(a).T
    x, y, z = b.T
    return np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z], axis=1)


def full_matrix(a: Float[np.ndarray, "M 6"]) -> Float[np.ndarray, "M 3 3"]:
    """Return symmetric matrices (M, 3, 3) of their upper triangles (M, 6)."""
    return a[:, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]

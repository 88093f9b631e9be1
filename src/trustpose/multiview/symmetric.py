"""Symmetric 3 × 3 matrices of M points as their upper triangles (M, 6): xx, xy, xz, yy, yz, zz; in closed form."""

import numpy as np
from jaxtyping import Float

_SINGULAR = 1e-12  # of the determinant against the product of the diagonal: rays within 10⁻⁶ rad of each other


def inverse_symmetric(a: Float[np.ndarray, "M 6"]) -> Float[np.ndarray, "M 6"]:
    """Return the inverse of symmetric positive 3 × 3 matrices, both as (xx, xy, xz, yy, yz, zz); NaN if singular."""
    return _inverse_and_determinant(a)[0]


def inverse_and_log_determinant(
    a: Float[np.ndarray, "M 6"],
) -> tuple[Float[np.ndarray, "M 6"], Float[np.ndarray, " M"]]:
    """Return the inverse and the logarithm of its determinant; NaN if singular."""
    inverse, determinant = _inverse_and_determinant(a)
    return inverse, -np.log(determinant)


def _inverse_and_determinant(a: Float[np.ndarray, "M 6"]) -> tuple[Float[np.ndarray, "M 6"], Float[np.ndarray, " M"]]:
    xx, xy, xz, yy, yz, zz = a.T
    first = (yy * zz - yz * yz, xz * yz - xy * zz, xy * yz - xz * yy)
    adjugate = np.stack([*first, xx * zz - xz * xz, xy * xz - xx * yz, xx * yy - xy * xy], axis=1)
    determinant = xx * adjugate[:, 0] + xy * adjugate[:, 1] + xz * adjugate[:, 2]
    singular = ~(determinant > _SINGULAR * xx * yy * zz)
    determinant = np.where(singular, np.nan, determinant)
    return adjugate / determinant[:, None], determinant


def solve_symmetric(a: Float[np.ndarray, "M 6"], b: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "M 3"]:
    """Return x of a x = b, with `a` as in `inverse_symmetric`; NaN where it is singular."""
    return product(inverse_symmetric(a), b)


def product(a: Float[np.ndarray, "M 6"], b: Float[np.ndarray, "M 3"]) -> Float[np.ndarray, "M 3"]:
    """Return a b."""
    xx, xy, xz, yy, yz, zz = a.T
    x, y, z = b.T
    return np.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z], axis=1)


def full_matrix(a: Float[np.ndarray, "M 6"]) -> Float[np.ndarray, "M 3 3"]:
    """Return symmetric matrices (M, 3, 3) of their upper triangles (M, 6)."""
    return a[:, [[0, 1, 2], [1, 3, 4], [2, 4, 5]]]


def square(j: np.ndarray) -> np.ndarray:
    """Return j jᵀ (M, 6) of vectors (M, 3)."""
    x, y, z = j.T
    return np.stack([x * x, x * y, x * z, y * y, y * z, z * z], axis=1)

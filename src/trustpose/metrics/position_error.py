"""Errors of 3D poses: the mean distance per joint, about the root joint (MPJPE) or once aligned (PA-MPJPE).

Sources: Ionescu et al., Human3.6M, PAMI 2014, section 5.1 (the mean over all joints of the distance, with the root
joints in one place); Sun et al., Integral Human Pose Regression, ECCV 2018, section 4.2 (its protocols). Gower,
Generalized Procrustes Analysis, Psychometrika 1975, for the alignment: the similarity with the least squared distance.
"""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float

Alignment = Literal["root", "procrustes", "rigid"]


def at_root(xyz: Float[np.ndarray, "N K 3"], root: int) -> Float[np.ndarray, "N K 3"]:
    """Return the poses moved so that their joint `root` is at 0."""
    return xyz - xyz[:, root, None]


def procrustes_aligned(
    estimate: Float[np.ndarray, "N K 3"], truth: Float[np.ndarray, "N K 3"], *, is_scaled: bool = True
) -> Float[np.ndarray, "N K 3"]:
    """Return the poses turned, moved and, if `is_scaled`, scaled so that the sum of the squared distances to `truth` is
    as small as possible. Never mirrored."""
    middle = truth.mean(axis=1, keepdims=True)
    source, target = estimate - estimate.mean(axis=1, keepdims=True), truth - middle
    left, size, right = np.linalg.svd(np.swapaxes(target, 1, 2) @ source)  # (N, 3, 3): target ≈ rotation @ source
    signs = np.ones_like(size)
    signs[:, -1] = np.linalg.det(left @ right)  # -1 would mirror: then the least of the three axes turns back
    rotation = (left * signs[:, None]) @ right
    turned = source @ np.swapaxes(rotation, 1, 2)
    if is_scaled:
        spread = (source**2).sum(axis=(1, 2))
        turned = turned * ((size * signs).sum(axis=1) / np.maximum(spread, np.finfo(np.float64).tiny))[:, None, None]
    return turned + middle


def joint_errors(
    estimate: Float[np.ndarray, "N K 3"], truth: Float[np.ndarray, "N K 3"], alignment: Alignment, root: int = 0
) -> Float[np.ndarray, "N K"]:
    """Return the distance of each joint from its true position after an alignment, in the unit of the poses.

    alignment: "root" moves both poses' joint `root` to one place; "procrustes" is `procrustes_aligned`; "rigid" is the
    same without scaling, as in the code of Sun et al. (who then move the roots, too) and of 3DMPPE.
    """
    if alignment == "root":
        difference = at_root(estimate, root) - at_root(truth, root)
    else:
        difference = procrustes_aligned(estimate, truth, is_scaled=alignment == "procrustes") - truth
    return np.linalg.norm(difference, axis=2)


@dataclass
class PositionErrors:
    """Sums over poses that come in batches, of K joints in metres; `result` states MPJPE and PA-MPJPE in millimetres.

    root: the index of the root joint. With all K joints, the root too, as in Human3.6M's evaluation.
    """

    root: int = 0
    count: int = 0
    sums: dict[Alignment, float] = field(default_factory=lambda: {"root": 0.0, "procrustes": 0.0, "rigid": 0.0})

    def add(self, estimate: Float[np.ndarray, "N K 3"], truth: Float[np.ndarray, "N K 3"]) -> None:
        """Add N poses and their true positions."""
        self.count += estimate.shape[0] * estimate.shape[1]
        for alignment in self.sums:
            self.sums[alignment] += float(joint_errors(estimate, truth, alignment, self.root).sum())

    def result(self) -> dict[str, float]:
        """Return mpjpe, pa_mpjpe and rigid_mpjpe, millimetres; NaN without poses."""
        names: dict[Alignment, str] = {"root": "mpjpe", "procrustes": "pa_mpjpe", "rigid": "rigid_mpjpe"}
        return {
            name: 1000 * self.sums[alignment] / self.count if self.count else float("nan")
            for alignment, name in names.items()
        }

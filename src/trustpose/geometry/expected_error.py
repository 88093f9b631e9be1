"""The position error that an expected OPKS stands for.

If the error of a keypoint is an isotropic Gaussian with standard deviation e along each axis, d²/e² follows χ² with two
degrees of freedom, whose moment generating function is 1 / (1 − 2t). With t = −e² / (2 s² k²):

    E[OPKS] = E[exp(−d² / (2 s² k²))] = 1 / (1 + e² / (s² k²))     ⟹     e = s k √(1 / E[OPKS] − 1)

where k = 2σ and s² = area, as in OKS. A circle of radius e is the 1σ ellipse of that Gaussian.
"""

import numpy as np
from jaxtyping import Float

from trustpose.poses import Poses
from trustpose.skeletons import Skeleton

AREA_OF_BOX = 0.53  # segment area / box area in COCO, the median; `Truth.area_by("box*0.53")`


def deviation_of(
    opks: Float[np.ndarray, "*N K"], area: Float[np.ndarray, "*N"], sigmas: Float[np.ndarray, " K"]
) -> Float[np.ndarray, "*N K"]:
    """Return the standard deviation along each axis, in pixels (…, K), of a Gaussian error with this expected OPKS.

    opks: (…, K), 0–1; area: (…) square pixels; sigmas: (K,). It is 0 for an OPKS of 1 and infinite for 0. Source:
    the equation at the top of this module.
    """
    with np.errstate(divide="ignore"):
        return np.sqrt(area)[..., None] * 2 * sigmas * np.sqrt(1 / np.clip(opks, 0, 1) - 1)


def expected_error(poses: Poses, skeleton: Skeleton | None = None) -> Float[np.ndarray, "N K"] | None:
    """Return the expected error of each keypoint along each axis, 1σ in image pixels (N, K); None without `quality`, or
    for a skeleton without sigmas.

    `quality` is P(labelled) × E[OPKS if labelled], and an error exists only for a keypoint that is there, so it is
    first divided by P(labelled) = 1 − P(absent), where `visibility` gives that. The area is 0.53 of the person's box.
    NaN where a number is unknown.
    """
    skeleton = poses.skeleton if skeleton is None else skeleton
    if poses.quality is None or skeleton is None or not skeleton.has_sigmas:
        return None
    quality = poses.quality.astype(np.float64)
    if poses.visibility is not None:
        labelled = 1 - np.nan_to_num(poses.visibility[..., 0])
        quality = quality / np.maximum(labelled, np.finfo(np.float64).tiny)
    box = poses.person_box().astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        area = AREA_OF_BOX * np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), axis=1)
    return deviation_of(quality, area, skeleton.sigmas)

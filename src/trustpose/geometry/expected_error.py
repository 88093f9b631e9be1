"""The position error, in pixels, that an expected OPKS stands for.

If the error of a keypoint is an isotropic Gaussian with standard deviation e along each axis, d²/e² follows χ² with two
degrees of freedom, whose moment generating function is 1 / (1 − 2t). With t = −e² / (2 s² k²):

    E[OPKS] = E[exp(−d² / (2 s² k²))] = 1 / (1 + e² / (s² k²))     ⟹     e = s k √(1 / E[OPKS] − 1)          (1)

where k = 2σ and s² = area, as in OKS (`gaussian_error`). Real errors are not Gaussian: most keypoints lie close to the
truth, and some are gross errors (the other leg, another person, a miss). So the error is a mixture of two Gaussians,
a good one of standard deviation e with probability 1 − p, and a gross one of standard deviation g with probability p:

    E[OPKS] = (1 − p) / (1 + e² / (s² k²)) + p o,     o = 1 / (1 + g² / (s² k²))                              (2)

With q = E[OPKS], p = ρ (1 − q) / (1 − o), where ρ is the share of the loss 1 − q that gross errors cause. (2) then
gives e, so that the mixture has exactly this expected OPKS. What is left, ρ and g, was fitted to real networks' errors:

    logit ρ = a₀ + a₁ logit q + a₂ log(k / 0.14)          log(g / s) = b₀ + b₁ logit q + b₂ log(k / 0.14)

`python benchmarks/pixel_error.py` fits them on one set of photos and prints how well they hold on another, for each
network. Which discs really hold their share, for one estimator's trust, is an `ErrorModel`'s to say
(`Poses.error_model`); without one the mixture's discs are used, which is named "mixture" where it is printed.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from trustpose.poses import ExpectedError, Poses
from trustpose.skeletons import Skeleton

AREA_OF_BOX = 0.53  # segment area / box area in COCO, the median; `Truth.area_by("box*0.53")`
TYPICAL_K = 0.14  # of COCO's keypoints: 0.05 of the eyes to 0.214 of the hips
# Outside this range of q nothing was fitted; annotators do not agree with each other better than the upper end.
LOWEST, HIGHEST = 0.01, 0.99


@dataclass(frozen=True)
class Coefficients:
    """a₀, a₁, a₂ of the share of the loss that gross errors cause, and b₀, b₁, b₂ of their size."""

    share: tuple[float, float, float]
    size: tuple[float, float, float]


FITTED = Coefficients(share=(0.450, -0.660, 1.386), size=(-1.034, -0.211, 0.117))


def gaussian_error(
    quality: Float[np.ndarray, "*N K"], sigmas: Float[np.ndarray, " K"], area: Float[np.ndarray, "*N"]
) -> Float[np.ndarray, "*N K"]:
    """Return the standard deviation along each axis, in pixels (…, K), of a single Gaussian with this expected OPKS.

    quality: expected OPKS of a keypoint that is there (…, K), 0–1; sigmas: (K,), as in OKS; area: (…) square pixels. It
    is 0 for a quality of 1 and infinite for 0. Source: equation (1) at the top of this module.
    """
    with np.errstate(divide="ignore"):
        return np.sqrt(area)[..., None] * 2 * sigmas * np.sqrt(1 / np.clip(quality, 0, 1) - 1)


def error_of(
    quality: Float[np.ndarray, "*N K"],
    sigmas: Float[np.ndarray, " K"],
    area: Float[np.ndarray, "*N"],
    coefficients: Coefficients = FITTED,
) -> ExpectedError:
    """Return the error of keypoints with this expected OPKS, (…, K) in pixels.

    quality: expected OPKS of a keypoint that is there (…, K), 0–1, used from 0.01 to 0.99; sigmas: (K,), as in OKS;
    area: of the person (…), square pixels. Source: equation (2) at the top of this module.
    """
    a, b = coefficients.share, coefficients.size
    q, k = np.clip(quality.astype(np.float64), LOWEST, HIGHEST), 2 * np.asarray(sigmas, np.float64)
    odds, relative = np.log(q / (1 - q)), np.log(k / TYPICAL_K)
    share = 1 / (1 + np.exp(-(a[0] + a[1] * odds + a[2] * relative)))
    gross_std = np.exp(b[0] + b[1] * odds + b[2] * relative)
    gross_std = np.maximum(gross_std, k * np.sqrt(1 / q - 1))  # gross errors are never better than the average
    opks_of_gross = 1 / (1 + (gross_std / k) ** 2)
    gross = share * (1 - q) / (1 - opks_of_gross)
    opks_of_good = (q - gross * opks_of_gross) / (1 - gross)
    size = np.sqrt(area.astype(np.float64))[..., None]
    std = np.minimum(k * np.sqrt(1 / opks_of_good - 1), gross_std)  # rounding where they are equal
    return ExpectedError(size * std, gross, size * gross_std)


def expected_error(
    poses: Poses, skeleton: Skeleton | None = None, sigmas: Float[np.ndarray, " K"] | None = None
) -> ExpectedError | None:
    """Return the expected error of the keypoints, image pixels (N, K); None without `quality`, or for a skeleton
    without sigmas. `sigmas` (K,) replace the skeleton's.

    `quality` is P(labelled) × E[OPKS if labelled], and an error exists only for a keypoint that is there, so it is
    first divided by P(labelled) = 1 − P(absent), where `visibility` gives that. The area is 0.53 of the person's box.
    NaN where a number is unknown, as for missing keypoints. Discs are corrected by `Poses.error_model`.
    """
    skeleton = poses.skeleton if skeleton is None else skeleton
    if sigmas is None and skeleton is not None and skeleton.has_sigmas:
        sigmas = skeleton.sigmas
    quality = quality_if_labelled(poses)
    if quality is None or sigmas is None:
        return None
    error, model = error_of(quality, sigmas, area_of_person(poses)), poses.error_model
    if model is None or skeleton is None:
        return error
    return replace(error, model=model, cell=model.cells(quality, skeleton.names))


def quality_if_labelled(poses: Poses) -> Float[np.ndarray, "N K"] | None:
    """Return the expected OPKS of each keypoint if it is labelled, NaN where unknown; None without `quality`."""
    if poses.quality is None:
        return None
    quality = poses.quality.astype(np.float64)
    if poses.visibility is not None:
        labelled = 1 - np.nan_to_num(poses.visibility[..., 0])
        quality = quality / np.maximum(labelled, np.finfo(np.float64).tiny)
    return quality if poses.missing is None else np.where(poses.missing, np.nan, quality)


def area_of_person(poses: Poses) -> Float[np.ndarray, " N"]:
    """Return the area, square pixels, that expected errors are in proportion to: 0.53 of the person's box."""
    box = poses.person_box().astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return AREA_OF_BOX * np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), axis=1)

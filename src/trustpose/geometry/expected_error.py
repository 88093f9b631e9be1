"""The position error, in pixels, that an expected OPKS stands for, and discs that hold a stated share of the
errors.

If the error of a keypoint is an isotropic Gaussian with standard deviation e along each axis, d²/e² follows χ² with
two degrees of freedom, whose moment generating function is 1 / (1 − 2t). With t = −e² / (2 s² k²):

    E[OPKS] = E[exp(−d² / (2 s² k²))] = 1 / (1 + e² / (s² k²))     ⟹     e = s k √(1 / E[OPKS] − 1)          (1)

where k = 2σ and s² = area, as in OKS (`gaussian_error`). Real errors are not Gaussian: most keypoints lie close to
the truth, and some are gross errors (the other leg, another person, a miss). So the error is a mixture of two
Gaussians, a good one of standard deviation e with probability 1 − p, and a gross one of standard deviation g with
probability p:

    E[OPKS] = (1 − p) / (1 + e² / (s² k²)) + p o,     o = 1 / (1 + g² / (s² k²))                              (2)

With q = E[OPKS], p = ρ (1 − q) / (1 − o), where ρ is the share of the loss 1 − q that gross errors cause. (2) then
gives e, so that the mixture has exactly this expected OPKS. What is left, ρ and g, was fitted to real networks'
errors:

    logit ρ = a₀ + a₁ logit q + a₂ log(k / 0.14)          log(g / s) = b₀ + b₁ logit q + b₂ log(k / 0.14)

`python benchmarks/pixel_error.py` fits them on one set of photos and prints how well they hold on another, for each
network. Which discs really hold their share, for one estimator's trust, is an `ErrorModel`'s to say
(`Poses.error_model`); without one the mixture's discs are used, which is named "mixture" where it is printed.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.poses import ErrorModel, ExpectedError, Poses, Truth
from trustpose.poses.error_model import DEEPEST
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


SHARES = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.975, 0.99)
CELL = 400  # keypoints of a cell at least
MAX_CELLS = 6  # ranges of quality of a group of joints
MIN_KEYPOINTS = 100  # keypoints of a group, below which it keeps the mixture's own discs
_DECIMALS = 4
_PEOPLE_AT_ONCE = 8192  # of 17 keypoints, whose error takes some tens of MB meanwhile


@dataclass(frozen=True, eq=False)
class LabelledErrors:
    """L labelled keypoints: the mixture's error (L,), their distance to the label in the same unit, their expected OPKS
    if labelled, the joint's number and the person's."""

    error: ExpectedError
    distance: Float[np.ndarray, " L"]
    quality: Float[np.ndarray, " L"]
    joint: Int[np.ndarray, " L"]
    person: Int[np.ndarray, " L"]

    def __len__(self) -> int:
        return len(self.distance)

    def __getitem__(self, rows: np.ndarray) -> "LabelledErrors":
        """Return some of the keypoints."""
        return LabelledErrors(
            self.error[rows], self.distance[rows], self.quality[rows], self.joint[rows], self.person[rows]
        )

    @classmethod
    def of(
        cls,
        quality: Float[np.ndarray, "N K"],
        distance: Float[np.ndarray, "N K"],
        area: Float[np.ndarray, " N"],
        sigmas: Float[np.ndarray, " K"],
        labelled: Bool[np.ndarray, "N K"],
    ) -> "LabelledErrors":
        """Collect the labelled keypoints of N people that have a quality and an area, in pixels and square pixels.

        quality: expected OPKS if labelled; area: that of `expected_error.area_of_person`.
        """
        error = error_of(quality, sigmas, area)
        counted = labelled & np.isfinite(error.std) & (error.std > 0) & np.isfinite(distance)
        person, joint = np.nonzero(counted)
        plain = ExpectedError(error.std[counted], error.gross[counted], error.gross_std[counted])
        return cls(plain, distance[counted], quality[counted], joint, person)

    @classmethod
    def of_poses(
        cls, poses: Poses, truth: Truth, person: Int[np.ndarray, " N"], sigmas: Float[np.ndarray, " K"]
    ) -> "LabelledErrors":
        """Collect those of N poses with `quality`, matched to the rows `person` of a truth (-1: unmatched)."""
        rows = np.flatnonzero(person >= 0)
        blocks = []
        for start in range(0, max(len(rows), 1), _PEOPLE_AT_ONCE):
            block = rows[start : start + _PEOPLE_AT_ONCE]
            errors = cls._of_block(poses[block], truth, person[block], sigmas)
            blocks.append(replace(errors, person=start + errors.person))
        std, gross, gross_std = (
            np.concatenate([getattr(block.error, name) for block in blocks]) for name in ("std", "gross", "gross_std")
        )
        columns = {
            name: np.concatenate([getattr(block, name) for block in blocks])
            for name in ("distance", "quality", "joint", "person")
        }
        return cls(ExpectedError(std, gross, gross_std), **columns)

    @classmethod
    def _of_block(
        cls, poses: Poses, truth: Truth, person: Int[np.ndarray, " N"], sigmas: Float[np.ndarray, " K"]
    ) -> "LabelledErrors":
        """Collect those of matched poses."""
        quality = quality_if_labelled(poses)
        if quality is None:
            raise ValueError("poses.quality: expected the quality of held-out poses, got None")
        offset = poses.xy.astype(np.float64) - truth.xy[person]
        distance = np.hypot(offset[..., 0], offset[..., 1])
        return cls.of(quality, distance, area_of_person(poses), sigmas, truth.v[person] > 0)


def fit_error_model(
    errors: LabelledErrors,
    skeleton: Skeleton,
    fitted_on: str = "",
    *,
    cell: int = CELL,
    max_cells: int = MAX_CELLS,
    by_joint: bool = True,
) -> ErrorModel | None:
    """Return the depths of held-out keypoints, left and right joints together; None if there are too few.

    A group's ranges of quality hold the same number of keypoints, `cell` or more, and are at most `max_cells`.
    Without `by_joint` all joints are one group.
    """
    kind = np.minimum(skeleton.flip_index, np.arange(len(skeleton))) if by_joint else np.zeros(len(skeleton), int)
    depth = errors.error.depth_within(errors.distance)
    joints, quality, depths = [], [], []
    for group in np.unique(kind):
        rows = np.flatnonzero(np.isin(errors.joint, np.flatnonzero(kind == group)))
        if len(rows) < MIN_KEYPOINTS:
            continue
        borders = _borders(errors.quality[rows], max(1, min(max_cells, len(rows) // cell)))
        range_of_quality = np.searchsorted(borders, errors.quality[rows], side="right")
        joints.append(tuple(name for name, of in zip(skeleton.names, kind, strict=True) if of == group))
        quality.append(borders)
        cells = [depth[rows[range_of_quality == number]] for number in range(len(borders) + 1)]
        depths.append(tuple(conformal_quantiles(numbers, SHARES, DEEPEST) for numbers in cells))
    if not joints:
        return None
    people = len(np.unique(errors.person))
    return ErrorModel(SHARES, tuple(joints), tuple(quality), tuple(depths), people, len(errors), fitted_on)


def _borders(quality: np.ndarray, cells: int) -> tuple[float, ...]:
    inner = np.quantile(quality, np.arange(1, cells) / cells, method="higher").round(_DECIMALS)
    return tuple(np.unique(inner[inner > quality.min()]).tolist())


def conformal_quantiles(numbers: Float[np.ndarray, " n"], shares: Sequence[float], largest: float) -> tuple[float, ...]:
    """Return the ⌈(n + 1) p⌉-th smallest number for each share p, rounded up, from −largest to largest: a further
    number, exchangeable with these n, is at most that with a probability of at least p.

    Source: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005 (split conformal prediction).
    """
    rank = np.ceil((len(numbers) + 1) * np.asarray(shares) - 1e-9).astype(int)
    ordered = np.append(np.sort(numbers), np.inf)[np.minimum(rank, len(numbers) + 1) - 1]
    return tuple(np.clip(np.ceil(ordered * 10**_DECIMALS) / 10**_DECIMALS, -largest, largest).tolist())


METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "ft": 0.3048}
"""Metres of one unit."""
_LENGTH = re.compile(r"\s*([0-9.eE+-]+)\s*([a-z]+)\s*")


def metres_of(unit: str) -> float:
    """Return how many metres one `unit` is. Raises ValueError if the unit is unknown."""
    if unit not in METRES:
        raise ValueError(f"expected a unit of length ({', '.join(METRES)}), got {unit!r}")
    return METRES[unit]


def parse_length(text: str) -> float:
    """Return a length such as "60mm" or "1.7 m" in metres. Raises ValueError without a unit, or below 0."""
    match = _LENGTH.fullmatch(text)
    try:
        length = float(match[1]) * METRES[match[2]] if match else math.nan
    except (KeyError, ValueError):
        length = math.nan
    if not 0 < length < math.inf:
        raise ValueError(f"expected a length above 0 with its unit ({', '.join(METRES)}), such as 60mm, got {text!r}")
    return length

"""How far keypoints are expected to be from the truth, in pixels; `geometry.expected_error` computes it."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.poses.error_model import ErrorModel

_HALVINGS = 24  # of the interval from good to gross: to a millionth of it


@dataclass(frozen=True, eq=False, repr=False)
class ExpectedError:
    """How far N × K keypoints are from where they are labelled, in pixels: a mixture of two isotropic Gaussians.

    `std` is the standard deviation along each axis of a keypoint without gross error, `gross` the probability of a
    gross error (0–1), and `gross_std` the standard deviation along each axis in that case. NaN where a number is
    unknown. With a `model`, and the `cell` of each keypoint in it, discs and probabilities are those that held for
    people it was fitted on; the mixture itself, which weights keypoints in smoothing and triangulation, is unchanged.
    """

    std: Float[np.ndarray, "*N K"]
    gross: Float[np.ndarray, "*N K"]
    gross_std: Float[np.ndarray, "*N K"]
    model: ErrorModel | None = None
    cell: Int[np.ndarray, "*N K"] | None = None

    def __repr__(self) -> str:
        """One line: how many keypoints, and the median radius of their discs."""
        shape = " × ".join(map(str, self.std.shape))
        radius = np.nanmedian(self.median) if np.isfinite(self.median).any() else np.nan
        source = "the mixture" if self.model is None else self.model.fitted_on
        return f"ExpectedError({shape} keypoints, half of them within {radius:.1f} pixels; discs of {source})"

    def __getitem__(self, keypoints: Any) -> "ExpectedError":
        """Return the errors of some keypoints, by an index or a mask of the arrays."""
        cell = None if self.cell is None else self.cell[keypoints]
        return ExpectedError(self.std[keypoints], self.gross[keypoints], self.gross_std[keypoints], self.model, cell)

    @property
    def median(self) -> Float[np.ndarray, "*N K"]:
        """The radius that the error exceeds in half of all cases, pixels."""
        return self.radius(0.5)

    @property
    def total_std(self) -> Float[np.ndarray, "*N K"]:
        """The standard deviation along each axis of the whole mixture, pixels; gross errors dominate it."""
        return np.sqrt((1 - self.gross) * self.std**2 + self.gross * self.gross_std**2)

    def probability_within(self, distance: Float[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
        """Return the probability, 0–1, that the error is at most `distance` (pixels)."""
        depth = self.depth_within(distance)
        return -np.expm1(
            -(depth if self.model is None or self.cell is None else self.model.own_depth(depth, self.cell))
        )

    def depth_within(self, distance: Float[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
        """Return −log of the mixture's own probability that the error exceeds `distance`.

        The distance of an isotropic Gaussian follows Rayleigh's distribution, which exceeds d with exp(−d² / (2 e²)).
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # an area of 0, or no gross errors
            good = np.log1p(-self.gross) - distance**2 / (2 * self.std**2)
            return -np.logaddexp(good, np.log(self.gross) - distance**2 / (2 * self.gross_std**2))

    def radius(self, share: float) -> Float[np.ndarray, "*N K"]:
        """Return the radius, in pixels, of the disc that holds the labelled position with probability `share`.

        Raises ValueError if `share` is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise ValueError(f"share: expected a number between 0 and 1, got {share}")
        depth = -np.log1p(-share) if self.model is None or self.cell is None else self.model.depth(share, self.cell)
        alone = np.sqrt(2 * depth)  # radius / standard deviation of one Gaussian
        low, high = alone * self.std, alone * self.gross_std
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            is_within = self.depth_within(middle) < depth
            low, high = np.where(is_within, middle, low), np.where(is_within, high, middle)
        return (low + high) / 2

"""How far keypoints are expected to be from the truth, in pixels; `geometry.expected_error` computes it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

_HALVINGS = 24  # of the interval from good to gross: to a millionth of it


@dataclass(frozen=True, eq=False)
class ExpectedError:
    """How far N × K keypoints are from where they are labelled, in pixels: a mixture of two isotropic Gaussians.

    `std` is the standard deviation along each axis of a keypoint without gross error, `gross` the probability of a
    gross error (0–1), and `gross_std` the standard deviation along each axis in that case. NaN where a number is
    unknown.
    """

    std: Float[np.ndarray, "*N K"]
    gross: Float[np.ndarray, "*N K"]
    gross_std: Float[np.ndarray, "*N K"]

    @property
    def median(self) -> Float[np.ndarray, "*N K"]:
        """The radius that the error exceeds in half of all cases, pixels."""
        return self.radius(0.5)

    @property
    def total_std(self) -> Float[np.ndarray, "*N K"]:
        """The standard deviation along each axis of the whole mixture, pixels; gross errors dominate it."""
        return np.sqrt((1 - self.gross) * self.std**2 + self.gross * self.gross_std**2)

    def probability_within(self, distance: Float[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
        """Return the probability, 0–1, that the error is at most `distance` (pixels).

        The distance of an isotropic Gaussian follows Rayleigh's distribution: 1 − exp(−d² / (2 e²)).
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # an area of 0
            beyond = (1 - self.gross) * np.exp(-(distance**2) / (2 * self.std**2))
            return 1 - beyond - self.gross * np.exp(-(distance**2) / (2 * self.gross_std**2))

    def radius(self, share: float) -> Float[np.ndarray, "*N K"]:
        """Return the radius, in pixels, of the disc that holds the labelled place with probability `share`.

        Raises ValueError if `share` is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise ValueError(f"share: expected a number between 0 and 1, got {share}")
        alone = np.sqrt(-2 * np.log1p(-share))  # radius / standard deviation of one Gaussian
        low, high = alone * self.std, alone * self.gross_std
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            is_within = self.probability_within(middle) < share
            low, high = np.where(is_within, middle, low), np.where(is_within, high, middle)
        return (low + high) / 2

"""How well expected errors in pixels hold: the share of keypoints within discs that should hold 50, 80 and 95 % of
them, and how large errors are against their expected median.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from trustpose.poses import ExpectedError

SHARES = (0.50, 0.80, 0.95)
QUALITY_RANGES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
_FARTHEST = 1e9  # times the expected median, to keep an overflowed distance a number


@dataclass(frozen=True)
class DiscCoverage:
    """The share of n keypoints within the discs that should hold 50, 80 or 95 % ("50", "80", "95")."""

    coverage: dict[str, float | None]
    n: int


@dataclass(frozen=True)
class PixelTrust:
    """Errors of n labelled keypoints against `expected_error`, in pixels.

    `coverage` is the share within the disc that should hold 50, 80 or 95 % ("50", "80", "95"); `median_ratio` the
    median of error / expected median: below 1, errors are smaller than expected. `joints` has the coverage of each
    kind of joint, left and right together, `by_quality` that of each range of expected OPKS (given that the keypoint is
    labelled). `discs`: "fitted", those of the file's error model, or "mixture", those of the mixture of Rayleigh
    distributions alone.
    """

    coverage: dict[str, float | None]
    median_ratio: float | None
    n: int
    joints: dict[str, DiscCoverage] = field(default_factory=dict)
    by_quality: dict[str, DiscCoverage] = field(default_factory=dict)
    discs: str | None = None


def errors_of_labelled(
    distance: Float[np.ndarray, " L"], error: ExpectedError
) -> tuple[Float[np.ndarray, " L"], Float[np.ndarray, " L"]]:
    """Return for L keypoints the probability that the error is at most what it is, 0–1, uniformly distributed if the
    expectation is right, and the error / its expected median. `error` has shape (L,), distances are pixels."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = distance / error.median
        return error.probability_within(distance), np.clip(ratio, 0, _FARTHEST)


def share_name(share: float) -> str:
    """Return the name of a disc, its percentage."""
    return str(round(100 * share))

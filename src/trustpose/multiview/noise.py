"""The errors of the keypoints that a point is triangulated from, and the loss that follows from them.

A view whose keypoint lies on another joint, or on another person, has an error of a hundred pixels where the others
have three. Under a Gaussian such a view pulls the point far towards it; under the other losses its influence falls with
the distance:

| loss | −log p of the distance r, in units of the view's own σ |
|---|---|
| mixture | −log((1 − p) exp(−r²/2e²) / e² + p exp(−r²/2g²) / g²), of `ExpectedError`: no parameter to choose |
| student-t | 3 log(1 + r² / 4): four degrees of freedom, two dimensions |
| cauchy | log(1 + r² / 2) |
| geman-mcclure | 9 r² / (2 (9 + r²)): a view 3σ off has lost three quarters of its pull |
| gaussian | r² / 2 |

Sources: Lange, Little and Taylor 1989 (Student's t), Geman and McClure 1985, Hartley and Zisserman A6.8;
`geometry.expected_error` (the mixture).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

Loss = Literal["mixture", "student-t", "cauchy", "geman-mcclure", "gaussian"]
LOSSES: tuple[Loss, ...] = ("mixture", "student-t", "cauchy", "geman-mcclure", "gaussian")
INLIER = 3.0  # σ; a view further from the point than this does not agree (1.1 % of a Gaussian's errors)
FREEDOM = 4.0  # of Student's t, usual for "some outliers"
_GEMAN = 9.0  # its σ, squared


@dataclass(frozen=True, eq=False)
class Noise:
    """The errors of M points in V views: `precision` (V, M) is 1/σ², σ in pixels along each axis, 0 where a view does
    not see the point. For `mixture` also `gross` (V, M), the probability of a gross error, and `gross_precision`."""

    precision: Float[np.ndarray, "V M"]
    loss: Loss
    gross: Float[np.ndarray, "V M"] | None = None
    gross_precision: Float[np.ndarray, "V M"] | None = None

    def __getitem__(self, points: slice | np.ndarray) -> "Noise":
        """Return that of some points."""
        gross = None if self.gross is None else self.gross[:, points]
        wide = None if self.gross_precision is None else self.gross_precision[:, points]
        return Noise(self.precision[:, points], self.loss, gross, wide)

    def cost(self, distance: Float[np.ndarray, "V M"]) -> Float[np.ndarray, " M"]:
        """Return the loss of distances in pixels, summed over the views that see a point; infinite for NaN, a point
        behind one of them."""
        seen = self.precision > 0
        squared = np.where(seen, distance**2, 0.0)
        lost = self._mixed(squared) if self.loss == "mixture" else _rho(squared * self.precision, self.loss)
        summed = np.where(seen, lost, 0.0).sum(axis=0)
        return np.where(np.isnan(summed), np.inf, summed)

    def pull(self, squared: Float[np.ndarray, " M"], view: int) -> Float[np.ndarray, " M"]:
        """Return the weights (M,), 1/pixels², of a view in reweighted least squares, at squared distances (M,)."""
        precision = self.precision[view]
        if self.loss != "mixture":
            return precision * _slope(squared * precision, self.loss)
        assert self.gross_precision is not None
        good, wide = self.goodness(squared, view), self.gross_precision[view]
        return good * precision + (1 - good) * wide

    def goodness(self, squared: Float[np.ndarray, "*V M"], view: int | None = None) -> Float[np.ndarray, "*V M"]:
        """Return the probability (…, M) that keypoints at these squared distances have no gross error: for all views,
        or for one; without a mixture 1 within 3σ, else 0."""
        views = slice(None) if view is None else view
        with np.errstate(invalid="ignore"):
            if self.gross is None or self.gross_precision is None or self.loss != "mixture":
                return (squared * self.precision[views] <= INLIER**2).astype(np.float64)
            good = (1 - self.gross[views]) * self.precision[views] * np.exp(-squared * self.precision[views] / 2)
            wide = self.gross[views] * self.gross_precision[views] * np.exp(-squared * self.gross_precision[views] / 2)
            total = good + wide
            return np.where(total > 0, good / np.where(total > 0, total, 1.0), 0.0)

    def _mixed(self, squared: np.ndarray) -> np.ndarray:
        assert self.gross is not None and self.gross_precision is not None
        tiny = np.finfo(np.float64).tiny
        with np.errstate(invalid="ignore"):  # a point behind a camera
            good = np.log((1 - self.gross) * self.precision + tiny) - squared * self.precision / 2
            wide = np.log(self.gross * self.gross_precision + tiny) - squared * self.gross_precision / 2
            return -np.logaddexp(good, wide)


def _rho(scaled: np.ndarray, loss: Loss) -> np.ndarray:
    """Return the loss of squared errors in units of σ²; a Gaussian's near 0, up to a factor."""
    if loss == "student-t":
        return (FREEDOM + 2) / 2 * np.log1p(scaled / FREEDOM)
    if loss == "cauchy":
        return np.log1p(scaled / 2)
    if loss == "geman-mcclure":
        return _GEMAN * scaled / (2 * (_GEMAN + scaled))
    return scaled / 2


def _slope(scaled: np.ndarray, loss: Loss) -> np.ndarray:
    """Return the slope of the loss against that of a Gaussian's."""
    if loss == "student-t":
        return (FREEDOM + 2) / (FREEDOM + scaled)
    if loss == "cauchy":
        return 2 / (2 + scaled)
    if loss == "geman-mcclure":
        return (_GEMAN / (_GEMAN + scaled)) ** 2
    return np.ones_like(scaled)

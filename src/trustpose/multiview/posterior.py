"""How far a triangulated point can be off, when some of its views may have gross errors.

Each view's keypoint either has a usual error or a gross one (`ExpectedError`), which nobody sees. Every way in which
the views may be divided into these two has a probability, given how well the views agree, and a Gaussian posterior of
the point. The covariance is the second moment of their mixture about the point: where the views agree it is that of
the usual errors; where they contradict each other, or only two see the point, it grows by what would follow if one of
them were wrong.

Source: Hartley and Zisserman, 5.2 (the covariance of each division, with errors linearised at the point); Bishop,
Pattern Recognition and Machine Learning, 2.3.3 and 9.2 (evidence and moments of the mixture).
"""

from dataclasses import replace
from itertools import product

import numpy as np
from jaxtyping import Float

from trustpose.multiview.noise import Noise
from trustpose.multiview.symmetric import inverse_and_log_determinant, square
from trustpose.multiview.symmetric import product as multiplied

_DIVIDED = 6  # views that may be either, the most doubtful of a point; the others are what they are more likely to be


def mixture_covariance(
    residual: Float[np.ndarray, "V M 2"],
    jacobian: Float[np.ndarray, "V M 2 3"],
    noise: Noise,
) -> Float[np.ndarray, "M 6"]:
    """Return the covariance of M points about where they were placed, square metres, as in `symmetric`; NaN if their
    views do not determine it.

    Args:
        residual: keypoint minus projected point in each of V views, ideal pixels.
        jacobian: of the projected point by the point's place, pixels a metre.
        noise: the usual and gross errors of the M points' views, in ideal pixels.
    """
    precision, gross, gross_precision = noise.precision, noise.gross, noise.gross_precision
    assert gross is not None and gross_precision is not None
    is_seen = (precision > 0) & np.isfinite(residual).all(axis=2)
    residual = np.where(is_seen[..., None], residual, 0.0)
    jacobian = np.where(is_seen[..., None, None], jacobian, 0.0)
    tiny = np.finfo(np.float64).tiny
    with np.errstate(divide="ignore"):
        usual = np.where(is_seen, np.log(np.maximum(1 - gross, tiny) * precision), 0.0)
        wide = np.where(is_seen, np.log(np.maximum(gross * gross_precision, tiny)), -np.inf)
    lengths = (residual**2).sum(axis=2)  # (V, M)
    goodness = replace(noise, loss="mixture").goodness(lengths)  # the probability of each view by itself
    order = np.argsort(np.where(is_seen, np.abs(goodness - 0.5), 1), axis=0)[:_DIVIDED]
    squares = square(jacobian[..., 0, :].reshape(-1, 3)) + square(jacobian[..., 1, :].reshape(-1, 3))
    squares = squares.reshape(*is_seen.shape, 6)
    pulls = np.einsum("vmij,vmi->vmj", jacobian, residual)  # (V, M, 3)
    log_weight, second = [], []
    for division in product((True, False), repeat=len(order)):
        is_usual = (goodness > 0.5) | ~is_seen
        np.put_along_axis(is_usual, order, np.broadcast_to(np.array(division)[:, None], order.shape), axis=0)
        weight = np.where(is_seen, np.where(is_usual, precision, gross_precision), 0.0)
        inverse, log_determinant = inverse_and_log_determinant(np.einsum("vm,vmj->mj", weight, squares))
        pull = np.einsum("vm,vmj->mj", weight, pulls)
        shift = multiplied(inverse, pull)  # from the point to the mean of this division's posterior
        fit = (weight * lengths).sum(axis=0) - (pull * shift).sum(axis=1)
        log_weight.append(np.where(is_usual, usual, wide).sum(axis=0) + (log_determinant - fit) / 2)
        second.append(inverse + square(shift))
    logs = np.nan_to_num(np.array(log_weight), nan=-np.inf, posinf=-np.inf)  # (2^D, M)
    with np.errstate(invalid="ignore"):
        weights = np.exp(logs - logs.max(axis=0))
        weights /= weights.sum(axis=0)
    return np.einsum("am,amj->mj", weights, np.where(weights[..., None] > 0, np.array(second), 0.0))

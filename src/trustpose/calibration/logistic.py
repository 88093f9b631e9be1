"""Logistic regression with few inputs and targets anywhere in 0–1, by Newton's method, for Platt scaling and
similar."""

import numpy as np
from jaxtyping import Float

RIDGE = 1e-3  # weight of half the squared slopes of standardised inputs: keeps slopes finite for perfect separation
_STEPS = 50
_EDGE = 1e-6  # probabilities are clipped this far from 0 and 1 before the logit


def sigmoid(logit: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"]:
    """Return 1 / (1 + e^−logit), in the same precision, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logit))


def logit(chance: Float[np.ndarray, "*S"]) -> Float[np.ndarray, "*S"]:
    """Return ln(p / (1 − p)) of p in 0–1, clipped to 1e-6 … 1 − 1e-6."""
    chance = np.clip(chance, _EDGE, 1 - _EDGE)
    return np.log(chance / (1 - chance))


def fit_logistic(
    inputs: Float[np.ndarray, "N D"], target: Float[np.ndarray, " N"], *, offset: bool = True, ridge: float = RIDGE
) -> Float[np.ndarray, " D_and_1"]:
    """Fit slopes and offset (D + 1,) of sigmoid(inputs · slopes + offset) by cross-entropy to targets in 0–1.

    `offset` False keeps the offset at 0 (temperature scaling, one input). Without rows all are 0. Slopes are for inputs
    as given; the ridge penalises slopes of standardised ones. Platt, "Probabilistic outputs for support vector
    machines" (1999), without his smoothing of the targets, which is for binary labels.
    """
    rows, count = inputs.shape
    if not rows:
        return np.zeros(count + 1)
    centre = inputs.mean(axis=0) if offset else np.zeros(count)
    spread = inputs.std(axis=0)
    spread = np.where(spread > 1e-12, spread, 1.0)
    design = np.concatenate([(inputs - centre) / spread, np.full((rows, 1), float(offset))], axis=1)
    penalty = np.r_[np.full(count, ridge), 0.0 if offset else 1.0]
    slopes = np.zeros(count + 1)
    if offset:
        slopes[-1] = logit(np.full(1, target.mean()))[0]
    loss = _loss(design, target, slopes, penalty)
    for _ in range(_STEPS):
        chance = sigmoid(design @ slopes)
        gradient = design.T @ (chance - target) + penalty * slopes
        weight = np.maximum(chance * (1 - chance), 1e-9)
        step = np.linalg.solve(design.T @ (design * weight[:, None]) + np.diag(penalty + 1e-12), gradient)
        slopes, loss, moved = _descend(design, target, slopes, step, penalty, loss)
        if not moved or np.abs(step).max() < 1e-10:
            break
    slopes[:-1] /= spread
    slopes[-1] -= slopes[:-1] @ centre
    return slopes


def fit_rising(inputs: Float[np.ndarray, "N D"], target: Float[np.ndarray, " N"]) -> Float[np.ndarray, " D_and_1"]:
    """Like `fit_logistic` without negative slopes: inputs that would get one are left out, the worst first.

    An input that rises with the truth on the fitted people must not have the opposite effect elsewhere.
    """
    columns = list(range(inputs.shape[1]))
    while True:
        slopes = np.zeros(inputs.shape[1] + 1)
        slopes[[*columns, -1]] = fit_logistic(inputs[:, columns], target)
        if not columns or slopes[columns].min() >= 0:
            return slopes
        columns.remove(int(np.argmin(slopes[:-1])))


def _descend(
    design: np.ndarray, target: np.ndarray, slopes: np.ndarray, step: np.ndarray, penalty: np.ndarray, loss: float
) -> tuple[np.ndarray, float, bool]:
    """Take one Newton step, halved until the loss falls; return False if no fraction of it helps."""
    for _ in range(30):
        tried = slopes - step
        reached = _loss(design, target, tried, penalty)
        if reached < loss:
            return tried, reached, True
        step = step / 2
    return slopes, loss, False


def _loss(design: np.ndarray, target: np.ndarray, slopes: np.ndarray, penalty: np.ndarray) -> float:
    logits = design @ slopes
    return float((np.logaddexp(0, logits) - target * logits).sum() + 0.5 * (penalty * slopes**2).sum())

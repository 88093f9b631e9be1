"""Select the method, and state the reason in a sentence."""

from dataclasses import dataclass

import numpy as np

from trustpose.calibration.metrics import Explained, Value
from trustpose.metrics.bootstrap import interval


@dataclass(frozen=True)
class Choice:
    """The method, the reason, and each method's explained variance with its 95 % interval."""

    method: str
    why: str
    shares: dict[str, Value]


def choose(worth: dict[str, Explained], *, is_requested: bool) -> Choice:
    """Select the method that explains most of the variance of OKS and OPKS out of fold; `worth` is ordered by
    complexity.

    A simpler method is preferred if the lead of the best is not significant: if 0 lies in the 95 % interval of the
    difference, over the same draws of photos.
    """
    shares: dict[str, Value] = {name: (explained.mean, *interval(explained.draws)) for name, explained in worth.items()}
    best = max(worth, key=lambda name: worth[name].mean)
    if is_requested or len(worth) == 1:
        return Choice(best, f"{best} was requested", shares)
    name = next(
        name
        for name, explained in worth.items()
        if name == best or interval(worth[best].draws - explained.draws)[0] <= 0
    )
    listed = ", ".join(f"{method} {explained.mean:.3f}" for method, explained in worth.items() if method != name)
    why = f"out of fold {name} explains {worth[name].mean:.3f} of the variance of OKS and OPKS ({listed})"
    if name != best:
        return Choice(name, f"{why}; the lead of {best} is not significant, and {name} is simpler", shares)
    low, high = _lead(worth, best)
    return Choice(name, f"{why}; 95 % interval of its lead {low:.3f} to {high:.3f}", shares)


def _lead(worth: dict[str, Explained], best: str) -> tuple[float, float]:
    """Return the interval of the best method's lead over the second best."""
    second = max((name for name in worth if name != best), key=lambda name: worth[name].mean)
    return interval(np.asarray(worth[best].draws - worth[second].draws))

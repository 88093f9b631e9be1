"""Match tracks to the poses of a frame, each at most once, by their distances."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

MATCHINGS = ("hungarian", "greedy")


def match(distance: Float[np.ndarray, "T n"], max_distance: float, how: str = "hungarian") -> Int[np.ndarray, " n"]:
    """Return the row (track) of each of n columns (poses); -1 for a column without one.

    No pair is farther apart than `max_distance`. "greedy" takes the nearest pair, then the nearest of the rest, and so
    on, the earlier row and column in ties; "hungarian" the pairs that stay below `max_distance` by most, summed.
    NaN and infinite distances are never matched. Raises ValueError for an unknown `how`.
    """
    if how not in MATCHINGS:
        raise ValueError(f"matching: expected one of {', '.join(MATCHINGS)}, got {how!r}")
    found = np.full(distance.shape[1], -1)
    if not distance.size:
        return found
    is_near = distance <= max_distance  # NaN is not
    if how == "hungarian":
        # 1e-9: a pair at exactly `max_distance` is matched too
        gain = np.where(is_near, max_distance - distance + 1e-9, 0.0)
        rows, columns = linear_sum_assignment(gain, maximize=True)
        kept = is_near[rows, columns]
        found[columns[kept]] = rows[kept]
        return found
    rows, columns = np.nonzero(is_near)
    free = np.ones(len(distance), dtype=bool)
    for pair in np.argsort(distance[rows, columns], kind="stable"):
        row, column = rows[pair], columns[pair]
        if free[row] and found[column] < 0:
            found[column], free[row] = row, False
    return found

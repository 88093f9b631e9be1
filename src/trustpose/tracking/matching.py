"""Match tracks to the poses of a frame, each at most once, by their distances."""

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from trustpose.names import expected_one_of

MATCHINGS = ("hungarian", "greedy")


def match(
    distance: Float[np.ndarray, "T n"],
    max_distance: float,
    matching: str = "hungarian",
    weight: Float[np.ndarray, "T n"] | None = None,
) -> Int[np.ndarray, " n"]:
    """Return the row (track) of each of n columns (poses); -1 for a column without one.

    No pair is farther apart than `max_distance`. A pair's gain is how far it stays below `max_distance`, times its
    `weight`, above 0 (None: 1). "greedy" takes the pair that gains most, then the best of the rest, and so on, the
    earlier row and column in ties; "hungarian" the pairs that gain most in sum. NaN and infinite distances are never
    matched. Raises ValueError for an unknown `matching`.
    """
    if matching not in MATCHINGS:
        raise ValueError(f"matching: {expected_one_of(MATCHINGS, matching)}")
    row_of_column = np.full(distance.shape[1], -1)
    if not distance.size:
        return row_of_column
    is_near = distance <= max_distance  # NaN is not
    # 1e-9: a pair at exactly `max_distance` is matched too
    gain = np.where(is_near, max_distance - distance + 1e-9, 0.0)
    gain = gain if weight is None else gain * weight
    if matching == "hungarian":
        rows, columns = linear_sum_assignment(gain, maximize=True)
        is_match = is_near[rows, columns]
        row_of_column[columns[is_match]] = rows[is_match]
        return row_of_column
    rows, columns = np.nonzero(is_near)
    free = np.ones(len(distance), dtype=bool)
    order = distance if weight is None else -gain  # tiny differences of distances vanish in the gains
    for pair in np.argsort(order[rows, columns], kind="stable"):
        row, column = rows[pair], columns[pair]
        if free[row] and row_of_column[column] < 0:
            row_of_column[column], free[row] = row, False
    return row_of_column

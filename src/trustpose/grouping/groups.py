"""`Groups`: the candidates of a photo, grouped by person."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False)
class Groups:
    """P people of one photo, as rows of its candidates.

    row (P, K): the candidate for each joint, -1 for a joint without; score (P,): the people's own, as their method
    defines it.
    """

    row: Int[np.ndarray, "P K"]
    score: Float[np.ndarray, " P"]

    def __len__(self) -> int:
        return len(self.row)

    @property
    def missing(self) -> Bool[np.ndarray, "P K"]:
        """Whether a joint has no candidate."""
        return self.row < 0

    def take(self, column: Float[np.ndarray, "N ..."]) -> Float[np.ndarray, "P K ..."]:
        """Return a column of the candidates by person and joint, such as their `xy`; 0 where a joint has none."""
        if not len(column):
            return np.zeros((*self.row.shape, *column.shape[1:]), column.dtype)
        missing = self.missing.reshape(*self.row.shape, *[1] * (column.ndim - 1))
        return np.where(missing, column.dtype.type(0), column[self.row])

    def best_first(self) -> "Groups":
        """Return the people by score, the highest first."""
        order = np.argsort(-self.score, kind="stable")
        return Groups(self.row[order], self.score[order])

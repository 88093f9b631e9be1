"""IDF1: how long people keep one id (Ristani et al., "Performance Measures and a Data Set for Multi-Target,
Multi-Camera Tracking", ECCV workshops 2016), on any similarity, such as OKS."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

from trustpose.metrics.tracks import TrackFrame, pairs_of


@dataclass(frozen=True)
class Identity:
    """Poses of the right track (`true`), others (`false`) and people without one (`missed`), all frames together."""

    true: int
    false: int
    missed: int

    @property
    def idf1(self) -> float:
        """2 true / (2 true + false + missed); NaN without people and poses."""
        total = 2 * self.true + self.false + self.missed
        return 2 * self.true / total if total else float("nan")

    @property
    def precision(self) -> float:
        """Share of the poses that have the right track; NaN without poses."""
        return self.true / (self.true + self.false) if self.true + self.false else float("nan")

    @property
    def recall(self) -> float:
        """Share of the people who have the right track; NaN without people."""
        return self.true / (self.true + self.missed) if self.true + self.missed else float("nan")


def identity(frames: Sequence[TrackFrame], threshold: float = 0.5) -> Identity:
    """Match every true track to at most one found track, so that most poses are of the right one, and count.

    A pose can be of a person if their similarity is at least `threshold`. Equal to TrackEval's IDF1, IDP and IDR.
    """
    pairs = pairs_of(frames)
    near = pairs.similarity >= threshold
    truth_count, track_count = int(pairs.truth_count.sum()), int(pairs.track_count.sum())
    shape = len(pairs.truth_count), len(pairs.track_count)
    if not near.any():
        return Identity(0, track_count, truth_count)
    together: Any = csr_array((np.ones(int(near.sum())), (pairs.truth[near], pairs.track[near])), shape=shape)
    true = 0
    for rows, columns in _groups(together):
        block = together[rows][:, columns].toarray()
        true += int(block[linear_sum_assignment(block, maximize=True)].sum())
    return Identity(true, track_count - true, truth_count - true)


def _groups(together: Any) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the rows and columns of each group of tracks that ever met, as those of two clips never do."""
    rows, columns = together.nonzero()
    size = sum(together.shape)
    graph = coo_array((np.ones(len(rows)), (rows, columns + together.shape[0])), shape=(size, size))
    count, group = connected_components(graph, directed=False)
    order = np.argsort(group, kind="stable")
    members = np.split(order, np.searchsorted(group[order], np.arange(1, count)))
    split = [
        (nodes[nodes < together.shape[0]], nodes[nodes >= together.shape[0]] - together.shape[0]) for nodes in members
    ]
    return [(rows, columns) for rows, columns in split if len(rows) and len(columns)]

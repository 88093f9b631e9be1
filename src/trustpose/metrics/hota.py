"""HOTA: detection and association weighed evenly (Luiten et al., "HOTA: A Higher Order Metric for Evaluating
Multi-Object Tracking", IJCV 2021), on any similarity, such as OKS."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment

from trustpose.metrics.tracks import TrackFrame, TrackPairs, pairs_of

ALPHAS = np.arange(0.05, 0.99, 0.05)  # similarity thresholds, 0.05 to 0.95
_EPSILON = np.finfo(np.float64).eps  # a similarity at the threshold is a match, whatever its last bit


@dataclass(frozen=True, eq=False)
class Hota:
    """HOTA (A,), its detection and association accuracy, and the localisation accuracy of the matches, at each of the
    thresholds `ALPHAS`, NaN without people and poses, `loca` without matches; and how many matches there are, `true`
    (A,)."""

    hota: Float[np.ndarray, " A"]
    deta: Float[np.ndarray, " A"]
    assa: Float[np.ndarray, " A"]
    loca: Float[np.ndarray, " A"]
    true: Int[np.ndarray, " A"]

    def means(self) -> dict[str, float]:
        """Return the means over all thresholds, as they are reported: HOTA, DetA, AssA, LocA."""
        values = {"HOTA": self.hota, "DetA": self.deta, "AssA": self.assa, "LocA": self.loca}
        return {name: float(value.mean()) for name, value in values.items()}


def hota(frames: Sequence[TrackFrame]) -> Hota:
    """Compute HOTA over all frames, of one clip or several; clips count by their true matches, as in TrackEval.

    In each frame people and poses are matched by their similarity times how well their whole tracks agree (section
    5.1). Equal to TrackEval's numbers, except that what it sets to 0 or 1 without data is NaN here.
    """
    pairs = pairs_of(frames)
    truth_count, track_count = int(pairs.truth_count.sum()), int(pairs.track_count.sum())
    unknown = np.full(len(ALPHAS), np.nan)
    if not truth_count + track_count:
        return Hota(unknown, unknown, unknown, unknown, np.zeros(len(ALPHAS), np.int64))
    matched = _matched(frames, pairs)
    similarity = pairs.similarity[matched]
    key, pair_index = np.unique(pairs.key[matched], return_inverse=True)
    width = max(1, len(pairs.track_count))
    frames_of_both = pairs.truth_count[key // width] + pairs.track_count[key % width] if len(key) else np.zeros(0)
    deta, assa, loca = np.zeros(len(ALPHAS)), np.zeros(len(ALPHAS)), unknown.copy()
    matches = np.zeros(len(ALPHAS), np.int64)
    for index, alpha in enumerate(ALPHAS):
        hit = similarity >= alpha - _EPSILON
        true = matches[index] = int(hit.sum())
        deta[index] = true / (truth_count + track_count - true)
        if true:
            together = np.bincount(pair_index[hit], minlength=len(key))
            assa[index] = (together * together / (frames_of_both - together)).sum() / true
            loca[index] = similarity[hit].mean()
    return Hota(np.sqrt(deta * assa), deta, assa, loca, matches)


def _matched(frames: Sequence[TrackFrame], pairs: TrackPairs) -> np.ndarray:
    """Return the rows of `pairs` that are matched, frame by frame, at any threshold."""
    share = np.concatenate([np.zeros(0), *(_share(frame.similarity).ravel() for frame in frames)])
    _, pair_index = np.unique(pairs.key, return_inverse=True)
    together = (
        np.bincount(pair_index, share)[pair_index] if len(pair_index) else share
    )  # soft frames that both ids share
    agreement = together / (pairs.truth_count[pairs.truth] + pairs.track_count[pairs.track] - together)
    weight, rows, start = agreement * pairs.similarity, [], 0
    for frame in frames:
        shape = frame.similarity.shape
        size = shape[0] * shape[1]
        if size:
            row, column = linear_sum_assignment(weight[start : start + size].reshape(shape), maximize=True)
            rows.append(start + row * shape[1] + column)
        start += size
    return np.concatenate([np.zeros(0, np.int64), *rows])


def _share(similarity: np.ndarray) -> np.ndarray:
    """Return each pair's similarity as a share of all that its person and its pose have in the frame."""
    total = similarity.sum(axis=0) + similarity.sum(axis=1, keepdims=True) - similarity
    return np.divide(similarity, total, out=np.zeros_like(similarity), where=total > _EPSILON)

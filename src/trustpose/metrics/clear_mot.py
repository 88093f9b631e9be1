"""CLEAR MOT: misses, false alarms and identity switches (Bernardin & Stiefelhagen, "Evaluating Multiple Object Tracking
Performance", 2008), on any similarity, such as OKS."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from trustpose.metrics.tracks import TrackFrame

_STAY = 1000.0  # of a pair that was matched in the last frame: more than all similarities of a frame together
_EPSILON = np.finfo(np.float64).eps


@dataclass(frozen=True)
class ClearMot:
    """Counts over all frames; `similarity` is the sum of the matches', `fragments` how often a track is taken up again
    after a gap."""

    matches: int
    misses: int
    false_alarms: int
    switches: int
    fragments: int
    similarity: float

    @property
    def mota(self) -> float:
        """1 − (misses + false alarms + switches) / people; NaN without people."""
        people = self.matches + self.misses
        return 1 - (self.misses + self.false_alarms + self.switches) / people if people else float("nan")

    @property
    def motp(self) -> float:
        """Mean similarity of the matches; NaN without any."""
        return self.similarity / self.matches if self.matches else float("nan")


def clear_mot(frames: Sequence[TrackFrame], threshold: float = 0.5) -> ClearMot:
    """Match people and poses of every frame whose similarity is at least `threshold`, and count.

    A pair of the last frame stays matched if it can; the others are matched so that the sum of similarities is largest.
    A switch is a person whose track is another one than when last matched, however long ago. Equal to TrackEval's MOTA,
    MOTP, IDSW and Frag.
    """
    last: dict[int, int] = {}  # each person's track when last matched
    before: dict[int, int] = {}  # the matches of the last frame with people and poses
    matches = misses = false = switches = 0
    similarity = 0.0
    starts: dict[int, int] = {}
    for frame in frames:
        if not len(frame.truth_id) or not len(frame.track_id):
            misses, false = misses + len(frame.truth_id), false + len(frame.track_id)
            continue
        near = frame.similarity >= threshold - _EPSILON
        stays = np.array([before.get(person, -1) for person in frame.truth_id.tolist()])[:, None] == frame.track_id
        stays &= np.isin(frame.truth_id, list(before))[:, None]
        row, column = linear_sum_assignment(np.where(near, frame.similarity + _STAY * stays, 0.0), maximize=True)
        is_match = near[row, column] & (frame.similarity[row, column] + stays[row, column] > _EPSILON)
        row, column = row[is_match], column[is_match]
        current = dict(zip(frame.truth_id[row].tolist(), frame.track_id[column].tolist(), strict=True))
        switches += sum(last.get(person, track) != track for person, track in current.items())
        for person in current.keys() - before.keys():
            starts[person] = starts.get(person, 0) + 1
        last |= current
        before = current
        matches += len(current)
        misses, false = misses + len(frame.truth_id) - len(current), false + len(frame.track_id) - len(current)
        similarity += float(frame.similarity[row, column].sum())
    fragments = sum(starts.values()) - len(starts)
    return ClearMot(matches, misses, false, switches, fragments, similarity)

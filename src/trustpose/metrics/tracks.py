"""What the tracking metrics read: in each frame, who is there, who was found, and how similar they are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class TrackFrame:
    """One frame: the track ids of its T labelled people and n poses, and their similarity, 0 to 1, such as OKS.

    Ids are unique in a frame and over clips: two clips never share one. Raises ValueError otherwise, or for a wrong
    shape.
    """

    truth_id: Int[np.ndarray, " T"]
    track_id: Int[np.ndarray, " n"]
    similarity: Float[np.ndarray, "T n"]

    def __post_init__(self) -> None:
        expected = (len(self.truth_id), len(self.track_id))
        if self.similarity.shape != expected:
            raise ValueError(f"TrackFrame.similarity: expected shape {expected}, got {self.similarity.shape}")
        for name in ("truth_id", "track_id"):
            ids, counts = np.unique(getattr(self, name), return_counts=True)
            if (counts > 1).any():
                raise ValueError(f"TrackFrame.{name}: {ids[counts > 1][0]} occurs twice in one frame")


@dataclass(frozen=True, eq=False)
class TrackPairs:
    """Every pair of a person and a pose that share a frame: their places among all G true and P found ids, frame by
    frame; and the number of frames in which each id occurs."""

    truth: Int[np.ndarray, " M"]
    track: Int[np.ndarray, " M"]
    similarity: Float[np.ndarray, " M"]
    truth_count: Int[np.ndarray, " G"]
    track_count: Int[np.ndarray, " P"]

    @property
    def key(self) -> Int[np.ndarray, " M"]:
        """One number for each pair of ids."""
        return self.truth * max(1, len(self.track_count)) + self.track


def pairs_of(frames: Sequence[TrackFrame]) -> TrackPairs:
    """Return the pairs of all frames."""
    truth, truth_count = _indices([frame.truth_id for frame in frames])
    track, track_count = _indices([frame.track_id for frame in frames])
    rows, columns, similarity = [], [], []
    for frame, truth_rows, track_rows in zip(frames, truth, track, strict=True):
        rows.append(np.repeat(truth_rows, len(track_rows)))
        columns.append(np.tile(track_rows, len(truth_rows)))
        similarity.append(frame.similarity.ravel())
    none = np.zeros(0, np.int64)
    return TrackPairs(
        np.concatenate([none, *rows]),
        np.concatenate([none, *columns]),
        np.concatenate([np.zeros(0), *similarity]),
        truth_count,
        track_count,
    )


def _indices(ids: list[np.ndarray]) -> tuple[list[np.ndarray], np.ndarray]:
    """Return the place of each frame's ids among all ids, and how often each of these occurs."""
    every = np.concatenate([np.zeros(0, np.int64), *ids])
    _, index, count = np.unique(every, return_inverse=True, return_counts=True)
    return np.split(index, np.cumsum([len(frame_ids) for frame_ids in ids])[:-1]) if ids else [], count

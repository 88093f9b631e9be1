"""`Tracker`: link the poses of each new frame to the tracks of the frames before."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.names import expected_one_of
from trustpose.poses import MISSING_ID, Poses
from trustpose.tracking.distances import Distance, both_distance, box_distance, oks_distance
from trustpose.tracking.matching import MATCHINGS, match

Motion = Callable[[Float[np.ndarray, "N 2"]], Float[np.ndarray, "N 2"]]
"""Where points (N, 2) of the last frame, image pixels, are in this one: `flow.Flow.move`."""
EARLIER = ("nearest", "decayed")
MAX_DISTANCE, MEMORY, START_QUALITY = 0.95, 30, 0.3
_DECAY = 0.7  # of an earlier pose's weight, for each frame that it is older
_MIN_SCORE = 1e-6  # of a score, so that a pose of score 0 can be linked
_DUPLICATE_DISTANCE = (
    0.3  # 1 - OKS over boxes' areas, or 1 - IoU without sigmas, below which two poses are one person's
)
_COLUMNS = (  # beside xy
    "score",
    "quality",
    "box",
    "box_score",
    "missing",
    "pose_score",
    "presence",
    "pose_quality",
    "suppressed_score",
)


@dataclass(eq=False)
class Tracker:
    """Links the poses of successive frames of one clip; call it with each frame's poses, in order.

    distance: any function of (earlier poses, the frame's poses), see `distances`. matching, max_distance: as in
    `match`. A track that was not seen in the last `memory` frames has ended. Each track's last `history` poses are
    compared, and by `earlier` the nearest of them counts ("nearest"), or their mean, older ones weighing less
    ("decayed", × 0.7 for each frame of age). With `weigh` a link counts by how sure both poses are, the root of the
    product of their `presence` (without it of their boxes' scores, the poses' own without boxes), and × 0.7 for each
    frame in which the track was not seen; otherwise all count alike, and two doubtful links can outweigh a sure one.
    Only a pose whose `ranking_score` is at least `start_score` begins a track (None: any; "auto": 0.3 for poses with
    expected OKS, `pose_quality`, any for others), weaker ones may continue one. Ids are counted from `next_id`. Raises
    ValueError for a number out of its range.
    """

    distance: Distance = both_distance
    matching: str = "hungarian"
    max_distance: float = MAX_DISTANCE
    memory: int = MEMORY
    history: int = 1
    earlier: str = "nearest"
    start_score: float | Literal["auto"] | None = "auto"
    weigh: bool = True
    next_id: int = 1
    past: Poses | None = field(default=None, init=False)
    _track: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), init=False)
    _age: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), init=False)

    def __post_init__(self) -> None:
        if self.matching not in MATCHINGS:
            raise ValueError(f"matching: {expected_one_of(MATCHINGS, self.matching)}")
        if not 0 <= self.max_distance <= 1:
            raise ValueError(f"max_distance: expected a distance from 0 to 1, got {self.max_distance:g}")
        for name in ("memory", "history"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.earlier not in EARLIER:
            raise ValueError(f"earlier: {expected_one_of(EARLIER, self.earlier)}")

    def __call__(self, poses: Poses, motion: Motion | None = None, *, gap: int = 1) -> Poses:
        """Return the frame's poses (n) with their `track_id`; -1 for a pose that neither continues nor begins a track.

        motion: moves points of the last frame to this one, before poses are compared. gap: frames since the last call,
        more than 1 after frames without poses.
        """
        self._age = self._age + gap
        self._keep(self._age <= self.memory)
        if motion is not None and self.past is not None:
            self.past = _moved(self.past, motion)
        ids = self._ids(poses)
        self._remember(poses, ids)
        return replace(poses, track_id=ids)

    def last(self, motion: Motion | None = None) -> Poses | None:
        """Return the poses that the last call gave an id, moved by `motion`; None before the first call."""
        if self.past is None:
            return None
        seen = self.past[self._age == 0]
        return seen if motion is None else _moved(seen, motion)

    def _ids(self, poses: Poses) -> Int[np.ndarray, " n"]:
        ids, is_sure = np.full(len(poses), MISSING_ID), self._is_sure(poses)
        if self.past is not None and len(self.past) and len(poses):
            tracks, latest, distance = self._distances(poses)
            # A doubtful pose is good evidence where the track was a frame ago. Elsewhere it is the background's:
            # tracks of people who left went on there.
            distance = np.where((self._age[latest] > 1)[:, None] & ~is_sure, np.inf, distance)
            row = match(
                distance, self.max_distance, self.matching, self._weights(latest, poses) if self.weigh else None
            )
            ids[row >= 0] = tracks[row[row >= 0]]
        begins = self._without_doubles(poses, ids, np.flatnonzero(is_sure & (ids == MISSING_ID)))
        ids[begins] = np.arange(self.next_id, self.next_id + len(begins))
        self.next_id += len(begins)
        return ids

    def _is_sure(self, poses: Poses) -> Bool[np.ndarray, " n"]:
        """Return which poses may begin a track."""
        start = self.start_score
        if start == "auto":
            start = None if poses.pose_quality is None else START_QUALITY
        return np.ones(len(poses), np.bool_) if start is None else poses.ranking_score >= start

    def _without_doubles(
        self, poses: Poses, ids: Int[np.ndarray, " n"], begins: Int[np.ndarray, " b"]
    ) -> Int[np.ndarray, " c"]:
        """Return the rows of `begins` without duplicates: of poses with a track, and of better poses in `begins`."""
        if len(poses) < 2 or not len(begins):
            return begins
        if poses.skeleton is not None and poses.skeleton.has_sigmas:
            distance = oks_distance(poses, poses[begins], area="box")  # (n, b)
        else:
            distance = box_distance(poses, poses[begins])
        has_track, begun = ids != MISSING_ID, np.zeros(len(begins), np.bool_)
        for candidate in np.argsort(-_sureness(poses[begins]), kind="stable"):
            begun[candidate] = not (distance[has_track, candidate] < _DUPLICATE_DISTANCE).any()
            has_track[begins[candidate]] |= begun[candidate]
        return begins[begun]

    def _weights(self, latest: Int[np.ndarray, " T"], poses: Poses) -> Float[np.ndarray, "T n"]:
        """Return the weight of each link. Without weights, a false alarm that was seen once would compete, for as long
        as it is remembered, with a person who is seen in every frame. DeepSORT (Wojke et al. 2017) and ByteTrack (Zhang
        et al. 2022) match in stages instead, recently seen tracks or high scores first."""
        assert self.past is not None
        sure = np.sqrt(_sureness(self.past)[latest, None] * _sureness(poses))
        return sure * _DECAY ** (self._age[latest].astype(np.float64) - 1)[:, None]

    def _distances(self, poses: Poses) -> tuple[Int[np.ndarray, " T"], Int[np.ndarray, " T"], Float[np.ndarray, "T n"]]:
        """Return the ids of the living tracks, the row of each one's latest pose, and its distance from every pose of
        the frame."""
        assert self.past is not None
        single = np.asarray(self.distance(self.past, poses))
        if single.shape != (len(self.past), len(poses)):
            expected = (len(self.past), len(poses))
            raise ValueError(f"distance: expected an array {expected}, a row for each earlier pose, got {single.shape}")
        if self.history == 1:
            return self._track, np.arange(len(single)), single
        order = np.lexsort((self._age, self._track))
        tracks, first = np.unique(self._track[order], return_index=True)
        latest, row_of_track = order[first], np.searchsorted(tracks, self._track)
        if self.earlier == "nearest":
            nearest = np.full((len(tracks), len(poses)), np.inf)
            np.fmin.at(nearest, row_of_track, single)
            return tracks, latest, nearest
        weight = _DECAY ** self._age.astype(np.float64)
        total = np.zeros((len(tracks), len(poses)))
        np.add.at(total, row_of_track, single * weight[:, None])
        return tracks, latest, total / np.bincount(row_of_track, weight)[:, None]

    def _remember(self, poses: Poses, ids: np.ndarray) -> None:
        """Add the poses with an id, and forget what is more than `history` poses back in its track."""
        if self.history == 1:
            self._keep(~np.isin(self._track, ids))
        seen = ids != MISSING_ID
        if not seen.any():
            return
        new = Poses(poses.xy, skeleton=poses.skeleton, **{name: getattr(poses, name) for name in _COLUMNS})
        new = new if seen.all() else new[seen]
        self.past = new if self.past is None or not len(self.past) else Poses.concatenate([self.past, new])
        self._track = np.concatenate([self._track, ids[seen]])
        self._age = np.concatenate([self._age, np.zeros(len(new), np.int64)])
        if self.history > 1:
            order = np.lexsort((self._age, self._track))  # within a track, the latest first
            _, first, count = np.unique(self._track[order], return_index=True, return_counts=True)
            rank = np.empty(len(order), np.int64)
            rank[order] = np.arange(len(order)) - np.repeat(first, count)
            self._keep(rank < self.history)

    def _keep(self, rows: np.ndarray) -> None:
        if self.past is not None and not rows.all():
            self.past, self._track, self._age = self.past[rows], self._track[rows], self._age[rows]


def _sureness(poses: Poses) -> Float[np.ndarray, " n"]:
    """Return the confidence, above 0, that each pose is a person: its presence, else its box's score, reduced by the
    factor by which suppression reduced the pose's score, else the pose's own score; 1 without any."""
    score = poses.box_score
    if poses.presence is not None:
        score = poses.presence if score is None else np.where(np.isnan(poses.presence), score, poses.presence)
    has_score = poses.pose_quality is not None or poses.pose_score is not None
    if score is None and has_score:
        score = poses.ranking_score
    elif score is not None and poses.suppressed_score is not None and has_score:
        before = np.maximum(replace(poses, suppressed_score=None).ranking_score, _MIN_SCORE)
        score = score * np.clip(poses.suppressed_score / before, 0, 1)
    return np.ones(len(poses)) if score is None else np.maximum(np.nan_to_num(score.astype(np.float64)), _MIN_SCORE)


def _moved(poses: Poses, motion: Motion) -> Poses:
    """Return poses whose joints, and boxes as a whole, are where the frame's motion takes them."""
    xy = motion(poses.xy.reshape(-1, 2)).reshape(poses.xy.shape)
    box = poses.box
    if box is not None:
        centre = (box[:, :2] + box[:, 2:]) / 2
        box = box + np.tile(motion(centre) - centre, 2)
    return replace(poses, xy=xy, box=box)

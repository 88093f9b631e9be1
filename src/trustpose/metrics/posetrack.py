"""PoseTrack's metrics: MOTA and AP of each joint, by distances relative to the head (Andriluka et al., "PoseTrack: A
Benchmark for Human Pose Estimation and Tracking", CVPR 2018; Iqbal et al., "PoseTrack: Joint Multi-Person Pose
Estimation and Tracking", CVPR 2017), with the conventions of its official code, poseval:

- A joint is found if it is at most half a head (0.6 × the diagonal of the head's box) from a labelled one.
- In a frame with people but no poses, or the reverse, each joint counts as one person, missed, and one false alarm,
  however many there are. The last frame of a clip does not count for MOTA.
- Numbers over all joints are means over the joints that have any.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import linear_sum_assignment

FOUND = 0.5  # of a head
HEAD = 0.6  # of the diagonal of the head's box
_NEVER = 1e6  # cost of a pair that is too far apart: more than all distances of a frame together


@dataclass(frozen=True, eq=False)
class PoseTrackFrame:
    """One frame of a clip: T labelled people and n poses of J joints, image pixels, and their track ids.

    `labelled` and `placed` say which joints are there. `head` is the size of each person's head in pixels, `score` that
    of each joint of the poses.
    """

    truth_xy: Float[np.ndarray, "T J 2"]
    labelled: Bool[np.ndarray, "T J"]
    head: Float[np.ndarray, " T"]
    truth_id: Int[np.ndarray, " T"]
    xy: Float[np.ndarray, "n J 2"]
    placed: Bool[np.ndarray, "n J"]
    score: Float[np.ndarray, "n J"]
    track_id: Int[np.ndarray, " n"]

    def distances(self) -> Float[np.ndarray, "T n J"]:
        """Return the distances of people's joints from those of poses, in heads; infinite if one is not there."""
        distance = np.linalg.norm(self.truth_xy[:, None] - self.xy, axis=3) / self.head[:, None, None]
        return np.where(self.labelled[:, None] & self.placed, distance, np.inf)


@dataclass(frozen=True, eq=False)
class JointTracks:
    """MOTA, MOTP (1 − mean distance of the matches, in heads), precision and recall of each of J joints, 0 to 1, NaN
    for a joint without labels or poses; and the number of switches."""

    mota: Float[np.ndarray, " J"]
    motp: Float[np.ndarray, " J"]
    precision: Float[np.ndarray, " J"]
    recall: Float[np.ndarray, " J"]
    switches: Int[np.ndarray, " J"]


@dataclass(frozen=True, eq=False)
class JointPrecision:
    """Average precision, and precision and recall of all poses, of each of J joints, 0 to 1; NaN without labels."""

    ap: Float[np.ndarray, " J"]
    precision: Float[np.ndarray, " J"]
    recall: Float[np.ndarray, " J"]


def mean_of_joints(values: Float[np.ndarray, " J"]) -> float:
    """Return the mean over the joints that have a number, as poseval's total; NaN without any."""
    numbers = values[~np.isnan(values)]
    return float(numbers.mean()) if len(numbers) else float("nan")


def joint_tracks(clips: Sequence[Sequence[PoseTrackFrame]]) -> JointTracks:
    """Compute the tracking numbers of every joint over the frames of several clips, in order.

    A person and a pose that were matched last, however long ago, stay matched while they can; of the others, as many as
    possible are matched, at the smallest distances. Equal to poseval's numbers (MOTP: see docs/evaluation.md).
    """
    joints = next((frame.truth_xy.shape[1] for frame in chain(*clips)), 0)
    counts = np.zeros((4, joints), np.int64)  # matches, switches, misses, false alarms
    total = np.zeros(joints)
    for clip in clips:
        frames = [(frame, frame.distances()) for frame in clip[:-1]]
        for joint in range(joints):
            clip_counts, distance = _follow(frames, joint)
            counts[:, joint] += clip_counts
            total[joint] += distance
    matches, switches, misses, false = counts
    assigned = matches + switches
    return JointTracks(
        mota=1 - _share(misses + switches + false, assigned + misses),
        motp=1 - _share(total, assigned),
        precision=_share(assigned, assigned + false),
        recall=_share(assigned, assigned + misses),
        switches=switches,
    )


def joint_precision(clips: Sequence[Sequence[PoseTrackFrame]]) -> JointPrecision:
    """Compute the average precision of every joint: each pose is assigned to the person most of whose joints it has
    found, each person to the best of its poses, and each joint ranked by its score. Equal to poseval's numbers.

    All points of the precision-recall curve count, made monotonic (PASCAL VOC 2010).
    """
    every = list(chain(*clips))
    joints = every[0].truth_xy.shape[1] if every else 0
    scores: list[list[np.ndarray]] = [[] for _ in range(joints)]
    hits: list[list[np.ndarray]] = [[] for _ in range(joints)]
    people = np.zeros(joints, np.int64)
    for frame in every:
        right = _right_joints(frame)
        people += frame.labelled.sum(axis=0)
        for joint in range(joints):
            rows = frame.placed[:, joint]
            scores[joint].append(frame.score[rows, joint])
            hits[joint].append(right[rows, joint])
    curves = [
        _curve(np.concatenate(score), np.concatenate(hit), n)
        for score, hit, n in zip(scores, hits, people, strict=True)
    ]
    table = np.array(curves).reshape(joints, 3)
    return JointPrecision(*table.T)


def _follow(frames: list[tuple[PoseTrackFrame, np.ndarray]], joint: int) -> tuple[list[int], float]:
    """Return the counts of one joint in a clip, and the sum of its matches' distances."""
    last: dict[int, int] = {}
    matches = switches = misses = false = 0
    total = 0.0
    for frame, every in frames:
        if not len(frame.truth_id) or not len(frame.track_id):
            misses, false = misses + 1, false + 1
            continue
        rows, columns = np.flatnonzero(frame.labelled[:, joint]), np.flatnonzero(frame.placed[:, joint])
        distance = every[np.ix_(rows, columns)][..., joint]
        people, tracks = frame.truth_id[rows].tolist(), frame.track_id[columns].tolist()
        for row, column in _pairs(distance, people, tracks, last):
            person, track = people[row], tracks[column]
            is_switch = last.get(person, track) != track
            switches, matches = switches + is_switch, matches + (not is_switch)
            last[person] = track
            total += distance[row, column]
            misses, false = misses - 1, false - 1
        misses, false = misses + len(people), false + len(tracks)
    return [matches, switches, misses, false], total


def _pairs(
    distance: np.ndarray, people: list[int], tracks: list[int], last: dict[int, int]
) -> Iterator[tuple[int, int]]:
    """Yield the matched rows and columns: first those who stay with their last track, then the others."""
    near = distance <= FOUND
    columns = {track: column for column, track in enumerate(tracks)}
    used_columns: set[int] = set()
    for row, person in enumerate(people):
        column = columns.get(last[person]) if person in last else None
        if column is not None and column not in used_columns and near[row, column]:
            used_columns.add(column)
            near[row] = False
            yield row, column
    near[:, list(used_columns)] = False
    if near.any():
        for row, column in zip(*linear_sum_assignment(np.where(near, distance, _NEVER)), strict=True):
            if near[row, column]:
                yield int(row), int(column)


def _right_joints(frame: PoseTrackFrame) -> Bool[np.ndarray, "n J"]:
    """Return which joints of the poses are where those of their person are."""
    right = np.zeros(frame.placed.shape, bool)
    if not len(frame.truth_id) or not len(frame.track_id):
        return right
    near = frame.distances() <= FOUND  # (T, n, J)
    share = near.sum(axis=2) / np.maximum(frame.labelled.sum(axis=1), 1)[:, None]  # (T, n)
    person = share.argmax(axis=0)  # (n,) each pose's person, the first in ties
    own_share = np.where(person == np.arange(len(share))[:, None], share, 0.0)
    pose = own_share.argmax(axis=1)  # (T,) each person's pose
    for row in np.flatnonzero(own_share.max(axis=1) > 0):
        right[pose[row]] = near[row, pose[row]]
    return right


def _curve(score: np.ndarray, is_hit: np.ndarray, people: Any) -> tuple[float, float, float]:
    """Return average precision, and precision and recall of all."""
    if not people:
        return float("nan"), float("nan"), float("nan")
    if not len(score):
        return 0.0, 0.0, 0.0
    hits = np.cumsum(is_hit[np.argsort(score)[::-1]])  # numpy's own order in ties, as poseval's
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / people
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall, prepend=0.0) * best).sum()), float(precision[-1]), float(recall[-1])


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)

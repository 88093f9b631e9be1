"""Tracking metrics: CLEAR MOT, HOTA, IDF1, and PoseTrack's MOTA and AP per joint.

CLEAR MOT: misses, false alarms and identity switches (Bernardin & Stiefelhagen, "Evaluating Multiple Object Tracking
Performance", 2008), on any similarity, such as OKS.

HOTA: detection and association weighed evenly (Luiten et al., "HOTA: A Higher Order Metric for Evaluating
Multi-Object Tracking", IJCV 2021), on any similarity, such as OKS.

IDF1: how long people keep one id (Ristani et al., "Performance Measures and a Data Set for Multi-Target, Multi-Camera
Tracking", ECCV workshops 2016), on any similarity, such as OKS.

PoseTrack's metrics: MOTA and AP of each joint, by distances relative to the head (Andriluka et al., "PoseTrack: A
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
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components


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


ALPHAS = np.arange(0.05, 0.99, 0.05)  # similarity thresholds, 0.05 to 0.95


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
    share = np.concatenate([np.zeros(0), *(_normalised_similarity(frame.similarity).ravel() for frame in frames)])
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


def _normalised_similarity(similarity: np.ndarray) -> np.ndarray:
    """Return each pair's similarity as a share of all that its person and its pose have in the frame."""
    total = similarity.sum(axis=0) + similarity.sum(axis=1, keepdims=True) - similarity
    return np.divide(similarity, total, out=np.zeros_like(similarity), where=total > _EPSILON)


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
    possible are matched, at the smallest distances. Equal to poseval's numbers (MOTP: see https://trustpose.github.io/trustpose/evaluation.html).
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

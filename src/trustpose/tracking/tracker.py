"""`Tracker`: link the poses of each new frame to the tracks of the frames before, by a distance between poses from 0
(the same position) to 1.

A distance is any function of two `Poses`, so that a new one takes one line:
`track(poses, distance=lambda past, current: 1 - my_similarity(past.xy, current.xy))`.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Any, Literal, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.crops import grow_box
from trustpose.geometry.oks import opks
from trustpose.grouping.suppression import ASPECT, PADDING, PoseArea, check_area, pose_area
from trustpose.names import expected_one_of
from trustpose.poses import MISSING_ID, Poses, Poses3D
from trustpose.tracking.flow import Flow, FlowFunction, FlowOfFrames

_UNTRUSTED_WEIGHT = 0.1  # weight of a keypoint of which nothing is expected; 1.1 is that of a sure one
Distance = Callable[[Poses, Poses], Float[np.ndarray, "P n"]]
"""(P earlier poses, n poses of a frame) -> (P, n), 0 to 1; a pair that must not be linked may be infinite."""
Distance3D = Callable[[Poses3D, Poses3D], Float[np.ndarray, "P n"]]
"""The same in 3D, in metres."""


def oks_distance(past: Poses, current: Poses, *, area: PoseArea = "crop") -> Float[np.ndarray, "P n"]:
    """Return 1 − OKS of every pair (P, n), over the keypoints that neither pose lacks; 1 without any.

    Sigmas are those of the poses' skeleton. Neither pose is the truth, so that OKS uses the mean of both areas
    (`pose_area`, by the convention `area`, of each pose's box or, without one, of the box around its keypoints). Xiao
    et al. 2018, "Simple Baselines for Human Pose Estimation and Tracking", section 3.2. Raises ValueError if the
    skeleton is unknown or has no sigmas.
    """
    return _distance(past, current, area, None)


def trust_distance(past: Poses, current: Poses, *, area: PoseArea = "crop") -> Float[np.ndarray, "P n"]:
    """Return 1 − OKS as `oks_distance` does, each keypoint weighted by 0.1 + q₁ q₂, q its expected OPKS in each pose.

    A joint that is likely to be misplaced in either frame is weak evidence for or against the same person; but weak,
    not none, since a network misplaces a joint in the next frame as in this one, and a mean over the two joints that it
    trusts in a doubtful pose is near 1 for whoever comes close. Raises ValueError if `quality` is None, also.
    """
    for name, poses in (("past", past), ("current", current)):
        if poses.quality is None:
            raise ValueError(f"trust_distance needs the keypoints' expected OPKS, Poses.quality of {name} is None")
    assert past.quality is not None and current.quality is not None
    weight = _UNTRUSTED_WEIGHT + np.nan_to_num(past.quality)[:, None] * np.nan_to_num(current.quality)  # (P, n, K)
    return _distance(past, current, area, weight)


def box_distance(past: Poses, current: Poses) -> Float[np.ndarray, "P n"]:
    """Return 1 − IoU of the boxes of every pair (P, n): `box`, or the box around the keypoints of a pose without."""
    return 1.0 - np.nan_to_num(paired_iou(past.person_box()[:, None], current.person_box()))


def both_distance(past: Poses, current: Poses, *, area: PoseArea = "crop") -> Float[np.ndarray, "P n"]:
    """Return the mean of `box_distance` and `trust_distance` of every pair (P, n), or `oks_distance` where one side has
    no expected OPKS.

    Joints distinguish people who overlap, and a box is steady where joints are not.
    """
    joints = oks_distance if past.quality is None or current.quality is None else trust_distance
    return (joints(past, current, area=area) + box_distance(past, current)) / 2


def metre_distance(past: Poses3D, current: Poses3D) -> Float[np.ndarray, "P n"]:
    """Return the median distance in metres of the joints of every pair (P, n); infinite without a common joint."""
    apart = np.linalg.norm(past.xyz[:, None] - current.xyz, axis=-1)  # (P, n, K)
    ordered = np.sort(apart, axis=2)  # NaN comes last
    count = np.isfinite(apart).sum(axis=2)[..., None]
    middle = np.concatenate([np.maximum(count - 1, 0) // 2, np.minimum(count // 2, apart.shape[2] - 1)], axis=2)
    return np.where(count[..., 0] > 0, np.take_along_axis(ordered, middle, axis=2).mean(axis=2), np.inf)


def named_distance(name: str, area: str = "crop") -> Distance:
    """Return the distance of that name, one of `DISTANCES`, its OKS by that area (`area_of`)."""
    if name not in DISTANCES:
        raise ValueError(f"distance: {expected_one_of(DISTANCES, name)}")
    return DISTANCES[name] if name == "box" else partial(DISTANCES[name], area=area)


DISTANCES: dict[str, Callable[..., Any]] = {
    "both": both_distance,
    "oks": oks_distance,
    "trust": trust_distance,
    "box": box_distance,
}


def _distance(past: Poses, current: Poses, area: PoseArea, weight: np.ndarray | None) -> np.ndarray:
    if past.skeleton is None:
        raise ValueError("OKS needs the skeleton's sigmas, Poses.skeleton is None")
    both = _has_position(past)[:, None] & _has_position(current)  # (P, n, K)
    mean = (area_of(past, area)[:, None] + area_of(current, area)) / 2  # (P, n)
    terms = opks(past.xy[:, None], current.xy, both, mean, past.skeleton.sigmas)  # (P, n, K)
    share = both.astype(np.float64) if weight is None else both * weight
    total = share.sum(axis=2)
    return 1.0 - np.divide((terms * share).sum(axis=2), total, out=np.zeros_like(total), where=total > 0)


def area_of(poses: Poses, area: PoseArea) -> Float[np.ndarray, " N"]:
    """Return the area (N,) in square pixels of each pose for OKS, as `pose_area` does with `Poses.person_box` as the
    box; 0 without any."""
    check_area(area)
    if area == "keypoints":
        return pose_area(poses, area)
    box = poses.person_box()
    has_box = np.asarray(np.isfinite(box).all(axis=1))
    if not has_box.all():
        box = np.where(has_box[:, None], box, 0.0)
    box = grow_box(box, PADDING, ASPECT) if area == "crop" else box.astype(np.float64)
    size = np.maximum(box[:, 2:] - box[:, :2], 0).prod(axis=1)  # `box_size` finds a file's decimals, and takes long
    return size if has_box.all() else np.where(has_box, size, 0.0)


def _has_position(poses: Poses) -> np.ndarray:
    """Return which keypoints (N, K) have a position."""
    is_finite = np.asarray(np.isfinite(poses.xy).all(axis=2))
    return is_finite if poses.missing is None else is_finite & ~poses.missing


MATCHINGS = ("hungarian", "greedy")
EARLIER = ("nearest", "decayed")
MAX_DISTANCE, MEMORY, START_QUALITY = 0.95, 30, 0.3
_DECAY = 0.7  # of an earlier pose's weight, for each frame that it is older
_MIN_SCORE = 1e-6  # of a score, so that a pose of score 0 can be linked
# 1 - OKS over boxes' areas, or 1 - IoU without sigmas, below which two poses are one person's
_DUPLICATE_DISTANCE = 0.3
_COLUMNS = (  # what is remembered of poses, beside the positions of joints
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
AnyPoses = TypeVar("AnyPoses", Poses, Poses3D)


@dataclass(eq=False)
class Tracker:
    """Links the poses of successive frames, in a photo or in 3D; call it with batches of whole frames, in order.

    Memory is that of a batch and of the tracks that have not ended.

    Args:
        distance: any function of (earlier poses, a frame's poses), see `distances`; earlier poses have `track_id`. That
            of `Poses3D` is in metres, and these need it, `weigh=False` and `start_score=None`.
        matching, max_distance: as in `match`.
        memory: a track that was not seen in so many frames has ended.
        history: how many of each track's last poses are compared.
        earlier: whether the "nearest" of them counts, or their mean, older ones weighing less ("decayed", × 0.7 for
            each frame of age).
        start_score: only a pose whose `ranking_score` is at least this begins a track, weaker ones may continue one.
            None: any; "auto": 0.3 for poses with expected OKS (`pose_quality`), any for others.
        weigh: a link counts by how sure both poses are, the root of the product of their `presence` (without it of
            their boxes' scores, the poses' own without boxes), and × 0.7 for each frame in which the track was not
            seen; otherwise all count alike, and two doubtful links can outweigh a sure one.
        next_id: the id of the next track that begins.
        flow_function: the optical flow of two frames, see `FlowOfFrames`.

    Raises:
        ValueError: for a number out of its range.

    Example:
        >>> from trustpose.tracking import Tracker
        >>> tracker = Tracker(memory=10)
        >>> for frame, poses in tp.read_poses("cam1.json").by_image():
        ...     tracked = tracker(poses)
        >>> tracker.next_id
        3
    """

    distance: Distance | Distance3D = both_distance
    matching: str = "hungarian"
    max_distance: float = MAX_DISTANCE
    memory: int = MEMORY
    history: int = 1
    earlier: str = "nearest"
    start_score: float | Literal["auto"] | None = "auto"
    weigh: bool = True
    next_id: int = 1
    flow_function: FlowFunction | None = None
    past: Any = field(default=None, init=False)  # Poses or Poses3D, with track_id; None before the first
    _age: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), init=False)
    _group: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), init=False)
    _clip: int = field(default=0, init=False)
    _frame: int | None = field(default=None, init=False)
    _flow: FlowOfFrames | None = field(default=None, init=False)

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

    def __call__(
        self,
        poses: AnyPoses,
        photos: Iterable[tuple[int, UInt8[np.ndarray, "H W 3"]]] | None = None,
        *,
        frame: Int[np.ndarray, " N"] | None = None,
        clip: Int[np.ndarray, " N"] | None = None,
        group: Int[np.ndarray, " N"] | None = None,
    ) -> AnyPoses:
        """Link the poses of some frames to the tracks of the frames before.

        Args:
            poses: of whole frames, in order.
            photos: the number and pixels, RGB, of every frame from the first of the batch to the last, also of those
                without poses: optical flow moves earlier poses before they are compared.
            frame: (N,) the number of each pose's frame in its clip; without, its `image_id`, or `Poses3D.frame`.
            clip: (N,) the number of each pose's clip; poses of different clips are never linked. Without, all calls are
                of one clip.
            group: (N,) poses with different numbers, such as categories, are never linked.

        Returns:
            The same poses with `track_id`; -1 for a pose that neither continues nor begins a track.

        Raises:
            ValueError: if the poses' frames are unknown, not in order, or not among the photos.
        """
        if frame is None:
            frame = poses.image_id if isinstance(poses, Poses) else poses.frame
        if frame is None:
            raise ValueError("track: Poses.image_id is None, it is unknown which poses are of one frame")
        clip = np.zeros(len(poses), np.int64) if clip is None else clip
        group = np.zeros(len(poses), np.int64) if group is None else group
        ids = np.full(len(poses), MISSING_ID)
        for start, end in self._frames(frame, clip, photos):
            ids[start:end] = self._link(poses[start:end], group[start:end])
        return replace(poses, track_id=ids)

    def living(self, frame: int) -> Any:
        """Go on to a frame; return the last poses of the tracks that have not ended by then, None before the first."""
        self._advance(frame)
        return self.past

    def follow(self, frame: int, pixels: UInt8[np.ndarray, "H W 3"]) -> Poses | None:
        """Go on to a frame: optical flow moves the earlier poses there.

        Args:
            frame: its number.
            pixels: of the frame, RGB.

        Returns:
            The tracks' poses of the frame before, where the flow has moved them; None before the first pose.
        """
        self._advance(frame)
        self._flow = self._flow or FlowOfFrames(self.flow_function)
        motion = self._flow(pixels)
        if self.past is None:
            return None
        if motion is not None:
            self.past = _moved(self.past, motion)
        return self.past[self._age == 1]

    def _frames(
        self,
        frame: Int[np.ndarray, " N"],
        clip: Int[np.ndarray, " N"],
        photos: Iterable[tuple[int, UInt8[np.ndarray, "H W 3"]]] | None,
    ) -> Iterator[tuple[int, int]]:
        """Go on from frame to frame; yield the first row of each frame's poses, and the row after their last."""
        if photos is not None:
            row = 0
            for number, pixels in photos:
                self.follow(number, pixels)
                end = int(np.searchsorted(frame, number, "right"))
                if end > row and frame[row] != number:
                    break
                yield row, end
                row = end
            if row < len(frame):
                raise ValueError(f"image_id: there is no frame {frame[row]}, the last one is {self._frame}")
            return
        changes = 1 + np.flatnonzero((np.diff(frame) != 0) | (np.diff(clip) != 0))
        for start, end in pairwise([0, *changes.tolist(), len(frame)] if len(frame) else []):
            if clip[start] != self._clip:
                self._forget(int(clip[start]))
            self._advance(int(frame[start]))
            yield start, end

    def _forget(self, clip: int) -> None:
        """Begin another clip."""
        self._keep(np.zeros(len(self._age), np.bool_))
        self._clip, self._frame, self._flow = clip, None, None

    def _advance(self, frame: int) -> None:
        """Go on to a frame, and forget the tracks that have ended by then."""
        passed = 0 if self._frame is None else frame - self._frame
        if passed < 0:
            raise ValueError(f"frame {frame} comes after frame {self._frame}, expected frames in order")
        self._age, self._frame = self._age + passed, frame
        self._keep(self._age <= self.memory)

    def _link(self, poses: Any, group: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Return the track ids of a frame's poses, and remember them."""
        ids = self._ids(poses, group)
        self._remember(poses, ids, group)
        return ids

    def _ids(self, poses: Any, group: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        ids, is_sure = np.full(len(poses), MISSING_ID), self._is_sure(poses)
        if self.past is not None and len(self.past) and len(poses):
            tracks, latest, distance = self._distances(poses)
            distance = np.where(self._group[latest][:, None] == group, distance, np.inf)
            # A doubtful pose is good evidence where the track was a frame ago. Elsewhere it is the background's:
            # tracks of people who left went on there.
            distance = np.where((self._age[latest] > 1)[:, None] & ~is_sure, np.inf, distance)
            row = match(
                distance, self.max_distance, self.matching, self._weights(latest, poses) if self.weigh else None
            )
            ids[row >= 0] = tracks[row[row >= 0]]
        begins = self._without_doubles(poses, ids, np.flatnonzero(is_sure & (ids == MISSING_ID)), group)
        ids[begins] = np.arange(self.next_id, self.next_id + len(begins))
        self.next_id += len(begins)
        return ids

    def _is_sure(self, poses: Any) -> Bool[np.ndarray, " n"]:
        """Return which poses may begin a track."""
        start = self.start_score
        if start == "auto":
            start = None if poses.pose_quality is None else START_QUALITY
        return np.ones(len(poses), np.bool_) if start is None else poses.ranking_score >= start

    def _without_doubles(
        self, poses: Any, ids: Int[np.ndarray, " n"], begins: Int[np.ndarray, " b"], group: Int[np.ndarray, " n"]
    ) -> Int[np.ndarray, " c"]:
        """Return the rows of `begins` without duplicates: of poses with a track, and of better poses in `begins`."""
        if len(poses) < 2 or not len(begins) or not isinstance(poses, Poses):  # in 3D, views were joined before
            return begins
        if poses.skeleton is not None and poses.skeleton.has_sigmas:
            distance = oks_distance(poses, poses[begins], area="box")  # (n, b)
        else:
            distance = box_distance(poses, poses[begins])
        distance = np.where(group[:, None] == group[begins], distance, np.inf)
        has_track, begun = ids != MISSING_ID, np.zeros(len(begins), np.bool_)
        for candidate in np.argsort(-_sureness(poses[begins]), kind="stable"):
            begun[candidate] = not (distance[has_track, candidate] < _DUPLICATE_DISTANCE).any()
            has_track[begins[candidate]] |= begun[candidate]
        return begins[begun]

    def _weights(self, latest: Int[np.ndarray, " T"], poses: Any) -> Float[np.ndarray, "T n"]:
        """Return the weight of each link. Without weights, a false alarm that was seen once would compete, for as long
        as it is remembered, with a person who is seen in every frame. DeepSORT (Wojke et al. 2017) and ByteTrack (Zhang
        et al. 2022) match in stages instead, recently seen tracks or high scores first."""
        sure = np.sqrt(_sureness(self.past)[latest, None] * _sureness(poses))
        return sure * _DECAY ** (self._age[latest].astype(np.float64) - 1)[:, None]

    def _distances(self, poses: Any) -> tuple[Int[np.ndarray, " T"], Int[np.ndarray, " T"], Float[np.ndarray, "T n"]]:
        """Return the ids of the living tracks, the row of each one's latest pose, and its distance from every pose of
        the frame."""
        distance: Any = self.distance
        single = np.asarray(distance(self.past, poses))
        if single.shape != (len(self.past), len(poses)):
            expected = (len(self.past), len(poses))
            raise ValueError(f"distance: expected an array {expected}, a row for each earlier pose, got {single.shape}")
        track = self.past.track_id
        if self.history == 1:
            return track, np.arange(len(single)), single
        order = np.lexsort((self._age, track))
        tracks, first = np.unique(track[order], return_index=True)
        latest, row_of_track = order[first], np.searchsorted(tracks, track)
        if self.earlier == "nearest":
            nearest = np.full((len(tracks), len(poses)), np.inf)
            np.fmin.at(nearest, row_of_track, single)
            return tracks, latest, nearest
        weight = _DECAY ** self._age.astype(np.float64)
        total = np.zeros((len(tracks), len(poses)))
        np.add.at(total, row_of_track, single * weight[:, None])
        return tracks, latest, total / np.bincount(row_of_track, weight)[:, None]

    def _remember(self, poses: Any, ids: Int[np.ndarray, " n"], group: Int[np.ndarray, " n"]) -> None:
        """Add the poses with an id, and forget what is more than `history` poses back in its track."""
        if self.history == 1 and self.past is not None:
            self._keep(~np.isin(self.past.track_id, ids))
        seen = ids != MISSING_ID
        if not seen.any():
            return
        if isinstance(poses, Poses):
            columns = {name: getattr(poses, name) for name in _COLUMNS}
            new: Any = Poses(poses.xy, skeleton=poses.skeleton, track_id=ids, **columns)
        else:
            new = Poses3D(poses.xyz, skeleton=poses.skeleton, track_id=ids)
        new = new if seen.all() else new[seen]
        self.past = new if self.past is None or not len(self.past) else type(new).concatenate([self.past, new])
        self._age = np.concatenate([self._age, np.zeros(len(new), np.int64)])
        self._group = np.concatenate([self._group, group[seen]])
        if self.history > 1:
            track: Any = self.past.track_id
            order = np.lexsort((self._age, track))  # within a track, the latest first
            _, first, count = np.unique(track[order], return_index=True, return_counts=True)
            rank = np.empty(len(order), np.int64)
            rank[order] = np.arange(len(order)) - np.repeat(first, count)
            self._keep(rank < self.history)

    def _keep(self, rows: np.ndarray) -> None:
        if self.past is not None and not rows.all():
            self.past, self._age, self._group = self.past[rows], self._age[rows], self._group[rows]


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
        from scipy.optimize import linear_sum_assignment

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


def _moved(poses: Poses, motion: Flow) -> Poses:
    """Return poses whose joints, and boxes as a whole, are where the frame's motion takes them."""
    xy = motion(poses.xy.reshape(-1, 2)).reshape(poses.xy.shape)
    box = poses.box
    if box is not None:
        centre = (box[:, :2] + box[:, 2:]) / 2
        box = box + np.tile(motion(centre) - centre, 2)
    return replace(poses, xy=xy, box=box)

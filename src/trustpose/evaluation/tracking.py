"""The section of an audit on tracks, where both files have track ids; its intervals come from draws of clips,
with replacement.

Clips, not frames, are drawn, since a track is a whole. HOTA, IDF1 and CLEAR MOT are made of sums over clips, which
share no id, so that a draw costs one sum.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.draws import Findings
from trustpose.evaluation.section_records import JointTracking, Number, PoseTrack, Tracking, none_if_nan
from trustpose.files import InputError
from trustpose.geometry.boxes import paired_overlap
from trustpose.geometry.oks import oks
from trustpose.io.coco.results import ResultsFile, joined_files
from trustpose.io.coco.truth import TruthFile
from trustpose.io.posetrack import PoseTrackLabels, read_posetrack_labels
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.tracking import (
    HEAD,
    PoseTrackFrame,
    TrackFrame,
    clear_mot,
    hota,
    identity,
    joint_precision,
    joint_tracks,
    mean_of_joints,
)
from trustpose.poses import MISSING_ID, Area, Poses, Truth
from trustpose.tracking import order_frames

MOST = 1_000_000  # poses


class PeopleTracks:
    """How well people are tracked. A track needs all frames of its clip, so that people and poses stay in memory, of at
    most `MOST` poses."""

    def __init__(self) -> None:
        self._batches: list[Batch] = []
        self._poses, self._has_tracks = 0, True

    def add(self, batch: Batch) -> None:
        """Keep a batch of whole photos."""
        self._has_tracks &= batch.file.truth.track_id is not None and batch.results.poses.track_id is not None
        self._poses += len(batch.poses)
        if self._has_tracks and self._poses <= MOST:
            self._batches.append(batch)
        else:
            self._batches = []

    def result(self, findings: Findings) -> Tracking | None:
        """Return the numbers; None if one of the files has no track ids, or, with a note, if there are too many."""
        if self._has_tracks and self._poses > MOST:
            findings.notes.append(f"tracking: null, computed for at most {MOST:,} poses, got {self._poses:,}")
        if not self._batches:
            return None

        batch, resampling = self._batches[0], findings.resampling
        truth, results = joined_files([(batch.file, batch.results) for batch in self._batches])
        options = {"draws": resampling.draws, "seed": resampling.seed}
        return track_quality(truth, results, batch.sigmas, batch.area, findings, **options)


FEWEST = 5  # clips: an interval from fewer says more about the draws than about clips


def tracking_draws(
    frames: list[TrackFrame], clip: Int[np.ndarray, " F"], draws: int, seed: int
) -> dict[str, Float[np.ndarray, " B"]]:
    """Return HOTA, DetA, AssA, LocA, IDF1, IDP, IDR, MOTA and MOTP of B draws of clips; nothing for fewer than five
    clips. `clip` (F,) numbers each frame's."""
    clips = [[frames[row] for row in np.flatnonzero(clip == clip_number)] for clip_number in np.unique(clip)]
    if len(clips) < FEWEST or not draws:
        return {}
    drawn = resample_counts(len(clips), draws, seed).astype(np.float64)  # (B, C)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _hota(clips, drawn) | _identity(clips, drawn) | _clear_mot(clips, drawn)


def _hota(clips: list[list[TrackFrame]], drawn: np.ndarray) -> dict[str, np.ndarray]:
    results = [hota(clip) for clip in clips]
    total = drawn @ np.array([sum(len(frame.truth_id) + len(frame.track_id) for frame in clip) for clip in clips])
    true = drawn @ np.array([result.true for result in results])  # (B, A)
    deta = true / (total[:, None] - true)
    assa = np.where(
        true > 0, drawn @ np.array([np.nan_to_num(result.assa) * result.true for result in results]) / true, 0.0
    )
    loca = drawn @ np.array([np.nan_to_num(result.loca) * result.true for result in results]) / true
    values = {"HOTA": np.sqrt(deta * assa), "DetA": deta, "AssA": assa, "LocA": loca}
    return {name: value.mean(axis=1) for name, value in values.items()}


def _identity(clips: list[list[TrackFrame]], drawn: np.ndarray) -> dict[str, np.ndarray]:
    true, false, missed = (
        drawn @ np.array([(result.true, result.false, result.missed) for result in map(identity, clips)])
    ).T
    return {"IDF1": 2 * true / (2 * true + false + missed), "IDP": true / (true + false), "IDR": true / (true + missed)}


def _clear_mot(clips: list[list[TrackFrame]], drawn: np.ndarray) -> dict[str, np.ndarray]:
    results = [clear_mot(clip) for clip in clips]
    counts = [
        (result.matches, result.misses, result.false_alarms, result.switches, result.similarity) for result in results
    ]
    matches, misses, false, switches, similarity = (drawn @ np.array(counts)).T
    mota = 1 - (misses + false + switches) / (matches + misses)
    return {"MOTA": mota, "MOTP": similarity / matches}


_SAME = 0.5  # OKS from which a pose may be of a person
_UNSCORED = ("left_ear", "right_ear")  # PoseTrack names them, and labels none


@dataclass(frozen=True, eq=False)
class _Frame:
    """One labelled frame: its number, its clip's, and the rows of its people and poses."""

    image: int
    clip: int
    people: Int[np.ndarray, " T"]
    poses: Int[np.ndarray, " n"]


def track_quality(
    truth: TruthFile,
    results: ResultsFile,
    sigmas: Float[np.ndarray, " K"],
    area: Area,
    findings: Findings | None = None,
    draws: int = 0,
    seed: int = 0,
) -> Tracking | None:
    """Compute the tracking numbers, and into `findings` their draws; None if one of the files has no track ids.

    HOTA, IDF1 and MOTA use OKS. They judge tracks: a pose of no track counts neither way, in `untracked`, and in
    PoseTrack's AP alone. Poses of crowds, of people without labelled keypoints and in regions that are to be
    ignored count neither way. Frames that are marked as not labelled are left out. PoseTrack's numbers need head
    boxes, and are None without. Raises InputError if a person has no track id while others have, if frames have no
    order, or if an id occurs twice in a frame.
    """
    people, poses = truth.truth, results.poses
    if people.track_id is None or poses.track_id is None:
        return None
    lacking = np.flatnonzero((people.track_id == MISSING_ID) & _counted(people))
    if len(lacking):
        assert people.annotation_id is not None
        name = people.annotation_id[lacking[0]]
        raise InputError(f"{truth.path}: annotation {name}: field 'track_id' is missing, and other people have it")
    labels = read_posetrack_labels(truth)
    frames = _frames(truth, results, labels)
    _check_unique(truth, results, frames)
    tracked = [replace(frame, poses=frame.poses[poses.track_id[frame.poses] != MISSING_ID]) for frame in frames]
    scored = [_similarity(frame, people, poses, sigmas, people.area_by(area), labels) for frame in tracked]
    clip = np.array([frame.clip for frame in frames], np.int64)
    scored = _with_distinct_ids(scored, clip.tolist())
    if findings is not None:
        tracking_numbers = tracking_draws(scored, clip, draws, seed)
        for name, values in tracking_numbers.items():
            findings.interval(f"tracking.{name}", values)
        if draws and not tracking_numbers:
            count = len(np.unique(clip))
            findings.notes.append(
                f"tracking.*: no intervals, as they resample clips and there are {count}, fewer than {FEWEST}"
            )
    orders, same, clear = hota(scored).means(), identity(scored), clear_mot(scored)
    numbers: dict[str, Number] = {name: none_if_nan(value) for name, value in orders.items()}
    return Tracking(
        **numbers,
        IDF1=none_if_nan(same.idf1),
        IDP=none_if_nan(same.precision),
        IDR=none_if_nan(same.recall),
        MOTA=none_if_nan(clear.mota),
        MOTP=none_if_nan(clear.motp),
        switches=clear.switches,
        fragments=clear.fragments,
        misses=clear.misses,
        false_alarms=clear.false_alarms,
        people=clear.matches + clear.misses,
        poses=clear.matches + clear.false_alarms,
        untracked=sum(len(frame.poses) - len(its.poses) for frame, its in zip(frames, tracked, strict=True)),
        frames=len(frames),
        clips=len(np.unique(clip)),
        posetrack=_posetrack(frames, tracked, people, poses, labels, truth.keypoint_names),
    )


def _counted(people: Truth) -> Bool[np.ndarray, " M"]:
    assert people.num_keypoints is not None and people.iscrowd is not None
    return (people.num_keypoints > 0) & ~people.iscrowd


def _frames(truth: TruthFile, results: ResultsFile, labels: PoseTrackLabels) -> list[_Frame]:
    """Return the labelled frames, clip by clip, in order."""
    assert truth.truth.image_id is not None and results.poses.image_id is not None
    try:
        order = order_frames(truth.images.id, truth.images)
    except ValueError as error:
        raise InputError(f"{truth.path}: {error}") from None
    is_labelled = labels.is_labelled[truth.images.rows_of(order.image_id)]
    ids = order.image_id[is_labelled]
    people, poses = (_rows(ids, column) for column in (truth.truth.image_id, results.poses.image_id))
    clips = order.clip[is_labelled].tolist()
    return [_Frame(*frame) for frame in zip(ids.tolist(), clips, people, poses, strict=True)]


def _rows(ids: np.ndarray, image_id: np.ndarray) -> list[np.ndarray]:
    order = np.argsort(image_id, kind="stable")
    low, high = (np.searchsorted(image_id[order], ids, side) for side in ("left", "right"))
    return [order[start:stop] for start, stop in zip(low, high, strict=True)]


def _check_unique(truth: TruthFile, results: ResultsFile, frames: list[_Frame]) -> None:
    for frame in frames:
        for path, ids in ((truth.path, truth.truth.track_id), (results.path, results.poses.track_id)):
            rows = frame.people if path == truth.path else frame.poses
            assert ids is not None
            values, counts = np.unique(ids[rows][ids[rows] != MISSING_ID], return_counts=True)
            if (counts > 1).any():
                raise InputError(f"{path}: image {frame.image}: track_id {values[counts > 1][0]} occurs twice")


def _similarity(
    frame: _Frame, people: Truth, poses: Poses, sigmas: np.ndarray, area: np.ndarray, labels: PoseTrackLabels
) -> TrackFrame:
    """Return the OKS of the people and poses of a frame that count."""
    counts = _counted(people[frame.people])
    truth, tracked = people[frame.people[counts]], poses[frame.poses]
    assert truth.track_id is not None and tracked.track_id is not None
    similarity = np.zeros((len(truth), len(tracked)))
    if similarity.size:
        area = area[frame.people[counts], None]
        similarity = np.nan_to_num(oks(tracked.xy, truth.xy[:, None], truth.v[:, None], area, sigmas))
    counts_as_pose = ~_is_unscored(frame, people[frame.people[~counts]], tracked, labels) | (similarity >= _SAME).any(
        axis=0
    )
    return TrackFrame(truth.track_id, tracked.track_id[counts_as_pose], similarity[:, counts_as_pose])


def _is_unscored(frame: _Frame, unscored: Truth, poses: Poses, labels: PoseTrackLabels) -> Bool[np.ndarray, " n"]:
    """Return which poses lie, by more than half, in the box of a person who is not scored, or in an ignored region."""
    placed = np.asarray(np.isfinite(poses.xy).all(axis=2) & (True if poses.missing is None else ~poses.missing))
    inside = (labels.is_ignored(frame.image, poses.xy) & placed).sum(axis=1)
    is_unscored = inside > 0.5 * np.maximum(placed.sum(axis=1), 1)
    if len(unscored) and unscored.box is not None and len(poses):
        share = paired_overlap(np.nan_to_num(poses.keypoint_box())[:, None], unscored.box)  # (n, U)
        is_unscored |= (share > 0.5).any(axis=1)
    return is_unscored


def _with_distinct_ids(frames: list[TrackFrame], clips: list[int]) -> list[TrackFrame]:
    """Return frames in which no two clips share an id."""
    columns = []
    for name in ("truth_id", "track_id"):
        ids = [
            np.stack([np.full(len(ids_in_frame), clip), ids_in_frame])
            for ids_in_frame, clip in zip((getattr(f, name) for f in frames), clips, strict=True)
        ]
        every = np.concatenate([np.zeros((2, 0), np.int64), *ids], axis=1)
        number = np.unique(every, axis=1, return_inverse=True)[1].ravel() if every.size else np.zeros(0, np.int64)
        columns.append(np.split(number, np.cumsum([frame_ids.shape[1] for frame_ids in ids])[:-1]) if ids else [])
    return [
        TrackFrame(truth_id, track_id, f.similarity) for truth_id, track_id, f in zip(*columns, frames, strict=True)
    ]


def _posetrack(
    frames: list[_Frame],
    tracked: list[_Frame],
    people: Truth,
    poses: Poses,
    labels: PoseTrackLabels,
    names: tuple[str, ...],
) -> PoseTrack | None:
    """Compute PoseTrack's numbers, as poseval does, AP of all poses and the rest of `tracked`; None without the heads
    of all people."""
    if np.isnan(labels.head).any() or not len(labels.head):
        return None
    joints = np.array([index for index, name in enumerate(names) if name not in _UNSCORED])
    head = HEAD * np.hypot(*labels.head.T)

    def clips(chosen_frames: list[_Frame]) -> list[list[PoseTrackFrame]]:
        by_clip: dict[int, list[PoseTrackFrame]] = {}
        for frame in chosen_frames:
            if len(frame.people):
                by_clip.setdefault(frame.clip, []).append(_posetrack_frame(frame, people, poses, head, joints, labels))
        return list(by_clip.values())

    tracks, precision = joint_tracks(clips(tracked)), joint_precision(clips(frames))
    numbers = {"MOTA": tracks.mota, "MOTP": tracks.motp, "precision": tracks.precision, "recall": tracks.recall}
    numbers["AP"] = precision.ap
    by_joint = {
        names[joint]: JointTracking(**{name: none_if_nan(values[row]) for name, values in numbers.items()})
        for row, joint in enumerate(joints.tolist())
    }
    totals: dict[str, Number] = {name: none_if_nan(mean_of_joints(values)) for name, values in numbers.items()}
    return PoseTrack(**totals, switches=int(tracks.switches.sum()), joints=by_joint)


def _posetrack_frame(
    frame: _Frame, people: Truth, poses: Poses, head: np.ndarray, joints: np.ndarray, labels: PoseTrackLabels
) -> PoseTrackFrame:
    truth, tracked = people[frame.people], poses[frame.poses]
    assert truth.track_id is not None and tracked.track_id is not None and tracked.score is not None
    labelled = np.asarray((truth.v > 0) | (truth.xy != 0).any(axis=2))
    placed = np.asarray(np.isfinite(tracked.xy).all(axis=2) & (True if tracked.missing is None else ~tracked.missing))
    people_inside, poses_inside = np.ones(len(truth), bool), np.ones(len(tracked), bool)
    if frame.image in labels.ignored:
        labelled, placed = (
            is_placed & ~labels.is_ignored(frame.image, xy)
            for is_placed, xy in ((labelled, truth.xy), (placed, tracked.xy))
        )
        people_inside, poses_inside = labelled[:, joints].any(axis=1), placed[:, joints].any(axis=1)
    return PoseTrackFrame(
        truth_xy=truth.xy[people_inside][:, joints],
        labelled=labelled[people_inside][:, joints],
        head=head[frame.people[people_inside]],
        truth_id=truth.track_id[people_inside],
        xy=tracked.xy[poses_inside][:, joints],
        placed=placed[poses_inside][:, joints],
        score=tracked.score[poses_inside][:, joints],
        track_id=tracked.track_id[poses_inside],
    )

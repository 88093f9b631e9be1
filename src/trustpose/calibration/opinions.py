"""Second opinions: another network's poses of the same people, who is paired with whom, and the features that
follow.

Two networks that disagree are wrong more often than their own scores say. The distance of a joint between them is in
the units of OPKS: d / (2σ√area) is what its exponential squares, so 1 is an OPKS of .61 and 2 of .14. The area is
0.53 × that of the first network's box, as poses have no segment. What the other network lacks, a joint or the whole
person, is `MISSING_FEATURE`.

People are paired by `annotation_id` where both files have it. Where one has not, they are paired within the photo by
the overlap of their boxes and the OKS of one pose with the other, best first, one-to-one: see `same_people`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.calibration.arrays import MISSING_FEATURE
from trustpose.calibration.metrics import PlainValue, expect_names
from trustpose.files import InputError
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.oks import oks
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile
from trustpose.io.columns import IdTexts
from trustpose.metrics.matching import MINIMUM_IOU, same_image_pairs, take_best_first
from trustpose.poses import MISSING_ID, Poses
from trustpose.skeletons import Skeleton

AREA_SHARE = 0.53  # of the box: the area for OKS between two poses, which have no segment


@dataclass(frozen=True, eq=False)
class Second:
    """Another network's M poses in the same photos, with its name if known, and the results file or the network that
    they come from: `model` is the fingerprint of the network's files.

    `row` (N,) is the row of each of the N people in `poses`, -1 for none; None: to be paired by `same_people`.
    """

    poses: Poses
    name: str | None = None
    file: str = "poses in memory"
    sha256: str = ""
    model: str | None = None
    row: Int[np.ndarray, " N"] | None = None

    @property
    def label(self) -> str:
        """The name, else the file."""
        return label_of(self.name, self.file)


SecondLike = Second | Poses | ResultsFile | str | Path
Seconds = SecondLike | Sequence[SecondLike] | Mapping[str, SecondLike] | None
"""Values of `second=`: another network's poses or results file, several of them, or several by the network's name."""


def label_of(name: str | None, file: str) -> str:
    """Return the name of a second opinion in messages."""
    return f"second opinion {name!r}" if name is not None else f"second opinion of {file}"


def seconds_of(seconds: Seconds, truth: TruthFile | None = None) -> tuple[Second, ...]:
    """Return the second opinions in any of the forms that `second=` takes; files are read, their ids among those of
    `truth` if given. Raises InputError."""
    if seconds is None:
        return ()
    if isinstance(seconds, Mapping):
        return tuple(_second(second, name, truth) for name, second in seconds.items())
    if isinstance(seconds, Second | Poses | ResultsFile | str | Path):
        return (_second(seconds, None, truth),)
    return tuple(_second(second, None, truth) for second in seconds)


def _second(second: SecondLike, name: str | None, truth: TruthFile | None) -> Second:
    if isinstance(second, Second):
        return second
    if isinstance(second, Poses):
        return Second(second, name)
    results = second if isinstance(second, ResultsFile) else read_results(second, truth=truth, common=truth is not None)
    return Second(results.poses, name, Path(results.path).name, results.sha256)


def second_opinion_on(results: ResultsFile, second: ResultsFile, name: str | None = None) -> Second:
    """Return a second opinion on `results` from a file that was read without a ground truth: ids that are texts in both
    files are given the same numbers."""
    poses = second.poses
    ids = {
        "image_id": _renumbered(poses.image_id, second.image_texts, results.image_texts),
        "annotation_id": _renumbered(poses.annotation_id, second.annotation_texts, results.annotation_texts),
    }
    return Second(replace(poses, **ids), name, Path(second.path).name, second.sha256)


def _renumbered(ids: np.ndarray | None, texts: IdTexts, target_texts: IdTexts) -> np.ndarray | None:
    """Return ids (M,) with the other file's number of the same text; below -1 for texts that it lacks."""
    if ids is None or not len(texts):
        return ids
    text_of = texts.text_of
    numbers = [target_texts.find(text_of[number]) if number in text_of else MISSING_ID for number in ids.tolist()]
    return np.array([-2 - row if number is None else number for row, number in enumerate(numbers)], dtype=np.int64)


def same_people(
    poses: Poses, second_poses: Poses, size: Float[np.ndarray, " N"], sigmas: Float[np.ndarray, " K"]
) -> Int[np.ndarray, " N"]:
    """Return the row (N,) in `second_poses` of each person of `poses`, -1 for none.

    Poses with the same `annotation_id` are of the same person. Where one of the two has none, they are paired within
    their photo, greedily and one-to-one, by the IoU of their boxes (of their keypoints if there are none) plus the OKS
    of one with the other, highest first, down to an IoU of 0.1. Without `image_id` all people are in one photo. `size`
    is √(box area) of each person in pixels; OKS uses 0.53 × box area.
    """
    row = np.full(len(poses), -1)
    if not len(second_poses):
        return row
    mine, theirs = (_ids(people.annotation_id, len(people)) for people in (poses, second_poses))
    order = np.argsort(theirs, kind="stable")
    rank = np.minimum(np.searchsorted(theirs[order], mine), len(second_poses) - 1)
    named = (theirs[order][rank] == mine) & (mine != MISSING_ID)
    row[named] = order[rank[named]]
    is_paired = np.zeros(len(second_poses), dtype=bool)
    is_paired[row[named]] = True
    free, open_rows = np.flatnonzero(~is_paired), np.flatnonzero(row < 0)
    images = [
        np.zeros(len(people), np.int64) if people.image_id is None else people.image_id
        for people in (poses, second_poses)
    ]
    pose_row, second_row = same_image_pairs(images[0][open_rows], images[1][free])
    pose_row, second_row = open_rows[pose_row], free[second_row]
    unnamed = (mine[pose_row] == MISSING_ID) | (theirs[second_row] == MISSING_ID)  # two different ids are two people
    pose_row, second_row = pose_row[unnamed], second_row[unnamed]
    iou = np.nan_to_num(paired_iou(poses.person_box()[pose_row], second_poses.person_box()[second_row]))
    near = iou >= MINIMUM_IOU
    pose_row, second_row, iou = pose_row[near], second_row[near], iou[near]
    alike = iou + _similarity(poses, second_poses, pose_row, second_row, size, sigmas)
    best = np.lexsort((second_row, pose_row, -alike))
    take_best_first(pose_row[best], second_row[best], row)
    return row


def _ids(annotation_id: np.ndarray | None, count: int) -> np.ndarray:
    return np.full(count, MISSING_ID) if annotation_id is None else annotation_id


def _similarity(
    poses: Poses,
    second_poses: Poses,
    pose_row: np.ndarray,
    second_row: np.ndarray,
    size: np.ndarray,
    sigmas: np.ndarray,
) -> np.ndarray:
    """Return the OKS (P,) of pairs of poses over the keypoints that both place, 0 without any."""
    both = placed_keypoints(poses)[pose_row] & placed_keypoints(second_poses)[second_row]
    theirs = np.where(both[..., None], second_poses.xy[second_row], 0).astype(np.float64)
    mine = np.where(both[..., None], poses.xy[pose_row], 0).astype(np.float64)
    with np.errstate(over="ignore"):
        return np.nan_to_num(oks(mine, theirs, both.astype(np.int64), AREA_SHARE * size[pose_row] ** 2, sigmas))


def placed_keypoints(poses: Poses) -> Bool[np.ndarray, "N K"]:
    """Return which keypoints (N, K) have a position."""
    has_position = np.all(np.isfinite(poses.xy), axis=2)
    return has_position if poses.missing is None else has_position & ~poses.missing


def to_skeleton(second: Second, skeleton: Skeleton) -> Poses:
    """Return its poses with the keypoints of `skeleton`, by name where both are named; joints that it lacks are
    missing. Raises InputError if it shares no joint, or if it is unnamed and has another number of them."""
    poses = second.poses
    second_skeleton = poses.skeleton
    if second_skeleton is not None and second_skeleton.keypoints != skeleton.keypoints:
        if not set(second_skeleton.keypoints) & set(skeleton.keypoints):
            raise InputError(f"{second.label}: its skeleton {second_skeleton.name} has no joint of {skeleton.name}")
        return poses.to_skeleton(skeleton, missing="mark")
    if poses.keypoint_count != len(skeleton):
        raise InputError(f"{second.label}: has {poses.keypoint_count} keypoints, expected {len(skeleton)}")
    return poses


FARTHEST = np.float32(30)  # larger distances count as this: an OPKS of 0 in any case


@dataclass(frozen=True, eq=False)
class Opinion:
    """Another network's predictions for N people, columns last, float32; `MISSING_FEATURE` where it lacks them.

    distance (K, N): from its joint to the first network's; mirrored (K, N): to the first network's joint of the other
    side; both in the units of OPKS. agreement, mirrored_agreement (N,): OKS of one pose with the other, as they are and
    with left and right exchanged. score (K, N) and pose_score (N,) are its own; quality (K, N) and pose_quality (N,)
    its calibrated trust, None if it has none. has_person (N,): whether it has that person.
    """

    has_person: Bool[np.ndarray, " N"]
    distance: Float[np.ndarray, "K N"]
    mirrored: Float[np.ndarray, "K N"]
    agreement: Float[np.ndarray, " N"]
    mirrored_agreement: Float[np.ndarray, " N"]
    score: Float[np.ndarray, "K N"]
    pose_score: Float[np.ndarray, " N"]
    quality: Float[np.ndarray, "K N"] | None = None
    pose_quality: Float[np.ndarray, " N"] | None = None

    def rows(self, index: slice | np.ndarray) -> "Opinion":
        """Return the people selected by a slice (views of the same arrays) or by an index."""
        columns = (self.distance, self.mirrored, self.agreement, self.mirrored_agreement, self.score, self.pose_score)
        trust = (None if column is None else column[..., index] for column in (self.quality, self.pose_quality))
        return Opinion(self.has_person[index], *(column[..., index] for column in columns), *trust)


def has_trust(second: Second) -> bool:
    """Return whether every one of its poses carries calibrated trust, per keypoint and pose."""
    columns = (second.poses.quality, second.poses.pose_quality)
    return all(column is not None and bool(np.isfinite(column).all()) for column in columns)


def read_opinion(
    poses: Poses, size: Float[np.ndarray, " N"], second: Second, skeleton: Skeleton, *, trust: bool
) -> Opinion:
    """Compare N poses with a second opinion; `size` is √(box area) in pixels, `trust`: read its calibrated trust.

    Raises InputError if it has another skeleton, or lacks scores or the trust.
    """
    second_poses = to_skeleton(second, skeleton)
    _check(second_poses, second, trust=trust)
    sigmas, mirror = skeleton.sigmas, skeleton.flip_index
    row = same_people(poses, second_poses, size, sigmas) if second.row is None else second.row
    has_person = row >= 0
    if not len(second_poses):
        return _no_opinion(len(poses), len(skeleton), trust=trust)
    second_row = np.where(has_person, row, 0)
    theirs, placed = (
        second_poses.xy[second_row].astype(np.float64),
        placed_keypoints(second_poses)[second_row] & has_person[:, None],
    )
    area = AREA_SHARE * size.astype(np.float64) ** 2
    compared = []
    for joints in (np.arange(len(skeleton)), mirror):
        mine, both_placed = poses.xy[:, joints].astype(np.float64), placed_keypoints(poses)[:, joints] & placed
        compared += _compare(mine, theirs, both_placed, area, sigmas)
    distance, agreement, mirrored, mirrored_agreement = compared
    columns = {"score": second_poses.score, "pose_score": second_poses.pose_score}
    columns |= {"quality": second_poses.quality, "pose_quality": second_poses.pose_quality} if trust else {}
    aligned = {name: _aligned(column, second_row, has_person) for name, column in columns.items() if column is not None}
    return Opinion(has_person, distance, mirrored, agreement, mirrored_agreement, **aligned)


def _compare(
    mine: np.ndarray, theirs: np.ndarray, both_placed: np.ndarray, area: np.ndarray, sigmas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance (K, N) of each joint and the OKS (N,) of N poses with N others, over joints found in both."""
    both = both_placed[..., None]
    mine, theirs = np.where(both, mine, 0), np.where(both, theirs, 0)
    with np.errstate(over="ignore"):  # a keypoint at 1e300 is as far as can be
        far = np.hypot(*np.moveaxis(mine - theirs, 2, 0)) / (2 * sigmas * np.sqrt(area)[:, None])
        alike = oks(mine, theirs, both_placed.astype(np.int64), area, sigmas)
    distance = np.where(both_placed, np.minimum(far, FARTHEST), MISSING_FEATURE)
    agreement = np.where(both_placed.any(axis=1), alike, MISSING_FEATURE)
    return np.ascontiguousarray(distance.T, dtype=np.float32), agreement.astype(np.float32)


def _aligned(column: np.ndarray, row: np.ndarray, has_person: np.ndarray) -> np.ndarray:
    """Return the other network's column at its rows, people last; `MISSING_FEATURE` where it lacks the person or
    joint."""
    values = np.where(np.isnan(column), MISSING_FEATURE, column)[row].T  # NaN: joints of which its skeleton has none
    return np.ascontiguousarray(np.where(has_person, values, MISSING_FEATURE), dtype=np.float32)


def _no_opinion(people: int, keypoints: int, *, trust: bool) -> Opinion:
    of_joints, of_people = np.full((keypoints, people), MISSING_FEATURE), np.full(people, MISSING_FEATURE)
    return Opinion(
        *(np.zeros(people, dtype=bool), of_joints, of_joints, of_people, of_people, of_joints, of_people),
        quality=of_joints if trust else None,
        pose_quality=of_people if trust else None,
    )


def _check(poses: Poses, second: Second, *, trust: bool) -> None:
    """Raise InputError if poses lack what the features read."""
    columns = {"score": poses.score, "pose_score": poses.pose_score}
    columns |= {"quality": poses.quality, "pose_quality": poses.pose_quality} if trust else {}
    for name, column in columns.items():
        if column is None:
            raise InputError(f"{second.label}: its poses have no {name}, which the calibrator was fitted with")
        without_missing = column if column.ndim == 1 or poses.missing is None else np.where(poses.missing, 0, column)
        if not np.isfinite(without_missing).all():
            row = int(np.argmax(~np.isfinite(without_missing).reshape(len(poses), -1).all(axis=1)))
            raise InputError(f"{second.label}: {name} of pose {row} is missing or not finite")


def pose_opinions(opinions: tuple[Opinion, ...], skeleton: Skeleton) -> dict[str, Float[np.ndarray, " N"]]:
    """Return features (N,) of each person from second opinions, by name: of the whole pose, and of every joint."""
    features: dict[str, np.ndarray] = {}
    for number, opinion in enumerate(opinions, 2):
        columns = _whole(opinion)
        per_joint = {"distance": opinion.distance, "score": opinion.score}
        per_joint |= {} if opinion.quality is None else {"quality": opinion.quality}
        for quantity, column in per_joint.items():
            columns |= {f"{quantity} {name}": row for name, row in zip(skeleton.keypoints, column, strict=True)}
        columns |= {f"{rank + 1}. distance": row for rank, row in enumerate(np.sort(opinion.distance, axis=0))}
        features |= {f"opinion {number}: {name}": row for name, row in columns.items()}
    return features


def keypoint_opinions(opinions: tuple[Opinion, ...], skeleton: Skeleton) -> dict[str, Float[np.ndarray, "*S"]]:
    """Return features of each keypoint from second opinions: (K, N) of its own, (1, N) of the whole pose."""
    features: dict[str, np.ndarray] = {}
    for number, opinion in enumerate(opinions, 2):
        columns = {"distance": opinion.distance, "mirrored distance": opinion.mirrored, "score": opinion.score}
        columns |= {} if opinion.quality is None else {"quality": opinion.quality}
        columns |= {f"pose: {name}": row[None] for name, row in _whole(opinion).items()}
        scores = zip(skeleton.keypoints, opinion.score, strict=True)
        columns |= {f"pose: score {name}": row[None] for name, row in scores}
        features |= {f"opinion {number}: {name}": row for name, row in columns.items()}
    return features


def _whole(opinion: Opinion) -> dict[str, np.ndarray]:
    columns = {
        "agreement": opinion.agreement,
        "mirrored agreement": opinion.mirrored_agreement,
        "middle distance": np.median(opinion.distance, axis=0),
        "pose score": opinion.pose_score,
        "mean score": opinion.score.mean(axis=0),
    }
    return columns | ({} if opinion.pose_quality is None else {"pose quality": opinion.pose_quality})


BROUGHT = ("explained", "pose.pearson", "keypoint.pearson_pose_mean", "keypoint.pearson")


@dataclass(frozen=True)
class OpinionCard:
    """A second opinion at fitting: its name and results file, or the fingerprint of its network, if known; the number
    of results whose person it has; whether its calibrated trust is read, and whether the calibrator reads it at all.

    `before` and `after` are out-of-fold numbers of `BROUGHT` without and with it, and `change` their differences in
    paired draws, each with its 95 % interval. `explained` is the share of variance that decided.
    """

    name: str | None
    file: str
    sha256: str
    model: str | None
    people: int
    trust: bool
    kept: bool
    before: dict[str, PlainValue]
    after: dict[str, PlainValue]
    change: dict[str, PlainValue]

    @property
    def label(self) -> str:
        """Its name in messages."""
        return label_of(self.name, self.file)

    def sentence(self) -> str:
        """Describe its effect, and whether it is used."""
        numbers = {name: (self.before.get(name), self.after.get(name)) for name in BROUGHT}
        shown = {name: (old[0], new[0]) for name, (old, new) in numbers.items() if old is not None and new is not None}
        labels = {"explained": "explained variance", "pose.pearson": "r(pose, OKS)"}
        gains = ", ".join(
            f"{label} {shown[name][0]:.3f} → {shown[name][1]:.3f}" for name, label in labels.items() if name in shown
        )
        return (
            f"{self.label}: {'is used' if self.kept else 'improves too little and is left out'} (out of fold {gains})"
        )

    def __post_init__(self) -> None:
        expect_names(self, BROUGHT)


def matching(cards: Sequence[OpinionCard], seconds: Sequence[Second]) -> tuple[Second, ...]:
    """Return the opinions that the calibrator reads, in its order, from those given now.

    All that were given at fitting may be given, in that order, or only those that are read. Raises InputError, by name,
    if one is lacking, unknown, or of another network.
    """
    kept_cards = [card for card in cards if card.kept]
    if not cards and seconds:
        raise InputError(f"{seconds[0].label}: the calibrator was fitted without a second opinion")
    expected_cards = list(cards) if len(seconds) == len(cards) else kept_cards
    if len(seconds) < len(expected_cards):
        missing_card = next(
            (card for card in expected_cards if card.name not in {second.name for second in seconds}),
            expected_cards[len(seconds)],
        )
        raise InputError(
            f"the calibrator was fitted with the {missing_card.label}: expected it beside the poses (--second)"
        )
    if len(seconds) > len(expected_cards):
        raise InputError(
            f"expected {_count(len(expected_cards))}, as the calibrator was fitted with, got {len(seconds)}"
        )
    for card, second in zip(expected_cards, seconds, strict=True):
        _check_same(card, second)
    return tuple(second for card, second in zip(expected_cards, seconds, strict=True) if card.kept)


def _check_same(card: OpinionCard, second: Second) -> None:
    if None not in (card.name, second.name) and card.name != second.name:
        raise InputError(f"{second.label}: the calibrator was fitted with the {card.label}")
    if None not in (card.model, second.model) and card.model != second.model:
        raise InputError(
            f"{second.label}: is not the network that was used at fitting, by its files' fingerprint; fit again"
        )


def _count(number: int) -> str:
    return "no second opinion" if not number else f"{number} second opinion{'s' * (number > 1)}"

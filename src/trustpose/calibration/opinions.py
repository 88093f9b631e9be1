"""Features of a second opinion: another network's keypoints and scores for the same people.

Two networks that disagree are wrong more often than their own scores say. The distance of a joint between them is in
the units of OPKS: d / (2σ√area) is what its exponential squares, so 1 is an OPKS of .61 and 2 of .14. The area is
0.53 × that of the first network's box, as poses have no segment. What the other network lacks, a joint or the whole
person, is `NOWHERE` (`missing.py`).
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from trustpose.calibration.missing import NOWHERE
from trustpose.calibration.second import AREA_SHARE, Second, placed_keypoints, same_people, to_skeleton
from trustpose.files import InputError
from trustpose.geometry.oks import oks
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton

FARTHEST = np.float32(30)  # larger distances count as this: an OPKS of 0 in any case


@dataclass(frozen=True, eq=False)
class Opinion:
    """Another network's predictions for N people, columns last, float32; `NOWHERE` where it lacks them.

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
    distance = np.where(both_placed, np.minimum(far, FARTHEST), NOWHERE)
    agreement = np.where(both_placed.any(axis=1), alike, NOWHERE)
    return np.ascontiguousarray(distance.T, dtype=np.float32), agreement.astype(np.float32)


def _aligned(column: np.ndarray, row: np.ndarray, has_person: np.ndarray) -> np.ndarray:
    """Return the other network's column at its rows, people last; `NOWHERE` for people and joints that it lacks."""
    values = np.where(np.isnan(column), NOWHERE, column)[row].T  # NaN: joints of which its skeleton has none
    return np.ascontiguousarray(np.where(has_person, values, NOWHERE), dtype=np.float32)


def _no_opinion(people: int, keypoints: int, *, trust: bool) -> Opinion:
    of_joints, of_people = np.full((keypoints, people), NOWHERE), np.full(people, NOWHERE)
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

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
from trustpose.calibration.second import AREA_SHARE, Second, found_in, same_people, to_skeleton
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
    its calibrated trust, None if it has none. there (N,): whether it has that person.
    """

    there: Bool[np.ndarray, " N"]
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
        trust = (None if one is None else one[..., index] for one in (self.quality, self.pose_quality))
        return Opinion(self.there[index], *(one[..., index] for one in columns), *trust)


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
    other = to_skeleton(second, skeleton)
    _check(other, second, trust=trust)
    sigmas, mirror = skeleton.sigmas, skeleton.flip_index
    row = same_people(poses, other, size, sigmas) if second.row is None else second.row
    there = row >= 0
    if not len(other):
        return _no_opinion(len(poses), len(skeleton), trust=trust)
    at = np.where(there, row, 0)
    theirs, placed = other.xy[at].astype(np.float64), found_in(other)[at] & there[:, None]
    area = AREA_SHARE * size.astype(np.float64) ** 2
    compared = []
    for joints in (np.arange(len(skeleton)), mirror):
        mine, found = poses.xy[:, joints].astype(np.float64), found_in(poses)[:, joints] & placed
        compared += _compare(mine, theirs, found, area, sigmas)
    distance, agreement, mirrored, mirrored_agreement = compared
    columns = {"score": other.score, "pose_score": other.pose_score}
    columns |= {"quality": other.quality, "pose_quality": other.pose_quality} if trust else {}
    read = {name: _taken(column, at, there) for name, column in columns.items() if column is not None}
    return Opinion(there, distance, mirrored, agreement, mirrored_agreement, **read)


def _compare(
    mine: np.ndarray, theirs: np.ndarray, found: np.ndarray, area: np.ndarray, sigmas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the distance (K, N) of each joint and the OKS (N,) of N poses with N others, over joints found in both."""
    both = found[..., None]
    mine, theirs = np.where(both, mine, 0), np.where(both, theirs, 0)
    with np.errstate(over="ignore"):  # a keypoint at 1e300 is as far as can be
        far = np.hypot(*np.moveaxis(mine - theirs, 2, 0)) / (2 * sigmas * np.sqrt(area)[:, None])
        alike = oks(mine, theirs, found.astype(np.int64), area, sigmas)
    distance = np.where(found, np.minimum(far, FARTHEST), NOWHERE)
    agreement = np.where(found.any(axis=1), alike, NOWHERE)
    return np.ascontiguousarray(distance.T, dtype=np.float32), agreement.astype(np.float32)


def _taken(column: np.ndarray, at: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Return the other network's column at its rows, people last; `NOWHERE` for people and joints that it lacks."""
    taken = np.where(np.isnan(column), NOWHERE, column)[at].T  # NaN: joints of which its skeleton has none
    return np.ascontiguousarray(np.where(there, taken, NOWHERE), dtype=np.float32)


def _no_opinion(people: int, keypoints: int, *, trust: bool) -> Opinion:
    of_joints, of_people = np.full((keypoints, people), NOWHERE), np.full(people, NOWHERE)
    return Opinion(
        *(np.zeros(people, dtype=bool), of_joints, of_joints, of_people, of_people, of_joints, of_people),
        quality=of_joints if trust else None,
        pose_quality=of_people if trust else None,
    )


def _check(other: Poses, second: Second, *, trust: bool) -> None:
    """Raise InputError if poses lack what the features read."""
    wanted = {"score": other.score, "pose_score": other.pose_score}
    wanted |= {"quality": other.quality, "pose_quality": other.pose_quality} if trust else {}
    for name, column in wanted.items():
        if column is None:
            raise InputError(f"{second.label}: its poses have no {name}, which the calibrator was fitted with")
        known = column if column.ndim == 1 or other.missing is None else np.where(other.missing, 0, column)
        if not np.isfinite(known).all():
            row = int(np.argmax(~np.isfinite(known).reshape(len(other), -1).all(axis=1)))
            raise InputError(f"{second.label}: {name} of pose {row} is missing or not finite")


def pose_opinions(opinions: tuple[Opinion, ...], skeleton: Skeleton) -> dict[str, Float[np.ndarray, " N"]]:
    """Return features (N,) of each person from second opinions, by name: of the whole pose, and of every joint."""
    found: dict[str, np.ndarray] = {}
    for number, opinion in enumerate(opinions, 2):
        columns = _whole(opinion)
        per_joint = {"distance": opinion.distance, "score": opinion.score}
        per_joint |= {} if opinion.quality is None else {"quality": opinion.quality}
        for what, column in per_joint.items():
            columns |= {f"{what} {name}": row for name, row in zip(skeleton.keypoints, column, strict=True)}
        columns |= {f"{place + 1}. distance": row for place, row in enumerate(np.sort(opinion.distance, axis=0))}
        found |= {f"opinion {number}: {name}": row for name, row in columns.items()}
    return found


def keypoint_opinions(opinions: tuple[Opinion, ...], skeleton: Skeleton) -> dict[str, Float[np.ndarray, "*S"]]:
    """Return features of each keypoint from second opinions: (K, N) of its own, (1, N) of the whole pose."""
    found: dict[str, np.ndarray] = {}
    for number, opinion in enumerate(opinions, 2):
        columns = {"distance": opinion.distance, "mirrored distance": opinion.mirrored, "score": opinion.score}
        columns |= {} if opinion.quality is None else {"quality": opinion.quality}
        columns |= {f"pose: {name}": row[None] for name, row in _whole(opinion).items()}
        scores = zip(skeleton.keypoints, opinion.score, strict=True)
        columns |= {f"pose: score {name}": row[None] for name, row in scores}
        found |= {f"opinion {number}: {name}": row for name, row in columns.items()}
    return found


def _whole(opinion: Opinion) -> dict[str, np.ndarray]:
    columns = {
        "agreement": opinion.agreement,
        "mirrored agreement": opinion.mirrored_agreement,
        "middle distance": np.median(opinion.distance, axis=0),
        "pose score": opinion.pose_score,
        "mean score": opinion.score.mean(axis=0),
    }
    return columns | ({} if opinion.pose_quality is None else {"pose quality": opinion.pose_quality})

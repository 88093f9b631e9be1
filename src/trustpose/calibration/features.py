"""Features of a person from a results file: scores, geometry, box, and neighbours in the photo.

All features come from `Poses`. Lengths are in units of the box (its sides, or √area), so features do not depend on a
person's position in the photo, nor on size unless named so. A skeleton without edges, mirrored names or a trunk has
fewer features. Nothing is guessed: if poses have no box, fitting and applying use the box around their keypoints, and
features of a missing score are left out (see `FeatureInputs`).

Missing keypoints have a printed score but no position. A tree's split compares with a threshold,
and NaN would compare like the smallest number. So undefined features of a missing keypoint are `MISSING_FEATURE`: as
a coordinate a whole box before the box, as a length negative; found keypoints hardly ever have such values, so one
split separates them. Predictions for other keypoints are not affected. `missing` (K, N) is None if no keypoint is;
then, and for people without missing keypoints, all features are the usual ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from trustpose.calibration.arrays import MISSING_FEATURE
from trustpose.calibration.opinions import Opinion
from trustpose.files import InputError
from trustpose.geometry.boxes import paired_iou
from trustpose.metrics.matching import same_image_pairs
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton

FAR = 4.0  # largest distance to a neighbour's joint in box sizes (√area), also the value for "none"
_MAX_PAIRS = 500_000  # pairs of people at a time: some 100 MB

Missing = Bool[np.ndarray, "K N"] | None  # which keypoints an estimator did not place; None: it placed all


@dataclass(frozen=True, eq=False)
class Neighbours:
    """For each of N people: the number of others in the photo, the highest IoU of their boxes with its own, how many
    score higher, the score of the one that overlaps most minus its own (0 if none overlaps), and for each keypoint the
    distance (K, N), in units of √(box area), to the nearest same and the nearest mirrored joint of another person;
    missing keypoints have no neighbours."""

    count: Float[np.ndarray, " N"]
    overlap: Float[np.ndarray, " N"]
    above: Float[np.ndarray, " N"]
    rival: Float[np.ndarray, " N"]
    nearest_same: Float[np.ndarray, "K N"]
    nearest_mirror: Float[np.ndarray, "K N"]

    def rows(self, index: slice | np.ndarray) -> "Neighbours":
        """Return the people selected by a slice (views of the same arrays) or by an index."""
        columns = (self.count, self.overlap, self.above, self.rival, self.nearest_same, self.nearest_mirror)
        return Neighbours(*(column[..., index] for column in columns))


def find_neighbours(
    poses: Poses, box: Float[np.ndarray, "N 4"], score: Float[np.ndarray, " N"], flip_index: Int[np.ndarray, " K"]
) -> Neighbours:
    """Find neighbours within photos; without `image_id` all people are in one photo. The rows' order does not
    matter."""
    n, k = len(poses), poses.keypoint_count
    image = np.zeros(n, dtype=np.int64) if poses.image_id is None else poses.image_id
    xy = np.ascontiguousarray(poses.xy.transpose(2, 1, 0), dtype=np.float32)  # (2, K, N)
    if poses.missing is not None:
        xy = np.where(poses.missing.T, np.float32(np.nan), xy)  # NaN counts as FAR, see `_nearest_joints`
    neighbours = Neighbours(*np.zeros((4, n), dtype=np.float32), *np.full((2, k, n), FAR, dtype=np.float32))
    for rows in _photos_together(image):
        photos = _of_photos(xy[:, :, rows], image[rows], box[rows], score[rows], flip_index)
        for name in vars(neighbours):
            getattr(neighbours, name)[..., rows] = getattr(photos, name)
    return neighbours


def _photos_together(image: np.ndarray) -> Iterator[np.ndarray]:
    """Yield rows of whole photos, as many photos at a time as keep the number of pairs bounded."""
    order = np.argsort(image, kind="stable")
    _, start, count = np.unique(image[order], return_index=True, return_counts=True)
    block = np.cumsum(count.astype(np.int64) ** 2) // _MAX_PAIRS
    yield from np.split(order, start[np.flatnonzero(np.diff(block)) + 1])


def _of_photos(
    xy: np.ndarray, image: np.ndarray, box: np.ndarray, score: np.ndarray, flip_index: np.ndarray
) -> Neighbours:
    """Find neighbours of N people of whole photos; xy (2, K, N)."""
    n = len(image)
    person, neighbour = same_image_pairs(image, image)
    person, neighbour = person[person != neighbour], neighbour[person != neighbour]  # (P,), in the order of `one`
    iou = paired_iou(box[person], box[neighbour]).astype(np.float32)
    overlap = _group_minimum(-iou, person, n, 0.0)
    rival = np.where(
        iou >= -overlap[person], score[neighbour] - score[person], -np.inf
    )  # of the neighbours that overlap most
    rival = -_group_minimum(-rival, person, n, 0.0)
    above = np.bincount(person, weights=score[neighbour] > score[person], minlength=n)
    touching = np.flatnonzero(iou > 0)
    same, mirror = _nearest_joints(xy, box, person[touching], neighbour[touching], flip_index)
    return Neighbours(
        count=np.bincount(person, minlength=n).astype(np.float32),
        overlap=-overlap,
        above=above.astype(np.float32),
        rival=np.where(overlap < 0, rival, 0).astype(np.float32),
        nearest_same=same,
        nearest_mirror=mirror,
    )


def _nearest_joints(
    xy: np.ndarray, box: np.ndarray, person: np.ndarray, neighbour: np.ndarray, flip_index: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute distances (K, N) to the nearest same and mirrored joint of the rows `neighbour`."""
    (x, y), n = xy, len(box)
    size = np.sqrt(np.maximum((box[:, 2:] - box[:, :2]).prod(axis=1), 1)).astype(np.float32)
    nearest = np.empty((2, *x.shape), dtype=np.float32)
    for joint in range(len(x)):
        for row, target in ((0, joint), (1, int(flip_index[joint]))):
            if row and target == joint:
                nearest[1, joint] = nearest[0, joint]
                continue
            distance = (
                np.hypot(x[joint][person] - x[target][neighbour], y[joint][person] - y[target][neighbour])
                / size[person]
            )
            nearest[row, joint] = _group_minimum(np.fmin(distance, np.float32(FAR)), person, n, FAR)
    return nearest[0], nearest[1]


def _group_minimum(value: np.ndarray, group: np.ndarray, groups: int, empty: float) -> np.ndarray:
    """Return the minimum (G,) of each group of rows, `empty` for a group without any; `group` ascends."""
    minimum = np.full(groups, empty, dtype=np.float32)
    if len(group):
        starts = np.flatnonzero(np.r_[True, group[1:] != group[:-1]])
        minimum[group[starts]] = np.minimum.reduceat(value, starts)
    return minimum


_TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_ALONE = np.float32(9)  # distance to the nearest other joint if there is none
_NAN = np.float32(np.nan)
_SMALLEST = 1e-3  # smaller lengths have no direction, smaller score differences no spread
PART = 2048  # people at a time: their features fit into the processor's cache


@dataclass(frozen=True)
class FeatureInputs:
    """Which of the optional fields features use: those that every pose had at fitting.

    A constant box score, as of ground-truth boxes, carries no information and is not used.
    """

    box: bool
    box_score: bool

    @classmethod
    def of(cls, poses: Poses) -> "FeatureInputs":
        """Return the fields that these poses have for every person."""
        box, score = poses.box, poses.box_score
        return cls(
            box=box is not None and bool(np.isfinite(box).all()),
            box_score=score is not None and bool(np.isfinite(score).all() and score.min() < score.max()),
        )

    def check(self, poses: Poses) -> None:
        """Raise InputError if `poses` lack one of these fields, or hold numbers that are not finite; positions of
        missing keypoints are not checked."""
        xy = poses.xy if poses.missing is None else np.where(poses.missing[..., None], 0, poses.xy)
        fields = {"score": poses.score, "pose_score": poses.pose_score}
        fields |= {"box": poses.box} if self.box else {}
        fields |= {"box_score": poses.box_score} if self.box_score else {}
        for name, column in ({"xy": xy} | fields).items():
            if column is None:
                raise InputError(f"poses have no {name}, which the calibrator was fitted with")
            if not np.isfinite(column).all():
                row = int(np.argmax(~np.isfinite(column).reshape(len(poses), -1).all(axis=1)))
                raise InputError(f"{name} of pose {row} is missing or not finite, but the calibrator reads it")


@dataclass(frozen=True, eq=False)
class NormalisedPoses:
    """N people in normalised units, columns last, float32: x, y (K, N) in units of √(box area) from the box's corner,
    the box's width and height in the same unit (N,) and √area (N,) in pixels, scores (K, N) and (N,), and what other
    networks say of the same people."""

    skeleton: Skeleton
    x: Float[np.ndarray, "K N"]
    y: Float[np.ndarray, "K N"]
    width: Float[np.ndarray, " N"]
    height: Float[np.ndarray, " N"]
    size: Float[np.ndarray, " N"]
    score: Float[np.ndarray, "K N"]
    pose_score: Float[np.ndarray, " N"]
    box_score: Float[np.ndarray, " N"] | None
    near: Neighbours
    missing: Missing = None
    opinions: tuple[Opinion, ...] = ()

    def __len__(self) -> int:
        return len(self.size)

    def rows(self, index: slice | np.ndarray) -> "NormalisedPoses":
        """Return the people selected by a slice (views of the same arrays) or by an index."""
        return NormalisedPoses(
            skeleton=self.skeleton,
            x=self.x[:, index],
            y=self.y[:, index],
            width=self.width[index],
            height=self.height[index],
            size=self.size[index],
            score=self.score[:, index],
            pose_score=self.pose_score[index],
            box_score=None if self.box_score is None else self.box_score[index],
            near=self.near.rows(index),
            missing=None if self.missing is None else self.missing[:, index],
            opinions=tuple(opinion.rows(index) for opinion in self.opinions),
        )

    def score_of_present(self) -> Float[np.ndarray, "K N"]:
        """The scores, NaN for missing keypoints, whose written score depends on the tool."""
        return unless_missing(self.score, self.missing, _NAN)


def read_people(poses: Poses, skeleton: Skeleton, source: FeatureInputs) -> NormalisedPoses:
    """Normalise N poses, and find their neighbours in the same photo."""
    box = poses.box if source.box else np.nan_to_num(poses.keypoint_box())  # NaN where all keypoints are missing
    assert box is not None and poses.score is not None and poses.pose_score is not None
    sides = np.maximum(box[:, 2:] - box[:, :2], 1.0)  # (N, 2) pixels; a box is never smaller than one
    size = np.sqrt(sides.prod(axis=1))
    x, y = np.ascontiguousarray(((poses.xy - box[:, None, :2]) / size[:, None, None]).transpose(2, 1, 0))  # (K, N) each
    missing = None if poses.missing is None else np.ascontiguousarray(poses.missing.T)
    if missing is not None:
        x = np.where(missing, MISSING_FEATURE * sides[:, 0] / size, x)
        y = np.where(missing, MISSING_FEATURE * sides[:, 1] / size, y)
    single = np.float32
    return NormalisedPoses(
        skeleton=skeleton,
        x=x.astype(single),
        y=y.astype(single),
        width=(sides[:, 0] / size).astype(single),
        height=(sides[:, 1] / size).astype(single),
        size=size.astype(single),
        score=np.ascontiguousarray(poses.score.T, dtype=single),
        pose_score=poses.pose_score.astype(single),
        box_score=poses.box_score.astype(single) if source.box_score and poses.box_score is not None else None,
        near=find_neighbours(poses, box, poses.pose_score, skeleton.flip_index),
        missing=missing,
    )


def pose_features(people: NormalisedPoses) -> dict[str, Float[np.ndarray, " N"]]:
    """Return features (N,) of each person, by name: all scores, in joint order and sorted; joints in the box, limb
    lengths and directions, distances of mirrored joints; the box and the neighbours."""
    skeleton, names, missing = people.skeleton, people.skeleton.keypoints, people.missing
    x, y, score = people.x, people.y, people.score
    features: dict[str, np.ndarray] = {f"score {name}": row for name, row in zip(names, score, strict=True)}
    features |= {f"{rank + 1}. lowest score": row for rank, row in enumerate(np.sort(score, axis=0))}
    features |= whole_features(people)
    features |= {f"x {name}": row for name, row in zip(names, x / people.width, strict=True)}
    features |= {f"y {name}": row for name, row in zip(names, y / people.height, strict=True)}
    for a, b in skeleton.edges:
        across, down, broken = x[b] - x[a], y[b] - y[a], missing_either(missing, a, b)
        length = np.hypot(across, down)
        edge = f"{names[a]}–{names[b]}"
        features[f"length {edge}"] = unless_missing(length, broken)
        features[f"across {edge}"] = unless_missing(across / np.maximum(length, _SMALLEST), broken, np.float32(0))
        features[f"down {edge}"] = unless_missing(down / np.maximum(length, _SMALLEST), broken, np.float32(0))
    for left_joint, right_joint in skeleton.flip_pairs:
        distance = np.hypot(x[left_joint] - x[right_joint], y[left_joint] - y[right_joint])
        features[f"mirror distance {names[left_joint]}"] = unless_missing(
            distance, missing_either(missing, left_joint, right_joint)
        )
    features["nearest neighbour's joint"] = people.near.nearest_same.min(axis=0)
    features["neighbour's joints"] = mean_of_present(people.near.nearest_same, missing)
    return features


def whole_features(people: NormalisedPoses) -> dict[str, Float[np.ndarray, " N"]]:
    """Return the few features (N,) that summarise a person, which each keypoint's model reads too."""
    x, y, score, near = people.x / people.width, people.y / people.height, people.score, people.near
    min_x, max_x = range_of_present(x, people.missing)
    min_y, max_y = range_of_present(y, people.missing)
    outside = (x < 0) | (x > 1) | (y < 0) | (y > 1)
    features = {
        "pose score": people.pose_score,
        "mean score": score.mean(axis=0),
        "spread of scores": score.std(axis=0),
        "box size": np.log(people.size),
        "box shape": np.log(people.width / people.height),
        "pose width": max_x - min_x,
        "pose height": max_y - min_y,
        "pose left": min_x,
        "pose right": max_x,
        "pose top": min_y,
        "pose bottom": max_y,
        "joints outside": mean_of_present(outside, people.missing),
        "others in photo": near.count,
        "others above": near.above,
        "overlap": near.overlap,
        "rival's score": near.rival,
    }
    if people.box_score is not None:
        features["box score"] = people.box_score
    if set(_TRUNK) <= set(people.skeleton.keypoints):
        features["trunk length"] = _trunk_length(people)
    return features


def keypoint_features(people: NormalisedPoses) -> dict[str, Float[np.ndarray, "K N"]]:
    """Return features (K, N) of each keypoint, with the same names for all keypoints so that one model serves them."""
    skeleton, x, y, score, missing = people.skeleton, people.x, people.y, people.score, people.missing
    k, n = score.shape
    mirror = skeleton.flip_index
    no_pair = None if missing is None else missing | missing[mirror]
    from_middle = np.hypot(x - _middle(x, missing), y - _middle(y, missing))
    spread = np.maximum(score.std(axis=0), _SMALLEST)
    features = {
        "kind": np.broadcast_to(_kinds(skeleton)[:, None], (k, n)),
        "score": score,
        "score among the pose's": (score - score.mean(axis=0)) / spread,
        "mirror's score": score[mirror],
        "mirror distance": unless_missing(np.hypot(x - x[mirror], y - y[mirror]), no_pair),
        "x": x / people.width,
        "y": y / people.height,
        "depth in box": np.minimum(np.minimum(x, people.width - x), np.minimum(y, people.height - y)),
        "distance from middle": unless_missing(from_middle, missing),
        "nearest joint": _nearest_joint(unless_missing(x, missing, _NAN), unless_missing(y, missing, _NAN)),
        "neighbour's joint": people.near.nearest_same,
        "neighbour's mirrored joint": people.near.nearest_mirror,
    }
    return features | _limb_features(people)


def _middle(axis: np.ndarray, missing: Missing) -> np.ndarray:
    """Return the mean coordinate (N,) of the joints found, along one axis."""
    if missing is None:
        return axis.sum(axis=0) * np.float32(1 / len(axis))
    share = (1 / np.maximum(np.count_nonzero(~missing, axis=0), 1)).astype(np.float32)
    return np.where(missing, np.float32(0), axis).sum(axis=0) * share


def _limb_features(people: NormalisedPoses) -> dict[str, np.ndarray]:
    """Return mean, lowest and highest score of the joints connected by edges, and lengths of these edges; (K, N)
    each."""
    skeleton, x, y, score, missing = people.skeleton, people.x, people.y, people.score, people.missing
    if not skeleton.edges:
        return {}
    length = {(a, b): np.hypot(x[a] - x[b], y[a] - y[b]) for a, b in skeleton.edges}
    features = {
        name: np.zeros_like(score)
        for name in ("joined scores", "lowest joined", "highest joined", "limbs", "shortest limb", "longest limb")
    }
    for joint in range(len(score)):
        edges = [edge for edge in length if joint in edge]
        if not edges:
            continue
        scores = [score[b if a == joint else a] for a, b in edges]
        lengths = np.stack([length[edge] for edge in edges])
        broken = None if missing is None else np.stack([missing[a] | missing[b] for a, b in edges])
        features["joined scores"][joint] = mean_of_present(np.stack(scores), None)
        features["lowest joined"][joint], features["highest joined"][joint] = range_of_present(np.stack(scores), None)
        features["limbs"][joint] = mean_of_present(lengths, broken)
        features["shortest limb"][joint], features["longest limb"][joint] = range_of_present(lengths, broken)
    return features


def _trunk_length(people: NormalisedPoses) -> np.ndarray:
    """Return the distance from the middle of the shoulders to that of the hips (N,), in units of √(box area)."""
    joints = [people.skeleton.keypoints.index(name) for name in _TRUNK]
    across, down = (
        axis[joints[0]] + axis[joints[1]] - axis[joints[2]] - axis[joints[3]] for axis in (people.x, people.y)
    )
    broken = None if people.missing is None else np.any(people.missing[joints], axis=0)
    return unless_missing(np.hypot(across, down) / 2, broken)


def _nearest_joint(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the distance (K, N) of each joint to the nearest other one of the same pose, ignoring NaN: if two joints
    coincide, one is often wrong."""
    nearest = np.full(x.shape, _ALONE * _ALONE, dtype=np.float32)
    for shift in range(1, len(x) // 2 + 1):  # each pair of joints once
        square = (x - np.roll(x, shift, axis=0)) ** 2 + (y - np.roll(y, shift, axis=0)) ** 2
        np.fmin(nearest, square, out=nearest)
        np.fmin(nearest, np.roll(square, -shift, axis=0), out=nearest)
    return np.sqrt(nearest)


def _kinds(skeleton: Skeleton) -> np.ndarray:
    """Return a number (K,) for each kind of joint, the same for left and right, in the skeleton's order."""
    first = np.minimum(skeleton.flip_index, np.arange(len(skeleton)))
    return np.unique(first, return_inverse=True)[1].astype(np.float32)


def unless_missing(
    column: Float[np.ndarray, "*K N"],
    missing: Bool[np.ndarray, "*K N"] | None,
    value: np.float32 = MISSING_FEATURE,
) -> Float[np.ndarray, "*K N"]:
    """Return the column, with `value` where the keypoint is missing."""
    return column if missing is None else np.where(missing, value, column)


def missing_either(missing: Missing, first_joint: int, second_joint: int) -> Bool[np.ndarray, " N"] | None:
    """Return for which people (N,) one of two keypoints, or both, are missing."""
    return None if missing is None else missing[first_joint] | missing[second_joint]


def mean_of_present(column: Shaped[np.ndarray, "K N"], missing: Missing) -> Float[np.ndarray, " N"]:
    """Return the mean (N,) over keypoints that are not missing; `MISSING_FEATURE` where all are."""
    if missing is None:
        return column.mean(axis=0, dtype=np.float32)
    count = np.count_nonzero(~missing, axis=0).astype(np.float32)
    total = np.where(missing, np.float32(0), column).sum(axis=0, dtype=np.float32)
    return np.where(count > 0, total / np.maximum(count, 1), MISSING_FEATURE)


def range_of_present(
    column: Float[np.ndarray, "K N"], missing: Missing
) -> tuple[Float[np.ndarray, " N"], Float[np.ndarray, " N"]]:
    """Return minimum and maximum (N,) over keypoints that are not missing; `MISSING_FEATURE` where all are."""
    if missing is None:
        return column.min(axis=0), column.max(axis=0)
    lowest = column.min(axis=0, where=~missing, initial=np.float32(np.inf))
    highest = column.max(axis=0, where=~missing, initial=np.float32(-np.inf))
    all_missing = missing.all(axis=0)
    return np.where(all_missing, MISSING_FEATURE, lowest), np.where(all_missing, MISSING_FEATURE, highest)

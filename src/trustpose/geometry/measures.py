"""Measures that people read off poses: angles, inclinations, lengths and ratios, with their derivatives.

A measure is a formula of a few points; a point is a joint, the mean of several, or the centre of mass. Angles at a
joint are interior, between the two limbs that meet there: 180° is a straight limb, as in Sports2D's drawings; `flexion`
is 180° minus that, 0° for a straight knee or elbow, as ISB and Sports2D count it (without a sign: a picture does not
show which side of a knee is its front). Inclinations are against the picture's vertical: 0° for a limb that points up
from its first point to its second, positive to the picture's right, −180 to 180. A 2D angle is the angle of the limbs'
projections.

The derivative of a value by the joints' positions carries the joints' errors over to the value
(`calibration.measure_errors`): the first-order law of error propagation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

from trustpose.geometry.centre_of_mass import SIDES, weights_of_joints
from trustpose.names import expected_one_of
from trustpose.skeletons import Skeleton

KINDS = {  # number of points, unit
    "angle": (3, "degrees"),
    "flexion": (3, "degrees"),
    "tilt": (2, "degrees"),
    "angle difference": (6, "degrees"),
    "distance": (2, "pixels"),
    "line to point": (3, "pixels"),
    "ratio": (4, "1"),
    "x": (1, "pixels"),
    "y": (1, "pixels"),
    "height": (1, "pixels"),
}
"""The formulas: by name, how many points they read, and the unit of their value."""
_TURN = 360.0
_SMALLEST = 1e-9  # pixels of a limb without length

Point = tuple[str, ...]
"""A joint, or several joints whose mean it is; `CENTRE_OF_MASS` counts as one."""
CENTRE_OF_MASS = "centre_of_mass"
_WEIGHTS: Mapping[str, Mapping[str, float]] = {CENTRE_OF_MASS: weights_of_joints()}


@dataclass(frozen=True)
class Measure:
    """A formula of some points of the body.

    Args:
        name: of the measure, such as "left_knee".
        kind: one of `KINDS`.
        points: what it reads. angle and flexion: end, joint, end; tilt and distance: from, to; ratio: from, to, from,
            to of the two distances; line to point: from, to, point, positive to the right of the way from – to; angle
            difference: the three points of each angle; x: its distance from the picture's left edge; y: from its top;
            height: above the floor line, where y is 0 (`measures.floor`).

    Raises:
        ValueError: for an unknown kind, or another number of points than it reads.
    """

    name: str
    kind: str
    points: tuple[Point, ...]

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"{self.name}: {expected_one_of(KINDS, self.kind)}")
        count = KINDS[self.kind][0]
        if len(self.points) != count or not all(self.points):
            raise ValueError(f"{self.name}: {self.kind}: expected {count} points, got {len(self.points)}")

    @property
    def unit(self) -> str:
        """The unit of its values."""
        return KINDS[self.kind][1]

    @property
    def family(self) -> str:
        """What left and right have in common: the name without the side."""
        return self.name.removeprefix("left_").removeprefix("right_")

    @cached_property
    def joints(self) -> tuple[str, ...]:
        """The joints that it reads, each once, in order."""
        return tuple(dict.fromkeys(joint for point in self.points for joint in weights_in(point)))

    def fits(self, skeleton: Skeleton) -> bool:
        """Return whether a skeleton has all its joints."""
        return all(joint in skeleton.keypoints for joint in self.joints)

    @property
    def period(self) -> float | None:
        """The turn after which the value repeats itself; None if it does not."""
        return _TURN if self.kind == "tilt" else None

    @property
    def limits(self) -> tuple[float, float]:
        """The least and the greatest value that there is."""
        if self.kind in ("angle", "flexion"):
            return 0.0, 180.0
        if self.kind == "angle difference":
            return -180.0, 180.0
        return (0.0, np.inf) if self.kind in ("distance", "ratio") else (-np.inf, np.inf)

    def difference(self, value: Float[np.ndarray, " N"], reference: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
        """Return value − reference, for inclinations the shorter way round."""
        return wrapped(value - reference) if self.period else value - reference


def weights_in(point: Point) -> dict[str, float]:
    """Return the weights of the joints whose mean a point is; they sum to 1."""
    weights: dict[str, float] = {}
    for name in point:
        for joint, weight in _WEIGHTS.get(name, {name: 1.0}).items():
            weights[joint] = weights.get(joint, 0.0) + weight / len(point)
    return weights


def wrapped(degrees: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N"]:
    """Return angles in −180 to 180."""
    return (degrees + _TURN / 2) % _TURN - _TURN / 2


@dataclass(frozen=True, eq=False)
class Reading:
    """The values of one measure in N people.

    Attributes:
        value: (N,), in the measure's unit; NaN where a limb has no length.
        joints: (J,), indices of the joints that it reads.
        gradient: (N, J, 2), derivative of the value by each joint's x and y, units per pixel.
        shortest: (N,), length of its shortest limb, pixels.
        longest: (N,), that of its longest.
    """

    value: Float[np.ndarray, " N"]
    joints: Int[np.ndarray, " J"]
    gradient: Float[np.ndarray, "N J 2"]
    shortest: Float[np.ndarray, " N"]
    longest: Float[np.ndarray, " N"]


def read(measure: Measure, skeleton: Skeleton, xy: Float[np.ndarray, "N K 2"]) -> Reading:
    """Read a measure off N poses.

    Args:
        measure: what to read.
        skeleton: of the K keypoints.
        xy: (N, K, 2) keypoints in pixels, y down.

    Returns:
        The values with their derivatives.

    Raises:
        KeyError: if the skeleton lacks a joint, listing its joints.
    """
    joints = np.array([skeleton.index(joint) for joint in measure.joints])
    column = {joint: number for number, joint in enumerate(measure.joints)}
    weights = [weights_in(point) for point in measure.points]
    points = [_mean(xy[:, [skeleton.index(joint) for joint in of_joints]], of_joints) for of_joints in weights]
    with np.errstate(divide="ignore", invalid="ignore"):
        value, gradients, lengths = _FORMULAS[measure.kind](*points)
    gradient = np.zeros((len(xy), len(joints), 2))
    for of_joints, of_point in zip(weights, gradients, strict=True):
        for joint, weight in of_joints.items():
            gradient[:, column[joint]] += of_point * weight
    return Reading(value, joints, gradient, np.minimum.reduce(lengths), np.maximum.reduce(lengths))


def _mean(xy: Float[np.ndarray, "N J 2"], weights: Mapping[str, float]) -> Float[np.ndarray, "N 2"]:
    if len(set(weights.values())) == 1:
        return xy.mean(axis=1, dtype=np.float64)
    return np.einsum("njd,j->nd", xy.astype(np.float64), np.array([*weights.values()]))


Terms = tuple[Float[np.ndarray, " N"], list[Float[np.ndarray, "N 2"]], list[Float[np.ndarray, " N"]]]
"""Value, derivative by each point, lengths of the limbs."""


def _limb(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the vector of a limb, its length (NaN for none), and the derivative of its direction, radians per
    pixel."""
    vector = end - start
    length = np.hypot(vector[:, 0], vector[:, 1])
    length = np.where(length > _SMALLEST, length, np.nan)
    turning = np.stack([-vector[:, 1], vector[:, 0]], axis=1) / length[:, None] ** 2
    return vector, length, turning


def _angle(end: np.ndarray, joint: np.ndarray, other: np.ndarray) -> Terms:
    first, first_length, first_turning = _limb(joint, end)
    second, second_length, second_turning = _limb(joint, other)
    turn = np.arctan2(
        first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0], (first * second).sum(axis=1)
    )  # from the first limb to the second, radians; NaN is set below
    value = np.where(np.isnan(first_length + second_length), np.nan, np.degrees(np.abs(turn)))
    sign = np.degrees(np.where(turn < 0, -1.0, 1.0))[:, None]
    by_end, by_other = -sign * first_turning, sign * second_turning
    return value, [by_end, -by_end - by_other, by_other], [first_length, second_length]


def _flexion(end: np.ndarray, joint: np.ndarray, other: np.ndarray) -> Terms:
    value, gradients, lengths = _angle(end, joint, other)
    return 180 - value, [-gradient for gradient in gradients], lengths


def _angle_difference(*points: np.ndarray) -> Terms:
    value, gradients, lengths = _angle(*points[:3])
    other, other_gradients, other_lengths = _angle(*points[3:])
    return value - other, [*gradients, *(-gradient for gradient in other_gradients)], [*lengths, *other_lengths]


def _tilt(start: np.ndarray, end: np.ndarray) -> Terms:
    vector, length, turning = _limb(start, end)
    value = np.where(np.isnan(length), np.nan, np.degrees(np.arctan2(vector[:, 0], -vector[:, 1])))
    by_end = np.degrees(turning)
    return value, [-by_end, by_end], [length]


def _distance(start: np.ndarray, end: np.ndarray) -> Terms:
    vector, length, _ = _limb(start, end)
    by_end = vector / length[:, None]
    return length, [-by_end, by_end], [length]


def _ratio(start: np.ndarray, end: np.ndarray, other_start: np.ndarray, other_end: np.ndarray) -> Terms:
    length, (_, by_end), _ = _distance(start, end)
    other, (_, by_other_end), _ = _distance(other_start, other_end)
    value = length / other
    by_end, by_other_end = by_end / other[:, None], -by_other_end * (value / other)[:, None]
    return value, [-by_end, by_end, -by_other_end, by_other_end], [length, other]


def _line_to_point(start: np.ndarray, end: np.ndarray, point: np.ndarray) -> Terms:
    vector, length, turning = _limb(start, end)
    along = vector / length[:, None]
    normal = np.stack([-along[:, 1], along[:, 0]], axis=1)  # to the right of the way, as y points down
    offset = point - start
    value, reach = (offset * normal).sum(axis=1), (offset * along).sum(axis=1)
    by_end = -turning * reach[:, None]  # the line turns about its start
    return value, [-normal - by_end, by_end, normal], [length]


def _coordinate(axis: int, sign: float = 1.0) -> Callable[[np.ndarray], Terms]:
    def of_point(point: np.ndarray) -> Terms:
        by_point = np.zeros_like(point)
        by_point[:, axis] = sign
        return sign * point[:, axis], [by_point], [np.full(len(point), np.inf)]  # no limb that could be too short

    return of_point


_FORMULAS: dict[str, Callable[..., Terms]] = {
    "angle": _angle,
    "flexion": _flexion,
    "angle difference": _angle_difference,
    "tilt": _tilt,
    "distance": _distance,
    "line to point": _line_to_point,
    "ratio": _ratio,
    "x": _coordinate(0),
    "y": _coordinate(1),
    "height": _coordinate(1, -1.0),
}

_ANGLES = {
    "elbow": ("shoulder", "elbow", "wrist"),
    "shoulder": ("elbow", "shoulder", "hip"),
    "hip": ("shoulder", "hip", "knee"),
    "knee": ("hip", "knee", "ankle"),
}
_FEET = ("big_toe", "foot", "toe", "foot_index", "small_toe")  # what skeletons with feet call the end of the foot
_LIMBS = {
    "thigh": ("hip", "knee"),
    "shank": ("knee", "ankle"),
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}
_SHOULDERS, _HIPS = ("left_shoulder", "right_shoulder"), ("left_hip", "right_hip")


def built_in_measures(skeleton: Skeleton) -> tuple[Measure, ...]:
    """Return the measures of a skeleton that has their joints: angles, flexions, inclinations, differences between left
    and right, and lengths. The eight joint angles and four inclinations come first."""
    return tuple(measure for measure in _all_measures(skeleton) if measure.fits(skeleton))


def fitted_measures(skeleton: Skeleton) -> tuple[Measure, ...]:
    """Return those of the built-in measures that calibrators learn the errors of: joint angles, inclinations and
    lengths. A flexion has its angle's error."""
    return tuple(measure for measure in built_in_measures(skeleton) if measure.kind in ("angle", "tilt", "distance"))


def _all_measures(skeleton: Skeleton) -> Iterator[Measure]:
    for family, joints in _ANGLES.items():
        yield from (Measure(f"{side}_{family}", "angle", _of_side(side, joints)) for side in SIDES)
    toe = next((name for name in _FEET if f"left_{name}" in skeleton.keypoints), _FEET[0])
    yield from (Measure(f"{side}_ankle", "angle", _of_side(side, ("knee", "ankle", toe))) for side in SIDES)
    yield Measure("trunk", "tilt", (_HIPS, _SHOULDERS))
    head = next((name for name in ("nose", "head", "head_top", "head_bottom") if name in skeleton.keypoints), "nose")
    yield Measure("neck", "tilt", (_SHOULDERS, (head,)))
    for family, limb in _LIMBS.items():
        yield from (Measure(f"{side}_{family}", "tilt", _of_side(side, limb)) for side in SIDES)
    for family in ("knee", "elbow"):
        yield from (Measure(f"{side}_{family}_flexion", "flexion", _of_side(side, _ANGLES[family])) for side in SIDES)
    for family, joints in _ANGLES.items():
        both = (*_of_side("left", joints), *_of_side("right", joints))
        yield Measure(f"{family}_difference", "angle difference", both)
    for family, limb in _LIMBS.items():
        yield from (Measure(f"{side}_{family}_length", "distance", _of_side(side, limb)) for side in SIDES)
    yield Measure("trunk_length", "distance", (_HIPS, _SHOULDERS))


def _of_side(side: str, joints: Sequence[str]) -> tuple[Point, ...]:
    return tuple((f"{side}_{joint}",) for joint in joints)

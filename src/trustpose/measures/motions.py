"""Measures over time, as definitions: speeds, rates of change, accelerations, jump heights and release angles.

`over_time.py` reads the first three, `events.py` the others. Each names the measures of a single frame that it is made
of (`parts`), which are read first, with their errors.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trustpose.geometry.measures import CENTRE_OF_MASS, SIDES, Measure, Point, built_in_measures
from trustpose.names import expected_one_of
from trustpose.skeletons import Skeleton

SPEED, VELOCITY, ACCELERATION = "speed", "velocity", "acceleration"
JUMP, FLIGHT, RELEASE = "jump height", "jump height by flight", "release angle"
MOTIONS = (SPEED, VELOCITY, ACCELERATION)
EVENTS = (JUMP, FLIGHT, RELEASE)
OF_POINT = (SPEED, RELEASE)  # formulas of the path of a point
_ANKLES = ("left_ankle", "right_ankle")


@dataclass(frozen=True)
class Motion:
    """A measure over the frames of a track.

    Args:
        name: of the measure, such as "left_knee_velocity".
        kind: "speed" of a point; "velocity", the rate of change of a measure; "acceleration" of a point or measure;
            "jump height" and "jump height by flight"; "release angle" of a point.
        parts: the measures of a frame that it is made of: one, or x and y of a point.

    Raises:
        ValueError: for an unknown kind.
    """

    name: str
    kind: str
    parts: tuple[Measure, ...]

    def __post_init__(self) -> None:
        if self.kind not in (*MOTIONS, *EVENTS):
            raise ValueError(f"{self.name}: {expected_one_of((*MOTIONS, *EVENTS), self.kind)}")

    @property
    def unit(self) -> str:
        """The unit of its values."""
        if self.kind == JUMP:
            return "pixels"
        if self.kind == FLIGHT:
            return "metres"
        if self.kind == RELEASE:
            return "degrees"
        per = "s²" if self.kind == ACCELERATION else "s"
        return f"1/{per}" if self.parts[0].unit == "1" else f"{self.parts[0].unit}/{per}"

    @property
    def joints(self) -> tuple[str, ...]:
        """The joints that it reads, each once, in order."""
        return tuple(dict.fromkeys(joint for part in self.parts for joint in part.joints))


@dataclass(frozen=True)
class Converted:
    """A measure whose values are in another unit than its own.

    Args:
        of: the measure.
        unit: of the values.
    """

    of: Measure | Motion
    unit: str

    @property
    def name(self) -> str:
        """The measure's name."""
        return self.of.name

    @property
    def kind(self) -> str:
        """The measure's formula."""
        return self.of.kind


AnyMeasure = Measure | Motion
Column = Measure | Motion | Converted
"""What a column of `Measurements` holds: a measure, or one in another unit."""


def path_of(point: Point) -> tuple[Measure, Measure]:
    """Return the measures x and y of a point."""
    name = point[0] if len(point) == 1 else f"middle of {' and '.join(point)}"
    return Measure(f"{name}_x", "x", (point,)), Measure(f"{name}_y", "y", (point,))


def motion_of_point(name: str, kind: str, point: Point) -> Motion:
    """Return the speed, acceleration or release angle of a point."""
    return Motion(name, kind, path_of(point))


def named_motions(skeleton: Skeleton) -> dict[str, AnyMeasure]:
    """Return, by name, the measures over time that a skeleton has the joints for: NAME_velocity and NAME_acceleration
    of each built-in measure, JOINT_speed of each joint, and those of the centre of mass, jumps and releases; and x and
    y of the centre of mass."""
    named: dict[str, AnyMeasure] = {}
    points = {joint: (joint,) for joint in skeleton.keypoints} | {CENTRE_OF_MASS: (CENTRE_OF_MASS,)}
    for name, point in points.items():
        named[f"{name}_speed"] = motion_of_point(f"{name}_speed", SPEED, point)
        named[f"{name}_acceleration"] = motion_of_point(f"{name}_acceleration", ACCELERATION, point)
    for measure in built_in_measures(skeleton):  # left_knee_acceleration is the angle's, not the joint's
        for kind in (VELOCITY, ACCELERATION):
            named[f"{measure.name}_{kind}"] = Motion(f"{measure.name}_{kind}", kind, (measure,))
    named |= {measure.name: measure for measure in path_of((CENTRE_OF_MASS,))}
    for side in SIDES:
        name = f"{side}_release_angle"
        named[name] = motion_of_point(name, RELEASE, (f"{side}_wrist",))
    named |= {motion.name: motion for motion in jumps()}
    return {name: measure for name, measure in named.items() if set(measure.joints) <= set(skeleton.keypoints)}


def jumps() -> tuple[Motion, Motion]:
    """Return the jump's height by the rise of the centre of mass, and by the time of flight."""
    ankles = Measure("ankles_y", "y", (_ANKLES,))
    centre = path_of((CENTRE_OF_MASS,))[1]
    return Motion("jump_height", JUMP, (ankles, centre)), Motion("jump_height_by_flight", FLIGHT, (ankles, centre))


def parts_of(measures: Mapping[str, AnyMeasure] | tuple[AnyMeasure, ...]) -> tuple[Measure, ...]:
    """Return the measures of a frame that measures are made of, each once, in order."""
    listed = measures.values() if isinstance(measures, Mapping) else measures
    parts = [(measure,) if isinstance(measure, Measure) else measure.parts for measure in listed]
    return tuple(dict.fromkeys(part for several in parts for part in several))

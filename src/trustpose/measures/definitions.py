"""Which measures are read: the built-in ones, some of them by name, or a user's own from JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trustpose.files import InputError, read_json
from trustpose.geometry.measures import CENTRE_OF_MASS, KINDS, Measure, Point, built_in_measures
from trustpose.json_records import short
from trustpose.measures.motions import MOTIONS, OF_POINT, RELEASE, AnyMeasure, Motion, motion_of_point, named_motions
from trustpose.names import did_you_mean, expected_one_of
from trustpose.skeletons import Skeleton

MeasuresSource = str | Path | Sequence[str | AnyMeasure] | None
"""Measures: None for the built-in ones, names of built-in ones, `Measure`s, or a JSON file of the user's own."""
_SUFFIX = ".json"


_OVER_TIME = (*MOTIONS, RELEASE)


def find_measures(source: MeasuresSource, skeleton: Skeleton) -> tuple[AnyMeasure, ...]:
    """Return measures that a skeleton has the joints for.

    Args:
        source: None for all built-in measures that the skeleton has the joints for; names of some, in a list or
            separated by commas; `Measure`s; or the path of a JSON file, `{"my_knee": {"angle": ["left_hip",
            "left_knee", "left_ankle"]}}`, whose points are joints, or lists of joints for their mean. Measures over
            time are read by name alone (left_knee_velocity, left_wrist_speed, jump_height, `motions.named_motions`) or
            from JSON.
        skeleton: of the poses.

    Raises:
        InputError: for an unknown name, file, formula or joint, naming the measure.
    """
    built_in = {measure.name: measure for measure in built_in_measures(skeleton)}
    if source is None:
        if not built_in:
            raise InputError(f"measures: the skeleton {skeleton.name} has no joints of the built-in measures")
        return tuple(built_in.values())
    if isinstance(source, Path) or (isinstance(source, str) and source.endswith(_SUFFIX)):
        return _of_file(Path(source), skeleton)
    named = built_in | {name: motion for name, motion in named_motions(skeleton).items() if name not in built_in}
    chosen = [name.strip() for name in source.split(",")] if isinstance(source, str) else list(source)
    measures: list[AnyMeasure] = []
    for item in chosen:
        if isinstance(item, (Measure, Motion)):
            _check_joints(item, skeleton, "measures")
            measures.append(item)
        elif item in named:
            measures.append(named[item])
        else:
            raise InputError(
                f"measures: unknown measure {short(item)}{did_you_mean(item, named)}; expected a JSON file or names "
                f"among {', '.join(built_in)}; those over time, such as left_knee_velocity, left_wrist_speed, "
                "centre_of_mass_speed and jump_height"
            )
    return _distinct(measures, "measures")


def _of_file(path: Path, skeleton: Skeleton) -> tuple[AnyMeasure, ...]:
    value = read_json(path)
    if not isinstance(value, Mapping) or not value:
        raise InputError(f"{path}: expected an object with a formula for each name, got {short(value)}")
    return tuple(_of_json(path, name, formula, skeleton) for name, formula in value.items())


def _of_json(path: Path, name: str, formula: Any, skeleton: Skeleton) -> AnyMeasure:
    if not isinstance(formula, Mapping) or len(formula) != 1:
        raise InputError(
            f'{path}: {name}: expected one formula, such as {{"angle": [joint, joint, joint]}}, got {short(formula)}'
        )
    ((kind, value),) = formula.items()
    if kind in _OVER_TIME:
        return _over_time(path, name, kind, value, skeleton)
    if kind not in KINDS:
        raise InputError(f"{path}: {name}: {expected_one_of((*KINDS, *_OVER_TIME), kind)}")
    try:
        measure = Measure(name, kind, _points(path, f"{name}.{kind}", value))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    _check_joints(measure, skeleton, path)
    return measure


def _over_time(path: Path, name: str, kind: str, value: Any, skeleton: Skeleton) -> AnyMeasure:
    """Return a measure over time of a point, a list with its one point; or of a measure, its name or formula."""
    if isinstance(value, list):
        points = _points(path, f"{name}.{kind}", value)
        if len(points) != 1 or kind == "velocity":
            expected = "a measure" if kind == "velocity" else "one point"
            raise InputError(f"{path}: {name}.{kind}: expected {expected}, got {short(value)}")
        if not points[0]:
            raise InputError(f"{path}: {name}.{kind}: expected a joint or a list of joints, got {short(value)}")
        motion = motion_of_point(name, kind, points[0])
    elif kind in OF_POINT:
        raise InputError(f"{path}: {name}.{kind}: expected a list with one point, got {short(value)}")
    elif isinstance(value, str):
        built_in = {measure.name: measure for measure in built_in_measures(skeleton)}
        if value not in built_in:
            raise InputError(f"{path}: {name}.{kind}: unknown measure {value!r}{did_you_mean(value, built_in)}")
        motion = Motion(name, kind, (built_in[value],))
    else:
        part = _of_json(path, f"{name}.{kind}", value, skeleton)
        if not isinstance(part, Measure):
            raise InputError(f"{path}: {name}.{kind}: expected a measure of a frame, got {short(value)}")
        motion = Motion(name, kind, (part,))
    _check_joints(motion, skeleton, path)
    return motion


def _points(path: Path, name: str, points: Any) -> tuple[Point, ...]:
    is_list = isinstance(points, list) and all(isinstance(point, (str, list)) for point in points)
    listed = [[point] if isinstance(point, str) else point for point in points] if is_list else []
    if not is_list or not all(isinstance(joint, str) for point in listed for joint in point):
        raise InputError(f"{path}: {name}: expected joints or lists of joints, got {short(points)}")
    return tuple(tuple(point) for point in listed)


def _check_joints(measure: AnyMeasure, skeleton: Skeleton, source: str | Path) -> None:
    for joint in measure.joints:
        if joint not in skeleton.keypoints:
            raise InputError(
                f"{source}: {measure.name}: the skeleton {skeleton.name} has no joint {joint!r}"
                f"{did_you_mean(joint, (*skeleton.keypoints, CENTRE_OF_MASS))}"
            )


def _distinct(measures: list[AnyMeasure], source: str) -> tuple[AnyMeasure, ...]:
    names = [measure.name for measure in measures]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{source}: {name} occurs twice")
    return tuple(measures)

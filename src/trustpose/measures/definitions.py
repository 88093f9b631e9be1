"""Which measures are read: the built-in ones, some of them by name, or a user's own from JSON."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trustpose.files import InputError, read_json
from trustpose.geometry.measures import KINDS, Measure, built_in_measures
from trustpose.json_records import short
from trustpose.names import did_you_mean, expected_one_of
from trustpose.skeletons import Skeleton

MeasuresSource = str | Path | Sequence[str | Measure] | None
"""Measures: None for the built-in ones, names of built-in ones, `Measure`s, or a JSON file of the user's own."""
_SUFFIX = ".json"


def find_measures(source: MeasuresSource, skeleton: Skeleton) -> tuple[Measure, ...]:
    """Return measures that a skeleton has the joints for.

    Args:
        source: None for all built-in measures that the skeleton has the joints for; names of some, in a list or
            separated by commas; `Measure`s; or the path of a JSON file, `{"my_knee": {"angle": ["left_hip",
            "left_knee", "left_ankle"]}}`, whose points are joints, or lists of joints for their mean.
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
    chosen = [name.strip() for name in source.split(",")] if isinstance(source, str) else list(source)
    measures = []
    for item in chosen:
        if isinstance(item, Measure):
            _check_joints(item, skeleton, "measures")
            measures.append(item)
        elif item in built_in:
            measures.append(built_in[item])
        else:
            raise InputError(
                f"measures: unknown measure {short(item)}{did_you_mean(item, built_in)}; expected a JSON file or names "
                f"among {', '.join(built_in)}"
            )
    return _distinct(measures, "measures")


def _of_file(path: Path, skeleton: Skeleton) -> tuple[Measure, ...]:
    value = read_json(path)
    if not isinstance(value, Mapping) or not value:
        raise InputError(f"{path}: expected an object with a formula for each name, got {short(value)}")
    return tuple(_of_json(path, name, formula, skeleton) for name, formula in value.items())


def _of_json(path: Path, name: str, formula: Any, skeleton: Skeleton) -> Measure:
    if not isinstance(formula, Mapping) or len(formula) != 1:
        raise InputError(
            f'{path}: {name}: expected one formula, such as {{"angle": [joint, joint, joint]}}, got {short(formula)}'
        )
    ((kind, points),) = formula.items()
    if kind not in KINDS:
        raise InputError(f"{path}: {name}: {expected_one_of(KINDS, kind)}")
    is_list = isinstance(points, list) and all(isinstance(point, (str, list)) for point in points)
    listed = [[point] if isinstance(point, str) else point for point in points] if is_list else []
    if not is_list or not all(isinstance(joint, str) for point in listed for joint in point):
        raise InputError(f"{path}: {name}.{kind}: expected joints or lists of joints, got {short(points)}")
    try:
        measure = Measure(name, kind, tuple(tuple(point) for point in listed))
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
    _check_joints(measure, skeleton, path)
    return measure


def _check_joints(measure: Measure, skeleton: Skeleton, source: str | Path) -> None:
    for joint in measure.joints:
        if joint not in skeleton.keypoints:
            raise InputError(
                f"{source}: {measure.name}: the skeleton {skeleton.name} has no joint {joint!r}"
                f"{did_you_mean(joint, skeleton.keypoints)}"
            )


def _distinct(measures: list[Measure], source: str) -> tuple[Measure, ...]:
    names = [measure.name for measure in measures]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{source}: {name} occurs twice")
    return tuple(measures)

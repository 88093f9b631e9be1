"""Read keypoints labelled in Label Studio: its JSON and JSON_MIN exports.

Format: Label Studio's documentation (tag KeyPointLabels, "Export annotations"; Apache-2.0). A list of tasks: each has
`data` with the photo's address, and `annotations` whose `result` holds regions; a region of type "keypointlabels" has
`value` with x and y in percent of `original_width` and `original_height`, and `keypointlabels`, its name. The points of
a person share `parentID`, the region that they were put into, or have relations to it (type "relation", from a point's
`id`); points without are one person's. The first annotation of a task is read that was not cancelled.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from trustpose.files import InputError
from trustpose.io.labelled import MOST_PIXELS, LabelledPeople, LabelledPerson, check_point, photo_name
from trustpose.json_records import Number, OpenRecord, Text, of_length, read_record, read_records, short

_KIND = "keypointlabels"
_OLD = "completions"  # its name for `annotations` before version 1
_Side = Annotated[int, Meta(ge=1, le=MOST_PIXELS, description="a photo's width or height in pixels")]


@dataclass(frozen=True)
class _Annotation(OpenRecord):
    result: tuple[Mapping[str, Any], ...]
    was_cancelled: Any = False


@dataclass(frozen=True)
class _Task(OpenRecord):
    data: Mapping[str, Any]
    annotations: tuple[_Annotation, ...]


@dataclass(frozen=True)
class _Value(OpenRecord):
    x: Number  # percent of the photo's width
    y: Number
    keypointlabels: Annotated[tuple[Text, ...], of_length(1, "name")]


@dataclass(frozen=True)
class _Point(OpenRecord):
    original_width: _Side
    original_height: _Side
    value: _Value
    id: Any = None
    parentID: Any = None


def fits(value: Any) -> bool:
    """Return whether a JSON value is an export."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and "data" in first and ("annotations" in first or _OLD in first)


def read(value: list[Any], path: str) -> LabelledPeople:
    """Return the people of a file. Raises InputError."""
    tasks = [{"annotations": task[_OLD], **task} if isinstance(task, dict) and _OLD in task else task for task in value]
    people: list[LabelledPerson] = []
    for number, task in enumerate(read_records(_Task, tasks, path, "task")):
        location = f"{path}: task {number}"
        result = next((annotation.result for annotation in task.annotations if not annotation.was_cancelled), ())
        points = {
            index: read_record(_Point, region, f"{location}: region {index}")
            for index, region in enumerate(result)
            if region.get("type") == _KIND
        }
        if points:
            people += _people(points, _parents(result), _photo(task.data, location), location)
    return LabelledPeople(people, has_visibility=False)


def _photo(data: Mapping[str, Any], location: str) -> str:
    """Return the name of the photo: the data's only text, or that under the usual names."""
    texts = {name: text for name, text in data.items() if isinstance(text, str) and text}
    text = next((texts[name] for name in ("image", "img") if name in texts), None)
    if text is None and len(texts) == 1:
        (text,) = texts.values()
    if text is None:
        raise InputError(f"{location}: field 'data': expected the photo's address in 'image', got {short(data)}")
    return photo_name(text.rpartition("d=")[2] if "?d=" in text else text, f"{location}: field 'data'")


def _parents(result: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the region that each point is part of by a relation, by their ids."""
    pairs = [
        (str(relation.get("from_id")), str(relation.get("to_id")))
        for relation in result
        if relation.get("type") == "relation"
    ]
    return {point: region for point, region in pairs if point != region}


def _people(
    points: Mapping[int, _Point], parents: Mapping[str, str], photo: str, task_location: str
) -> list[LabelledPerson]:
    people: dict[str, LabelledPerson] = {}
    for number, point in points.items():
        location, (name,) = f"{task_location}: region {number}", point.value.keypointlabels
        width, height = point.original_width, point.original_height
        parent = str(point.parentID or parents.get(str(point.id)))
        person = people.setdefault(parent, LabelledPerson(photo, (width, height)))
        if name in person.points:
            advice = "points of several people on a photo need a region of each as their parent"
            raise InputError(f"{location}: {name[:30]!r} occurs twice on a person; {advice}")
        x, y = point.value.x * width / 100, point.value.y * height / 100
        person.points[name] = (*check_point(x, y, location), 2)
    return list(people.values())

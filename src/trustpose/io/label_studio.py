"""Read keypoints labelled in Label Studio: its JSON and JSON_MIN exports.

Format: Label Studio's documentation (tag KeyPointLabels, "Export annotations"; Apache-2.0). A list of tasks: each has
`data` with the photo's address, and `annotations` whose `result` holds regions; a region of type "keypointlabels" has
`value` with x and y in percent of `original_width` and `original_height`, and `keypointlabels`, its name. The points of
a person share `parentID`, the region that they were put into, or have relations to it (type "relation", from a point's
`id`); points without are one person's. The first annotation of a task is read that was not cancelled.
"""

from typing import Any, cast

from trustpose.files import InputError
from trustpose.io.labelled import LabelledPeople, LabelledPerson, check_point, photo_name, side
from trustpose.json_records import is_number, short

_KIND = "keypointlabels"
_OLD = "completions"  # its name for `annotations` before version 1


def fits(value: Any) -> bool:
    """Return whether a JSON value is an export."""
    first = value[0] if isinstance(value, list) and value else None
    return isinstance(first, dict) and "data" in first and ("annotations" in first or _OLD in first)


def read(value: list[Any], path: str) -> LabelledPeople:
    """Return the people of a file. Raises InputError."""
    people: list[LabelledPerson] = []
    for number, task in enumerate(value):
        location = f"{path}: task {number}"
        if not isinstance(task, dict) or not isinstance(task.get("data"), dict):
            raise InputError(f"{location}: expected an object with 'data' and 'annotations', got {short(task)}")
        result = _result(task, location)
        regions = [region for region in result if region.get("type") == _KIND]
        if regions:
            people += _people(regions, _parents(result), _photo(task["data"], location), location)
    return LabelledPeople(people, has_visibility=False)


def _result(task: dict[str, Any], location: str) -> list[dict[str, Any]]:
    annotations = task.get("annotations", task.get(_OLD))
    if not isinstance(annotations, list) or not all(isinstance(annotation, dict) for annotation in annotations):
        raise InputError(f"{location}: field 'annotations': expected a list of objects, got {short(annotations)}")
    annotation = next((candidate for candidate in annotations if not candidate.get("was_cancelled")), {"result": []})
    regions = annotation.get("result")
    if not isinstance(regions, list) or not all(isinstance(region, dict) for region in regions):
        raise InputError(f"{location}: field 'result': expected a list of regions, got {short(regions)}")
    return regions


def _photo(data: dict[str, Any], location: str) -> str:
    """Return the name of the photo: the data's only text, or that under the usual names."""
    texts = {name: text for name, text in data.items() if isinstance(text, str) and text}
    text = next((texts[name] for name in ("image", "img") if name in texts), None)
    if text is None and len(texts) == 1:
        (text,) = texts.values()
    if text is None:
        raise InputError(f"{location}: field 'data': expected the photo's address in 'image', got {short(data)}")
    return photo_name(text.rpartition("d=")[2] if "?d=" in text else text, f"{location}: field 'data'")


def _parents(result: list[dict[str, Any]]) -> dict[str, str]:
    """Return the region that each point is part of by a relation, by their ids."""
    pairs = [
        (str(relation.get("from_id")), str(relation.get("to_id")))
        for relation in result
        if relation.get("type") == "relation"
    ]
    return {point: region for point, region in pairs if point != region}


def _people(
    regions: list[dict[str, Any]], parents: dict[str, str], photo: str, task_location: str
) -> list[LabelledPerson]:
    people: dict[str, LabelledPerson] = {}
    for number, region in enumerate(regions):
        location = f"{task_location}: region {number}"
        sides = [side(region.get(name), location) for name in ("original_width", "original_height")]
        value = region.get("value")
        names = value.get(_KIND) if isinstance(value, dict) else None
        if not isinstance(names, list) or len(names) != 1 or not isinstance(names[0], str) or not names[0]:
            raise InputError(f"{location}: field 'value': expected x, y and one name in '{_KIND}', got {short(value)}")
        x, y = (cast(Any, value).get(axis) for axis in ("x", "y"))
        if not is_number(x) or not is_number(y) or not min(sides):
            expected = "x and y in percent, original_width and original_height"
            raise InputError(f"{location}: expected {expected}, got {short([x, y, *sides])}")
        parent = str(region.get("parentID") or parents.get(str(region.get("id"))))
        person = people.setdefault(parent, LabelledPerson(photo, (sides[0], sides[1])))
        if names[0] in person.points:
            advice = "points of several people on a photo need a region of each as their parent"
            raise InputError(f"{location}: {names[0][:30]!r} occurs twice on a person; {advice}")
        person.points[names[0]] = (*check_point(x * sides[0] / 100, y * sides[1] / 100, location), 2)
    return list(people.values())

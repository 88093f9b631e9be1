"""Read points labelled in the VGG Image Annotator (VIA 2): its JSON and CSV exports, and its project file.

Format: VIA's documentation and the exports that it writes (BSD-2). JSON has an object for each photo with `filename`
and `regions`, a list or, in VIA 1, an object of regions; a project has these in `_via_img_metadata`. A region has
`shape_attributes` {"name": "point", "cx", "cy"}, in pixels, and `region_attributes`, which the user names. CSV has the
same texts in columns, a region a row. VIA knows neither skeletons nor people: a point's name is the value of its only
attribute with a text, and a photo is of one person.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from trustpose.files import InputError, parse_json
from trustpose.io.csv_rows import check_width, first_row, read_rows
from trustpose.io.labelled import LabelledPeople, LabelledPerson, check_point, photo_name
from trustpose.json_records import Number, OpenRecord, Text, read_record, read_value, short

_PROJECT = "_via_img_metadata"
_COLUMNS = ("filename", "region_shape_attributes", "region_attributes")


_Described = tuple[str, str, Mapping[str, Any], Mapping[str, Any]]
"""A region: the photo's name, where it is in the file, its shape and its attributes."""


@dataclass(frozen=True)
class _Region(OpenRecord):
    shape_attributes: Mapping[str, Any]
    region_attributes: Mapping[str, Any]


@dataclass(frozen=True)
class _Photo(OpenRecord):
    filename: Text
    regions: tuple[_Region, ...] | Mapping[str, _Region]


@dataclass(frozen=True)
class _Point(OpenRecord):
    cx: Number
    cy: Number


def fits_json(value: Any) -> bool:
    """Return whether a JSON value is an export or a project."""
    if not isinstance(value, dict):
        return False
    photos = value.get(_PROJECT, value)
    first = next(iter(photos.values()), None) if isinstance(photos, dict) else None
    return isinstance(first, dict) and {"filename", "regions"} <= set(first)


def read_json(value: dict[str, Any], path: str) -> LabelledPeople:
    """Return the people of a file. Raises InputError."""
    return _people(_of_json(value.get(_PROJECT, value), path))


def fits_csv(content: bytes) -> bool:
    """Return whether a CSV file has the export's header."""
    return set(_COLUMNS) <= {name.strip().lstrip("#") for name in first_row(content)}


def read_csv(content: bytes, path: str) -> LabelledPeople:
    """Return the people of a file. Raises InputError."""
    header, *rows = read_rows(content, path)
    check_width(rows, len(header), path, first_line=2)
    names = [name.strip().lstrip("#") for name in header]
    columns = [names.index(name) for name in _COLUMNS]

    def regions() -> Iterator[_Described]:
        for line, row in enumerate(rows, 2):
            name, shape, attributes = (row[column] for column in columns)
            location = f"{path}: line {line}"
            yield name, location, _object(shape, location, _COLUMNS[1]), _object(attributes, location, _COLUMNS[2])

    return _people(regions())


def _object(text: str, location: str, column: str) -> Mapping[str, Any]:
    value = parse_json(text.encode() or b"{}", f"{location}: {column!r}")
    return read_value(Mapping[str, Any], value, location, column)


def _of_json(photos: dict[str, Any], path: str) -> Iterator[_Described]:
    for number, value in enumerate(photos.values()):
        location = f"{path}: photo {number}"
        photo = read_record(_Photo, value, location)
        regions = photo.regions.values() if isinstance(photo.regions, Mapping) else photo.regions
        for index, region in enumerate(regions):
            yield photo.filename, f"{location}: region {index}", region.shape_attributes, region.region_attributes


def _people(regions: Iterator[_Described]) -> LabelledPeople:
    people: dict[str, LabelledPerson] = {}
    for file_name, location, shape, attributes in regions:
        if shape.get("name") != "point":
            continue  # boxes and outlines, or a photo without regions
        photo = photo_name(file_name, location)
        person = people.setdefault(photo, LabelledPerson(photo, (0, 0)))
        texts = [text for text in attributes.values() if isinstance(text, str) and text]
        if len(texts) != 1:
            raise InputError(f"{location}: expected one attribute that names the point, got {short(attributes)}")
        if texts[0] in person.points:
            raise InputError(f"{location}: {texts[0][:30]!r} occurs twice in {photo[:40]}, expected one person a photo")
        point = read_record(_Point, shape, location)
        person.points[texts[0]] = (*check_point(point.cx, point.cy, location), 2)
    return LabelledPeople(list(people.values()), has_visibility=False)

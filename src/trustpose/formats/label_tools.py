"""Recognise files of annotation tools by their content."""

from collections.abc import Callable
from typing import Any

from trustpose.files import InputError
from trustpose.formats import cvat, label_studio, via
from trustpose.formats.columns import parse_finite_json
from trustpose.formats.labelled import LabelledPeople

_FIELDS = (b'"keypointlabels"', b'"regions"')  # of Label Studio's JSON and VIA's


def is_labelled(content: bytes, path: str) -> bool:
    """Return whether a file is one of these tools'."""
    return cvat.fits(content) or via.fits_csv(content) or _reader(content, path) is not None


def read_labelled(content: bytes, path: str) -> LabelledPeople | None:
    """Return the people that a file of CVAT, Label Studio or VIA holds, None for other files. Raises InputError."""
    if cvat.fits(content):
        return cvat.read(content, path)
    if via.fits_csv(content):
        return via.read_csv(content, path)
    match = _reader(content, path)
    return None if match is None else match[0](match[1], path)


def _reader(content: bytes, path: str) -> tuple[Callable[[Any, str], LabelledPeople], Any] | None:
    """Return what reads a JSON file, and its value; None if it is of another kind."""
    if not any(field in content for field in _FIELDS):
        return None
    try:
        value = parse_finite_json(content, path)
    except InputError:
        return None  # the reader of another layout says so
    readers = ((label_studio.fits, label_studio.read), (via.fits_json, via.read_json))
    return next(((reader, value) for fits, reader in readers if fits(value)), None)

"""Recognise files of annotation tools by their content."""

from trustpose.files import InputError
from trustpose.formats import cvat, label_studio, via
from trustpose.formats.columns import parse_finite_json
from trustpose.formats.labelled import LabelledPeople

_FIELDS = (b'"keypointlabels"', b'"regions"')  # of Label Studio's JSON and VIA's


def read_labelled(content: bytes, path: str) -> LabelledPeople | None:
    """Return the people that a file of CVAT, Label Studio or VIA holds, None for other files. Raises InputError."""
    if cvat.fits(content):
        return cvat.read(content, path)
    if via.fits_csv(content):
        return via.read_csv(content, path)
    if not any(field in content for field in _FIELDS):
        return None
    try:
        value = parse_finite_json(content, path)
    except InputError:
        return None  # the reader of another layout says so
    if label_studio.fits(value):
        return label_studio.read(value, path)
    return via.read_json(value, path) if via.fits_json(value) else None

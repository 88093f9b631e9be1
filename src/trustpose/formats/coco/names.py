"""Find the image that a file name refers to: by its number, or by a ground truth's file names."""

import re
from pathlib import Path

from trustpose.images import Images


def number_in_name(name: str | Path) -> int | None:
    """Return the number at the end of a file name: COCO_val2014_000000000042.jpg, frame42.png and cam01.0042 are image
    42.

    A suffix is ignored unless it is a number. None if the name ends in no number, or in one of over 18 digits.
    """
    path = Path(name)
    stem = path.name if path.suffix[1:].isdecimal() else path.stem
    match = re.search(r"(?<!\d)[0-9]{1,18}$", stem)
    return None if match is None else int(match[0])


def rows_by_name(images: Images) -> dict[str, int]:
    """Return the row of `images` for each file name, ignoring folders."""
    names = () if images.file_name is None else images.file_name
    return {Path(name).name: row for row, name in enumerate(names) if name}

"""Which photo a file's name means: the number in it, or the image of a ground truth that is called so."""

import re
from pathlib import Path

from trustpose.data.coco.truth import Images


def number_in_name(name: str | Path) -> int | None:
    """The number at the end of a file's name, COCO's rule: 000000000042.jpg and COCO_val2014_000000000042.jpg are
    image 42. None where there is none."""
    found = re.search(r"(?:^|_)(\d{1,18})$", Path(name).stem)
    return None if found is None else int(found[1])


def rows_by_name(images: Images) -> dict[str, int]:
    """The row of `images` that each file name has, folders left aside."""
    return {Path(name).name: at for at, name in enumerate(images.file_name) if name}

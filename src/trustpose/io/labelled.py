"""People labelled in an annotation tool, before they become a ground truth: points by name, on photos."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import PurePath, PurePosixPath

import numpy as np

from trustpose.files import InputError
from trustpose.skeletons import SKELETONS, Skeleton

MOST_PIXELS = 100_000  # of a photo's side
MOST_NAMES = 1000


@dataclass(frozen=True)
class LabelledPerson:
    """One person: the photo's name and its size (0 where the tool does not say), and x, y in pixels and COCO's v of
    each labelled point by its name."""

    photo: str
    size: tuple[int, int]
    points: dict[str, tuple[float, float, int]] = field(default_factory=dict)


@dataclass(frozen=True)
class LabelledPeople:
    """The people of a file, and whether its v tells occluded points (1) from visible ones (2)."""

    people: Sequence[LabelledPerson]
    has_visibility: bool

    def arrays(self, path: str) -> tuple[Skeleton, np.ndarray, np.ndarray]:
        """Return the points' skeleton, xy (N, K, 2) and v (N, K), 0 for a point that a person lacks.

        The order of joints is that of a known skeleton with these names, else that in which they first occur. Raises
        InputError if there are no people, or more names than any skeleton has.
        """
        names = list(dict.fromkeys(name for person in self.people for name in person.points))
        if not names:
            raise InputError(f"{path}: holds no labelled people")
        if len(names) > MOST_NAMES:
            raise InputError(f"{path}: has points of {len(names)} names, expected at most {MOST_NAMES}")
        skeleton = _known(names) or Skeleton("the file's labels", tuple(names), ())
        column = {_plain(name): k for k, name in enumerate(skeleton.keypoints)}
        labels = np.zeros((len(self.people), len(skeleton), 3))
        for row, person in enumerate(self.people):
            for name, point in person.points.items():
                labels[row, column[_plain(name)]] = point
        return skeleton, labels[..., :2], labels[..., 2].astype(np.int64)


def photo_name(text: str, location: str) -> str:
    """Return a photo's name without its folders, of a path or an address. Raises InputError if it has none."""
    name = PurePosixPath(text.replace("\\", "/").partition("?")[0]).name
    if not name:
        raise InputError(f"{location}: expected the photo's name, got {text[:40]!r}")
    return PurePath(name).name


def check_point(x: float, y: float, location: str) -> tuple[float, float]:
    """Return a point's position. Raises InputError if it is not within any photo."""
    if not (abs(x) < MOST_PIXELS and abs(y) < MOST_PIXELS):  # NaN too
        raise InputError(f"{location}: expected x and y in pixels of a photo")
    return x, y


def side(text: object, location: str) -> int:
    """Return the width or height of a photo, 0 for None. Raises InputError."""
    if text is None:
        return 0
    try:
        length = int(float(str(text)[:20]))
    except (ValueError, OverflowError):
        length = -1
    if not 0 <= length <= MOST_PIXELS:
        raise InputError(f"{location}: expected a photo's width and height in pixels, got {str(text)[:20]!r}")
    return length


def _known(names: Iterable[str]) -> Skeleton | None:
    """Return the first skeleton that has these names in any order, and no others."""
    plain = sorted(map(_plain, names))
    return next((skeleton for skeleton in SKELETONS.values() if sorted(map(_plain, skeleton.keypoints)) == plain), None)


def _plain(name: str) -> str:
    return name.lower().replace(" ", "_").replace("-", "_")

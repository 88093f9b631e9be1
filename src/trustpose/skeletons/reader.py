"""Read and write custom skeletons as JSON; docs/files.md describes the format."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float
from msgspec import Meta

from trustpose.files import InputError, read_json
from trustpose.json_records import Text, described, naming, read_record
from trustpose.skeletons.skeleton import Skeleton

_MOST_SIGMA = 1000
_Pair = Annotated[tuple[Text, Text], described("two names out of 'keypoints'")]


@dataclass(frozen=True)
class _SkeletonFile:
    """The JSON of a skeleton."""

    name: Text
    keypoints: Annotated[tuple[Text, ...], Meta(min_length=1), described("a list of names")]
    limbs: tuple[_Pair, ...] | None = None
    mirror_pairs: tuple[_Pair, ...] | None = None
    sigmas: tuple[Annotated[float, Meta(gt=0, le=_MOST_SIGMA)], ...] | None = None
    sigmas_source: str | None = None

    def __post_init__(self) -> None:
        count = len(self.keypoints)
        if len(set(self.keypoints)) < count:
            raise ValueError("keypoints: a name occurs twice")
        if self.sigmas is not None and len(self.sigmas) != count:
            expected = f"expected {count} numbers above 0, one for each keypoint"
            raise ValueError(f"sigmas: {expected}, got {len(self.sigmas)}")
        for field in ("limbs", "mirror_pairs"):
            for number, pair in enumerate(getattr(self, field) or ()):
                if pair[0] == pair[1] or not set(pair) <= set(self.keypoints):
                    raise ValueError(f"{field}.{number}: expected two names out of 'keypoints', got {list(pair)}")

    def indices(self, pairs: tuple[tuple[str, str], ...]) -> tuple[tuple[int, int], ...]:
        """The pairs of names as pairs of indices."""
        return tuple((self.keypoints.index(start), self.keypoints.index(end)) for start, end in pairs)


def read_skeleton(path: str | Path) -> Skeleton:
    """Read a skeleton from a JSON file: `name`, `keypoints` (names in order) and, if known, `limbs` and `mirror_pairs`
    (pairs of keypoint names; without `mirror_pairs` left_x mirrors right_x), `sigmas` (K numbers above 0) with their
    `sigmas_source`. Raises InputError naming the field.
    """
    return skeleton_of_object(read_json(path), path)


def skeleton_of_object(value: Any, path: str | Path, field: str = "") -> Skeleton:
    """Build a skeleton from a JSON object in the format of `read_skeleton`; the file `path`, and its `field` that holds
    the object, are for error messages."""
    file = read_record(_SkeletonFile, value, path, field)
    source = str(path) if file.sigmas_source is None else file.sigmas_source
    with naming(path, field):
        return Skeleton(
            name=file.name,
            keypoints=file.keypoints,
            edges=file.indices(file.limbs or ()),
            sigmas_source=None if file.sigmas is None else source,
            _sigmas=file.sigmas,
            mirror_pairs=None if file.mirror_pairs is None else file.indices(file.mirror_pairs),
        )


def skeleton_value(skeleton: Skeleton) -> dict[str, Any]:
    """Return a skeleton as the JSON value that `read_skeleton` reads."""
    names = skeleton.keypoints
    value: dict[str, Any] = {
        "name": skeleton.name,
        "keypoints": list(names),
        "limbs": [[names[a], names[b]] for a, b in skeleton.edges],
        "mirror_pairs": [[names[a], names[b]] for a, b in skeleton.flip_pairs],
    }
    if skeleton.has_sigmas:
        value |= {"sigmas": skeleton.sigmas.tolist(), "sigmas_source": skeleton.sigmas_source}
    return value


def parse_sigmas(text: str) -> Float[np.ndarray, " L"]:
    """Return the numbers of `--sigmas`, separated by commas. Raises InputError."""
    try:
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise InputError(f"--sigmas: expected numbers separated by commas, got {text[:60]!r}") from None


def sigmas_of(values: Float[np.ndarray, " L"], count: int) -> Float[np.ndarray, " K"]:
    """Return sigmas of `count` keypoints from one number per keypoint, or one for all. Raises InputError if invalid."""
    if values.shape not in ((count,), (1,)) or not ((values >= 1e-6) & (values <= _MOST_SIGMA)).all():
        raise InputError(
            f"sigmas: expected {count} numbers above 0, one per keypoint, or one for all, got {values.tolist()}"
        )
    return np.broadcast_to(values.astype(np.float64), (count,)).copy()

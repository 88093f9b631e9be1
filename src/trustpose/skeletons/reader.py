"""Read and write custom skeletons as JSON; docs/files.md describes the format."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError, read_json
from trustpose.skeletons.skeleton import Skeleton

_MOST_SIGMA = 1000
_FIELDS = ("name", "keypoints", "limbs", "mirror_pairs", "sigmas", "sigmas_source")


def read_skeleton(path: str | Path) -> Skeleton:
    """Read a skeleton from a JSON file: `name`, `keypoints` (names in order) and, if known, `limbs` and `mirror_pairs`
    (pairs of keypoint names; without `mirror_pairs` left_x mirrors right_x), `sigmas` (K numbers above 0) with their
    `sigmas_source`. Raises InputError naming the field.
    """
    return skeleton_of_object(read_json(path), path)


def skeleton_of_object(value: Any, path: str | Path) -> Skeleton:
    """Build a skeleton from a JSON object in the format of `read_skeleton`; `path` is for error messages."""
    if not isinstance(value, dict):
        raise InputError(f"{path}: expected an object with {', '.join(_FIELDS)}")
    unknown = next((field for field in value if field not in _FIELDS), None)
    if unknown is not None:
        raise InputError(f"{path}: field {unknown!r} is unknown, expected {', '.join(_FIELDS)}")
    name, keypoints = value.get("name"), value.get("keypoints")
    if not isinstance(name, str) or not name:
        raise InputError(f"{path}: field 'name': expected a text")
    if (
        not isinstance(keypoints, list)
        or not keypoints
        or not all(isinstance(keypoint, str) and keypoint for keypoint in keypoints)
    ):
        raise InputError(f"{path}: field 'keypoints': expected a list of names")
    if len(set(keypoints)) != len(keypoints):
        raise InputError(f"{path}: field 'keypoints': a name occurs twice")
    index = {keypoint: position for position, keypoint in enumerate(keypoints)}
    mirror = _pairs(path, "mirror_pairs", value, index)
    sigmas = _sigmas(path, value.get("sigmas"), len(keypoints))
    source = value.get("sigmas_source", str(path))
    if not isinstance(source, str):
        raise InputError(f"{path}: field 'sigmas_source': expected a text")
    try:
        return Skeleton(
            name=name,
            keypoints=tuple(keypoints),
            edges=_pairs(path, "limbs", value, index) or (),
            sigmas_source=None if sigmas is None else source,
            _sigmas=sigmas,
            mirror_pairs=mirror,
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


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


def _pairs(
    path: str | Path, field: str, value: dict[str, Any], index: dict[str, int]
) -> tuple[tuple[int, int], ...] | None:
    """Return pairs of keypoint names as pairs of indices; None if the field is missing."""
    pairs = value.get(field)
    if pairs is None:
        return None
    if not isinstance(pairs, list):
        raise InputError(f"{path}: field {field!r}: expected a list of pairs of keypoint names")
    for number, pair in enumerate(pairs):
        is_pair = isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, str) for end in pair)
        if not is_pair or pair[0] == pair[1] or any(end not in index for end in pair):
            raise InputError(f"{path}: field {field!r}: pair {number}: expected two names out of 'keypoints'")
    return tuple((index[a], index[b]) for a, b in pairs)


def _sigmas(path: str | Path, value: Any, count: int) -> tuple[float, ...] | None:
    if value is None:
        return None
    is_number = isinstance(value, list) and all(
        type(sigma) in (int, float) and 0 < sigma <= _MOST_SIGMA for sigma in value
    )
    if not is_number or len(value) != count:
        raise InputError(f"{path}: field 'sigmas': expected {count} numbers above 0, one for each keypoint")
    return tuple(map(float, value))

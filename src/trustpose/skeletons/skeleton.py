"""A skeleton: the joints of a data set or estimator, their connections, and the labelling deviations; read from
JSON, too.

`sigmas` are the standard deviations of human labelling used in OKS (kᵢ = 2σᵢ). They are set only if a published
source gives them; otherwise reading them raises. https://trustpose.github.io/trustpose/files.html describes the JSON.
"""

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from jaxtyping import Bool, Float, Int
from msgspec import Meta

from trustpose.files import InputError, read_json
from trustpose.json_records import Text, described, naming, read_record
from trustpose.notebook import html_line, html_table

_LOWER = ("hip", "pelvis", "knee", "ankle", "heel", "toe", "foot", "back_paw")


@dataclass(frozen=True, repr=False)
class Skeleton:
    """Names in order, edges as pairs of keypoint indices, and sigmas (K,) with their source, or None.

    `mirror_pairs` are pairs of keypoint indices, (left, right); None: a joint "left_x" has its mirror in "right_x".
    `parts` are the hands and the face, whose joints follow the body's: fields of COCO-WholeBody's annotations,
    in order, with their numbers of joints. Results have them in these fields, and trust for the body's joints alone.
    Raises ValueError if the numbers are inconsistent.
    """

    name: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    sigmas_source: str | None = None
    _sigmas: tuple[float, ...] | None = None
    mirror_pairs: tuple[tuple[int, int], ...] | None = None
    parts: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        k = len(self.keypoints)
        if len(set(self.keypoints)) != k:
            raise ValueError(f"{self.name}: a keypoint name occurs twice")
        if any(not 0 <= end < k for edge in self.edges for end in edge):
            raise ValueError(f"{self.name}: an edge names a keypoint outside 0..{k - 1}")
        if self._sigmas is not None and (
            len(self._sigmas) != k or not all(1e-6 <= sigma <= 1000 for sigma in self._sigmas)
        ):
            raise ValueError(f"{self.name}: expected {k} sigmas above 0")
        paired = [end for pair in self.mirror_pairs or () for end in pair]
        if any(not 0 <= end < k for end in paired):
            raise ValueError(f"{self.name}: a mirror pair names a keypoint outside 0..{k - 1}")
        if len(set(paired)) != len(paired):
            raise ValueError(f"{self.name}: a keypoint is in two mirror pairs")
        if self.parts and self.body_count < 1:
            raise ValueError(f"{self.name}: {k - self.body_count} joints of hands and face, expected fewer than {k}")

    def __len__(self) -> int:
        return len(self.keypoints)

    def __repr__(self) -> str:
        """One line: the name, and how many keypoints and edges."""
        sigmas = "no sigmas" if self._sigmas is None else "sigmas"
        return f"Skeleton({self.name}: {len(self)} keypoints, {len(self.edges)} edges, {sigmas})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the keypoints."""
        mirrors = dict(self.flip_pairs) | {right_index: left_index for left_index, right_index in self.flip_pairs}
        mirror_names = [self.keypoints[mirrors[k]] if k in mirrors else "" for k in range(len(self))]
        sigmas = [""] * len(self) if self._sigmas is None else self._sigmas
        rows = zip(range(len(self)), self.keypoints, mirror_names, sigmas, strict=True)
        return html_line(repr(self)) + html_table(("", "keypoint", "mirror", "sigma"), rows)

    @cached_property
    def body_count(self) -> int:
        """The number of the body's joints, without those of hands and face."""
        return len(self.keypoints) - sum(count for _, count in self.parts)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the K joints, in order: `keypoints`."""
        return self.keypoints

    def index(self, name: str) -> int:
        """Return the index of a joint. Raises KeyError, listing the joints, if there is none of this name."""
        if name not in self.keypoints:
            raise KeyError(f"{name!r} is not a joint of {self.name}, which has {', '.join(self.keypoints)}")
        return self.keypoints.index(name)

    @cached_property
    def sigmas(self) -> Float[np.ndarray, " K"]:
        """Labelling sigmas (K,). Raises ValueError if no published source gives them."""
        if self._sigmas is None:
            raise ValueError(f"skeleton {self.name!r} has no published sigmas; give your own sigmas=… for OKS")
        return np.array(self._sigmas)

    @property
    def has_sigmas(self) -> bool:
        """Whether a published source gives sigmas for this skeleton."""
        return self._sigmas is not None

    @cached_property
    def flip_pairs(self) -> tuple[tuple[int, int], ...]:
        """(left, right) index pairs: `mirror_pairs`, or by name."""
        if self.mirror_pairs is not None:
            return self.mirror_pairs
        index = {name: i for i, name in enumerate(self.keypoints)}
        return tuple(
            (i, index[mirror])
            for i, name in enumerate(self.keypoints)
            if (mirror := _mirror(name)) != name and "left" in name and mirror in index
        )

    @cached_property
    def flip_index(self) -> Int[np.ndarray, " K"]:
        """Permutation (K,) that swaps mirrored joints; applied twice it is the identity."""
        index = np.arange(len(self.keypoints))
        for left_index, right_index in self.flip_pairs:
            index[left_index], index[right_index] = right_index, left_index
        return index

    @cached_property
    def is_lower(self) -> Bool[np.ndarray, " K"]:
        """The keypoints (K,) of the lower body: hips and below, as in HRNet's data sets; of an animal,
        the hind legs."""
        return np.array([any(part in name for part in _LOWER) for name in self.keypoints], dtype=np.bool_)

    def index_in(self, target: "Skeleton", missing: str = "raise") -> Int[np.ndarray, " L"]:
        """Return for every keypoint of `target` its index in this skeleton, matched by name.

        `poses.take_keypoints(COCO_17.index_in(LSP_14, missing="mark"), LSP_14)` converts COCO poses to LSP order. A
        joint that this skeleton lacks raises ValueError naming it; with missing="mark" its index is -1.
        """
        if missing not in ("raise", "mark"):
            raise ValueError(f"missing: expected 'raise' or 'mark', got {missing!r}")
        index = {name: i for i, name in enumerate(self.keypoints)}
        lacking = [name for name in target.keypoints if name not in index]
        if lacking and missing == "raise":
            raise ValueError(
                f"skeleton {self.name!r} lacks {', '.join(lacking)} of {target.name!r}; missing='mark' allows it"
            )
        return np.array([index.get(name, -1) for name in target.keypoints])


def _mirror(name: str) -> str:
    if "left" in name:
        return name.replace("left", "right")
    return name.replace("right", "left")


def edges_along(keypoints: tuple[str, ...], *chains: str) -> tuple[tuple[int, int], ...]:
    """Return edges along chains of names, e.g. "left_hip left_knee left_ankle"."""
    index = {name: i for i, name in enumerate(keypoints)}
    return tuple((index[a], index[b]) for chain in chains for a, b in pairwise(chain.split()))


def tenths(*values: float) -> tuple[float, ...]:
    """Return a tenth of each value, as the sources write their sigmas: 0.26 / 10 differs from 0.026 in the last bit."""
    return tuple(value / 10.0 for value in values)


def difference(first: Skeleton | None, second: Skeleton | None) -> str | None:
    """Describe how joints or their order differ, naming both; None if they are the same, or one is unknown."""
    if first is None or second is None or first.keypoints == second.keypoints:
        return None
    names = f"{first.name!r} ({len(first)} keypoints) and {second.name!r} ({len(second)})"
    if len(first) != len(second):
        return names
    index = next(index for index, (a, b) in enumerate(zip(first.keypoints, second.keypoints, strict=True)) if a != b)
    return f"{names}: keypoint {index} is {first.keypoints[index]!r} and {second.keypoints[index]!r}"


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

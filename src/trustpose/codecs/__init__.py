"""Encode training targets and decode network outputs; the records `Outputs`, `DecodedKeypoints` and `Candidates`.

One file for each kind of output, with encoding and decoding side by side, so that a test can invert one by the other.
Decoding never drops, zeroes or NaNs a point. Read `heatmaps.py` first, then `people.py` for outputs of whole
photos.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from trustpose.geometry.crops import Grid


@dataclass(frozen=True, eq=False)
class Outputs:
    """A network's outputs for B crops or photos of one size; absent ones are empty or None.

    Arrays are numpy arrays, or torch tensors for a torch network.

    heatmaps: one (B, K, h, w) per stage, the last one is decoded; features: (B, C, h, w), the input of the last heatmap
    layer; coordinates: (B, K, 3), for networks that output them, unchanged; simcc: logits over a crop's columns (B, K,
    X) and rows (B, K, Y); tokens: (B, K, D), the input of these logits. extra: further outputs by name, of any number
    and size (tags, fields, offsets). grids: positions of the cells, by the name of the map, for heatmaps the last
    stage's; only maps have one. `outputs["tags"]` returns any of these by name.
    """

    heatmaps: list[Float[Any, "B _ _ _"]]
    features: Float[Any, "B _ _ _"] | None = None
    coordinates: Float[Any, "B K 3"] | None = None
    simcc: tuple[Float[Any, "B K X"], Float[Any, "B K Y"]] | None = None
    tokens: Float[Any, "B K D"] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    grids: Mapping[str, Grid] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """Return the output `name`. Raises KeyError naming the available ones."""
        value = self.extra.get(name) if name in self.extra else getattr(self, name) if name in _NAMED else None
        if value is None or (name == "heatmaps" and not value):
            raise KeyError(f"{name}: expected one of {', '.join(self.names) or 'none'}")
        return value

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the available outputs."""
        named = {"heatmaps": self.heatmaps or None} | {name: getattr(self, name) for name in _NAMED[1:]}
        return (*(name for name, value in named.items() if value is not None), *self.extra)


_NAMED = ("heatmaps", "features", "coordinates", "simcc", "tokens")


class DecodedKeypoints(NamedTuple):
    """Decoded keypoints of B crops, one position for each joint, however low its score: xy (B, K, 2) in crop pixels,
    score (B, K), raw."""

    xy: Float[np.ndarray, "B K 2"]
    score: Float[np.ndarray, "B K"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Decoded candidates of B crops or photos with several people: N positions, any number for each of K joints.

    xy: input pixels; score: raw; input, joint: indices into the B inputs and K joints; shape: (B, K). Rows are sorted
    by input, then by joint, the best first. tags: numbers that candidates of one person share; links: pairs of rows
    that may belong to one person, with `link_score`.
    """

    xy: Float[np.ndarray, "N 2"]
    score: Float[np.ndarray, " N"]
    input: Int[np.ndarray, " N"]
    joint: Int[np.ndarray, " N"]
    shape: tuple[int, int]
    tags: Float[np.ndarray, "N T"] | None = None
    links: Int[np.ndarray, "L 2"] | None = None
    link_score: Float[np.ndarray, " L"] | None = None

    def __len__(self) -> int:
        return len(self.score)

    def best(self) -> "Candidates":
        """Return the first candidate of each joint that has any, without links."""
        group = self.input * self.shape[1] + self.joint
        rows = np.flatnonzero(np.diff(group, prepend=-1))
        tags = None if self.tags is None else self.tags[rows]
        picked = {name: getattr(self, name)[rows] for name in ("xy", "score", "input", "joint")}
        return replace(self, **picked, tags=tags, links=None, link_score=None)

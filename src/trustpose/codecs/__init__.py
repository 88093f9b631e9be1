"""Targets and network outputs, encode beside decode; and the two records that a codec stands between."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Frame = Literal["input", "image"]


@dataclass(frozen=True)
class Grid:
    """Where the cells of a map stand: cell m, counted from 0, at m × stride + offset in pixels of `frame`.

    stride: along x and along y. frame: "input", the pixels that the network was given, a person's crop or a whole
    photo; "image", those of the photo itself.
    """

    stride: tuple[float, float]
    offset: float = 0.0
    frame: Frame = "input"

    def places(self, cells: Float[Any, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Places x, y in the frame's pixels of places among the cells."""
        return cells * self.stride + self.offset

    def cells(self, places: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """The other way round."""
        return (places - self.offset) / self.stride


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network says about B crops or photos of one size; what it does not have is empty or None.

    Arrays are numpy's, or torch's tensors where a network made of torch is asked.

    heatmaps: one (B, K, h, w) for each stage, the last one is decoded; features: (B, C, h, w), what the last heatmaps
    were made from; coordinates: (B, K, 3), where the network prints those itself, as it prints them; simcc: logits over
    a crop's columns (B, K, X) and rows (B, K, Y); tokens: (B, K, D), what those were made from. others: all else that
    it gives, by name, of any number and size (tags, fields, offsets). grids: where the cells stand, by the name of the
    map, last stage's for heatmaps; what is no map has none.
    `outputs["tags"]` is any of these by its name.
    """

    heatmaps: list[Float[Any, "B _ _ _"]]
    features: Float[Any, "B _ _ _"] | None = None
    coordinates: Float[Any, "B K 3"] | None = None
    simcc: tuple[Float[Any, "B K X"], Float[Any, "B K Y"]] | None = None
    tokens: Float[Any, "B K D"] | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    grids: Mapping[str, Grid] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """What is called `name`. Raises KeyError naming what there is."""
        found = self.others.get(name) if name in self.others else getattr(self, name) if name in _NAMED else None
        if found is None or (name == "heatmaps" and not found):
            raise KeyError(f"{name}: expected one of {', '.join(self.names) or 'none'}")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """What there is."""
        named = {"heatmaps": self.heatmaps or None} | {name: getattr(self, name) for name in _NAMED[1:]}
        return (*(name for name, value in named.items() if value is not None), *self.others)


_NAMED = ("heatmaps", "features", "coordinates", "simcc", "tokens")


class Places(NamedTuple):
    """One place for each joint of each crop: xy (B, K, 2) in crop pixels, score (B, K)."""

    xy: Float[np.ndarray, "B K 2"]
    score: Float[np.ndarray, "B K"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a codec reads out of B crops or photos: N places, any number for each of K joints.

    xy: input pixels; score: raw; input, joint: which of the B and which of the K each is of; shape: (B, K). Rows come
    by input, then by joint, the best first. tags: numbers that candidates of one person share; links: pairs of rows
    that may be one person's, with `link_score`. Top-down there is one place for each joint, however low its score:
    `one_per_joint` makes these, and `dense` gives them.
    """

    xy: Float[np.ndarray, "N 2"]
    score: Float[np.ndarray, " N"]
    input: Int[np.ndarray, " N"]
    joint: Int[np.ndarray, " N"]
    shape: tuple[int, int]
    tags: Float[np.ndarray, "N T"] | None = None
    links: Int[np.ndarray, "L 2"] | None = None
    link_score: Float[np.ndarray, " L"] | None = None

    @classmethod
    def one_per_joint(cls, xy: Float[np.ndarray, "B K 2"], score: Float[np.ndarray, "B K"]) -> "Candidates":
        """One place for each joint; the arrays are kept as they are, not copied."""
        count, joints = score.shape
        return cls(xy.reshape(-1, 2), score.reshape(-1), *_all_joints(count, joints), (count, joints))

    def __len__(self) -> int:
        return len(self.score)

    @property
    def is_dense(self) -> bool:
        """Whether there is one place for each joint."""
        input, joint = _all_joints(*self.shape)
        if self.joint is joint:
            return True
        return len(self) == len(joint) and bool((self.joint == joint).all() and (self.input == input).all())

    def dense(self) -> Places:
        """The places by crop and joint, as views. Raises ValueError where there is not one for each joint."""
        count, joints = self.shape
        if not self.is_dense:
            raise ValueError(f"candidates: expected one for each of {count} × {joints} joints, got {len(self)}")
        return Places(self.xy.reshape(count, joints, 2), self.score.reshape(count, joints))

    def best(self) -> "Candidates":
        """The first of each joint that has any, without links."""
        at = self.input * self.shape[1] + self.joint
        rows = np.flatnonzero(np.diff(at, prepend=-1))
        tags = None if self.tags is None else self.tags[rows]
        picked = {name: getattr(self, name)[rows] for name in ("xy", "score", "input", "joint")}
        return replace(self, **picked, tags=tags, links=None, link_score=None)


@lru_cache(maxsize=64)
def _all_joints(count: int, joints: int) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """`input` and `joint` of one place for each joint; shared, so they cannot be written to."""
    input, joint = np.repeat(np.arange(count), joints), np.tile(np.arange(joints), count)
    input.flags.writeable = joint.flags.writeable = False
    return input, joint

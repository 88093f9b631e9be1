"""Encode targets and decode network outputs; the records `Outputs` and `Candidates`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float, Int

Frame = Literal["input", "image"]


@dataclass(frozen=True)
class Grid:
    """Positions of a map's cells: cell m, counted from 0, is at m × stride + offset in pixels of `frame`.

    stride: along x and along y. frame: "input", the network's input pixels, a person's crop or a whole photo; "image",
    those of the photo itself.
    """

    stride: tuple[float, float]
    offset: float = 0.0
    frame: Frame = "input"

    def places(self, cells: Float[Any, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Convert positions in cells to x, y in the frame's pixels."""
        return cells * self.stride + self.offset

    def cells(self, places: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Convert positions in the frame's pixels to cells."""
        return (places - self.offset) / self.stride


@dataclass(frozen=True, eq=False)
class Outputs:
    """A network's outputs for B crops or photos of one size; absent ones are empty or None.

    Arrays are numpy arrays, or torch tensors for a torch network.

    heatmaps: one (B, K, h, w) per stage, the last one is decoded; features: (B, C, h, w), the input of the last heatmap
    layer; coordinates: (B, K, 3), for networks that output them, unchanged; simcc: logits over a crop's columns (B, K,
    X) and rows (B, K, Y); tokens: (B, K, D), the input of these logits. others: further outputs by name, of any number
    and size (tags, fields, offsets). grids: positions of the cells, by the name of the map, for heatmaps the last
    stage's; only maps have one. `outputs["tags"]` returns any of these by name.
    """

    heatmaps: list[Float[Any, "B _ _ _"]]
    features: Float[Any, "B _ _ _"] | None = None
    coordinates: Float[Any, "B K 3"] | None = None
    simcc: tuple[Float[Any, "B K X"], Float[Any, "B K Y"]] | None = None
    tokens: Float[Any, "B K D"] | None = None
    others: Mapping[str, Any] = field(default_factory=dict)
    grids: Mapping[str, Grid] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        """Return the output `name`. Raises KeyError naming the available ones."""
        found = self.others.get(name) if name in self.others else getattr(self, name) if name in _NAMED else None
        if found is None or (name == "heatmaps" and not found):
            raise KeyError(f"{name}: expected one of {', '.join(self.names) or 'none'}")
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the available outputs."""
        named = {"heatmaps": self.heatmaps or None} | {name: getattr(self, name) for name in _NAMED[1:]}
        return (*(name for name, value in named.items() if value is not None), *self.others)


_NAMED = ("heatmaps", "features", "coordinates", "simcc", "tokens")


class Places(NamedTuple):
    """One position for each joint of each crop: xy (B, K, 2) in crop pixels, score (B, K)."""

    xy: Float[np.ndarray, "B K 2"]
    score: Float[np.ndarray, "B K"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Decoded candidates of B crops or photos: N positions, any number for each of K joints.

    xy: input pixels; score: raw; input, joint: indices into the B inputs and K joints; shape: (B, K). Rows are sorted
    by input, then by joint, the best first. tags: numbers that candidates of one person share; links: pairs of rows
    that may belong to one person, with `link_score`. Top-down there is one position per joint, however low its score:
    `one_per_joint` builds these, and `dense` returns them.
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
        """Build candidates with one position per joint, without copying the arrays."""
        count, joints = score.shape
        return cls(xy.reshape(-1, 2), score.reshape(-1), *_all_joints(count, joints), (count, joints))

    def __len__(self) -> int:
        return len(self.score)

    @property
    def is_dense(self) -> bool:
        """Whether there is one position per joint."""
        input, joint = _all_joints(*self.shape)
        if self.joint is joint:
            return True
        return len(self) == len(joint) and bool((self.joint == joint).all() and (self.input == input).all())

    def dense(self) -> Places:
        """Return the positions by crop and joint, as views. Raises ValueError unless there is one per joint."""
        count, joints = self.shape
        if not self.is_dense:
            raise ValueError(f"candidates: expected one for each of {count} × {joints} joints, got {len(self)}")
        return Places(self.xy.reshape(count, joints, 2), self.score.reshape(count, joints))

    def best(self) -> "Candidates":
        """Return the first candidate of each joint that has any, without links."""
        at = self.input * self.shape[1] + self.joint
        rows = np.flatnonzero(np.diff(at, prepend=-1))
        tags = None if self.tags is None else self.tags[rows]
        picked = {name: getattr(self, name)[rows] for name in ("xy", "score", "input", "joint")}
        return replace(self, **picked, tags=tags, links=None, link_score=None)


@lru_cache(maxsize=64)
def _all_joints(count: int, joints: int) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Return `input` and `joint` for one position per joint; shared between calls, so not writable."""
    input, joint = np.repeat(np.arange(count), joints), np.tile(np.arange(joints), count)
    input.flags.writeable = joint.flags.writeable = False
    return input, joint

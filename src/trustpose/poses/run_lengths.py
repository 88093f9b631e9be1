"""`RunLengths`: a mask as the lengths of its runs, as COCO's files hold masks."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int


@dataclass(frozen=True, eq=False)
class RunLengths:
    """A mask of `height` × `width` pixels: the lengths of its runs down the columns, of pixels outside and inside in
    turn, outside first. Raises ValueError unless they add up to all its pixels."""

    height: int
    width: int
    runs: Int[np.ndarray, " R"]

    def __post_init__(self) -> None:
        if len(self.runs) and (self.runs < 0).any():
            raise ValueError(f"counts: expected run lengths of at least 0, got {self.runs.min()}")
        if self.runs.sum() != self.height * self.width:
            raise ValueError(
                f"counts: expected runs of {self.height} × {self.width} pixels, got {self.runs.sum()} pixels"
            )

    @property
    def mask(self) -> Bool[np.ndarray, "H W"]:
        """The mask."""
        inside = np.arange(len(self.runs)) % 2 == 1
        return np.repeat(inside, self.runs).reshape(self.width, self.height).T

    @classmethod
    def of(cls, mask: Bool[np.ndarray, "H W"]) -> "RunLengths":
        """Return the runs of a mask."""
        height, width = mask.shape
        pixels = np.concatenate([[False], mask.T.ravel()])
        borders = np.flatnonzero(np.diff(pixels)) if mask.size else np.zeros(0, np.int64)
        runs = np.diff(np.concatenate([[0], borders, [mask.size]]))
        return cls(height, width, runs.astype(np.int64))

"""`Keypoint`: one joint of all poses, as `poses["left_wrist"]` returns it."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float, Int


@dataclass(frozen=True, eq=False, repr=False)
class Keypoint:
    """One joint of N poses: the columns of `Poses` at this joint, one row per person, views of the same arrays.

    `xy` is in image pixels; fields mean what they mean in `Poses`, and those that it does not fill are None.
    """

    name: str
    index: int
    xy: Float[np.ndarray, "N 2"]
    score: Float[np.ndarray, " N"] | None = None
    quality: Float[np.ndarray, " N"] | None = None
    visibility: Float[np.ndarray, "N 3"] | None = None
    visibility_label: Int[np.ndarray, " N"] | None = None
    missing: Bool[np.ndarray, " N"] | None = None

    def __len__(self) -> int:
        return len(self.xy)

    def __repr__(self) -> str:
        filled = [field.name for field in fields(self)[2:] if getattr(self, field.name) is not None]
        return f"Keypoint({self.name}, number {self.index}, of {len(self)} poses; filled: {', '.join(filled)})"


COLUMNS = tuple(field.name for field in fields(Keypoint)[2:])
"""The columns that it takes from `Poses`."""

"""A floor line in the picture: inclinations are against its perpendicular, and heights above it."""

from dataclasses import dataclass, replace

import numpy as np

from trustpose.files import InputError
from trustpose.geometry.scene_options import SceneOptions
from trustpose.poses import Poses


@dataclass(frozen=True)
class Floor:
    """A line on the floor, by two points of it in image pixels.

    Raises:
        InputError: if the points are the same, or one lies above the other.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        if not self.x1 != self.x2:
            raise InputError(
                "floor: expected two points of the floor beside each other, x1,y1,x2,y2, got "
                + ",".join(f"{number:g}" for number in (self.x1, self.y1, self.x2, self.y2))
            )

    @classmethod
    def of(cls, scene: SceneOptions) -> "Floor | None":
        """Return the floor of a scene; None if it has none. Raises InputError."""
        return None if scene.floor_points is None else cls(*scene.floor_points)

    def upright(self, poses: Poses) -> Poses:
        """Return poses in the floor's frame, in which it is the line y = 0: turned and shifted. x is counted along the
        floor from its first point, to the right; boxes are unchanged, as they say how large people are."""
        start, end = sorted([(self.x1, self.y1), (self.x2, self.y2)])
        along = np.subtract(end, start) / np.hypot(*np.subtract(end, start))
        turn = np.array([along, [-along[1], along[0]]])  # to x along the floor, y down from it
        return replace(poses, xy=(poses.xy - start) @ turn.T, box=poses.person_box())

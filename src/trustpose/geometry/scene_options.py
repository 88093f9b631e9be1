"""What measurements know of the scene beside the poses: time, units, a floor, for the command line and Python."""

from dataclasses import dataclass

from trustpose.files import InputError
from trustpose.options import option

WINDOW = 0.1
"""Seconds between the first and the last frame of a difference."""
PIXELS, BODY_HEIGHTS, METRES = "pixels", "body-heights", "metres"
UNITS = (PIXELS, BODY_HEIGHTS, METRES)


@dataclass(frozen=True)
class SceneOptions:
    """Time, units and the view: what measurements know of the scene beside the poses.

    Example:
        >>> SceneOptions(floor="0,700,1280,690").floor_points
        (0.0, 700.0, 1280.0, 690.0)
    """

    fps: float | None = option(
        None, panel="Scene", help="Frames a second, where image_id is the frame's number and --images gives no times."
    )
    window: float = option(
        WINDOW, panel="Scene", help="Seconds between the first and the last frame of speeds and accelerations."
    )
    units: str = option(
        PIXELS,
        panel="Scene",
        names=UNITS,
        help="Of lengths and speeds. Metres need --height or --distance.",
    )
    height: float | None = option(None, panel="Scene", help="The person's height in metres, such as 1.80.")
    distance: str | None = option(
        None,
        panel="Scene",
        metavar="X1,Y1,X2,Y2,METRES",
        help="Two points in the picture, pixels, and the metres between them.",
    )
    floor: str | None = option(
        None,
        panel="Scene",
        metavar="X1,Y1,X2,Y2",
        help="Two points of the floor, pixels: inclinations are against its perpendicular, heights above it.",
    )
    view: bool = option(
        True, panel="Scene", help="Say in reason where the view makes an angle doubtful; readable stays true."
    )

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < 1e6:
            raise InputError(f"fps: expected frames a second, above 0, got {self.fps:g}")
        if not 0 < self.window < 1e6:
            raise InputError(f"window: expected seconds above 0, got {self.window:g}")

    @property
    def distance_points(self) -> tuple[float, ...] | None:
        """x1, y1, x2, y2 and the metres between them. Raises InputError unless these are five numbers."""
        return None if self.distance is None else _numbers("distance", self.distance, "x1,y1,x2,y2,metres")

    @property
    def floor_points(self) -> tuple[float, ...] | None:
        """x1, y1, x2, y2. Raises InputError unless these are four numbers."""
        return None if self.floor is None else _numbers("floor", self.floor, "x1,y1,x2,y2")


def _numbers(name: str, text: str, expected: str) -> tuple[float, ...]:
    try:
        numbers = tuple(float(number) for number in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != len(expected.split(",")) or not all(abs(number) < 1e9 for number in numbers):
        raise InputError(f"{name}: expected {expected}, got {text!r}")
    return numbers

"""Units of lengths: pixels, body heights, or metres from a known height or distance.

Body heights and metres from a known height need the person's height in pixels: the way from the ankle over knee and hip
to the middle of the shoulders is 0.779 of a body's height (Drillis and Contini's proportions, in Winter, Biomechanics
and Motor Control of Human Movement, 2009, figure 4.1), the mean of both legs. In tracks it is the longest way but a
tenth of the frames', as limbs out of the picture's plane and bent trunks are shorter in it; in photos that of the
person's own pose. It has a standard deviation of 5 %, an assumption: people differ by a few per cent in their
proportions, and so do labellers in theirs. All of it goes into the intervals. Metres from a distance that is known in
the picture hold in the plane in which that distance lies, and only where the camera looks at it squarely; that is not
part of the intervals.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from trustpose.files import InputError
from trustpose.geometry.measures import SIDES
from trustpose.geometry.scene_options import BODY_HEIGHTS, METRES, PIXELS, UNITS, SceneOptions
from trustpose.measures.measurements import Measurements
from trustpose.measures.motions import Converted
from trustpose.measures.track_rows import TrackRows
from trustpose.names import expected_one_of
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton

_WAY = 0.246 + 0.245 + 0.288  # knee to ankle, hip to knee, hip to shoulder, in body heights
_LONGEST = 90  # percentile of a track's frames
PROPORTIONS = 0.05  # standard deviation of a body's way in body heights, relative
_TALLEST = 3.0  # metres


@dataclass(frozen=True)
class Units:
    """The unit of lengths, and what makes pixels into it.

    Args:
        unit: "pixels", "body-heights" or "metres".
        height: of the person, metres, for "metres".
        distance: x1, y1, x2, y2 in pixels and the metres between these points, for "metres".

    Raises:
        InputError: for an unknown unit, metres without either, and a height or distance that is none.
    """

    unit: str = PIXELS
    height: float | None = None
    distance: tuple[float, float, float, float, float] | None = None

    def __post_init__(self) -> None:
        if self.unit not in UNITS:
            raise InputError(f"units: {expected_one_of(UNITS, self.unit)}")
        if self.unit == METRES and (self.height is None) == (self.distance is None):
            raise InputError(
                "units: metres need the person's height in metres (height, --height) or a distance in the picture "
                "(distance, --distance x1,y1,x2,y2,metres), and not both"
            )
        if self.unit != METRES and not (self.height is None and self.distance is None):
            raise InputError(f"units: a height or distance makes metres, got the unit {self.unit}")
        if self.height is not None and not 0 < self.height < _TALLEST:
            raise InputError(f"height: expected metres between 0 and {_TALLEST:g}, got {self.height:g}")
        if self.distance is not None and not (self._pixels > 0 and self.distance[4] > 0):
            raise InputError(
                "distance: expected two different points and the metres between them, x1,y1,x2,y2,metres, got "
                + ",".join(f"{number:g}" for number in self.distance)
            )

    @classmethod
    def of(cls, scene: SceneOptions) -> "Units":
        """Return the unit of a scene. Raises InputError."""
        return cls(scene.units, scene.height, scene.distance_points)  # type: ignore[bad-argument-type]

    @property
    def _pixels(self) -> float:
        assert self.distance is not None
        x1, y1, x2, y2, _ = self.distance
        return float(np.hypot(x2 - x1, y2 - y1))

    @property
    def needs_height(self) -> bool:
        """Whether the person's height in pixels is needed."""
        return self.unit == BODY_HEIGHTS or self.height is not None

    def convert(
        self, measurements: Measurements, poses: Poses, skeleton: Skeleton, tracks: TrackRows | None = None
    ) -> Measurements:
        """Return measurements with lengths in this unit; what is not made of pixels is unchanged.

        Raises InputError if the skeleton lacks the joints of a body's height.
        """
        if self.unit == PIXELS:
            return measurements
        if self.distance is not None:
            scale, relative = np.full(len(poses), self.distance[4] / self._pixels), 0.0
        else:
            height = height_in_pixels(poses, skeleton, tracks)
            with np.errstate(divide="ignore", invalid="ignore"):
                scale, relative = (1.0 if self.height is None else self.height) / height, PROPORTIONS
        return _scaled(measurements, self.unit.replace("-", " "), scale, relative)


def height_in_pixels(poses: Poses, skeleton: Skeleton, tracks: TrackRows | None = None) -> Float[np.ndarray, " N"]:
    """Return the body height of each person, pixels; NaN where joints are missing. Raises InputError if the skeleton
    lacks its joints."""
    names = [f"{side}_{joint}" for joint in ("shoulder", "hip", "knee", "ankle") for side in SIDES]
    lacking = [name for name in names if name not in skeleton.keypoints]
    if lacking:
        raise InputError(f"units: body heights need the joint {lacking[0]}, which the skeleton {skeleton.name} lacks")
    xy = poses.xy if poses.missing is None else np.where(poses.missing[..., None], np.nan, poses.xy)
    shoulders, hips, knees, ankles = (
        np.stack([xy[:, skeleton.index(name)] for name in names[start : start + 2]]) for start in (0, 2, 4, 6)
    )  # each (2, N, 2)
    legs = np.hypot(*np.moveaxis(hips - knees, -1, 0)) + np.hypot(*np.moveaxis(knees - ankles, -1, 0))
    trunk = np.hypot(*np.moveaxis(shoulders.mean(axis=0) - hips.mean(axis=0), -1, 0))
    height = (legs.mean(axis=0) + trunk) / _WAY
    if tracks is None:
        return height
    of_track = height.copy()
    for start, end in zip(tracks.bounds[:-1], tracks.bounds[1:], strict=True):
        rows = tracks.row[start:end]
        finite = height[rows][np.isfinite(height[rows])]
        of_track[rows] = np.percentile(finite, _LONGEST) if len(finite) else np.nan
    return of_track


def _scaled(measurements: Measurements, unit: str, scale: Float[np.ndarray, " N"], relative: float) -> Measurements:
    """Return measurements with pixels × scale; `relative` is the scale's standard deviation, relative."""
    from scipy.stats import norm

    is_length = np.array([measure.unit.startswith("pixels") for measure in measurements.measures])
    columns = tuple(
        Converted(measure, measure.unit.replace("pixels", unit)) if of_length else measure  # type: ignore[arg-type]
        for measure, of_length in zip(measurements.measures, is_length, strict=True)
    )
    factor = np.where(is_length, scale[:, None], 1.0)
    value = measurements.value * factor
    from_corner = np.array([measure.kind in ("x", "y") for measure in measurements.measures])  # of no size
    off = relative * np.abs(value) * (is_length & ~from_corner)
    quantile = norm.ppf((1 + np.array(measurements.levels)) / 2)
    middle, further = measurements.value[..., None], quantile * off[..., None]
    down, up = (
        factor[..., None] * half + np.hypot(factor[..., None] * half, further) - np.abs(factor[..., None] * half)
        for half in (middle - measurements.low, measurements.high - middle)
    )
    low, high = value[..., None] - down, value[..., None] + up
    never_below = np.isfinite(measurements.low) & (measurements.low >= 0)
    low = np.where(never_below, np.maximum(low, 0), low)
    is_plain = ~is_length[:, None]
    has_scale = np.isfinite(factor)
    reason = measurements.reason.copy()
    reason[~has_scale & (reason == "")] = "the person's height in pixels is unknown"
    return replace(
        measurements,
        measures=columns,
        value=value,
        sd=np.where(is_length, np.hypot(factor * measurements.sd, off), measurements.sd),
        low=np.where(is_plain, measurements.low, low),
        high=np.where(is_plain, measurements.high, high),
        readable=measurements.readable & has_scale,
        reason=reason,
    )

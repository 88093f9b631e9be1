"""When a picture's angle is probably not the joint's: what the view of a person says of each reading.

A picture shows angles as their projections. Two signs of a reading that a projection changed need nothing but the
joints:

- Knees, hips and ankles bend forwards and backwards. Seen from the side, shoulders and hips are narrow; seen from the
  front or from behind, their width is about that of people standing to the camera: 0.9 of the trunk's length at the
  shoulders, 0.55 at the hips (nine tenths of COCO's labelled people are narrower). A body that is at least half as wide
  is turned by 30° or more from the side. In tracks, the width is the median of a second, as a body turns slowly.
- A limb that points to or from the camera is shorter in the picture than its share of the trunk's length (Drillis and
  Contini's proportions, in Winter, Biomechanics and Motor Control of Human Movement, 2009, figure 4.1). Below 0.75 of
  it, it is out of the picture's plane by 40° or more.

How often angles that they doubt are wrong has not been measured. They know neither how a camera is tilted, which
shortens trunk and legs alike, nor a person with other proportions.
"""

import numpy as np
from jaxtyping import Float, Shaped

from trustpose.geometry.measures import SIDES, Measure
from trustpose.measures.motions import AnyMeasure
from trustpose.measures.track_rows import TrackRows
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton

FACING = "seen from the front or back: the angle in the picture is not the joint's"
SHOULDERS, HIPS = 0.9, 0.55  # width of people standing to the camera, in lengths of the trunk
TURNED = 0.5  # of that width: sin 30° from the side
SHORTENED = 0.75  # of a limb's length
_SECOND = 1.0  # of a track, whose median width counts
_ANGLES = ("angle", "flexion", "tilt", "angle difference")
_BENDING = ("knee", "ankle")  # joints of measures that bend in the plane of walking
LIMBS = {  # length in lengths of the trunk, from the hips' middle to the shoulders'
    ("hip", "knee"): ("thigh", 0.245 / 0.288),
    ("knee", "ankle"): ("shank", 0.246 / 0.288),
    ("shoulder", "elbow"): ("upper arm", 0.186 / 0.288),
    ("elbow", "wrist"): ("forearm", 0.146 / 0.288),
}
"""Winter 2009, figure 4.1, after Drillis and Contini 1966."""


def view_doubts(
    measures: tuple[AnyMeasure, ...], poses: Poses, skeleton: Skeleton, tracks: TrackRows | None = None
) -> Shaped[np.ndarray, "N M"]:
    """Return why the view makes each reading doubtful, "" where it does not.

    Args:
        measures: M measures.
        poses: N people.
        skeleton: of their joints.
        tracks: their rows in order; None: every row counts by itself.
    """
    doubts = np.full((len(poses), len(measures)), "", dtype=object)
    trunk_ends = [f"{side}_{joint}" for joint in ("shoulder", "hip") for side in SIDES]
    if not set(trunk_ends) <= set(skeleton.keypoints):
        return doubts
    xy = poses.xy if poses.missing is None else np.where(poses.missing[..., None], np.nan, poses.xy)
    ends = [xy[:, skeleton.index(name)] for name in trunk_ends]
    trunk = _length((ends[0] + ends[1] - ends[2] - ends[3]) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        width = np.maximum(_length(ends[0] - ends[1]) / SHOULDERS, _length(ends[2] - ends[3]) / HIPS) / trunk
    is_facing = (width if tracks is None else _steady(width, tracks)) >= TURNED
    short = _shortened(xy, trunk, skeleton)
    for column, measure in enumerate(measures):
        part = measure if isinstance(measure, Measure) else measure.parts[0]
        if part.kind not in _ANGLES:
            continue
        for (start, end), (text, is_short) in short.items():
            if _follow(part, start, end):
                doubts[is_short, column] = text
        if any(joint.removeprefix(f"{side}_") in _BENDING for side in SIDES for joint in part.joints):
            doubts[is_facing, column] = FACING
    return doubts


def _length(vector: np.ndarray) -> Float[np.ndarray, " N"]:
    return np.hypot(vector[..., 0], vector[..., 1])


def _shortened(xy: np.ndarray, trunk: np.ndarray, skeleton: Skeleton) -> dict[tuple[str, str], tuple[str, np.ndarray]]:
    """Return, by the ends of each limb, the text for one that points to or from the camera, and whether it does."""
    short = {}
    for (start, end), (limb, share) in LIMBS.items():
        for side in SIDES:
            names = (f"{side}_{start}", f"{side}_{end}")
            if set(names) <= set(skeleton.keypoints):
                first, second = (xy[:, skeleton.index(name)] for name in names)
                is_short = _length(first - second) < SHORTENED * share * trunk
                short[names] = (f"the {side} {limb} points to or from the camera", is_short)
    return short


def _follow(measure: Measure, start: str, end: str) -> bool:
    """Return whether a limb is a limb of the measure: two of its successive points."""
    pairs = zip(measure.points, measure.points[1:], strict=False)
    return any({*first, *second} == {start, end} for first, second in pairs)


def _steady(width: Float[np.ndarray, " N"], tracks: TrackRows) -> Float[np.ndarray, " N"]:
    """Return the median width of a second of the track around each row; its own where it is on none."""
    steady = width.copy()
    half_second = np.nan_to_num(_SECOND / 2 / tracks.interval, nan=0.0)
    for track, (start, end) in enumerate(zip(tracks.bounds[:-1], tracks.bounds[1:], strict=True)):
        rows, half = tracks.row[start:end], int(min(np.rint(half_second[track]), (end - start) // 2))
        padded = np.pad(width[rows], half, mode="reflect" if end - start > half else "edge")
        windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
        steady[rows] = np.median(windows, axis=1)
    return steady

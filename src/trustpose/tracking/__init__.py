"""People over time: poses of successive frames are linked to tracks.

`Tracker` links the poses of one batch of frames after the other, and `track` those of whole clips. Poses are linked by
a distance, a function of two records; any function of that form can replace it. `smooth` smooths the keypoints of
tracks.

Read `tracker.py` first.
"""

from trustpose.tracking.flow import Flow, FlowOfFrames
from trustpose.tracking.frames import Frames, order_frames
from trustpose.tracking.smoothing import Smoothed, smooth
from trustpose.tracking.track import track
from trustpose.tracking.tracker import (
    EARLIER,
    MATCHINGS,
    Distance,
    Tracker,
    both_distance,
    box_distance,
    match,
    metre_distance,
    oks_distance,
    trust_distance,
)

__all__ = [
    "EARLIER",
    "MATCHINGS",
    "Distance",
    "Flow",
    "FlowOfFrames",
    "Frames",
    "Smoothed",
    "Tracker",
    "both_distance",
    "box_distance",
    "match",
    "metre_distance",
    "oks_distance",
    "order_frames",
    "smooth",
    "track",
    "trust_distance",
]

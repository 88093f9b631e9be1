"""The core records: `Poses` (an estimator's predictions), `Truth` (annotations) and `Poses3D` (people in 3D).

They hold arrays with one row per person; a slice is a view; a field that has not been computed is None and is never
guessed. Read `poses.py` first; `rows.py` has what the records share.
"""

from trustpose.poses.error_model import ErrorModel, ExpectedError
from trustpose.poses.poses import Poses, write_results
from trustpose.poses.poses3d import Poses3D
from trustpose.poses.rows import MISSING_ID, Keypoint, Photo, box_size, check_same_skeleton, extent, find_missing
from trustpose.poses.truth import AREAS, SEGMENT, Area, Truth, Visibility, describe_counts, describe_sources

__all__ = [
    "AREAS",
    "MISSING_ID",
    "SEGMENT",
    "Area",
    "ErrorModel",
    "ExpectedError",
    "Keypoint",
    "Photo",
    "Poses",
    "Poses3D",
    "Truth",
    "Visibility",
    "box_size",
    "check_same_skeleton",
    "describe_counts",
    "describe_sources",
    "extent",
    "find_missing",
    "write_results",
]

"""Which keypoints of a file its estimator gives no location for: `find_missing`, for every kind of file."""

from trustpose.poses.missing import find_missing

__all__ = ["find_missing"]

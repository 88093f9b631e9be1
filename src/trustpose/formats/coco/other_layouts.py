"""Recognise files in other layouts that were given as COCO ground truth."""

from typing import Any


def other_layout(value: Any) -> str | None:
    """Return the known layout of a JSON value, or None, for a better message than "expected an object"."""
    if isinstance(value, list):
        return _of_list(value)
    if not isinstance(value, dict):
        return None
    if "bodies" in value:
        return "3D poses of CMU Panoptic"
    if "cameras" in value and "calibDataSource" in value:
        return "a camera calibration of CMU Panoptic"
    if "shapes" in value and "imagePath" in value:
        return "LabelMe's annotations of one photo"
    first = next((item for item in value.values() if isinstance(item, dict)), None)
    if first is not None and ("campos" in first or ({"R", "T"} <= set(first)) or ({"R", "K"} <= set(first))):
        return "a camera calibration"
    return None


def _of_list(value: list[Any]) -> str | None:
    first = value[0] if value and isinstance(value[0], dict) else {}
    fields = set(first)
    if {"joints", "joints_vis", "center", "scale"} <= fields:
        return "MPII's annotations as mmpose and HRNet write them (joints, joints_vis; measured by PCKh, not OKS)"
    if {"keypoint_annotations", "human_annotations"} <= fields:
        return "AI Challenger's own annotations (mmpose's aic_val.json has COCO's layout)"
    if {"image_id", "score", "keypoints"} <= fields:
        return "COCO results, which --results expects"
    if {"image_id", "score", "bbox"} <= fields:
        return "COCO detections, boxes without keypoints (predict --boxes reads them)"
    return None

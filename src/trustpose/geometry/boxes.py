"""Boxes as xyxy in image pixels: conversion from and to COCO's xywh, overlap, boxes of hands and faces, and
boxes in a wrong format.

Boxes of hands and faces from a body's joints, as OpenPose derives them: squares, xyxy in image pixels. Source:
OpenPose (Cao et al., TPAMI 2019; CMU-Perceptual-Computing-Lab/openpose, handDetector.cpp and faceDetector.cpp).
Joints are xy (N, 2) of N people, NaN where they were not found; a box is NaN where the joints that it needs were not.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.poses import box_size


def xywh_to_xyxy(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 4"]:
    """Convert COCO's (x, y, width, height) to (x0, y0, x1, y1)."""
    return np.concatenate([box[..., :2], box[..., :2] + box[..., 2:]], axis=-1)


def xyxy_to_xywh(box: Float[np.ndarray, "*N 4"]) -> Float[np.ndarray, "*N 4"]:
    """Convert (x0, y0, x1, y1) to COCO's (x, y, width, height), exactly as in the file; see `poses.box_size`."""
    return np.concatenate([box[..., :2], box_size(box)], axis=-1)


def paired_iou(a: Float[np.ndarray, "*#N 4"], b: Float[np.ndarray, "*#N 4"]) -> Float[np.ndarray, "*_"]:
    """Compute intersection over union (…) of corresponding xyxy boxes, leading shapes broadcast; 0 if both are
    empty."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    intersection = np.clip(high - low, 0, None).prod(axis=-1)
    union = _area(a) + _area(b) - intersection
    return np.divide(intersection, union, out=np.zeros_like(intersection), where=union > 0)


def paired_overlap(a: Float[np.ndarray, "*#N 4"], b: Float[np.ndarray, "*#N 4"]) -> Float[np.ndarray, "*_"]:
    """Compute the share (…) of each xyxy box a inside the corresponding box b; 0 if a is empty."""
    low, high = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    inside, whole = np.clip(high - low, 0, None).prod(axis=-1), _area(a)
    return np.divide(inside, whole, out=np.zeros_like(inside), where=whole > 0)


def _area(box: np.ndarray) -> np.ndarray:
    return np.clip(box[..., 2:] - box[..., :2], 0, None).prod(axis=-1)


_SHARES = 2.0  # if all boxes end within this many pixels, they are fractions of the photo
_SMALLEST = 16  # unless the photo's shorter side is below this many pixels
_FAR = 0.1  # of the photo's size: valid boxes extend at most this far beyond its border
_STICKS_OUT = 0.02  # of the photo's size: a detector's boxes are not always cut at its border
_MIN_KEYPOINTS, _MIN_EXTENT = 3, 0.25  # of a person who shows whether a box is around them; share of its sides
_MIN_PEOPLE = 10  # a poor network's few poses of one photo may lie anywhere
# Mean share of people's keypoints in their boxes, in 27 files of labels and of networks' poses: at least 0.82 if boxes
# are read as they are meant, at most 0.48 if centres are read as corners, at most 0.43 if corners are read as centres.
_MIN_INSIDE, _MAX_INSIDE = 0.75, 0.6


def box_fault(
    box: Float[np.ndarray, "N 4"], size: Int[np.ndarray, "N 2"] | None = None, *, margin: float = 0.0
) -> tuple[int, str] | None:
    """Return the row of the first invalid xyxy box in its photo of `size` (width, height; 0 unknown), and the reason.

    Invalid are numbers that are not finite; x1 < x0 or y1 < y0; boxes that all end within 2 pixels, which are fractions
    of the photo; boxes outside the photo or, with `margin`, more than this fraction of its size beyond its border.
    """
    width, height = (np.zeros(len(box)), np.zeros(len(box))) if size is None else size.T.astype(np.float64)
    x0, y0, x1, y1 = box.T
    wrong = ~np.isfinite(box).all(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        return row, f"expected finite numbers, got {box[row].tolist()}"
    for name, low, high in (("x", x0, x1), ("y", y0, y1)):
        wrong = high < low
        if wrong.any():
            row = int(np.argmax(wrong))
            return row, f"{name}1 {high[row]:g} < {name}0 {low[row]:g}: expected xyxy; is it xywh?"
    if _are_shares(box, np.minimum(width, height)):
        return 0, f"all boxes lie within 0 to {box.max():g}: expected pixels, not fractions of the photo"
    has_size = (width > 0) & (height > 0)
    dx, dy = margin * width, margin * height
    wrong = has_size & ((x1 <= -dx) | (y1 <= -dy) | (x0 >= width + dx) | (y0 >= height + dy))
    if wrong.any():
        row = int(np.argmax(wrong))
        corners = ", ".join(f"{value:g}" for value in box[row])
        return row, f"({corners}) lies outside the {width[row]:g} x {height[row]:g} photo"
    return None


def xywh_fault(
    box: Float[np.ndarray, "N 4"], size: Int[np.ndarray, "N 2"], *, margin: float = _FAR
) -> tuple[int, str] | None:
    """Apply `box_fault` to xywh boxes of a file, and `format_fault`."""
    if not len(box):
        return None
    wrong = (box[:, 2:] < 0).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        return row, f"expected a width and height of at least 0, got {box[row, 2:].min():g}"
    fault = box_fault(np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1), size, margin=margin)
    return format_fault(box, size) or fault


def format_fault(box: Float[np.ndarray, "N 4"], size: Int[np.ndarray, "N 2"]) -> tuple[int, str] | None:
    """Return a row and the fault if xywh boxes of a file are all xyxy, or centre and size; `size` is their photo's, 0
    unknown.

    They are if each lies inside its photo when so read, and some box as xywh ends more than 10 % beyond its photo's
    border: none of 40,000 real boxes does.
    """
    is_known = np.all(size > 0, axis=1)
    beyond = is_known & np.any(box[:, :2] + box[:, 2:] > (1 + _FAR) * size, axis=1)
    if not beyond.any():
        return None
    half, tolerance = box[:, 2:] / 2, _STICKS_OUT * size
    readings = {
        "xyxy": (box[:, :2] >= 0) & (box[:, 2:] > box[:, :2]) & (box[:, 2:] <= size),
        "centre x, centre y, width, height": (box[:, :2] - half >= -tolerance)
        & (box[:, :2] + half <= size + tolerance),
    }
    fitting = [name for name, inside in readings.items() if inside[is_known].all()]
    if not fitting:
        return None
    row = int(np.argmax(beyond))
    right, bottom = box[row, :2] + box[row, 2:]
    return row, (
        f"ends at {right:g}, {bottom:g}, beyond the {size[row, 0]} x {size[row, 1]} photo: expected x, y, width, "
        f"height; is it {' or '.join(fitting)}?"
    )


def centre_fault(
    box: Float[np.ndarray, "N 4"], xy: Float[np.ndarray, "N K 2"], located: Bool[np.ndarray, "N K"]
) -> tuple[int, str] | None:
    """Check xywh boxes of people by their keypoints, those that are `located`: return a row and the fault if x, y is
    the centre of the boxes, so that most keypoints lie in them when so read, and few as they are. Fewer than ten
    people show nothing."""
    # x, y and the joints first: numpy is slow where the last axis is short
    points, located = np.ascontiguousarray(xy.T, dtype=np.float64), np.ascontiguousarray(located.T)  # (2, K, N), (K, N)
    low, high = (np.where(located, points, end) for end in (np.inf, -np.inf))
    spread = high.max(axis=1) - low.min(axis=1)  # (2, N)
    count = located.sum(axis=0)
    shows = (count >= _MIN_KEYPOINTS) & (spread >= _MIN_EXTENT * box.T[2:]).all(axis=0)
    rows = np.flatnonzero(shows & np.isfinite(box).all(axis=1))
    if len(rows) < _MIN_PEOPLE:
        return None
    corner, size = box.T[:2, None], box.T[2:, None]  # (2, 1, N)

    def shares(low: np.ndarray) -> np.ndarray:
        x_inside, y_inside = (points >= low) & (points <= low + size)  # (K, N) each
        return (x_inside & y_inside & located).sum(axis=0)[rows] / count[rows]

    as_read = shares(corner)
    if as_read.mean() > _MAX_INSIDE:
        return None
    as_centre = shares(corner - size / 2)
    if as_centre.mean() < _MIN_INSIDE:
        return None
    return int(rows[np.argmax(as_centre - as_read)]), (
        f"{as_read.mean():.0%} of the people's keypoints lie in their boxes, {as_centre.mean():.0%} if x, y is the "
        "centre: expected x, y, width, height with the upper left corner"
    )


def _are_shares(box: np.ndarray, shorter_side: np.ndarray) -> bool:
    has_area = (box[:, 2:] > box[:, :2]).all(axis=1)
    if not has_area.any() or box.max() > _SHARES or box.min() < -_SHARES:
        return False
    return bool((shorter_side >= _SMALLEST).any()) or not shorter_side.any()


Points = Float[np.ndarray, "N 2"]
BEYOND_WRIST = 0.33  # of the forearm: from the wrist to the hand's centre
HAND_PER_FOREARM, FOREARM_PER_UPPER_ARM = 1.5, 0.9
FACE_PER_NECK, FACE_PER_EYES, FACE_PER_EARS = 2.0, 3.0, 2.0  # sides per distance neck to nose, between eyes, ears
PROFILE = 0.85  # side per distances nose to eye, nose to ear, neck to nose together
HEAD_PER_NECK = 1.33  # side per distance neck to head, for skeletons without eyes and ears


def hand_boxes(wrist: Points, elbow: Points, shoulder: Points) -> Float[np.ndarray, "N 4"]:
    """Return the boxes of one side's hands: a third of the forearm beyond the wrist, 1.5 forearms wide; the forearm is
    replaced by nine tenths of the upper arm if these are longer."""
    centre = wrist + BEYOND_WRIST * (wrist - elbow)
    forearm, upper = _distance(wrist, elbow), _distance(elbow, shoulder)
    return _squares(centre, HAND_PER_FOREARM * np.maximum(forearm, FOREARM_PER_UPPER_ARM * upper))


def face_boxes(
    neck: Points, nose: Points, eyes: Float[np.ndarray, "N 2 2"], ears: Float[np.ndarray, "N 2 2"]
) -> Float[np.ndarray, "N 4"]:
    """Return the boxes of faces: the mean of the estimates from neck and nose, both eyes, and both ears, where known.
    eyes, ears: left, right, x and y.

    Neck and nose: their middle, twice their distance; for a profile, with the eye and the ear of only one side, the
    mean of nose, eye and ear, and 0.85 × (nose to eye + nose to ear + neck to nose). Eyes: their middle, three times
    their distance. Ears: their middle, twice their distance.
    """
    has_eye, has_ear = (~np.isnan(pair).any(axis=2).reshape(-1, 2) for pair in (eyes, ears))  # (N, 2)
    both, neither = has_eye & has_ear, ~(has_eye | has_ear)  # of each side
    side, row = both.argmax(axis=1), np.arange(len(eyes))
    is_profile = both[row, side] & neither[row, 1 - side]
    eye, ear = eyes[row, side], ears[row, side]
    length = _distance(neck, nose)
    profile_side = PROFILE * (_distance(nose, eye) + _distance(nose, ear) + length)
    by_neck = np.where(is_profile[:, None], (nose + eye + ear) / 3, (neck + nose) / 2)
    by_neck = np.where(np.isfinite(length)[:, None], by_neck, np.nan)  # a profile needs the neck, too
    centres = np.stack([by_neck, eyes.mean(axis=1), ears.mean(axis=1)])  # (3, N, 2)
    sides = np.stack(
        [
            np.where(is_profile, profile_side, FACE_PER_NECK * length),
            FACE_PER_EYES * _distance(eyes[:, 0], eyes[:, 1]),
            FACE_PER_EARS * _distance(ears[:, 0], ears[:, 1]),
        ]
    )
    says = np.isfinite(sides)
    count = np.where(says.any(axis=0), says.sum(axis=0), np.nan)
    centre = np.where(says[..., None], centres, 0.0).sum(axis=0) / count[:, None]
    return _squares(centre, np.where(says, sides, 0.0).sum(axis=0) / count)


def head_boxes(neck: Points, head: Points) -> Float[np.ndarray, "N 4"]:
    """Return the boxes of faces for skeletons without eyes and ears: about the head, 1.33 × its distance to the neck
    wide."""
    return _squares(head, HEAD_PER_NECK * _distance(neck, head))


def _distance(first: Points, second: Points) -> Float[np.ndarray, " N"]:
    return np.linalg.norm(first - second, axis=1)


def _squares(centre: Points, side: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N 4"]:
    """Return boxes xyxy; NaN as a whole where anything is."""
    box = np.concatenate([centre - side[:, None] / 2, centre + side[:, None] / 2], axis=1)
    return np.where(np.isfinite(box).all(axis=1, keepdims=True), box, np.nan)

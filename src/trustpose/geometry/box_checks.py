"""Detect boxes in a wrong format: xywh instead of xyxy, centres instead of corners, fractions of the photo, or outside
it."""

import numpy as np
from jaxtyping import Bool, Float, Int

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
    xy = xy.astype(np.float64)
    low, high = (np.where(located[..., None], xy, end) for end in (np.inf, -np.inf))
    spread = high.max(axis=1) - low.min(axis=1)
    shows = (located.sum(axis=1) >= _MIN_KEYPOINTS) & (spread >= _MIN_EXTENT * box[:, 2:]).all(axis=1)
    rows = np.flatnonzero(shows & np.isfinite(box).all(axis=1))
    if len(rows) < _MIN_PEOPLE:
        return None
    low, size, keypoints, located = box[rows, None, :2], box[rows, None, 2:], xy[rows], located[rows]
    shares = []
    for corner in (low, low - size / 2):
        inside = ((keypoints >= corner) & (keypoints <= corner + size)).all(axis=2) & located
        shares.append(inside.sum(axis=1) / located.sum(axis=1))
    as_read, as_centre = shares
    if as_read.mean() > _MAX_INSIDE or as_centre.mean() < _MIN_INSIDE:
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

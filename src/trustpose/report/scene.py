"""People prepared for drawing: what of them is shown, where, how large, in which colours and with which numbers.

The colours are distinguishable with every common form of colour blindness: Okabe & Ito's palette.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.files import InputError
from trustpose.geometry.expected_error import expected_error
from trustpose.poses import MISSING_ID, Poses, Visibility
from trustpose.skeletons import Skeleton, difference

STYLES = ("trust", "parts", "people")

# From low to high trust: vermilion, yellow, sky blue, blue; orange and blue are distinguishable with every common form
# of colour blindness.
TRUST_SCALE = np.array([(213, 94, 0), (240, 180, 40), (240, 228, 66), (86, 180, 233), (0, 114, 178)], dtype=np.float64)
UNKNOWN = (190, 190, 190)  # trust that was not computed

LEFT, RIGHT, CENTRE = 0, 1, 2
# by side, then upper and lower body: left blue, right orange, the middle white
PARTS = np.array(
    [[(86, 180, 233), (0, 114, 178)], [(240, 180, 40), (213, 94, 0)], [(235, 235, 235), (235, 235, 235)]],
    dtype=np.uint8,
)
PEOPLE = np.array(
    [(86, 180, 233), (213, 94, 0), (240, 228, 66), (0, 114, 178), (204, 121, 167), (0, 158, 115), (230, 159, 0)],
    dtype=np.uint8,
)
LEFT_EDGE, EDGE = (255, 255, 255), (20, 20, 20)


def check_style(style: str) -> str:
    """Return the style. Raises InputError unless it is one of `STYLES`."""
    if style not in STYLES:
        raise InputError(f"style: expected {', '.join(STYLES[:-1])} or {STYLES[-1]}, got {style!r}")
    return style


def trust_colours(quality: Float[np.ndarray, "*N"]) -> UInt8[np.ndarray, "*N 3"]:
    """Return RGB colours for trust from 0 to 1 on the colour-blind-safe scale; values outside are clipped, NaN is
    grey."""
    is_unknown = np.isnan(quality)
    scale_position = np.clip(np.where(is_unknown, 0, quality), 0, 1) * (len(TRUST_SCALE) - 1)
    below = np.minimum(scale_position.astype(np.int64), len(TRUST_SCALE) - 2)
    colours = TRUST_SCALE[below] + (scale_position - below)[..., None] * (TRUST_SCALE[below + 1] - TRUST_SCALE[below])
    return np.where(is_unknown[..., None], UNKNOWN, np.rint(colours)).astype(np.uint8)


def sides(skeleton: Skeleton) -> Int[np.ndarray, " K"]:
    """Return the side of each joint, `LEFT`, `RIGHT` or `CENTRE`, by the skeleton's mirror pairs."""
    side = np.full(len(skeleton), CENTRE)
    for left_joint, right_joint in skeleton.flip_pairs:
        side[left_joint], side[right_joint] = LEFT, RIGHT
    return side


def limb_sides(skeleton: Skeleton) -> Int[np.ndarray, " L"]:
    """Return the side of each limb: of both ends, or of the end that has one; between left and right it is `CENTRE`."""
    ends = sides(skeleton)[np.array(skeleton.edges, dtype=np.int64).reshape(-1, 2)]
    one_sided = np.where(ends[:, 0] == CENTRE, ends[:, 1], ends[:, 0])
    return np.where((ends[:, 0] == ends[:, 1]) | (ends == CENTRE).any(axis=1), one_sided, CENTRE)


def part_colours(skeleton: Skeleton) -> tuple[UInt8[np.ndarray, "K 3"], UInt8[np.ndarray, "L 3"]]:
    """Return the colours of joints and limbs by side and by upper or lower body."""
    ends = np.array(skeleton.edges, dtype=np.int64).reshape(-1, 2)
    lower = skeleton.is_lower.astype(np.int64)
    return PARTS[sides(skeleton), lower], PARTS[limb_sides(skeleton), lower[ends].min(axis=1)]


def people_colours(
    centres: Float[np.ndarray, "N 2"], fixed_indices: Int[np.ndarray, " N"] | None = None
) -> Int[np.ndarray, " N"]:
    """Return the index in `PEOPLE` of each person's colour: that of `fixed_indices` where it is not negative. Every
    other person gets, in order, a colour that is not used yet or is used farthest away, so that neighbours differ."""
    centres = np.nan_to_num(centres)
    colour_indices = np.full(len(centres), -1) if fixed_indices is None else fixed_indices.copy()
    for person in np.flatnonzero(colour_indices < 0).tolist():
        distance, has_colour = np.full(len(PEOPLE), np.inf), colour_indices >= 0
        if has_colour.any():
            np.minimum.at(distance, colour_indices[has_colour], np.hypot(*(centres[has_colour] - centres[person]).T))
        colour_indices[person] = int(distance.argmax())
    return colour_indices


def track_colours(track_id: Int[np.ndarray, " N"] | None, count: int) -> Int[np.ndarray, " N"]:
    """Return the index in `PEOPLE` of the colour of each person's track, for `count` people; -1 without a track."""
    if track_id is None:
        return np.full(count, -1)
    return np.where(track_id == MISSING_ID, -1, track_id % len(PEOPLE))


def as_tuples(colours: UInt8[np.ndarray, "N 3"]) -> Sequence[tuple[int, int, int]]:
    """Return colours as OpenCV takes them."""
    return [(red, green, blue) for red, green, blue in colours.tolist()]


SHIFT = 4  # cv2 draws at 1/16 pixel
MAX_COORDINATE = 1e6  # pixels; cv2's fixed-point coordinates overflow beyond about 1e8
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_LINE = 30  # height of a line of this font at scale 1, in pixels

Colour = tuple[int, int, int]
Pixels = UInt8[np.ndarray, "H W 3"]


def line(drawn: np.ndarray, ends: Sequence[Sequence[int]], colour: Colour, width: int) -> None:
    """Draw a line between two points, (x, y) each."""
    cv2.line(drawn, ends[0], ends[1], colour, width, cv2.LINE_AA, SHIFT)


def circle(drawn: np.ndarray, point: np.ndarray, radius: float, colour: Colour, thickness: int = cv2.FILLED) -> None:
    """Draw a circle around a point, its radius in pixels."""
    centre = (int(point[0]), int(point[1]))
    cv2.circle(drawn, centre, round(radius * (1 << SHIFT)), colour, thickness, cv2.LINE_AA, SHIFT)


def tint(drawn: np.ndarray, point: Int[np.ndarray, "2"], radius: float, colour: Colour, opacity: float) -> None:
    """Draw a see-through disc with a thin edge around a point, its radius in pixels."""
    x, y = (float(coordinate) / (1 << SHIFT) for coordinate in point)
    height, width = drawn.shape[:2]
    left, right = max(0, int(x - radius) - 2), min(width, int(x + radius) + 3)
    top, bottom = max(0, int(y - radius) - 2), min(height, int(y + radius) + 3)
    if left >= right or top >= bottom:
        return
    part = drawn[top:bottom, left:right]
    disc = part.copy()
    cv2.circle(disc, (round(x) - left, round(y) - top), round(radius), colour, cv2.FILLED)  # its rough edge is covered
    cv2.addWeighted(disc, opacity, part, 1 - opacity, 0, dst=part)
    circle(drawn, point, radius, colour, max(1, round(radius / 80)))  # 1 is six times as fast as 2


@lru_cache(maxsize=1024)
def text_mask(text: str, height: int) -> UInt8[np.ndarray, "h w"]:
    """Return the opacity (0–255) of a line of text of this height in pixels; cached, as OpenCV 5 is slow at it."""
    scale = height / _LINE
    weight = max(1, round(1.7 * scale))
    (width, above), below = cv2.getTextSize(text, _FONT, scale, weight)
    canvas = np.zeros((above + below + 2 * weight, width + 4 * weight), np.uint8)
    cv2.putText(canvas, text, (2 * weight, above + weight), _FONT, scale, 255, weight, cv2.LINE_AA)
    columns = np.flatnonzero(canvas.any(axis=0))
    return canvas[:, columns[0] : columns[-1] + 1] if len(columns) else canvas[:, :1]


@lru_cache(maxsize=256)
def _text_colours(text: str, height: int, *, is_dark: bool) -> UInt8[np.ndarray, "h w 3"]:
    """Return the text on black in white or, if dark, on white in black; in three channels, which numpy combines with
    pixels ten times as fast as one."""
    mask = text_mask(text, height)
    return np.repeat((255 - mask if is_dark else mask)[:, :, None], 3, axis=2)


def write(drawn: np.ndarray, text: str, left: int, middle: int, height: int, *, is_dark: bool = False) -> None:
    """Write a line of text, white on dark or dark on light, that starts at `left` and is centred at `middle`, both in
    pixels, cut off at the edges."""
    mask = _text_colours(text, height, is_dark=is_dark)
    top = middle - mask.shape[0] // 2
    rows = slice(max(0, -top), max(0, drawn.shape[0] - top))
    columns = slice(max(0, -left), max(0, drawn.shape[1] - left))
    mask = mask[rows, columns]
    if mask.size:
        top, left = max(0, top), max(0, left)
        part = drawn[top : top + mask.shape[0], left : left + mask.shape[1]]
        (np.minimum if is_dark else np.maximum)(part, mask, out=part)


_MIN_DISC = 1.8  # radius of an error's disc over the joint's, from which it can be seen around the joint
_MAX_DISC = 4  # radius of a disc over the longer side of the picture, above which nothing of it is seen but colour


@dataclass(frozen=True)
class Scene:
    """N people of K joints and L limbs in a picture.

    joints (N, K, 2) and limbs (N, L, 2, 2), their ends, are in 1/16 pixel; all sizes in pixels. A limb ends at the ring
    of an occluded joint. radius is of a joint, or of the middle of its ring; error the radius of the disc that holds
    it half of the time, 0 where none is drawn. has_white_edge is of joints (K,) and limbs (L,).
    """

    joints: Int[np.ndarray, "N K 2"]
    shown: Bool[np.ndarray, "N K"]
    hollow: Bool[np.ndarray, "N K"]
    radius: Float[np.ndarray, "N K"]
    error: Float[np.ndarray, "N K"]
    colours: UInt8[np.ndarray, "N K 3"]
    limbs: Int[np.ndarray, "N L 2 2"]
    limb_shown: Bool[np.ndarray, "N L"]
    limb_width: Int[np.ndarray, "N L"]
    limb_colours: UInt8[np.ndarray, "N L 3"]
    width: Int[np.ndarray, " N"]
    outline: Int[np.ndarray, " N"]
    ring: Int[np.ndarray, " N"]
    joint_has_white_edge: Bool[np.ndarray, " K"]
    limb_has_white_edge: Bool[np.ndarray, " L"]


def prepare(
    poses: Poses,
    skeleton: Skeleton,
    style: str,
    min_score: float | None,
    shape: tuple[int, ...],
    colour_indices: Int[np.ndarray, " N"] | None = None,
) -> Scene:
    """Prepare poses for a picture of `shape` (H, W, …) in one of `palettes.STYLES`, without joints of a raw score below
    `min_score`. colour_indices: each person's colour in `palettes.PEOPLE`; by default, colours follow tracks, and
    people without a track get a colour that their neighbours do not have."""
    shown, hollow = _shown(poses, min_score)
    near = _drawable_xy(poses, shown)
    photo = max(shape[:2])
    width = np.rint(_sizes(_boxes(poses, near, shown)) / 60).clip(
        max(1, round(photo / 700)), max(2, round(photo / 110))
    )
    outline = np.maximum(1, np.rint(0.5 + 0.3 * width))
    ring = np.maximum(1, np.rint(0.6 * width))
    radius = _radii(near, shown, width)
    error = expected_error(poses, skeleton)
    seen = np.zeros(shown.shape)
    if error is not None:
        median = error.median
        seen = np.where(shown & (median > _MIN_DISC * radius) & (median < _MAX_DISC * photo), median, 0.0)
    ends = np.array(skeleton.edges, dtype=np.int64).reshape(-1, 2)
    around = np.where(hollow, radius + (ring / 2 + outline)[:, None], radius)
    reach = np.where(hollow, around + ring[:, None] / 2, 0.0)
    colours, limb_colours = _colours(poses, skeleton, style, colour_indices, near, shown)
    is_by_part = style == "parts" or (style == "trust" and poses.quality is None)
    return Scene(
        joints=_fixed_point(near),
        shown=shown,
        hollow=hollow,
        radius=around,
        error=seen,
        colours=colours,
        limbs=_fixed_point(_shortened(near[:, ends], reach[:, ends])),
        limb_shown=shown[:, ends[:, 0]] & shown[:, ends[:, 1]],
        limb_width=np.rint(radius[:, ends].min(axis=2) / 0.65).clip(1, width[:, None]).astype(np.int64),
        limb_colours=limb_colours,
        width=width.astype(np.int64),
        outline=outline.astype(np.int64),
        ring=ring.astype(np.int64),
        joint_has_white_edge=(sides(skeleton) == LEFT) & (not is_by_part),
        limb_has_white_edge=(limb_sides(skeleton) == LEFT) & (not is_by_part),
    )


def _shown(poses: Poses, min_score: float | None) -> tuple[Bool[np.ndarray, "N K"], Bool[np.ndarray, "N K"]]:
    """Return which joints are shown, and which of them as rings."""
    shown = np.isfinite(poses.xy[..., 0]) & np.isfinite(poses.xy[..., 1])
    if poses.missing is not None:
        shown &= ~poses.missing
    if min_score is not None and poses.score is not None:
        shown &= poses.score >= min_score
    decided = poses.decided_visibility
    if decided is None:
        return shown, np.zeros_like(shown)
    shown &= decided != Visibility.ABSENT
    return shown, shown & (decided == Visibility.OCCLUDED)


def person_boxes(poses: Poses) -> Float[np.ndarray, "N 4"]:
    """Return the box of each person, or the box around the joints where there is none, xyxy, image pixels."""
    shown, _ = _shown(poses, None)
    return _boxes(poses, _drawable_xy(poses, shown), shown)


def _drawable_xy(poses: Poses, shown: np.ndarray) -> Float[np.ndarray, "N K 2"]:
    return np.clip(np.where(shown[..., None], poses.xy.astype(np.float64), 0), -MAX_COORDINATE, MAX_COORDINATE)


def _boxes(poses: Poses, near: np.ndarray, shown: np.ndarray) -> Float[np.ndarray, "N 4"]:
    low = np.where(shown[..., None], near, np.inf).min(axis=1, initial=np.inf)
    high = np.where(shown[..., None], near, -np.inf).max(axis=1, initial=-np.inf)
    box = np.nan_to_num(np.concatenate([low, high], axis=1), posinf=0, neginf=0)
    if poses.box is None:
        return box
    is_known = np.isfinite(poses.box).all(axis=1, keepdims=True)
    return np.where(is_known, poses.box.clip(-MAX_COORDINATE, MAX_COORDINATE), box)


def _sizes(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """Return the size of each person in pixels, √area of its box."""
    return np.sqrt(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 1), axis=1))


def _radii(near: np.ndarray, shown: np.ndarray, width: np.ndarray) -> Float[np.ndarray, "N K"]:
    """Return the radius of each joint: a little more than the line, less where its neighbour is close, as in a face."""
    usual = 1.3 * width[:, None] + 0.5
    away = np.hypot(*np.moveaxis(near[:, :, None] - near[:, None], -1, 0))  # (N, K, K)
    away = np.where(shown[:, :, None] & shown[:, None] & ~np.eye(near.shape[1], dtype=bool), away, np.inf)
    return np.clip(0.45 * away.min(axis=2, initial=np.inf), 0.55 * usual, usual)


def _shortened(ends: Float[np.ndarray, "N L 2 2"], reach: Float[np.ndarray, "N L 2"]) -> Float[np.ndarray, "N L 2 2"]:
    """Return limbs shortened at either end, by half of their length at most."""
    if not reach.any():
        return ends
    along = ends[:, :, 1] - ends[:, :, 0]
    length = np.hypot(along[..., 0], along[..., 1])[..., None]
    step = along / np.maximum(length, 1e-9)
    reach = np.minimum(reach, length / 2)[..., None]
    return np.stack([ends[:, :, 0] + step * reach[:, :, 0], ends[:, :, 1] - step * reach[:, :, 1]], axis=2)


def _fixed_point(xy: Float[np.ndarray, "*N 2"]) -> Int[np.ndarray, "*N 2"]:
    return np.rint(xy * (1 << SHIFT)).astype(np.int64)


def _colours(
    poses: Poses,
    skeleton: Skeleton,
    style: str,
    colour_indices: Int[np.ndarray, " N"] | None,
    near: np.ndarray,
    shown: np.ndarray,
) -> tuple[UInt8[np.ndarray, "N K 3"], UInt8[np.ndarray, "N L 3"]]:
    """Return the colours of each person's joints and limbs."""
    count, ends = len(poses), np.array(skeleton.edges, dtype=np.int64).reshape(-1, 2)
    if style == "trust" and poses.quality is not None:
        quality = poses.quality.astype(np.float64)
        return trust_colours(quality), trust_colours(quality[:, ends].min(axis=2))
    if style == "people":
        if colour_indices is None:
            middle = near.sum(axis=1) / np.maximum(shown.sum(axis=1), 1)[:, None]
            colour_indices = people_colours(middle, track_colours(poses.track_id, count))
        person_colours = PEOPLE[colour_indices][:, None]
        return np.repeat(person_colours, near.shape[1], axis=1), np.repeat(person_colours, len(ends), axis=1)
    joints, limbs = part_colours(skeleton)
    return np.repeat(joints[None], count, axis=0), np.repeat(limbs[None], count, axis=0)


SURE = 0.9  # presence from which drawings do not doubt that somebody is there
_PADDING = 0.25  # around a number, of its height


def person_numbers(poses: Poses) -> Int[np.ndarray, " N"]:
    """Return each person's number: the track's, if any person has one, and `MISSING_ID` for those without; else the
    row's, from 0, as in `poses[number]`."""
    if has_tracks(poses):
        assert poses.track_id is not None
        return poses.track_id
    return np.arange(len(poses))


def person_labels(poses: Poses) -> list[str]:
    """Return the label of each person in drawings: the person's number ("" without one), followed by the presence in
    per cent where it is below `SURE`: "3 55%"."""
    labels = ["" if number == MISSING_ID else str(number) for number in person_numbers(poses).tolist()]
    if poses.presence is None:
        return labels
    doubtful = poses.presence < SURE
    pairs = zip(labels, poses.presence.tolist(), doubtful.tolist(), strict=True)
    return [f"{label} {presence:.0%}" if label and is_doubtful else label for label, presence, is_doubtful in pairs]


def has_tracks(poses: Poses) -> bool:
    """Whether any person belongs to a track."""
    return poses.track_id is not None and bool((poses.track_id != MISSING_ID).any())


def has_visible_joint(poses: Poses) -> Bool[np.ndarray, " N"]:
    """Return which people have a joint that is neither missing nor most likely absent. Others are not drawn."""
    is_found = np.ones(poses.xy.shape[:2], dtype=bool) if poses.missing is None else ~poses.missing
    decided = poses.decided_visibility
    is_present = is_found if decided is None else is_found & (decided != Visibility.ABSENT)
    return np.asarray(is_present.any(axis=1))


class Plates:
    """Places number plates beside people so that they cover neither joints (J, 2), in image pixels, nor each other."""

    def __init__(self, drawn: np.ndarray, joints: Float[np.ndarray, "J 2"]) -> None:
        self._drawn, self._joints = drawn, joints
        self._occupied = np.zeros((0, 4))

    def put(
        self, label: str, person_joints: Float[np.ndarray, "k 2"], gap: float, height: int, colour: Colour | None
    ) -> None:
        """Write a label beside a person with these joints on a plate of a colour (None: dark)."""
        mask = text_mask(label, height)
        pad = round(_PADDING * height)
        size = np.array([mask.shape[1] + 2 * pad, height + pad])
        corners = np.clip(_plate_corners(person_joints, size, gap), 0, np.maximum(0, self._drawn.shape[1::-1] - size))
        cost = self._cost(np.concatenate([corners, corners + size], axis=1))
        left, top = np.rint(corners[int(cost.argmin())]).astype(np.int64).tolist()
        self._occupied = np.concatenate([self._occupied, [[left, top, left + size[0], top + size[1]]]])
        rows, columns = slice(top, top + size[1]), slice(left, left + size[0])
        self._drawn[rows, columns] = colour or EDGE
        is_dark = colour is not None and sum(colour) > 330
        write(self._drawn, label, left + pad, top + size[1] // 2, height, is_dark=is_dark)

    def _cost(self, boxes: Float[np.ndarray, "p 4"]) -> Float[np.ndarray, " p"]:
        """Return the cost of each candidate box: the joints and other plates that it covers, and its rank."""
        is_in = (self._joints >= boxes[:, None, :2]) & (self._joints <= boxes[:, None, 2:])
        cost = is_in.all(axis=2).sum(axis=1) + 0.1 * np.arange(len(boxes))
        overlap = np.minimum(boxes[:, None, 2:], self._occupied[:, 2:]) - np.maximum(
            boxes[:, None, :2], self._occupied[:, :2]
        )
        return cost + 10 * (overlap > 0).all(axis=2).sum(axis=1)


def _plate_corners(person_joints: np.ndarray, size: np.ndarray, gap: float) -> Float[np.ndarray, "p 2"]:
    """Return candidate positions of a plate around a person as upper left corners, the best first: above the
    topmost joint, then beside and below."""
    low, high = person_joints.min(axis=0) - gap, person_joints.max(axis=0) + gap
    top = person_joints[person_joints[:, 1].argmin()]
    above, below = low[1] - size[1], high[1]
    left, right, centre = low[0] - size[0], high[0], top[0] - size[0] / 2
    middle = (low[1] + high[1] - size[1]) / 2
    beside_y = top[1] - size[1] / 2
    return np.array(
        [
            *((centre, above), (top[0] + gap, beside_y), (top[0] - gap - size[0], beside_y)),
            *((right, low[1]), (left, low[1]), (right, middle), (left, middle), (centre, below)),
            *((top[0] + gap, above), (top[0] - gap - size[0], above)),
        ]
    )


def skeleton_to_show(poses: Poses, skeleton: Skeleton | None) -> Skeleton:
    """Return the skeleton given, else that of the poses. Raises ValueError if there is none or it does not match."""
    shown = poses.skeleton if skeleton is None else skeleton
    if shown is None:
        raise ValueError("skeleton: the poses have none, expected one as argument")
    if poses.keypoint_count != len(shown):
        raise ValueError(f"skeleton: expected one of {poses.keypoint_count} keypoints, got {shown.name!r}")
    if differ := difference(poses.skeleton, shown):
        raise ValueError(f"skeleton: expected that of the poses, got different ones, {differ}")
    return shown

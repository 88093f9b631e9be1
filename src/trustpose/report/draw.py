"""Draw poses on photos: limbs coloured by trust, a hollow ring for an occluded joint, nothing for an absent one."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.poses import Poses, Visibility
from trustpose.report.describe import skeleton_to_show
from trustpose.skeletons import Skeleton

RAW_LEGEND = "no trust: raw network"
TRUST_LEGEND = "trust (expected OPKS)"
RING_LEGEND = "ring: occluded"

RAW_COLOUR = (86, 180, 233)  # sky blue of Okabe & Ito's colour-blind-safe palette
# From low to high trust: vermilion, yellow, sky blue, blue of the same palette; orange and blue are distinguishable
# with every common form of colour blindness.
TRUST_SCALE = np.array([(213, 94, 0), (240, 180, 40), (240, 228, 66), (86, 180, 233), (0, 114, 178)], dtype=np.float64)

_OUTLINE = (20, 20, 20)
_SHIFT = 4  # cv2 draws at 1/16 pixel
_FARTHEST = 1e6  # pixels; cv2's fixed-point coordinates overflow beyond about 1e8
_FONT = cv2.FONT_HERSHEY_SIMPLEX

Colour = tuple[int, int, int]


@dataclass(frozen=True)
class _Person:
    """A person prepared for drawing: points in 1/16 pixel, which joints and limbs are shown, their colours, line
    width."""

    points: Int[np.ndarray, "K 2"]
    shown: Bool[np.ndarray, " K"]
    hollow: Bool[np.ndarray, " K"]
    colours: Sequence[Colour]
    limbs: list[tuple[int, int, Colour]]
    width: int


def trust_colours(quality: Float[np.ndarray, "*N"]) -> UInt8[np.ndarray, "*N 3"]:
    """Return RGB colours for trust from 0 to 1 on the colour-blind-safe scale; values outside are clipped."""
    place = np.clip(np.nan_to_num(quality), 0, 1) * (len(TRUST_SCALE) - 1)
    steps = np.arange(len(TRUST_SCALE))
    channels = [np.interp(place, steps, TRUST_SCALE[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def draw_poses(
    image: UInt8[np.ndarray, "H W 3"],
    poses: Poses,
    skeleton: Skeleton | None = None,
    *,
    min_score: float | None = None,
    legend: bool = True,
) -> UInt8[np.ndarray, "H W 3"]:
    """Return a copy of the photo, RGB, with the poses drawn on it.

    With `poses.quality`, limbs and joints are coloured by trust, a limb by the lower trust of its two ends; without it,
    all have one colour, and the legend says so. With `poses.visibility`, a joint that is most likely absent is left out
    with its limbs, and one that is most likely occluded is a hollow ring; `visibility_label` decides where it is given.
    A missing joint is left out with its limbs; `min_score` leaves out joints with a lower raw score, in the drawing
    only. Line width scales with the person. Limbs are those of `skeleton` (default: `poses.skeleton`). Raises
    ValueError if neither is known or the two have different joints, or if `min_score` is given and the
    poses have no scores.
    """
    skeleton = skeleton_to_show(poses, skeleton)
    if min_score is not None and poses.score is None:
        raise ValueError("min_score: the poses have no scores")
    drawn = np.ascontiguousarray(image).copy()
    people = [_ready(poses, row, skeleton, min_score, drawn.shape) for row in range(len(poses))]
    for person in sorted(people, key=lambda one: -one.width):  # small people last, on top of large ones
        _draw_person(drawn, person)
    if legend and len(poses):
        _draw_legend(
            drawn,
            has_trust=poses.quality is not None,
            has_rings=poses.decided_visibility is not None,
            min_score=min_score,
        )
    return drawn


def _ready(poses: Poses, row: int, skeleton: Skeleton, min_score: float | None, shape: tuple[int, ...]) -> _Person:
    xy = poses.xy[row]
    shown = np.isfinite(xy).all(axis=1)
    if poses.missing is not None:
        shown &= ~poses.missing[row]
    hollow = np.zeros(len(xy), dtype=bool)
    decided = poses[row].decided_visibility
    if decided is not None:
        shown &= decided[0] != Visibility.ABSENT
        hollow = decided[0] == Visibility.OCCLUDED
    if min_score is not None and poses.score is not None:
        shown &= poses.score[row] >= min_score
    trust = None if poses.quality is None else poses.quality[row]
    ends = np.array(skeleton.edges, dtype=np.int64).reshape(-1, 2)
    if trust is None:
        colours: list[Colour] = [RAW_COLOUR] * len(xy)
        limb_colours: list[Colour] = [RAW_COLOUR] * len(ends)
    else:
        colours, limb_colours = _as_tuples(trust_colours(trust)), _as_tuples(trust_colours(trust[ends].min(axis=1)))
    limbs = [
        (int(a), int(b), colour) for (a, b), colour in zip(ends, limb_colours, strict=True) if shown[a] and shown[b]
    ]
    near = np.clip(np.where(shown[:, None], xy, 0), -_FARTHEST, _FARTHEST)
    points = np.rint(near * (1 << _SHIFT)).astype(np.int64)
    return _Person(points, shown, hollow, colours, limbs, _line_width(poses, row, shown, shape))


def _line_width(poses: Poses, row: int, shown: np.ndarray, shape: tuple[int, ...]) -> int:
    """Return about a sixtieth of the person's size, within limits that depend on the photo's size."""
    box = poses.box[row] if poses.box is not None and np.isfinite(poses.box[row]).all() else None
    if box is None:
        points = poses.xy[row][shown] if shown.any() else np.zeros((1, 2))
        box = np.concatenate([points.min(axis=0), points.max(axis=0)])
    box = np.clip(box, -_FARTHEST, _FARTHEST)
    size = float(np.sqrt(np.prod(np.maximum(box[2:] - box[:2], 1))))
    photo = max(shape[:2])
    return int(np.clip(round(size / 60), max(1, round(photo / 700)), max(2, round(photo / 110))))


def _draw_person(drawn: np.ndarray, person: _Person) -> None:
    width = person.width
    outline = 0.5 + 0.3 * width
    radius = 1.3 * width + 0.5
    ring = max(1, round(0.6 * width))  # thickness of the ring
    ends = [_limb_ends(person, a, b, radius + ring) for a, b, _ in person.limbs]
    for start, stop in ends:
        _line(drawn, start, stop, _OUTLINE, width + 2 * max(1, round(outline)))
    for (start, stop), (_, _, colour) in zip(ends, person.limbs, strict=True):
        _line(drawn, start, stop, colour, width)
    for joint in np.flatnonzero(person.shown).tolist():
        point, colour = person.points[joint], person.colours[joint]
        if person.hollow[joint]:
            _circle(drawn, point, radius + ring / 2, _OUTLINE, ring + 2 * max(1, round(outline)))
            _circle(drawn, point, radius + ring / 2, colour, ring)
        else:
            _circle(drawn, point, radius + outline, _OUTLINE)
            _circle(drawn, point, radius, colour)


def _limb_ends(person: _Person, a: int, b: int, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a limb's two ends in 1/16 pixel; at an occluded joint the limb stops at the ring, which stays hollow."""
    start, stop = person.points[a], person.points[b]
    length = float(np.hypot(*(stop - start)))
    if not length:
        return start, stop
    step = (stop - start) * (min(radius * (1 << _SHIFT), length / 2) / length)
    first = start + step if person.hollow[a] else start
    last = stop - step if person.hollow[b] else stop
    return np.rint(first).astype(np.int64), np.rint(last).astype(np.int64)


def _draw_legend(drawn: np.ndarray, *, has_trust: bool, has_rings: bool, min_score: float | None) -> None:
    """Draw a small box in the lower left corner, never wider than the photo."""
    height, width = drawn.shape[:2]
    texts = [TRUST_LEGEND if has_trust else RAW_LEGEND] + ([RING_LEGEND] if has_rings else [])
    texts += [] if min_score is None else [f"hidden: score < {min_score:g}"]
    scale = max(0.4, max(height, width) / 1500)
    widest = max(_text_size(text, scale)[0] for text in texts) + 60 * scale
    scale = min(scale, scale * width / widest)
    line = round(30 * scale)
    margin = max(1, round(10 * scale))
    rows = len(texts) + (1 if has_trust else 0)
    box_width = min(width, round(max(_text_size(text, scale)[0] for text in texts) + line + 3 * margin))
    box_height = min(height, rows * line + 2 * margin)
    top = height - box_height
    drawn[top:, :box_width] = drawn[top:, :box_width] // 5  # dark enough for white text on any photo
    weight = max(1, round(1.6 * scale))
    for at, text in enumerate(texts):
        middle = top + margin + round((at + 0.5) * line)
        baseline = middle + _text_size(text, scale)[1] // 2
        left = margin
        if text in (RAW_LEGEND, RING_LEGEND):
            point = np.array([margin + line // 2, middle]) << _SHIFT
            if text == RAW_LEGEND:
                _circle(drawn, point, line * 0.3, RAW_COLOUR)
            else:
                _circle(drawn, point, line * 0.25, (250, 250, 250), max(1, round(line * 0.12)))
            left += line + margin
        cv2.putText(drawn, text, (left, baseline), _FONT, scale, (255, 255, 255), weight, cv2.LINE_AA)
    if has_trust:
        _draw_scale(drawn, margin, top + margin + len(texts) * line, box_width - 2 * margin, line, scale)


def _draw_scale(drawn: np.ndarray, left: int, top: int, width: int, line: int, scale: float) -> None:
    """Draw the colours from 0 to 1 with the numbers at both ends."""
    weight = max(1, round(1.6 * scale))
    digit, tall = _text_size("0", scale)
    baseline = top + line // 2 + tall // 2
    cv2.putText(drawn, "0", (left, baseline), _FONT, scale, (255, 255, 255), weight, cv2.LINE_AA)
    cv2.putText(drawn, "1", (left + width - digit, baseline), _FONT, scale, (255, 255, 255), weight, cv2.LINE_AA)
    start, stop = left + round(1.6 * digit), left + width - round(1.6 * digit)
    if stop > start:
        bar = trust_colours(np.linspace(0, 1, stop - start))
        part = drawn[top + line // 4 : top + max(line // 4 + 1, 3 * line // 4), start:stop]
        part[:] = bar[: part.shape[1]]


def _text_size(text: str, scale: float) -> tuple[int, int]:
    (width, height), _ = cv2.getTextSize(text, _FONT, scale, max(1, round(1.6 * scale)))
    return int(width), int(height)


def _line(drawn: np.ndarray, a: np.ndarray, b: np.ndarray, colour: Colour, width: int) -> None:
    start, stop = (int(a[0]), int(a[1])), (int(b[0]), int(b[1]))
    cv2.line(drawn, start, stop, colour, width, cv2.LINE_AA, _SHIFT)


def _circle(drawn: np.ndarray, point: np.ndarray, radius: float, colour: Colour, thickness: int = cv2.FILLED) -> None:
    centre = (int(point[0]), int(point[1]))
    cv2.circle(drawn, centre, round(radius * (1 << _SHIFT)), colour, thickness, cv2.LINE_AA, _SHIFT)


def _as_tuples(colours: UInt8[np.ndarray, "N 3"]) -> list[Colour]:
    return [(int(red), int(green), int(blue)) for red, green, blue in colours]

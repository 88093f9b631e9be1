"""Colours of drawings, RGB, distinguishable with every common form of colour blindness: Okabe & Ito's palette."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.files import InputError
from trustpose.poses import MISSING_ID
from trustpose.skeletons import Skeleton

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

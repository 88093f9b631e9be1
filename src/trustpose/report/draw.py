"""Draw poses on photos: trust, left and right, expected errors, people's numbers, and the legend."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.poses import MISSING_ID, Poses, Visibility
from trustpose.report.scene import (
    EDGE,
    LEFT_EDGE,
    PARTS,
    SHIFT,
    TRUST_SCALE,
    UNKNOWN,
    Colour,
    Plates,
    Scene,
    as_tuples,
    check_style,
    circle,
    has_tracks,
    line,
    person_labels,
    person_numbers,
    prepare,
    skeleton_to_show,
    text_mask,
    tint,
    trust_colours,
    write,
)
from trustpose.skeletons import Skeleton

MAX_SHARE = 0.05  # of the picture
_SMALLEST = 9  # height of a line in pixels that can be read
_BAR = 4.2  # width of the scale, in lines
_WHITE = (255, 255, 255)


@dataclass(frozen=True)
class Entry:
    """A mark ("scale", "left edge", "left", "right", "ring", "disc", "grey", or "" for none) and its words."""

    mark: str
    words: str


@dataclass(frozen=True)
class _Layout:
    """Rows of entries, in lines of `height` pixels, on a box of `size` (width, height)."""

    rows: Sequence[Sequence[Entry]]
    height: int
    size: tuple[int, int]


def draw_legend(
    drawn: np.ndarray, entries: Sequence[Entry], joints: Float[np.ndarray, "J 2"], *, stays: bool = False
) -> None:
    """Draw the entries in the corner that covers the fewest `joints` (J, 2), image pixels; if it `stays`, in the lower
    left one. A picture too small for legible words on a twentieth of it gets none."""
    height, width = drawn.shape[:2]
    layout = _layout(entries, width, height)
    if layout is None:
        return
    box_width, box_height = layout.size
    corners = [(0, height - box_height), (width - box_width, height - box_height), (0, 0), (width - box_width, 0)]
    covered = [
        ((joints >= corner) & (joints <= np.add(corner, layout.size))).all(axis=1).sum()
        for corner in corners[: 1 if stays else None]
    ]
    left, top = corners[int(np.argmin(covered))]
    drawn[top : top + box_height, left : left + box_width] //= 5  # dark enough for white text on any photo
    for row_index, row in enumerate(layout.rows):
        middle = top + round((row_index + 0.5) * layout.height + _margin(layout.height) / 2)
        x = left + _margin(layout.height)
        for entry in row:
            x = _draw_entry(drawn, entry, x, middle, layout.height) + layout.height // 2


def _layout(entries: Sequence[Entry], width: int, height: int) -> _Layout | None:
    """Return the largest layout that fits, of a size in proportion to the picture at most."""
    line = max(_SMALLEST, round(max(width, height) / 38))
    while line >= _SMALLEST:
        for count in range(1, len(entries) + 1):
            rows = [
                entries[start : start + -(-len(entries) // count)]
                for start in range(0, len(entries), -(-len(entries) // count))
            ]
            longest = max(sum(_width(entry, line) + line // 2 for entry in row) - line // 2 for row in rows)
            size = (longest + 2 * _margin(line), len(rows) * line + _margin(line))
            if size[0] <= width and size[1] <= height and size[0] * size[1] <= MAX_SHARE * width * height:
                return _Layout(rows, line, size)
        line = min(line - 1, round(0.93 * line))
    return None


def _margin(line: int) -> int:
    return max(2, line // 3)


def _words(line: int) -> int:
    """Height of the words in a line."""
    return max(_SMALLEST - 1, round(0.8 * line))


def _width(entry: Entry, line: int) -> int:
    return _mark_width(entry.mark, line) + text_mask(entry.words, _words(line)).shape[1]


def _mark_width(mark: str, line: int) -> int:
    if not mark:
        return 0
    return round(_BAR * line if mark == "scale" else 0.9 * line) + line // 4


def _draw_entry(drawn: np.ndarray, entry: Entry, left: int, middle: int, line: int) -> int:
    """Draw a mark and its words; return where they end."""
    if entry.mark == "scale":
        _scale(drawn, left, middle, line)
    elif entry.mark:
        _mark(drawn, entry.mark, np.array([left + 0.45 * line, middle]), line)
    start = left + _mark_width(entry.mark, line)
    write(drawn, entry.words, start, middle, _words(line))
    return left + _width(entry, line)


def _mark(drawn: np.ndarray, mark: str, centre: Float[np.ndarray, "2"], line: int) -> None:
    point = np.rint(centre * (1 << SHIFT)).astype(np.int64)
    thin = max(1, round(line / 12))
    blue, yellow = as_tuples(np.rint(TRUST_SCALE[[3, 2]]).astype(np.uint8))
    if mark == "left edge":
        circle(drawn, point, 0.34 * line, LEFT_EDGE)
        circle(drawn, point, 0.34 * line - max(1.5, line / 9), EDGE)
    elif mark == "ring":
        circle(drawn, point, 0.27 * line, _WHITE, max(1, round(line / 8)))
    elif mark == "disc":
        tint(drawn, point, 0.4 * line, yellow, 0.35)
        circle(drawn, point, thin, yellow)
    else:
        colours = {"left": as_tuples(PARTS[0])[0], "right": as_tuples(PARTS[1])[0], "grey": UNKNOWN}
        circle(drawn, point, 0.32 * line, colours.get(mark, blue))


def _scale(drawn: np.ndarray, left: int, middle: int, line: int) -> None:
    """Draw the colours from 0 to 1 with the numbers at both ends."""
    high = _words(line)
    digits = [text_mask(digit, high).shape[1] for digit in "01"]
    start, stop = left + digits[0] + line // 5, left + round(_BAR * line) - digits[1] - line // 5
    write(drawn, "0", left, middle, high)
    write(drawn, "1", left + round(_BAR * line) - digits[1], middle, high)
    if stop > start:
        drawn[middle - line // 4 : middle + line // 4, start:stop] = _scale_colours(stop - start)


@lru_cache(maxsize=16)
def _scale_colours(width: int) -> UInt8[np.ndarray, "w 3"]:
    return trust_colours(np.linspace(0, 1, width))


_OPACITY = 0.22  # of the discs of expected errors


def draw_poses(
    image: UInt8[np.ndarray, "H W 3"],
    poses: Poses,
    skeleton: Skeleton | None = None,
    *,
    style: str = "trust",
    min_score: float | None = None,
    legend: bool = True,
    is_frame: bool = False,
    colour_indices: Int[np.ndarray, " N"] | None = None,
) -> UInt8[np.ndarray, "H W 3"]:
    """Return a copy of the photo, RGB, with the poses drawn on it.

    style: the meaning of colours. "trust": `poses.quality`, a limb's by the lower of its two ends, grey where unknown;
    for poses without any, parts are coloured, and the legend states it. "parts": left blue, right orange, the middle
    white, darker below the waist. "people": one colour per person, by track where there is one. All colours are told
    apart with the common forms of colour blindness. Where colours do not show the side, the left one has white edges.

    With `poses.visibility`, a joint that is most likely not visible (absent) is left out with its limbs, and one that
    is most likely occluded is a hollow ring; `visibility_label` has precedence. A missing joint is left out, and so is
    one with a raw score below `min_score`. The legend counts them, as "not visible" if all are, and poses without any
    joint to draw. A disc holds the joint half of the time, by the error that its quality stands for
    (`geometry.expected_error`), and is shown where it is larger than the joint. Two people or more have numbers, those
    of `report.scene.person_numbers`, which `report.describe.read_out` uses too. Lines are as wide as suits the
    person's size. The legend takes at most 5 % of the picture, in the corner with the fewest joints. is_frame: whether
    the image is a frame of a video, where the legend stays in its corner and only tracks are numbered. colour_indices:
    each person's colour in style "people", as an index into `palettes.PEOPLE`; `report.video.FrameColours`
    keeps them from frame to frame.

    Limbs are those of `skeleton` (default: `poses.skeleton`). Raises ValueError if neither is known or the two have
    different joints, or if `min_score` is given and the poses have no scores; InputError for an unknown style.
    """
    skeleton = skeleton_to_show(poses, skeleton)
    check_style(style)
    if min_score is not None and poses.score is None:
        raise ValueError("min_score: the poses have no scores")
    drawn = np.ascontiguousarray(image).copy()
    if not len(poses):
        return drawn
    scene = prepare(poses, skeleton, style, min_score, drawn.shape, colour_indices)
    order = np.argsort(-scene.width, kind="stable").tolist()  # small people last, on top of large ones
    for row in order:
        _draw_errors(drawn, scene, row)
    for row in order:
        _draw_person(drawn, scene, row)
    joints = scene.joints[scene.shown] / (1 << SHIFT)
    if has_tracks(poses) or (len(poses) > 1 and not is_frame):
        labelled = replace(poses, presence=None) if is_frame else poses  # which would flicker in a video
        _draw_numbers(drawn, scene, labelled, joints, has_colours=style == "people")
    if legend:
        draw_legend(drawn, _entries(poses, scene, skeleton, style, min_score, is_frame), joints, stays=is_frame)
    return drawn


def _entries(
    poses: Poses, scene: Scene, skeleton: Skeleton, style: str, min_score: float | None, is_frame: bool
) -> list[Entry]:
    """Return the legend's entries: only what is in the picture, but in a video the same for every frame."""
    entries: list[Entry] = []
    if style == "trust":
        entries.append(Entry("", "no trust") if poses.quality is None else Entry("scale", "trust"))
        if poses.quality is not None and np.isnan(poses.quality[scene.shown]).any():
            entries.append(Entry("grey", "unknown"))
    if scene.joint_has_white_edge.any():
        entries.append(Entry("left edge", "left"))
    elif skeleton.flip_pairs:
        entries += [Entry("left", "left"), Entry("right", "right")]
    if scene.hollow.any() or (is_frame and poses.decided_visibility is not None):
        entries.append(Entry("ring", "occluded"))
    if scene.error.any() or (is_frame and poses.quality is not None and skeleton.has_sigmas):
        entries.append(Entry("disc", "error"))
    if not is_frame and len(poses) > 1 and any("%" in label for label in person_labels(poses)):
        entries.append(Entry("", "%: presence"))
    return entries + _left_out(poses, scene, min_score)


def _left_out(poses: Poses, scene: Scene, min_score: float | None) -> list[Entry]:
    """Return how many joints are left out, and why, if it is for one reason; people without any joint count apart."""
    body_count = (
        poses.keypoint_count if poses.skeleton is None else poses.skeleton.body_count
    )  # few hands are looked for
    if min_score is not None:
        return [Entry("", f"{int((~scene.shown[:, :body_count]).sum()):,} left out (score < {min_score:g})")]
    is_drawn = np.asarray(scene.shown.any(axis=1))
    left_out, decided = ~scene.shown & is_drawn[:, None], poses.decided_visibility
    left_out[:, body_count:] = False
    absent = np.zeros_like(left_out) if decided is None else decided == Visibility.ABSENT
    count, unseen = int(left_out.sum()), int((~is_drawn).sum())
    entries = [Entry("", f"{count:,} {'not visible' if absent[left_out].all() else 'left out'}")] if count else []
    return [*entries, Entry("", f"{unseen:,} {'pose' if unseen == 1 else 'poses'} not drawn")] if unseen else entries


def _draw_errors(drawn: np.ndarray, scene: Scene, row: int) -> None:
    colours = as_tuples(scene.colours[row])
    for joint in np.flatnonzero(scene.error[row]).tolist():
        tint(drawn, scene.joints[row, joint], float(scene.error[row, joint]), colours[joint], _OPACITY)


def _draw_person(drawn: np.ndarray, scene: Scene, row: int) -> None:
    """Draw a person's limbs, then joints, each on its edge; a white edge has a dark one around, if there is room."""
    width, outline = int(scene.width[row]), int(scene.outline[row])
    dark = [(EDGE, outline)]
    white = [(EDGE, outline + max(1, outline // 2)), (LEFT_EDGE, outline)] if width > 1 else [(LEFT_EDGE, outline)]
    ends, widths, colours = (
        scene.limbs[row].tolist(),
        scene.limb_width[row].tolist(),
        as_tuples(scene.limb_colours[row]),
    )
    limbs = np.flatnonzero(scene.limb_shown[row]).tolist()
    edges = {limb: white if scene.limb_has_white_edge[limb] else dark for limb in limbs}
    for limb in limbs:
        colour, wide = edges[limb][0]
        line(drawn, ends[limb], colour, widths[limb] + 2 * wide)
    for limb in limbs:
        for colour, wide in (*edges[limb][1:], (colours[limb], 0)):
            line(drawn, ends[limb], colour, widths[limb] + 2 * wide)
    colours = as_tuples(scene.colours[row])
    for joint in np.flatnonzero(scene.shown[row]).tolist():
        around = white if scene.joint_has_white_edge[joint] else dark
        _draw_joint(drawn, scene, row, joint, [*around, (colours[joint], 0)])


def _draw_joint(drawn: np.ndarray, scene: Scene, row: int, joint: int, layers: Sequence[tuple[Colour, int]]) -> None:
    """Draw a joint in layers of a colour, each wider than the joint by some pixels."""
    point, radius = scene.joints[row, joint], float(scene.radius[row, joint])
    for colour, wide in layers:
        if scene.hollow[row, joint]:
            circle(drawn, point, radius, colour, int(scene.ring[row]) + 2 * wide)
        else:
            circle(drawn, point, radius + wide, colour)


def _draw_numbers(
    drawn: np.ndarray, scene: Scene, poses: Poses, joints: Float[np.ndarray, "J 2"], *, has_colours: bool
) -> None:
    """Write the number of each person with a visible part."""
    plates, numbers, labels = Plates(drawn, joints), person_numbers(poses), person_labels(poses)
    photo = max(drawn.shape[:2])
    for row in np.argsort(numbers, kind="stable").tolist():
        person_joints = scene.joints[row][scene.shown[row]] / (1 << SHIFT)
        if not len(person_joints) or numbers[row] == MISSING_ID:
            continue
        width = int(scene.width[row])
        height = int(np.clip(5 * width, max(10, photo / 55), max(11, photo / 30)))
        colour = as_tuples(scene.colours[row])[0] if has_colours else None
        plates.put(labels[row], person_joints, 2.5 * width + 2, height, colour)

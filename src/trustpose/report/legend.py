"""The legend of a drawing: a mark and a word each, in the emptiest corner, on at most a twentieth of the picture."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.report.palettes import EDGE, LEFT_EDGE, PARTS, TRUST_SCALE, UNKNOWN, as_tuples, trust_colours
from trustpose.report.strokes import SHIFT, circle, text_mask, tint, write

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

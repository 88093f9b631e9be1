"""Write Matplotlib figures as inline SVG in the page's own font and its light or dark colours."""

import io
import re
import threading
from functools import cache
from typing import Any

from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

# A figure uses these colours; in the page each becomes a CSS variable of that name, which page.css sets for
# light and for dark. The series are Okabe & Ito's colour-blind-safe palette, darkened where it is too pale on white.
COLOURS = {
    "ink": "#1d2329",
    "muted": "#5d6873",
    "grid": "#dfe3e7",
    "paper": "#fffffe",
    "series-0": "#0072b2",
    "series-1": "#d55e00",
    "series-2": "#00805d",
    "series-3": "#b0527f",
    "series-4": "#8a6d00",
    "series-5": "#2f8fc4",
}
SERIES = tuple(name for name in COLOURS if name.startswith("series-"))
MARKERS = ("o", "s", "^", "D", "v", "P")
RASTER_DOTS = 144  # dots per inch of rasterised parts: sharp on high-density screens

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # keep text as text: in the page's font, without outlines
    "svg.hashsalt": "trustpose",  # the same figure gives the same SVG
    "font.size": 12,
    "text.parse_math": False,
    "axes.unicode_minus": True,
}
_METADATA = dict.fromkeys(("Date", "Creator", "Format", "Type"))


def colour(series: int) -> str:
    """Return the colour of a results file by its index; six colours, then they repeat."""
    return COLOURS[SERIES[series % len(SERIES)]]


def axes(
    width: int, height: int, *, left: int = 44, right: int = 10, top: int = 8, bottom: int = 42
) -> tuple[Figure, Axes]:
    """A figure of width × height CSS pixels with one set of axes inside these margins, in the page's plain style."""
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    plot = figure.add_axes(box)
    plot.patch.set_visible(False)
    plot.set_axisbelow(True)
    for side, spine in plot.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set(color=COLOURS["muted"], linewidth=0.8)
    plot.tick_params(color=COLOURS["muted"], labelcolor=COLOURS["muted"], labelsize=11, length=3, width=0.8)
    plot.grid(color=COLOURS["grid"], linewidth=0.8)
    return figure, plot


def label(plot: Axes, x: str = "", y: str = "") -> None:
    """Axis labels in the page's ink."""
    plot.set_xlabel(x, color=COLOURS["ink"], fontsize=12, labelpad=5)
    plot.set_ylabel(y, color=COLOURS["ink"], fontsize=12, labelpad=5)


def unit_square(plot: Axes, margin: float = 0.0) -> None:
    """Both axes from 0 to 1 with ticks at the quarters."""
    for axis in (plot.xaxis, plot.yaxis):
        axis.set_ticks((0, 0.25, 0.5, 0.75, 1), labels=("0", ".25", ".5", ".75", "1"))
    plot.set(xlim=(-margin, 1 + margin), ylim=(-margin, 1 + margin))


@cache
def unit_frame(
    width: int, height: int, left: int, right: int, top: int, bottom: int, x: str, y: str, *, diagonal: bool
) -> str:
    """The background of every `unit_plot` of this size, drawn once: ticks, grid, axis labels, and optionally the
    diagonal."""
    figure, plot = axes(width, height, left=left, right=right, top=top, bottom=bottom)
    unit_square(plot)
    if diagonal:
        plot.plot((0, 1), (0, 1), color=COLOURS["muted"], linewidth=1.1, dashes=(4, 3))
    label(plot, x, y)
    plot.yaxis.labelpad = 2
    return _drawn(figure)


class _Bare(threading.local):
    """A thread's figures for `unit_plot`, by size."""

    def __init__(self) -> None:
        self.figures: dict[tuple[int, ...], tuple[Figure, Axes]] = {}


_BARE = _Bare()


def unit_plot(width: int, height: int, left: int, right: int, top: int, bottom: int) -> tuple[Figure, Axes]:
    """A figure as of `axes`, with bare axes from 0 to 1: for the front of a `unit_frame` of the same size.

    The next call for this size, in the same thread, empties it and returns it again: making axes takes as long as
    drawing what is on them."""
    size = (width, height, left, right, top, bottom)
    if size in _BARE.figures:
        figure, plot = _BARE.figures[size]
        for artist in (*plot.lines, *plot.collections):
            artist.remove()
        return figure, plot
    figure = Figure(figsize=(width / 72, height / 72), dpi=72)
    FigureCanvasSVG(figure)
    box = (left / width, bottom / height, (width - left - right) / width, (height - top - bottom) / height)
    plot = figure.add_axes(box, xlim=(0, 1), ylim=(0, 1))
    plot.set_axis_off()
    _BARE.figures[size] = figure, plot
    return figure, plot


def inline(figure: Figure, name: str, description: str, behind: str = "") -> Markup:
    """The figure as an <svg> element for an HTML page. `name` is a prefix that makes its ids unique on the page,
    `description` is the text for screen readers, and `behind` is a `unit_frame` drawn below the figure."""
    text = _named(behind, f"{name}-behind") + _named(_drawn(figure), name)
    width, height = figure.get_size_inches() * 72
    start = (
        f'<svg class="plot" role="img" aria-label="{escape(description)}" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}">'
    )
    # Safe: matplotlib escapes the letters it draws, and `description` is escaped above.
    return Markup(start + text + "</svg>")


def _drawn(figure: Figure) -> str:
    """Return the elements of the figure's SVG, in the page's colours."""
    file = io.StringIO()
    with rc_context(_STYLE):
        figure.savefig(file, format="svg", transparent=True, dpi=RASTER_DOTS, metadata=_METADATA)
    text = file.getvalue()
    text = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
    text = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)  # not needed in HTML
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    variables = {value: f"var(--{key})" for key, value in COLOURS.items()}
    text = re.sub("|".join(variables), lambda match: variables[match[0]], text)
    return re.sub(r"[ \t]*\n[ \t]*", " ", text).strip()  # a third smaller


def _named(text: str, name: str) -> str:
    """Return the elements with their ids below `name`, without those that nothing refers to."""
    referenced = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    text = re.sub(r' id="([^"]*)"', lambda match: f' id="{name}-{match[1]}"' if match[1] in referenced else "", text)
    return re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", text)

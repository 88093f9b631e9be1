"""Plot an audit as inline SVG. Plots contain no names from files; the page's HTML shows them.

Several audits share a plot if their curves are distinguishable, each in its own colour.
"""

import io
import re
import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from markupsafe import Markup, escape
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from trustpose.evaluation.record import Audit
from trustpose.metrics.average_precision import RECALL_THRESHOLDS
from trustpose.metrics.reliability import ReliabilityCurve, reliability_curve, scale_to_unit

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


MAX_VECTOR_DOTS = 1000  # a larger scatter is rasterised, which is smaller
BINS = 10
ERRORS = ("good", "jitter", "inversion", "swap", "miss")
GAINS = {
    "miss": "misses",
    "swap": "swaps",
    "inversion": "inversions",
    "jitter": "jitters",
    "score": "scores",
    "background_false_positive": "false alarms",
    "background_false_negative": "missed people",
}


def score_against_oks(audit: Audit, series: int = 0, width: int = 390) -> Markup | None:
    """Plot every matched pose at its score and true OKS, with the mean OKS in bins of score; None without poses.
    `width` is in CSS pixels."""
    details = audit.details
    score, oks = details.pose_score[details.measured], details.oks[details.measured]
    if not len(score):
        return None
    figure, plot = axes(width, width - 34)
    many = len(score) > MAX_VECTOR_DOTS
    alpha = float(np.clip(14 / np.sqrt(len(score)), 0.08, 0.5))
    dots = {"marker": "o", "markersize": 3.4 if many else 4.2, "markeredgewidth": 0, "linestyle": "none"}
    plot.plot(score, oks, color=colour(series), alpha=alpha, rasterized=many, clip_on=False, **dots)
    scaled = scale_to_unit(score)
    if scaled is not None:
        unit_square(plot)
        plot.plot((0, 1), (0, 1), color=COLOURS["muted"], linewidth=1.2, dashes=(4, 3))
        curve = reliability_curve(scaled, oks, BINS)
    else:
        plot.set_ylim(0, 1)
        curve = _equal_mass(score, oks)
    seen = curve.count >= max(1, len(score) // 500)  # small bins are too noisy
    line = {"linewidth": 2.2, "marker": "o", "markersize": 6, "markeredgewidth": 1.5}
    plot.plot(
        curve.mean_score[seen],
        curve.mean_target[seen],
        color=COLOURS["ink"],
        markeredgecolor=COLOURS["paper"],
        **line,
    )
    label(plot, "score of the estimator", "true quality (OKS)")
    described = f"Scatter of score against OKS of {len(score)} poses, with the mean OKS in bins of score"
    return inline(figure, f"scatter{series}", described)


def _equal_mass(score: np.ndarray, oks: np.ndarray) -> ReliabilityCurve:
    """Compute mean score and OKS of tenths of the poses, for scores outside 0–1."""
    parts = [part for part in np.array_split(np.argsort(score, kind="stable"), BINS) if len(part)]
    means = [np.array([column[part].mean() for part in parts]) for column in (score, oks)]
    return ReliabilityCurve(np.empty(0), np.array([len(part) for part in parts]), *means)


def keypoint_groups(names: Sequence[str]) -> dict[str, list[int]]:
    """Group columns by type of keypoint: left and right are one type ("left_eye": "eye")."""
    groups: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        kind = name.replace("left_", "").replace("right_", "").replace("_left", "").replace("_right", "")
        groups.setdefault(kind.replace("_", " ").strip() or name, []).append(k)
    return groups


def keypoint_reliability(audits: Sequence[Audit], columns: Sequence[Sequence[int]], name: str) -> Markup | None:
    """Plot mean OPKS against score for one type of keypoint (its columns in each audit); None if no audit has scores on
    the 0–1 scale."""
    pairs = [score_and_opks(audit, kind_columns) for audit, kind_columns in zip(audits, columns, strict=True)]
    if not any(pairs):
        return None
    size = (226, 210, 38, 10, 8, 38)
    figure, plot = unit_plot(*size)
    for series, pair in enumerate(pairs):
        if pair is not None:
            curve = reliability_curve(*pair, BINS)
            if len(audits) == 1:
                _gap(plot, curve, series)
            _curve(plot, curve, series)
    described = "Reliability curve: mean OPKS against score, the diagonal is perfect calibration"
    return inline(figure, name, described, unit_frame(*size, "score", "mean OPKS", diagonal=True))


def score_and_opks(audit: Audit, columns: Sequence[int]) -> tuple[np.ndarray, np.ndarray] | None:
    """Return scores (clipped to 0–1) and OPKS of some keypoint columns, flat; None if scores are on another scale."""
    scaled = scale_to_unit(audit.details.keypoint_score[:, list(columns)].ravel())
    return None if scaled is None else (scaled, audit.details.opks[:, list(columns)].ravel())


def _curve(plot: Axes, curve: ReliabilityCurve, series: int) -> None:
    """Plot the curve with markers whose area is the share of the keypoints in the bin."""
    seen = curve.count > 0
    x, y, share = curve.mean_score[seen], curve.mean_target[seen], curve.count[seen] / curve.count.sum()
    plot.plot(x, y, color=colour(series), linewidth=1.8)
    marker = MARKERS[series % len(MARKERS)]
    sizes = 8 + 260 * share
    plot.scatter(x, y, s=sizes, color=colour(series), marker=marker, linewidths=0.8, edgecolors=COLOURS["paper"])


def _gap(plot: Axes, curve: ReliabilityCurve, series: int) -> None:
    seen = curve.count > 0
    x, y = curve.mean_score[seen], curve.mean_target[seen]
    plot.fill_between(x, x, y, color=colour(series), alpha=0.16, linewidth=0)


def precision_by_occlusion(audits: Sequence[Audit], benchmark: str) -> Markup | None:
    """Plot precision over recall at OKS 0.75 for one occlusion benchmark, ranked by score (solid) and by the true OKS
    (dashed); None if no audit has it."""
    having = [(series, audit.details.precision_75.get(benchmark)) for series, audit in enumerate(audits)]
    if all(precisions is None for _, precisions in having):
        return None
    size = (250, 226, 38, 10, 8, 40)
    figure, plot = unit_plot(*size)
    for series, precisions in having:
        if precisions is None:
            continue
        by_score, by_oks = (_until_zero(precision) for precision in precisions)
        if len(audits) == 1:
            plot.fill_between(RECALL_THRESHOLDS, by_score, by_oks, color=colour(series), alpha=0.16, linewidth=0)
        plot.plot(RECALL_THRESHOLDS, by_oks, color=colour(series), linewidth=1.3, dashes=(3, 2))
        plot.plot(RECALL_THRESHOLDS, by_score, color=colour(series), linewidth=2.2)
    described = f"Precision over recall at OKS 0.75 of people with {benchmark} labelled keypoints"
    behind = unit_frame(*size, "recall", "precision", diagonal=False)
    return inline(figure, f"pr-{benchmark}", described, behind)


def _until_zero(precision: np.ndarray) -> np.ndarray:
    """Return precision up to its first 0, NaN beyond: no line where recall is never reached."""
    beyond = np.cumsum(precision <= 0) > 1
    return np.where(beyond, np.nan, precision)


def error_shares(audits: Sequence[Audit]) -> Markup | None:
    """Plot the share of keypoints of each error kind, a bar per audit; None if no audit has a diagnosed keypoint."""
    counts = np.array([[getattr(audit.errors, kind) for kind in ERRORS] for audit in audits], dtype=float)
    total = counts.sum(axis=1, keepdims=True)
    if not total.any():
        return None
    share = counts / np.maximum(total, 1)
    thick = 0.62 if len(audits) == 1 else 0.8 / len(audits)
    figure, plot = axes(400, 74 + len(ERRORS) * max(30, 17 * len(audits) + 8), left=72, right=46)
    middle = np.arange(len(ERRORS))
    for series, row in enumerate(share):
        bar_positions = middle + (series - (len(audits) - 1) / 2) * thick
        plot.barh(bar_positions, row, height=thick * 0.92, color=colour(series))
        for y, value in zip(bar_positions, row, strict=True):
            text = {"va": "center", "fontsize": 11, "color": COLOURS["ink"]}
            plot.text(value + 0.012, y, f"{100 * value:.1f} %", **text)
    plot.set_yticks(middle, labels=ERRORS)
    _rows_style(plot)
    plot.set_xlim(0, max(0.25, min(1.0, 1.02 * share.max())))
    plot.xaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    label(plot, "share of the labelled keypoints of matched people")
    first = ", ".join(f"{kind} {100 * value:.1f} %" for kind, value in zip(ERRORS, share[0], strict=True))
    return inline(figure, "errors", f"Bars of keypoints by kind of error; of the first file: {first}")


def _rows_style(plot: Axes) -> None:
    """Style named rows from top to bottom, with vertical grid lines only."""
    plot.invert_yaxis()
    plot.grid(visible=False, axis="y")
    plot.tick_params(axis="y", length=0, labelsize=12, labelcolor=COLOURS["ink"])
    plot.spines["left"].set_visible(False)


def gain_start(audit: Audit) -> float | None:
    """Return the AP before the corrections, whose gains add up to 1. None if they could not be measured."""
    gains = [audit.errors.ap_gain.get(stage) for stage in GAINS]
    measured_gains = [gain for gain in gains if gain is not None]
    return 1 - sum(measured_gains) if len(measured_gains) == len(GAINS) else None


def ap_gains(audit: Audit, series: int = 0, width: int = 400) -> Markup | None:
    """Plot the steps from the current AP to 1, where each kind of error is corrected after those above it; None if not
    measured. `width` is in CSS pixels."""
    start = gain_start(audit)
    if start is None:
        return None
    gains = np.array([audit.errors.ap_gain[stage] for stage in GAINS], dtype=float)
    before = start + np.concatenate([[0.0], np.cumsum(gains)[:-1]])
    figure, plot = axes(width, 296, left=98, right=12)
    rows = np.arange(len(gains) + 1)
    plot.barh(0, start, height=0.62, color=COLOURS["muted"])
    plot.barh(rows[1:], gains, left=before, height=0.62, color=colour(series))
    ends = np.concatenate([[start], before + gains])
    plot.vlines(ends[:-1], rows[:-1], rows[1:], color=COLOURS["muted"], linewidth=0.8)
    for row, value in enumerate((start, *gains)):
        low, high = (0.0, start) if row == 0 else sorted((before[row - 1], ends[row]))
        room_left = high > 0.8
        plot.text(
            low - 0.012 if room_left else high + 0.012,
            row,
            f"{value:.3f}" if row == 0 else f"{value:+.3f}".replace("-", "−"),
            **{"va": "center", "ha": "right" if room_left else "left", "fontsize": 11, "color": COLOURS["ink"]},
        )
    plot.set_yticks(rows, labels=["AP now", *GAINS.values()])
    _rows_style(plot)
    plot.set(xlim=(0, 1), xticks=(0, 0.25, 0.5, 0.75, 1))
    plot.set_xticklabels(("0", ".25", ".5", ".75", "1"))
    label(plot, "AP")
    described = ", ".join(f"{name} {gain:+.3f}" for name, gain in zip(GAINS.values(), gains, strict=True))
    return inline(figure, f"gains{series}", f"Stairs from AP {start:.3f} to 1: {described}")

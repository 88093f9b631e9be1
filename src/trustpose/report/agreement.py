"""The page of an agreement: curves in their bands, Bland–Altman plots, and what claimed intervals hold."""

from typing import Any

import numpy as np
from markupsafe import Markup

from trustpose.measures.agreement import REGRESSION, Agreement, MeasureAgreement
from trustpose.measures.paired_readings import PairedReadings
from trustpose.report.plots import COLOURS, axes, colour, inline, label, unit_square
from trustpose.report.templates import TEMPLATES
from trustpose.version import __version__

_UNITS = {"degrees": "°", "radians": "rad", "pixels": "px", "1": ""}
_NUMBERS = (  # name, title, whether it is in the measure's unit
    ("bias", "Bias", True),
    ("rmse", "RMSE", True),
    ("mae", "MAE", True),
    ("large_share", "Large errors", False),
    ("icc_a1", "ICC(A,1)", False),
    ("icc_c1", "ICC(C,1)", False),
    ("ccc", "CCC", False),
    ("slope", "Slope", False),
)
_SIZE = (330, 236)  # of a plot, CSS pixels
_MOST_READINGS = 600  # of a curve over time
_MOST_DOTS = 1200  # of a Bland–Altman plot
_LEVEL = 0.9  # of the interval drawn around a measured curve, or the one that is nearest
_GAP = 3.0  # of the usual steps, above which a curve is broken


def agreement_page(agreement: Agreement) -> str:
    """Return the page of an agreement as HTML, self-contained and without scripts.

    Args:
        agreement: of `tp.agree`.

    Example:
        >>> Path("page.html").write_text(agreement_page(tp.agree("mocap.mot", "video.mot")))
    """
    measures = [_section(name, measure, index) for index, (name, measure) in enumerate(agreement.measures.items())]
    return TEMPLATES.get_template("agreement.html.jinja").render(
        version=__version__,
        agreement=agreement,
        sentences=_sentences(agreement),
        large_errors=" or ".join(
            dict.fromkeys(text for measure in agreement.measures.values() for text in _large(measure))
        ),
        titles=[title for _, title, _ in _NUMBERS],
        measures=measures,
        regression=REGRESSION,
        offsets=[
            {"file": agreement.inputs[clip][1], "text": _offset_text(offset)}
            for clip, offset in enumerate(agreement.offsets)
            if offset is not None
        ],
    )


def _offset_text(offset: Any) -> str:
    if offset.seconds is None:
        return "cannot be found: the curves are too short or constant"
    text = f"{abs(offset.seconds):.3f} s {'late' if offset.seconds > 0 else 'early'} by cross-correlation"
    text += f" (r {offset.correlation:.3f}" + (
        f", {offset.correlation_unshifted:.3f} unshifted)" if offset.correlation_unshifted is not None else ")"
    )
    return text + (f"; times were moved back by {offset.applied:.3f} s" if offset.applied else "; not applied")


def _sentences(agreement: Agreement) -> list[str]:
    """Return the page's opening: the measures that agree best and worst, and whether intervals hold."""
    by_unit: dict[str, list[tuple[float, str]]] = {}
    for name, measure in agreement.measures.items():
        by_unit.setdefault(measure.pairs.unit, []).append((measure["rmse"], name))
    sentences = []
    for unit, rows in by_unit.items():
        (least, best), (most, worst) = min(rows), max(rows)
        if len(rows) == 1:
            sentences.append(f"{best} is off by {_with_unit(least, unit)} (RMSE).")
        else:
            middle = float(np.median([error for error, _ in rows]))
            sentences.append(
                f"The median RMSE of {len(rows)} measures is {_with_unit(middle, unit)}: {best} is off least, by "
                f"{_with_unit(least, unit)}, {worst} most, by {_with_unit(most, unit)}."
            )
    rows = [row for measure in agreement.measures.values() for row in measure.coverage]
    if rows:
        level = min({row.claimed for row in rows}, key=lambda claimed: abs(claimed - _LEVEL))
        chosen = [row for row in rows if row.claimed == level]
        share = sum(row.share * row.n for row in chosen) / sum(row.n for row in chosen)
        sentences.append(f"Intervals that claim {level:.0%} hold {share:.0%} of the reference values.")
    return sentences


def _section(name: str, measure: MeasureAgreement, index: int) -> dict[str, Any]:
    unit = measure.pairs.unit
    cells = []
    for key, _, is_in_unit in _NUMBERS:
        estimate = measure.numbers[key]
        is_share = key == "large_share"
        cells.append(
            {
                "text": _share(estimate.value) if is_share else _text(estimate.value, key == "bias", is_in_unit),
                "interval": None
                if np.isnan(estimate.low)
                else [
                    _share(end) if is_share else _text(end, False, is_in_unit) for end in (estimate.low, estimate.high)
                ],
            }
        )
    limits = [_text(measure[end], False, True) for end in ("low_limit", "high_limit")]
    return {
        "name": name,
        "unit": _UNITS.get(unit, unit),
        "n": len(measure.pairs),
        "cells": cells,
        "limits": limits,
        "percentile_limits": [_text(end, False, True) for end in measure.percentile_limits],
        "curve": _cycle_curves(measure, index) if measure.cycles is not None else _curve_over_time(measure, index),
        "is_cycle": measure.cycles is not None,
        "cycles": None if measure.cycles is None else len(measure.cycles.curves),
        "bland_altman": _bland_altman(measure, index),
        "coverage": _coverage(measure, index),
        "coverage_rows": measure.coverage,
        "per_cycle": {}
        if measure.cycles is None
        else {
            key: [
                _text(number.bias, True, True),
                _text(number.low_limit, False, True),
                _text(number.high_limit, False, True),
            ]
            for key, number in measure.cycles.numbers.items()
        },
        "level": f"{_drawn_level(measure.pairs):.0%}".replace("%", "\u00a0%") if measure.coverage else "",
    }


def _text(value: float, sign: bool, is_in_unit: bool) -> str:
    """Format a number of the measure's unit with three digits, another with three decimals."""
    if np.isnan(value):
        return "–"
    decimals = 3 if not is_in_unit or abs(value) < 1 else 2 if abs(value) < 10 else 1
    return (f"{value:+.{decimals}f}" if sign else f"{value:.{decimals}f}").replace("-", "−")


def _large(measure: MeasureAgreement) -> list[str]:
    """Return from where on an error of this measure counts as large, none if nothing was named."""
    return [] if measure.large is None else [_with_unit(measure.large, measure.pairs.unit)]


def _share(value: float) -> str:
    return "–" if np.isnan(value) else f"{100 * value:.1f}\u00a0%"


def _with_unit(value: float, unit: str) -> str:
    text = _text(value, False, True)
    return text + (_UNITS.get(unit, unit) if unit == "degrees" else f" {_UNITS.get(unit, unit)}".rstrip())


def _axis(unit: str) -> str:
    return {"degrees": ", °", "1": ""}.get(unit, f", {_UNITS.get(unit, unit)}")


def _cycle_curves(measure: MeasureAgreement, index: int) -> Markup:
    """Plot the mean curves over 0–100 % of a cycle, each in a band of one standard deviation."""
    assert measure.cycles is not None
    figure, plot = axes(*_SIZE, left=50)
    share = np.linspace(0, 100, 101)
    styles = ((COLOURS["ink"], (None, None)), (colour(0), (None, None)))
    for (line, _), mean, sd in zip(styles, measure.cycles.mean(), measure.cycles.sd(), strict=True):
        if np.isfinite(sd).all():
            plot.fill_between(share, mean - sd, mean + sd, color=line, alpha=0.16, linewidth=0)
        plot.plot(share, mean, color=line, linewidth=2)
    plot.set_xlim(0, 100)
    label(plot, "cycle, %", "mean ± SD" + _axis(measure.pairs.unit))
    return inline(
        figure, f"curve{index}", "Mean curves of reference and measured values over a cycle, with bands of 1 SD"
    )


def _drawn_level(pairs: PairedReadings) -> float:
    return min(pairs.levels, key=lambda level: abs(level - _LEVEL))


def _curve_over_time(measure: MeasureAgreement, index: int) -> Markup | None:
    """Plot the first recording over time, measured values in their interval; None where rows have no times."""
    pairs = measure.pairs
    if not np.isfinite(pairs.time).all():
        return None
    rows = np.flatnonzero(pairs.series == pairs.series.min())[:_MOST_READINGS]
    time = pairs.time[rows]
    figure, plot = axes(*_SIZE, left=50)
    breaks = np.flatnonzero(np.diff(time) > _GAP * np.median(np.diff(time))) + 1 if len(time) > 1 else []
    for part in np.split(np.arange(len(rows)), breaks):
        of = rows[part]
        if measure.coverage:
            column = pairs.levels.index(_drawn_level(pairs))
            low, high = pairs.low[of, column], pairs.high[of, column]
            plot.fill_between(time[part], low, high, color=colour(0), alpha=0.2, linewidth=0)
        plot.plot(time[part], pairs.reference[of], color=COLOURS["ink"], linewidth=1.6)
        plot.plot(time[part], pairs.measured[of], color=colour(0), linewidth=1.6)
    if len(time) > 1:
        plot.set_xlim(time[0], time[-1])
    label(plot, "time, s", "value" + _axis(pairs.unit))
    return inline(
        figure, f"curve{index}", "Reference and measured values over time, the measured ones in their interval"
    )


def _bland_altman(measure: MeasureAgreement, index: int) -> Markup:
    """Plot differences over means, with bias and limits of agreement."""
    pairs = measure.pairs
    rows = np.unique(np.linspace(0, len(pairs) - 1, min(len(pairs), _MOST_DOTS)).astype(int))
    difference = (pairs.measured - pairs.reference)[rows]
    mean = ((pairs.measured + pairs.reference) / 2)[rows]
    figure, plot = axes(*_SIZE, left=50)
    alpha = float(np.clip(9 / np.sqrt(len(rows)), 0.12, 0.7))
    dots = {"marker": "o", "markersize": 3.4, "markeredgewidth": 0, "linestyle": "none"}
    plot.plot(mean, difference, color=colour(0), alpha=alpha, rasterized=len(rows) > 300, **dots)
    plot.axhline(0, color=COLOURS["muted"], linewidth=0.9)
    plot.axhline(measure["bias"], color=COLOURS["ink"], linewidth=1.8)
    for end in ("low_limit", "high_limit"):
        plot.axhline(measure[end], color=COLOURS["ink"], linewidth=1.3, dashes=(4, 3))
    label(plot, "mean of both" + _axis(pairs.unit), "measured − reference")
    return inline(
        figure, f"limits{index}", "Bland–Altman plot: differences over means, with bias and limits of agreement"
    )


def _coverage(measure: MeasureAgreement, index: int) -> Markup | None:
    """Plot the share that intervals hold over the share that they claim; None without intervals."""
    if not measure.coverage:
        return None
    figure, plot = axes(*_SIZE, left=50)
    unit_square(plot)
    plot.plot((0, 1), (0, 1), color=COLOURS["muted"], linewidth=1.1, dashes=(4, 3))
    claimed = [row.claimed for row in measure.coverage]
    share = np.array([row.share for row in measure.coverage])
    ends = np.array([(row.low, row.high) for row in measure.coverage])
    for x, (low, high) in zip(claimed, ends, strict=True):
        if np.isfinite(low):
            plot.plot((x, x), (low, high), color=colour(0), linewidth=1.2)
    plot.plot(claimed, share, color=colour(0), linewidth=1.8, marker="o", markersize=5.5, clip_on=False)
    label(plot, "claimed", "held")
    plot.yaxis.labelpad = 2
    return inline(figure, f"coverage{index}", "Share of reference values within the intervals over the share claimed")

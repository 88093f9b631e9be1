"""The page of an agreement with a reference: numbers, curves in their bands, Bland and Altman's plot, coverage against
claim, cycles. One self-contained HTML file without scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from trustpose.files import atomic_write
from trustpose.measures.agree import COLUMNS, CYCLE, Agreement, MeasureAgreement, row_of
from trustpose.poses.rows import counted
from trustpose.report.plots import COLOURS, axes, colour, inline, label, unit_square
from trustpose.version import __version__

_WIDTH, _HEIGHT = 460, 260  # of a plot, CSS pixels
_MOST_POINTS = 3000  # drawn of a curve or scatter
_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)


@dataclass(frozen=True)
class _Plot:
    svg: Markup
    caption: str


def write_agreement_page(path: str | Path, agreement: Agreement, reference: str, measured: str, large: float) -> None:
    """Write the page. Raises InputError if the file cannot be written.

    Args:
        path: the file.
        agreement: what is shown.
        reference: the reference's name.
        measured: the measured file's name.
        large: limit of a large difference, as it was compared.
    """
    items = list(agreement.measures.values())
    html = _TEMPLATES.get_template("agreement.html.jinja").render(
        css=Markup((Path(__file__).parent / "page.css").read_text(encoding="utf-8")),
        reference=reference,
        measured=measured,
        count=counted(len(items), "measure is", "measures are"),
        offset=", ".join("not known" if np.isnan(late) else f"{late:+.3f} s" for late in agreement.offset),
        shifted=agreement.is_shifted,
        clusters=agreement.clusters,
        notes=agreement.notes,
        columns=COLUMNS,
        rows=[[item.measure, *row_of(item)] for item in items],
        large=f"{large:g}",
        measures=[
            {"name": f"{item.measure}{f' ({item.unit})' if item.unit else ''}", "plots": _plots(item, f"m{number}")}
            for number, item in enumerate(items)
        ],
        version=__version__,
    )
    with atomic_write(path) as file:
        file.write(html.encode())


def _plots(item: MeasureAgreement, name: str) -> list[_Plot]:
    plots = [_curves(item, f"{name}-curves"), _bland_altman(item, f"{name}-limits")]
    if len(item.claimed) > 1:
        plots.append(_coverage(item, f"{name}-coverage"))
    if item.cycles is not None:
        plots.append(_cycle_curves(item, f"{name}-cycles"))
    return plots


def _curves(item: MeasureAgreement, name: str) -> _Plot:
    figure, plot = axes(_WIDTH, _HEIGHT)
    first = item.clip == item.clip[0]
    rows = np.flatnonzero(first)[:: max(1, first.sum() // _MOST_POINTS)]
    rows = rows[np.argsort(item.time[rows], kind="stable")]
    plot.plot(item.time[rows], item.reference[rows], color=COLOURS["ink"], linewidth=1.3, label="reference")
    plot.plot(item.time[rows], item.measured[rows], color=colour(0), linewidth=1.3, label="measured")
    caption = "Reference (dark) and measured (blue)"
    if len(item.ends):
        low, high = item.ends[-1][:, rows]
        plot.fill_between(item.time[rows], low, high, color=colour(0), alpha=0.2, linewidth=0)
        caption += f", with its {max(map(float, item.claimed)):.0%} intervals" if item.claimed else ""
    label(plot, "seconds", item.unit)
    return _Plot(inline(figure, name, f"{item.measure} over time"), caption)


def _bland_altman(item: MeasureAgreement, name: str) -> _Plot:
    figure, plot = axes(_WIDTH, _HEIGHT)
    rows = slice(None, None, max(1, len(item.reference) // _MOST_POINTS))
    mean, difference = (item.reference + item.measured)[rows] / 2, (item.measured - item.reference)[rows]
    plot.plot(mean, difference, ".", color=colour(0), markersize=2.5, alpha=0.5, rasterized=True)
    numbers = item.statistics
    for value, dashes in ((numbers.bias, ()), (numbers.limits[0], (4, 3)), (numbers.limits[1], (4, 3))):
        plot.axhline(value, color=COLOURS["ink"], linewidth=1.1, **({"dashes": dashes} if dashes else {}))
    label(plot, f"mean of both, {item.unit}".rstrip(", "), "measured − reference")
    return _Plot(inline(figure, name, f"{item.measure}: differences over means"), "Bland and Altman: bias and limits")


def _coverage(item: MeasureAgreement, name: str) -> _Plot:
    figure, plot = axes(_HEIGHT, _HEIGHT)
    claimed = [float(level) for level in item.claimed]
    held = [agreement.coverage for agreement in item.claimed.values()]
    plot.plot((0, 1), (0, 1), color=COLOURS["muted"], linewidth=1.1, dashes=(4, 3))
    plot.plot(claimed, held, "o-", color=colour(0), linewidth=1.3, markersize=5)
    unit_square(plot)
    label(plot, "claimed", "held")
    return _Plot(inline(figure, name, f"{item.measure}: coverage against claim"), "Intervals: held against claimed")


def _cycle_curves(item: MeasureAgreement, name: str) -> _Plot:
    assert item.cycles is not None
    figure, plot = axes(_WIDTH, _HEIGHT)
    both: Sequence[tuple[np.ndarray, str]] = (
        (item.cycles.reference, COLOURS["ink"]),
        (item.cycles.measured, colour(0)),
    )
    for curves, shade in both:
        mean, sd = curves.mean(axis=0), curves.std(axis=0)
        plot.fill_between(CYCLE, mean - sd, mean + sd, color=shade, alpha=0.15, linewidth=0)
        plot.plot(CYCLE, mean, color=shade, linewidth=1.3)
    label(plot, "% of the cycle", item.unit)
    count = counted(len(item.cycles.reference), "cycle")
    return _Plot(inline(figure, name, f"{item.measure} over a cycle"), f"{count}: mean ± standard deviation")

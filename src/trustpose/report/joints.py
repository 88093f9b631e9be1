"""The page's section on joints in the right place: curves and tables of PCK, PCKh, PDJ, FCK and PCP."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from trustpose.evaluation.comparison import outcome
from trustpose.evaluation.localisation import JointsAudit
from trustpose.evaluation.record import Audit, Comparison
from trustpose.evaluation.section_records import Localisation, PartRate
from trustpose.report.plots import COLOURS, SERIES, axes, colour, inline, label
from trustpose.report.summary import file_labels, number
from trustpose.report.templates import TEMPLATES, letter
from trustpose.version import __version__

_SIZE = (250, 226)
_MARGINS = {"left": 42, "right": 10, "top": 8, "bottom": 40}


def joint_sections(audits: Sequence[Audit] | Sequence[JointsAudit]) -> list[dict[str, Any]]:
    """Return what the template needs for each metric that all audits have: title, panels with a plot each, and rows of
    numbers."""
    names = [name for name in audits[0].localisation if all(name in audit.localisation for audit in audits)]
    return [_section(audits, name, index) for index, name in enumerate(names)]


def _section(audits: Sequence[Audit] | Sequence[JointsAudit], name: str, index: int) -> dict[str, Any]:
    localisations = [audit.localisation[name] for audit in audits]
    first = localisations[0]
    panels = [
        {
            "kind": "All together",
            "plot": _plot(localisations, None, f"joints{index}"),
            "rates": [localisation.total for localisation in localisations],
        }
    ]
    for group_index, group in enumerate(first.groups):
        plot = _plot(localisations, group, f"joints{index}-{group_index}")
        panels.append(
            {
                "kind": _words(group),
                "plot": plot,
                "rates": [localisation.groups[group] for localisation in localisations],
            }
        )
    rows = [("total", "Total"), *([("all", f"All {len(first.parts)} joints")] if first.all != first.total else [])]
    rows += [("mean", "Mean of the groups"), ("auc", "Area under the total’s curve")]
    rows += [(f"groups.{group}", _words(group)) for group in first.groups]
    if first.headline == "error":
        rows = [("error", "Mean error"), ("total", f"Within {first.fraction:g}"), *rows[1:]]
    return {
        "name": name,
        "title": first.title,
        "rate": f"within {first.fraction:g}" if first.headline == "error" else first.title,
        "headline": rows[0][1],
        "reference": first.reference,
        "counted": _shared([_counted(localisation) for localisation in localisations]),
        "panels": [panel | {"rates": [number(rate) for rate in panel["rates"]]} for panel in panels],
        "rows": [
            {
                "title": title,
                "name": f"localisation.{name}.{key}",
                "cells": [_cell(audit, name, key) for audit in audits],
            }
            for key, title in rows
        ],
        "differences": _differences(audits, name),
        "parts": [
            {
                "title": _words(part),
                "n": part_rate.n,
                "rates": [number(_part(localisation, part).rate) for localisation in localisations],
            }
            for part, part_rate in first.parts.items()
        ],
    }


def _part(localisation: Localisation, part: str) -> PartRate:
    return localisation.parts[part]


def _counted(localisation: Localisation) -> str:
    people = f"{localisation.people:,} people"
    if localisation.without_result:
        people += f", {localisation.without_result:,} of all without a result"
    if localisation.without_reference:
        people += f"; {localisation.without_reference:,} left out, whose labels do not give this length"
    return people


def _shared(texts: list[str]) -> list[str]:
    """Return one text for all files if they have the same."""
    return texts[:1] if len(set(texts)) == 1 else texts


def describe_difference(difference: Comparison) -> str:
    """Return how a file's number differs from another's, in words."""
    return {"better": "better", "worse": "worse", "undecided": "not distinguishable"}[outcome(difference)]


def _differences(audits: Sequence[Audit] | Sequence[JointsAudit], name: str) -> list[dict[str, Any]]:
    """Return the cells of the headline's difference from the first file's, a dash for the first; none of a single
    file."""
    cells, first = [], audits[0].inputs["results"]["file"]
    for index, audit in enumerate(audits):
        metric = f"localisation.{name}.{audit.localisation[name].headline}"
        differences = (
            [difference for difference in audit.compare if difference.metric == metric and difference.against == first]
            if index
            else []
        )
        cell: dict[str, Any] = {"text": "–", "interval": None, "note": None, "best": False, "judged": ""}
        if differences:
            cell["text"] = number(differences[0].difference, sign=True)
        if differences and differences[0].low is not None and differences[0].high is not None:
            cell["interval"] = [number(differences[0].low, sign=True), number(differences[0].high, sign=True)]
            cell["judged"] = describe_difference(differences[0])
        cells.append(cell)
    return cells if len(audits) > 1 else []


def _cell(audit: Audit | JointsAudit, name: str, key: str) -> dict[str, Any]:
    dotted = f"localisation.{name}.{key}"
    interval = audit.intervals.get(dotted)
    ends = None if interval is None else [number(end) for end in interval]
    return {"text": number(audit.number(dotted)), "interval": ends, "note": None, "best": False}


def _plot(localisations: Sequence[Localisation], group: str | None, name: str) -> Markup:
    """Plot the share of correct joints over the fraction of the reference length, one curve per file; the dashed line
    stands at the fraction of the table."""
    figure, plot = axes(*_SIZE, **_MARGINS)
    first = localisations[0]
    for series, localisation in enumerate(localisations):
        rates = localisation.curve.total if group is None else localisation.curve.groups[group]
        heights = [float("nan") if rate is None else rate for rate in rates]
        plot.plot(localisation.curve.fractions, heights, color=colour(series), linewidth=2, clip_on=False)
    plot.axvline(first.fraction, color=COLOURS["muted"], linewidth=1.1, dashes=(4, 3))
    farthest = max(localisation.curve.fractions[-1] for localisation in localisations)
    plot.set(xlim=(0, farthest), ylim=(0, 1))
    steps = [farthest * step / 5 for step in range(6)]
    plot.xaxis.set_ticks(steps, labels=[f"{step:.2g}".removeprefix("0") or "0" for step in steps])
    plot.yaxis.set_ticks((0, 0.25, 0.5, 0.75, 1), labels=("0", "25", "50", "75", "100"))
    label(plot, "fraction of the reference", "correct, %")
    plot.yaxis.labelpad = 2
    described = f"{first.title}: share of correct {'joints' if group is None else _words(group)} over the fraction"
    return inline(figure, name, described)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()


def joints_page(audits: Sequence[JointsAudit]) -> str:
    """Return the page as HTML. Raises ValueError without an audit."""
    if not audits:
        raise ValueError("audits: expected at least one, got none")
    labels = file_labels(audits)
    return TEMPLATES.get_template("joints_page.html.jinja").render(
        version=__version__,
        audits=audits,
        labels=labels,
        colours=[SERIES[index % len(SERIES)] for index in range(len(audits))],
        letters=[letter(index) for index in range(len(audits))],
        sentences=[_sentence(audit, label) for audit, label in zip(audits, labels, strict=True)],
        joints=joint_sections(audits),
    )


def _sentence(audit: JointsAudit, label: str) -> str:
    """Return a file's headlines, and how its first metric's differs from the other files'."""
    rates = [
        f"{localisation.title} {number(getattr(localisation, localisation.headline))}"
        for localisation in audit.localisation.values()
    ]
    text = f"{label}: {', '.join(rates)}."
    name, first = next(iter(audit.localisation.items()))
    for difference in audit.compare:
        if difference.metric == f"localisation.{name}.{first.headline}" and difference.low is not None:
            change = number(difference.difference, sign=True)
            against = Path(difference.against).name
            text += f" {first.title} {change} against {against}: {describe_difference(difference)}."
    return text

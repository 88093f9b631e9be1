"""`trustpose audit --table`: the tables of papers, one below the other; imported when it runs."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trustpose.evaluation.record import Audit, Number
from trustpose.report.summary import file_labels


def print_tables(audits: Sequence[Audit]) -> None:
    """Print the tables that were asked for, with columns for each file; nothing if none were."""
    console, names = Console(), audits[0].tables
    if "thresholds" in names:
        console.print(_thresholds(audits))
    if "scoring-errors" in names:
        console.print(_scoring_errors(audits))
    for audit, label in zip(audits, file_labels(audits), strict=True):
        if "non-0" in names:
            console.print(_non_0(audit, f" of {label}" if len(audits) > 1 else ""))


def _thresholds(audits: Sequence[Audit]) -> Table:
    tables = [audit.tables["thresholds"] for audit in audits]
    table = _table("AP at single OKS thresholds", _columns(audits, ("AP", "oracle AP")))
    gain = len(audits) == 2
    if gain:
        table.add_column("AP, second less first", justify="right")
    for name in tables[0]:
        cells = [_cell(value) for rows in tables for value in (rows[name].AP, rows[name].oracle_AP)]
        has_both = gain and None not in (tables[0][name].AP, tables[1][name].AP)
        cells += [f"{tables[1][name].AP - tables[0][name].AP:+.3f}" if has_both else "–"] * gain
        table.add_row(name, *cells)
    return table


def _scoring_errors(audits: Sequence[Audit]) -> Table:
    errors = [audit.tables["scoring-errors"] for audit in audits]
    table = _table("Scoring errors", _columns(audits, ("score", "optimal score")))
    rows = {
        "people outranked by a worse pose": [(error.errors, error.errors_by_optimal_score) for error in errors],
        "images in another order": [(error.reordered_images, 0) for error in errors],
        "images": [(error.images, error.images) for error in errors],
        "closest poses of contested people": [
            (sum(error.score.closest), sum(error.optimal_score.closest)) for error in errors
        ],
        "other poses near them": [(sum(error.score.others), sum(error.optimal_score.others)) for error in errors],
        "overlap of both histograms": [(error.score.overlap, error.optimal_score.overlap) for error in errors],
    }
    for name, pairs in rows.items():
        table.add_row(name, *(f"{count:,}" for pair in pairs for count in pair))
    return table


def _non_0(audit: Audit, label: str) -> Table:
    table = _table(f"mAPK{label}, and without keypoints predicted absent (non-0)", ("AP", "AR", "non-0 AP", "non-0 AR"))
    for name, row in audit.tables["non-0"].items():
        table.add_row(name.replace("_", " "), *map(_cell, (row.AP, row.AR, row.non_0_AP, row.non_0_AR)))
    return table


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _columns(audits: Sequence[Audit], names: Sequence[str]) -> list[str]:
    """Return the columns' heads: the names, each file's with its label where there are several."""
    if len(audits) == 1:
        return list(names)
    return [f"{escape(label)}: {name}" for label in file_labels(audits) for name in names]


def _cell(value: Number) -> str:
    return "–" if value is None else f"{value:.3f}"

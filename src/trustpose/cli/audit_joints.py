"""`trustpose audit` of joints: the tables of PCK and its relatives, and the audit of data sets without OKS."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from trustpose.evaluation.joints_only import JointsAudit
    from trustpose.evaluation.record import Audit


def show_joints(audits: "Sequence[JointsAudit]", *, json: Path | None, report: Path | None) -> None:
    """Print the tables of audits without OKS, and write JSON and page."""
    from trustpose.cli.audit_tables import print_notes
    from trustpose.cli.outputs import say_written, write_together
    from trustpose.files import json_bytes
    from trustpose.report.page import page

    print_localisation(audits)
    print_notes(audits)
    contents: dict[Path, bytes] = {}
    if json is not None:
        written = [audit.as_dict() for audit in audits]
        contents[json] = json_bytes(written[0] if len(written) == 1 else written)
    if report is not None:
        contents[report] = page(audits).encode()
    write_together(contents)
    if json is not None:
        say_written(json, "the numbers as JSON")
    if report is not None:
        say_written(report, "the report, a page for any browser")


def print_localisation(audits: "Sequence[Audit] | Sequence[JointsAudit]") -> None:
    """Print each metric's groups of joints or limbs, total, mean and area under the curve, one column per file."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from trustpose.report.summary import file_labels

    for name, first in audits[0].localisation.items():
        table = Table(title=f"{first.title}, of {first.reference}", title_justify="left")
        table.add_column("")
        for label in file_labels(audits):
            table.add_column(escape(label), justify="right")
        numbers = [f"groups.{group}" for group in first.groups]
        numbers += ["total", *(["all"] if first.all != first.total else []), "mean", "auc"]
        if first.headline == "error":
            numbers = ["error", *numbers]
        for number in numbers:
            label = number.removeprefix("groups.").replace("_", " ")
            cells = [_cell(audit, f"localisation.{name}.{number}") for audit in audits]
            named = {"auc": "area under the curve", "all": f"all {len(first.parts)} joints"}
            if first.headline == "error":
                named |= {"error": "mean error", "total": f"within {first.fraction:g}"}
            table.add_row(named.get(label, label), *cells)
        Console().print(table)
    for audit in audits[1:]:
        _print_differences(audit, audits[0])


def _print_differences(audit: "Audit | JointsAudit", first: "Audit | JointsAudit") -> None:
    """Print how the totals differ from those of the first file."""
    import typer

    from trustpose.evaluation.comparison import outcome

    against = first.inputs["results"]["file"]
    for comparison in audit.compare:
        section, name, number = (*comparison.metric.split("."), "", "")[:3]
        if comparison.against != against or section != "localisation" or number != audit.localisation[name].headline:
            continue
        title, interval = audit.localisation[name].title, ""
        if comparison.low is not None:
            interval = f" [{comparison.low:+.3f}, {comparison.high:+.3f}] {outcome(comparison)}"
        difference = f"{title} {comparison.difference:+.3f}{interval}"
        typer.echo(f"{comparison.file}: {difference} than {against}, paired draws of photos")


def _cell(audit: "Audit | JointsAudit", name: str) -> str:
    value, interval = audit.number(name), audit.intervals.get(name)
    if value is None:
        return "–"
    return f"{value:.3f}" + (f"  [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")

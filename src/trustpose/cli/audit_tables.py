"""The terminal output of `trustpose audit`: numbers of each file, differences, effects of other scores, tables
of joints and of papers.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from trustpose.cli.outputs import say_written, write_together
from trustpose.evaluation.comparison import comparable, compare, outcome
from trustpose.evaluation.record import Audit
from trustpose.evaluation.section_records import Number
from trustpose.files import json_bytes
from trustpose.report.summary import conclusion, file_labels, number

if TYPE_CHECKING:
    from trustpose.evaluation.localisation import JointsAudit
    from trustpose.evaluation.precision import Rescoring
    from trustpose.evaluation.record import Audit, Comparison

_ROWS = (
    ("AP", "ap.AP", "average precision, ranked by the score"),
    ("AP50", "ap.AP50", ""),
    ("AP75", "ap.AP75", ""),
    ("AR", "ap.AR", ""),
    ("AP easy", "crowd.easy.AP", "photos with crowd index below 0.2"),
    ("AP medium", "crowd.medium.AP", "crowd index from 0.2 to below 0.8"),
    ("AP hard", "crowd.hard.AP", "crowd index 0.8 and above"),
    ("oracle AP", "oracle_ap.AP", "AP with the true OKS as score"),
    ("headroom", "headroom", "AP that better scores could gain"),
    ("presence AUROC", "presence.auroc", "boxes of people against other boxes"),
    ("presence ECE", "presence.ece", ""),
    ("pose r", "pose.pearson", "Pearson, pose score with OKS"),
    ("pose ECE", "pose.ece", "calibration error, pose score and OKS"),
    ("keypoint r", "keypoint.pearson", "Pearson, keypoint score with OPKS"),
    ("average r", "keypoint.pearson_pose_mean", "the same, averaged over each pose"),
    ("keypoint ECE", "keypoint.ece", ""),
    ("in 50 % disc", "pixels.coverage.50", "errors within the expected median"),
    ("in 80 % disc", "pixels.coverage.80", ""),
    ("in 95 % disc", "pixels.coverage.95", ""),
    ("error ratio", "pixels.median_ratio", "median of error / expected median"),
    ("labelled F1", "visibility.labelled.f1", "labelled against unlabelled"),
    ("ternary F1", "visibility.ternary.total.f1", "absent, occluded, visible"),
    ("occluded F1", "visibility.ternary.occluded.f1", "likeliest class, or the file's label"),
    ("occluded best F1", "visibility.occluded.best_f1", "threshold chosen on other photos"),
    ("occluded AP", "visibility.occluded.average_precision", "P(occluded), labelled keypoints"),
    ("occluded AUROC", "visibility.occluded.auroc", ""),
    ("… AP if labelled", "visibility.occluded.given_labelled.average_precision", "P(occluded | labelled)"),
    ("… AUROC if labelled", "visibility.occluded.given_labelled.auroc", ""),
    ("HOTA", "tracking.HOTA", "people followed, by OKS: √(DetA × AssA)"),
    ("… DetA", "tracking.DetA", "people found"),
    ("… AssA", "tracking.AssA", "ids kept"),
    ("IDF1", "tracking.IDF1", "poses that have the right id"),
    ("MOTA", "tracking.MOTA", "misses, false alarms and switches, OKS 0.5"),
    ("switches", "tracking.switches", ""),
    ("PoseTrack MOTA", "tracking.posetrack.MOTA", "mean over joints"),
    ("PoseTrack AP", "tracking.posetrack.AP", "mean over joints"),
)
_WHERE_KNOWN = ("presence.", "visibility.occluded.", "visibility.ternary.occluded.", "pixels.", "tracking.")


def print_numbers(audits: "Sequence[Audit]") -> None:
    """Print the numbers of each file, one column per file."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    labels = file_labels(audits)
    first = audits[0]
    fields = f"ranked by {first.score_field}; pose: {first.pose_field}"
    table = Table(title=escape(f"area: {first.area}; {fields}"), title_justify="left")
    table.add_column("")
    for label in labels:
        table.add_column(escape(label), justify="right")
    if len(audits) == 1:
        table.add_column("", style="dim")
    for label, name, meaning in _ROWS:
        if name.startswith("crowd.") and not audits[0].crowd:
            continue
        if name.startswith(_WHERE_KNOWN) and all(audit.number(name) is None for audit in audits):
            continue  # without visibility, quality or tracks in any file; the notes say so
        cells = [_cell(audit, name) for audit in audits]
        table.add_row(label, *cells, *([meaning] if len(audits) == 1 else []))
    Console().print(table)


def print_joint_calibration(audits: "Sequence[Audit]") -> None:
    """Print the calibration error of each kind of joint, left and right averaged, one column per file: a small error
    over all keypoints can hide a large one of the face. Nothing where no file's scores are on the scale 0–1."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    kinds: dict[str, list[str]] = {}
    for name in audits[0].keypoint_types:
        kinds.setdefault(name.removeprefix("left_").removeprefix("right_").replace("_", " "), []).append(name)
    rows = {}
    for kind, names in kinds.items():
        errors = [[audit.keypoint_types[name].ece for name in names] for audit in audits]
        rows[kind] = ["–" if None in pair else f"{sum(map(float, pair)) / len(pair):.3f}" for pair in errors]  # type: ignore[arg-type]
    if all(cell == "–" for cells in rows.values() for cell in cells):
        return
    table = Table(title="keypoint ECE by joint", title_justify="left")
    table.add_column("")
    for label in file_labels(audits):
        table.add_column(escape(label), justify="right")
    for kind, cells in rows.items():
        table.add_row(escape(kind), *cells)
    Console().print(table)


def print_discs(audits: "Sequence[Audit]") -> None:
    """Print the share of keypoints within the discs that should hold 50, 80 and 95 %, by kind of joint and by range of
    expected OPKS, one column per file; nothing where no file has quality."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not any(audit.pixels.n for audit in audits):
        return
    table = Table(title="in 50, 80, 95 % discs", title_justify="left")
    table.add_column("")
    for label, audit in zip(file_labels(audits), audits, strict=True):
        table.add_column(escape(f"{label} ({audit.pixels.discs or 'none'})"), justify="right")
    for field, prefix in (("joints", ""), ("by_quality", "expected OPKS ")):
        divided = [getattr(audit.pixels, field) for audit in audits]
        for name in dict.fromkeys(name for rows in divided for name in rows):
            shares = [rows[name].coverage.values() if name in rows else () for rows in divided]
            cells = [", ".join("–" if share is None else f"{share:.3f}" for share in row) or "–" for row in shares]
            table.add_row(escape(prefix + name.replace("_", " ")), *cells)
    Console().print(table)


def print_categories(audits: "Sequence[Audit]") -> None:
    """Print AP and the number of people of each category, one column per file; nothing for a single category."""
    if not audits[0].categories:
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="AP by category", title_justify="left")
    table.add_column("")
    table.add_column("people", justify="right")
    for label in file_labels(audits):
        table.add_column(escape(label), justify="right")
    for name, category in audits[0].categories.items():
        values = [audit.categories[name].AP for audit in audits]
        cells = ["–" if value is None else f"{value:.3f}" for value in values]
        table.add_row(escape(name), str(category.n), *cells)
    Console().print(table)


def print_verdicts(audits: "Sequence[Audit]") -> None:
    """Print one sentence on each file: what its scores are good for, and what to do about them."""
    for label, audit in zip(file_labels(audits), audits, strict=True):
        typer.echo(f"{label}: {conclusion(audit)}")


def print_notes(audits: "Sequence[Audit] | Sequence[JointsAudit]") -> None:
    """Print what could not be computed, with the reasons."""
    from rich.console import Console

    console = Console()
    for label, audit in zip(file_labels(audits), audits, strict=True):
        name = f"{label}: " if len(audits) > 1 else ""
        for note in audit.notes:
            console.print(f"note: {name}{note}", style="dim", markup=False, highlight=False, soft_wrap=True)


def print_comparisons(audits: "Sequence[Audit]") -> None:
    """Print how the other files differ from the first, one column per file; nothing for a single file."""
    if len(audits) < 2:
        return
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    if not comparable(audits):
        typer.echo("not compared: the files were not evaluated on the same people in the same photos")
        return
    first, *labels = (escape(label) for label in file_labels(audits))
    drawn = all(len(draws) for audit in audits for draws in audit.details.draws.values.values())
    differences = [{row.metric: row for row in compare(audit, audits[0])} for audit in audits[1:]]
    table = Table(
        title=f"difference from {first}" + ", paired draws of photos" * drawn,
        title_justify="left",
        caption="better, worse: the 95 % interval excludes 0; ≈: not distinguishable" if drawn else None,
        caption_justify="left",
    )
    table.add_column("")
    for label in labels:
        table.add_column(label)
    for label, name, _ in _ROWS:
        if any(name in by_metric for by_metric in differences):
            table.add_row(label, *(_difference(by_metric.get(name)) for by_metric in differences))
    Console().print(table)


def print_change(change: "Rescoring") -> None:
    """Print the effect of other scores for the same poses in one line."""
    gain, closed = f"AP gain {change.gain:+.3f}", "no headroom"
    if change.closed is not None:
        closed = f"headroom closed {change.closed:.1%}"
    if change.intervals:
        gain += "  [{:+.3f}, {:+.3f}]".format(*change.intervals["gain"])
        closed += "  [{:.1%}, {:.1%}]".format(*change.intervals["closed"]) if change.closed is not None else ""
    typer.echo(f"{gain}; {closed}; paired draws of photos")


def _cell(audit: "Audit", name: str) -> str:
    value = audit.number(name)
    if value is None:
        return "–"
    if isinstance(value, int):
        return str(value)
    interval = audit.intervals.get(name)
    return f"{value:.3f}" + (f"  [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


def _difference(comparison: "Comparison | None") -> str:
    if comparison is None:
        return "–"
    difference = f"{number(comparison.difference, sign=True):>6}"
    if comparison.low is None:
        return difference
    shown = {"better": "better", "worse": "worse", "undecided": "≈"}[outcome(comparison)]
    return f"{difference} [{number(comparison.low)}, {number(comparison.high)}] {shown}"


def show_joints(audits: "Sequence[JointsAudit]", *, json: Path | None, report: Path | None) -> None:
    """Print the tables of audits without OKS, and write JSON and page."""
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

    for name, first in audits[0].localisation.items():
        table = Table(title=f"{first.title}, of {first.reference}", title_justify="left")
        table.add_column("")
        for label in file_labels(audits):
            table.add_column(escape(label), justify="right")
        numbers = [f"groups.{group}" for group in first.groups]
        numbers += ["total", *(["all"] if first.all != first.total else []), "mean", "auc"]
        if first.headline == "error":
            numbers = ["error", *numbers]
        for name_of_number in numbers:
            label = name_of_number.removeprefix("groups.").replace("_", " ")
            cells = [_cell_with_interval(audit, f"localisation.{name}.{name_of_number}") for audit in audits]
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


def _cell_with_interval(audit: "Audit | JointsAudit", name: str) -> str:
    value, interval = audit.number(name), audit.intervals.get(name)
    if value is None:
        return "–"
    return f"{value:.3f}" + (f"  [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")


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
        cells = [_number_cell(value) for rows in tables for value in (rows[name].AP, rows[name].oracle_AP)]
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
        table.add_row(name.replace("_", " "), *map(_number_cell, (row.AP, row.AR, row.non_0_AP, row.non_0_AR)))
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


def _number_cell(value: Number) -> str:
    return "–" if value is None else f"{value:.3f}"

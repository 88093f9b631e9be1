"""`trustpose audit`: how good the poses of a results file are, and how honest their scores."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.audit.record import Audit
    from trustpose.audit.rescoring import Rescoring
    from trustpose.data.coco import ResultsFile, TruthFile


def audit(
    gt: Annotated[Path, typer.Option(help="COCO keypoint ground truth, JSON.")],
    results: Annotated[
        list[Path] | None, typer.Option(help="COCO keypoint results, JSON; several are compared.")
    ] = None,
    more_results: Annotated[
        list[Path] | None, typer.Argument(metavar="[RES]...", help="Further results files.")
    ] = None,
    before: Annotated[Path | None, typer.Option(help="Results as they were, to see what --after changed.")] = None,
    after: Annotated[Path | None, typer.Option(help="The same poses with other scores: calibrated, say.")] = None,
    calibrator: Annotated[
        Path | None, typer.Option(help="The calibrator used: notes say where it knows the photos, or not their kind.")
    ] = None,
    score: Annotated[str, typer.Option(help="The field of a result that poses are ranked by.")] = "score",
    area: Annotated[
        str, typer.Option(help="Area that OKS is measured with: segment (COCO evaluation), box or box*0.53.")
    ] = "segment",
    category: Annotated[str | None, typer.Option(help="Category to audit, by name or id, where several apply.")] = None,
    sigmas: Annotated[
        str | None, typer.Option(help="Sigmas for a skeleton without published ones: K numbers, comma-separated.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the photos, for the report's gallery.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write one self-contained HTML page here.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the numbers here as JSON (several files: a list).")] = None,
    draws: Annotated[int, typer.Option(help="Draws of images for the 95 % intervals; 0: no intervals.", min=0)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 0,
) -> None:
    """How good the poses of COCO results are, and how honest their scores."""
    _check_outputs(images, report, json)
    files = _files([*(results or []), *(more_results or [])], before, after)
    from rich.console import Console

    from trustpose.audit.build import audit as run
    from trustpose.data.coco import read_results, read_truth

    progress = Console(stderr=True)
    truth = read_truth(gt, category)
    known = None if calibrator is None else _notes_by(calibrator, truth, area)
    records: list[Audit] = []
    for file in files:
        with progress.status(f"auditing {file.name} …"):
            read = read_results(file, truth=truth, score_field=score)
            record = run(truth, read, area=area, score=score, sigmas=parse_sigmas(sigmas), replicates=draws, seed=seed)
            records.append(record if known is None else replace(record, notes=(*record.notes, *known(read))))
    change = None if before is None else _change(truth, *records, draws=draws, seed=seed)
    _print(records)
    if change is not None:
        _print_change(change)
    if json is not None:
        _write(json, records, change, is_change=before is not None)
    if report is not None:
        from trustpose.report.page import write_page

        with progress.status("writing the report …"):
            write_page(report, records, images)


def _write(path: Path, records: "list[Audit]", change: "Rescoring | None", *, is_change: bool) -> None:
    """One record, a list of several, or what --after changed."""
    from trustpose.files import write_json

    written: Any = [record.as_dict() for record in records]
    if is_change:
        worth = None if change is None else asdict(change)
        write_json(path, {"before": written[0], "after": written[1], "change": worth})
    else:
        write_json(path, written[0] if len(records) == 1 else written)


def _files(results: list[Path], before: Path | None, after: Path | None) -> list[Path]:
    """The results files to audit. Raises InputError where there are none, or --before stands without --after."""
    if before is None and after is None:
        if not results:
            raise InputError("expected --results, or --before and --after")
        return results
    if before is None or after is None or results:
        raise InputError("--before and --after go together, and without --results")
    return [before, after]


def _notes_by(path: Path, truth: "TruthFile", area: str) -> "Callable[[ResultsFile], tuple[str, ...]]":
    """What the calibrator has to say of results on this ground truth."""
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.calibration.notes import audit_notes

    calibrator = Calibrator.load(path)
    return lambda results: audit_notes(calibrator, truth, results, area)


def _change(truth: "TruthFile", before: "Audit", after: "Audit", *, draws: int, seed: int) -> "Rescoring | None":
    """What the other scores of the same poses are worth, draw by draw. None, and a line that says so, where the poses
    are not the same, or AP is not known."""
    import numpy as np

    from trustpose.audit.rescoring import rescoring

    one, other = before.details.poses, after.details.poses
    assert one.image_id is not None and other.image_id is not None
    if not (np.array_equal(one.xy, other.xy) and np.array_equal(one.image_id, other.image_id)):
        typer.echo("trustpose: --before and --after hold other poses: AP gain is left out", err=True)
        return None
    if truth.skeleton is None or not truth.skeleton.has_sigmas or before.headroom is None:
        typer.echo("trustpose: no AP by published sigmas: AP gain is left out", err=True)
        return None
    scores = before.details.score, after.details.score
    return rescoring(truth, one, *scores, area=before.area, replicates=draws, seed=seed)  # type: ignore[arg-type]


def _print_change(change: "Rescoring") -> None:
    gain, closed = f"AP gain {change.gain:+.3f}", "no headroom"
    if change.closed is not None:
        closed = f"headroom closed {change.closed:.1%}"
    if change.intervals:
        gain += "  [{:+.3f}, {:+.3f}]".format(*change.intervals["gain"])
        closed += "  [{:.1%}, {:.1%}]".format(*change.intervals["closed"]) if change.closed is not None else ""
    typer.echo(f"{gain}; {closed}; the same photos drawn for both")


def _check_outputs(images: Path | None, report: Path | None, json: Path | None) -> None:
    """What would fail at the end fails at once."""
    for name, path in (("--report", report), ("--json", json)):
        if path is not None and path.is_dir():
            raise InputError(f"{path}: is a directory, {name} expects a file to write")
    if images is not None and report is None:
        raise InputError("--images draws a gallery into the report, expected --report too")
    if images is not None and not images.is_dir():
        raise InputError(f"{images}: no such directory, --images expects the folder of the photos")


def parse_sigmas(text: str | None):
    """K numbers of `--sigmas`, or None where it is not given. Raises InputError."""
    if text is None:
        return None
    import numpy as np

    try:
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise InputError(f"--sigmas: expected numbers separated by commas, got {text[:60]!r}") from None


_TABLE = (
    ("AP", "ap.AP", "of the poses, ranked by the score"),
    ("AP50", "ap.AP50", ""),
    ("AP75", "ap.AP75", ""),
    ("AR", "ap.AR", ""),
    ("oracle AP", "oracle_ap.AP", "if the score were the true OKS"),
    ("headroom", "headroom", "what better scores could add"),
    ("pose r", "pose.pearson", "Pearson, score with OKS"),
    ("pose ECE", "pose.ece", "how far scores are off the OKS"),
    ("keypoint r", "keypoint.pearson", "Pearson, keypoint score with OPKS"),
    ("average r", "keypoint.pearson_pose_mean", "the same, averages of each pose"),
    ("keypoint ECE", "keypoint.ece", ""),
    ("labelled F1", "visibility.labelled.f1", "labelled or not"),
    ("ternary F1", "visibility.ternary.total.f1", "absent, occluded, visible"),
)


def _print(records: "list[Audit]") -> None:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"area: {records[0].area}, score: {escape(records[0].score_field)}", title_justify="left")
    table.add_column("")
    for record in records:
        table.add_column(escape(Path(record.inputs["results"]["file"]).name), justify="right")
    if len(records) == 1:
        table.add_column("", style="dim")
    for label, name, meaning in _TABLE:
        cells = [_cell(record, name) for record in records]
        table.add_row(label, *cells, *([meaning] if len(records) == 1 else []))
    console = Console()
    console.print(table)
    for record in records:
        name = f"{Path(record.inputs['results']['file']).name}: " if len(records) > 1 else ""
        for note in record.notes:
            console.print(f"note: {name}{note}", style="dim", markup=False, highlight=False, soft_wrap=True)


def _cell(record: "Audit", name: str) -> str:
    value = record.number(name)
    if value is None:
        return "–"
    interval = record.intervals.get(name)
    return f"{value:.3f}" + (f"  [{interval[0]:.3f}, {interval[1]:.3f}]" if interval else "")

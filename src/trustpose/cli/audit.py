"""`trustpose audit`: evaluate the poses of a results file and the reliability of their scores."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, say_written, skeleton_file, write_together
from trustpose.evaluation.options import AuditOptions
from trustpose.files import InputError, json_bytes
from trustpose.options import argument, option

if TYPE_CHECKING:
    from trustpose.evaluation.comparison import AnyAudit
    from trustpose.evaluation.precision import Rescoring
    from trustpose.evaluation.record import Audit


@dataclass(frozen=True)
class AuditFiles:
    """What is audited, and what is written."""

    gt: Path = option(
        help="Ground truth: COCO JSON, Parquet from `trustpose convert`, or the files of MPII, FLIC, LSP, AI "
        "Challenger or OCHuman."
    )
    results: Sequence[Path] = option(
        (), help="COCO keypoint results: JSON, CSV, Parquet or a folder of Parquet parts. Several are compared."
    )
    more_results: Sequence[Path] = argument((), metavar="[RES]...", help="More results files.")
    before: Path | None = option(None, help="Results with the old scores, compared with --after.")
    after: Path | None = option(None, help="The same poses with new scores, such as calibrated ones.")
    calibrator: Path | None = option(
        None,
        panel="Trust",
        help="The calibrator that gave the trust; notes warn of photos of its fit and of distribution shift.",
    )
    images: Path | None = option(None, panel="Output", help="Folder of the photos, for the report's gallery.")
    report: Path | None = option(None, help="Write a self-contained HTML page to this file (-: standard output).")
    json: Path | None = option(
        None, help="Write the numbers to this file as JSON (several results: a list; -: standard output)."
    )


@command(
    "trustpose audit --gt gt.json --results results.json",
    "trustpose audit --gt gt.json a.json b.json --report page.html --images img",
    "trustpose audit --gt gt.json --before printed.json --after calibrated.json",
    "trustpose audit --gt gt.json --results results.json --json - | jq .ap.AP",
)
def audit(files: AuditFiles, options: AuditOptions) -> None:
    """Evaluate the poses of COCO results and the reliability of their scores."""
    _check_images(files.images, files.report)
    named = [*files.results, *files.more_results]
    results = _files(named, files.before, files.after)
    input_files = {"--gt": files.gt, "--results": named, "--before": files.before, "--after": files.after}
    input_files |= {"--calibrator": files.calibrator, "--images": files.images}
    input_files |= {"--skeleton": skeleton_file(options.skeleton)}
    check_outputs({"--report": files.report, "--json": files.json}, input_files)
    from rich.console import Console

    from trustpose.cli.audit_tables import (
        print_categories,
        print_change,
        print_comparisons,
        print_discs,
        print_joint_calibration,
        print_localisation,
        print_notes,
        print_numbers,
        print_tables,
        print_verdicts,
        show_joints,
    )
    from trustpose.evaluation.audit import audits
    from trustpose.evaluation.localisation import JointsAudit

    progress = Console(stderr=True)
    with progress.status("reading …") as status:

        def tell(source: Any, done: int, count: int) -> None:
            part = f"auditing {source.name}: {done:,} of {count:,} results" if count else f"reading {source.name} …"
            status.update(part)

        all_records = audits(files.gt, results, options, needs_oks=_needs_oks(files), tell=tell)
    if joints := [record for record in all_records if isinstance(record, JointsAudit)]:
        show_joints(
            [_noted(record, file) for record, file in zip(joints, results, strict=True)],
            json=files.json,
            report=files.report,
        )
        return
    audited = [record for record in all_records if not isinstance(record, JointsAudit)]
    notes_of = None if files.calibrator is None else _notes_by(files.calibrator, files.gt)
    records = [
        _noted(record, file) if notes_of is None else replace(record, notes=(*record.notes, *notes_of(record)))
        for record, file in zip(audited, results, strict=True)
    ]
    change = None if files.before is None else _change(*records)
    print_numbers(records)
    print_joint_calibration(records)
    print_discs(records)
    print_categories(records)
    print_localisation(records)
    print_tables(records)
    print_comparisons(records)
    if change is not None:
        print_change(change)
    print_verdicts(records)
    print_notes(records)
    contents: dict[Path, bytes] = {}
    if files.json is not None:
        contents[files.json] = _json(records, change, is_change=files.before is not None)
    with progress.status("writing the report …") if files.report is not None else nullcontext():
        if files.report is not None:
            from trustpose.report.page import page

            contents[files.report] = page(records, files.images).encode()
        write_together(contents)
    if files.json is not None:
        say_written(files.json, "the numbers as JSON")
    if files.report is not None:
        say_written(files.report, "the report, a page for any browser")


def _json(records: "list[Audit]", change: "Rescoring | None", *, is_change: bool) -> bytes:
    """Return one record, a list of several, or the effect of --after, as JSON."""
    written: Any = [record.as_dict() for record in records]
    if is_change:
        worth = None if change is None else asdict(change)
        return json_bytes({"before": written[0], "after": written[1], "change": worth})
    return json_bytes(written[0] if len(records) == 1 else written)


def _files(results: list[Path], before: Path | None, after: Path | None) -> list[Path]:
    """Return the results files to audit. Raises InputError for none, or for --before without --after."""
    if before is None and after is None:
        if not results:
            raise InputError("expected --results, or --before and --after")
        return results
    if before is None or after is None or results:
        raise InputError("--before and --after must be given together, and without --results")
    return [before, after]


def _noted(record: "AnyAudit", file: Path) -> "AnyAudit":
    """Return an audit with a note if its results are calibrated, on photos of the fit."""
    from trustpose.calibration.applied_record import in_sample_notes

    notes = in_sample_notes(file, record.inputs["ground_truth"]["sha256"])
    return replace(record, notes=(*record.notes, *notes))


def _notes_by(path: Path, gt: Path) -> "Callable[[Audit], tuple[str, ...]]":
    """Return a function that gives the calibrator's notes for an audit on this ground truth."""
    from trustpose.calibration.applied_record import audit_notes
    from trustpose.calibration.calibrator import Calibrator

    calibrator = Calibrator.load(path)

    def notes(record: "Audit") -> tuple[str, ...]:
        details, fingerprint = record.details, record.inputs["ground_truth"]["sha256"]
        return audit_notes(
            calibrator,
            str(gt),
            fingerprint,
            details.keypoint_names,
            details.draws.image_id if details.has_number_ids else None,
            details.poses,
            record.area,
        )

    return notes


def _needs_oks(files: AuditFiles) -> str | None:
    """Return what of these options needs OKS, for an error."""
    if files.before is not None or files.calibrator is not None:
        return "--before, --after and --calibrator need OKS"
    return None if files.images is None else "--images, the gallery, chooses people by OKS"


def _change(before: "Audit", after: "Audit") -> "Rescoring | None":
    """Compute the effect of the other scores on the same poses, draw by draw. Returns None, and prints the reason, if
    the poses differ or AP is not known."""
    from trustpose.evaluation.precision import rescoring_of, same_poses

    if not same_poses(before, after):
        typer.echo("trustpose: --before and --after have different poses, so headroom closed is not computed", err=True)
        return None
    if before.headroom is None:
        typer.echo("trustpose: no person counts for AP, so headroom closed is not computed", err=True)
        return None
    return rescoring_of(before, after)


def _check_images(images: Path | None, report: Path | None) -> None:
    """Check the gallery's options at once, as they would only fail at the end."""
    if images is not None and report is None:
        raise InputError("--images adds a gallery to the report, so it needs --report")
    if images is not None and not images.is_dir():
        raise InputError(f"{images}: no such directory, --images expects the folder with the photos")

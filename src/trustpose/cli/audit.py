"""`trustpose audit`: evaluate the poses of a results file and the reliability of their scores."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trustpose.calibration.options import AREA, AREAS, SEED, SIGMAS, SKELETON
from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, say_written, skeleton_file, write_together
from trustpose.cli.records import skeleton_names
from trustpose.files import InputError
from trustpose.options import argument, option

if TYPE_CHECKING:
    from trustpose.evaluation.comparison import AnyAudit
    from trustpose.evaluation.precision import Rescoring
    from trustpose.evaluation.record import Audit
    from trustpose.skeletons import Skeleton


def _metrics() -> Iterable[str]:
    from trustpose.evaluation.localisation import METRICS

    return METRICS


def _tables() -> Iterable[str]:
    from trustpose.evaluation.precision import TABLES

    return TABLES


@dataclass(frozen=True)
class AuditFiles:
    """What is audited, and what is written."""

    gt: Path = option(
        help="Ground truth: COCO's JSON, or Parquet by `trustpose convert`; or MPII's, FLIC's, LSP's, AI Challenger's "
        "or OCHuman's own."
    )
    results: Sequence[Path] = option(
        (), help="COCO keypoint results: JSON, CSV or Parquet, or a folder of its parts; several are compared."
    )
    more_results: Sequence[Path] = argument((), metavar="[RES]...", help="Further results files.")
    before: Path | None = option(None, help="Results with the old scores, compared with --after.")
    after: Path | None = option(None, help="The same poses with new scores, such as calibrated ones.")
    calibrator: Path | None = option(
        None, panel="Trust", help="The calibrator used; notes warn of its own photos and of distribution shift."
    )
    images: Path | None = option(None, panel="Output", help="Folder of the photos, for the report's gallery.")
    report: Path | None = option(None, help="Write a self-contained HTML page to this file (-: standard output).")
    json: Path | None = option(
        None, help="Write the numbers to this file as JSON (several results: a list; -: standard output)."
    )


@dataclass(frozen=True)
class AuditOptions:
    """How the numbers are computed: options of `tp.audit`."""

    area: str = option("auto", names=AREAS, help=AREA)
    common: bool = option(False, help="Use only the photos that the ground truth and all results have in common.")
    draws: int = option(1000, minimum=0, help="Resamplings of photos for the 95 % intervals; 0: no intervals.")
    category: str | None = option(
        None,
        panel="People",
        help="Category to audit, by name or id, if there are several; all: each of them, and their mean.",
    )
    skeleton: str | None = option(None, panel="People", names=skeleton_names, help=SKELETON)
    sigmas: str | None = option(None, panel="People", help=SIGMAS)
    score: str | None = option(
        None,
        panel="Trust",
        help="Field of a result that ranks poses and is compared with OKS. Default: score ranks; pose_quality, if the "
        "file has it, is compared.",
    )
    metric: Sequence[str] = option(
        (),
        panel="Accuracy",
        names=_metrics,
        help="Further metrics of joints, each NAME or NAME@FRACTION: pckh, pck, pck-box, pck-torso, pdj, fck, nme, "
        "pcp, pcp-loose. Default: the data set's own (MPII: pckh; LSP: pck-torso, pcp, pcp-loose; FLIC: fck, pdj, "
        "pcp).",
    )
    table: Sequence[str] = option(
        (),
        panel="Accuracy",
        names=_tables,
        help="Further tables: thresholds (AP at each OKS threshold), scoring-errors, non-0 (mAPK without keypoints "
        "predicted absent; non-0@SCORE: nor those with a lower score).",
    )
    seed: int = option(0, panel="Accuracy", minimum=0, help=SEED)


@command(
    "trustpose audit --gt gt.json --results results.json",
    "trustpose audit --gt gt.json a.json b.json --report page.html --images img",
    "trustpose audit --gt gt.json --before printed.json --after calibrated.json",
    "trustpose audit --gt gt.json --results results.json --json - | jq .ap.AP",
)
def audit(files: AuditFiles, options: AuditOptions) -> None:
    """Evaluate the poses of COCO results and the reliability of their scores."""
    _audit(**vars(files), **vars(options))


def _audit(
    gt: Path,
    results: Sequence[Path],
    more_results: Sequence[Path],
    before: Path | None,
    after: Path | None,
    calibrator: Path | None,
    images: Path | None,
    report: Path | None,
    json: Path | None,
    area: str,
    common: bool,
    draws: int,
    category: str | None,
    skeleton: str | None,
    sigmas: str | None,
    score: str | None,
    metric: Sequence[str],
    table: Sequence[str],
    seed: int,
) -> None:
    _check_images(images, report)
    named = [*(results or []), *(more_results or [])]
    files = _files(named, before, after)
    input_files = {"--gt": gt, "--results": named, "--before": before, "--after": after}
    input_files |= {"--calibrator": calibrator, "--images": images, "--skeleton": skeleton_file(skeleton)}
    check_outputs({"--report": report, "--json": json}, input_files)
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

        all_records = audits(
            gt,
            files,
            area=area,
            score=score,
            category=category,
            skeleton=parse_skeleton(skeleton),
            sigmas=parse_sigmas(sigmas),
            common=common,
            metrics=metric or (),
            tables=table or (),
            draws=draws,
            seed=seed,
            needs_oks=_needs_oks(before, calibrator, images),
            tell=tell,
        )
    if joints := [record for record in all_records if isinstance(record, JointsAudit)]:
        show_joints(
            [_noted(record, file) for record, file in zip(joints, files, strict=True)], json=json, report=report
        )
        return
    audited = [record for record in all_records if not isinstance(record, JointsAudit)]
    notes_of = None if calibrator is None else _notes_by(calibrator, gt)
    records = [
        _noted(record, file) if notes_of is None else replace(record, notes=(*record.notes, *notes_of(record)))
        for record, file in zip(audited, files, strict=True)
    ]
    change = None if before is None else _change(*records)
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
    if json is not None:
        contents[json] = _json(records, change, is_change=before is not None)
    with progress.status("writing the report …") if report is not None else nullcontext():
        if report is not None:
            from trustpose.report.page import page

            contents[report] = page(records, images).encode()
        write_together(contents)
    if json is not None:
        say_written(json, "the numbers as JSON")
    if report is not None:
        say_written(report, "the report, a page for any browser")


def _json(records: "list[Audit]", change: "Rescoring | None", *, is_change: bool) -> bytes:
    """Return one record, a list of several, or the effect of --after, as JSON."""
    from trustpose.files import json_bytes

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
        raise InputError("--before and --after go together, and without --results")
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


def _needs_oks(before: Path | None, calibrator: Path | None, images: Path | None) -> str | None:
    """Return what of these options needs OKS, for an error."""
    if before is not None or calibrator is not None:
        return "--before, --after and --calibrator need OKS"
    return None if images is None else "--images, the gallery, chooses people by OKS"


def _change(before: "Audit", after: "Audit") -> "Rescoring | None":
    """Compute the effect of the other scores on the same poses, draw by draw. Returns None, and prints the reason, if
    the poses differ or AP is not known."""
    from trustpose.evaluation.precision import rescoring_of, same_poses

    if not same_poses(before, after):
        typer.echo("trustpose: --before and --after have different poses: headroom closed is left out", err=True)
        return None
    if before.headroom is None:
        typer.echo("trustpose: no person counts for AP: headroom closed is left out", err=True)
        return None
    return rescoring_of(before, after)


def _check_images(images: Path | None, report: Path | None) -> None:
    """Check the gallery's options at once, as they would only fail at the end."""
    if images is not None and report is None:
        raise InputError("--images adds a gallery to the report, expected --report too")
    if images is not None and not images.is_dir():
        raise InputError(f"{images}: no such directory, --images expects the folder with the photos")


def parse_skeleton(name: str | None) -> "Skeleton | None":
    """Return the skeleton of `--skeleton`, None if not given. Raises InputError."""
    from trustpose.skeletons import skeleton_of

    return None if name is None else skeleton_of(name)


def parse_sigmas(text: str | None):
    """Return the numbers of `--sigmas`, None if not given. Raises InputError."""
    if text is None:
        return None
    import numpy as np

    try:
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise InputError(f"--sigmas: expected numbers separated by commas, got {text[:60]!r}") from None

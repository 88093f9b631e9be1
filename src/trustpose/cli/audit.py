"""`trustpose audit`: how good the poses of a results file are, and how honest their scores."""

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.outputs import check_outputs, skeleton_file
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.audit.record import Audit
    from trustpose.audit.rescoring import Rescoring
    from trustpose.formats.coco import ResultsFile, TruthFile
    from trustpose.skeletons import Skeleton


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
        str,
        typer.Option(
            help="Area that OKS is measured with: segment (COCO evaluation), box, box*0.53, file (the annotations' "
            "own, whatever it is of), or auto: segment, or file where some are of something else; box*0.53 without any."
        ),
    ] = "auto",
    category: Annotated[
        str | None,
        typer.Option(help="Category to audit, by name or id, where several apply; all: every one, and their mean."),
    ] = None,
    skeleton: Annotated[
        str | None, typer.Option(help="Which keypoints annotations have, whatever they call them: NAME or FILE.json.")
    ] = None,
    sigmas: Annotated[
        str | None, typer.Option(help="Sigmas to measure OKS with: one a keypoint, comma-separated, or one for all.")
    ] = None,
    common: Annotated[
        bool,
        typer.Option("--common", help="Audit the photos that ground truth and all results have, leave out the others."),
    ] = False,
    images: Annotated[Path | None, typer.Option(help="Folder of the photos, for the report's gallery.")] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write one self-contained HTML page here (-: standard output).")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the numbers here as JSON (several files: a list; -: standard output).")
    ] = None,
    draws: Annotated[int, typer.Option(help="Draws of images for the 95 % intervals; 0: no intervals.", min=0)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the draws.", min=0)] = 0,
) -> None:
    """How good the poses of COCO results are, and how honest their scores."""
    _check_images(images, report)
    named = [*(results or []), *(more_results or [])]
    files = _files(named, before, after)
    given = {"--gt": gt, "--results": named, "--before": before, "--after": after}
    given |= {"--calibrator": calibrator, "--images": images, "--skeleton": skeleton_file(skeleton)}
    check_outputs({"--report": report, "--json": json}, given)
    from rich.console import Console

    from trustpose.audit.build import audit as run
    from trustpose.audit.comparison import with_comparisons
    from trustpose.cli.audit_tables import print_categories, print_change, print_comparisons, print_notes, print_numbers
    from trustpose.formats.coco import read_results, read_truth
    from trustpose.formats.coco.together import common_photos

    progress = Console(stderr=True)
    truth = read_truth(gt, category, parse_skeleton(skeleton))
    convention, own_sigmas = truth.area_convention(area), parse_sigmas(sigmas)
    truth.sigmas(own_sigmas)  # what is lacking is said before results are read
    known = None if calibrator is None else _notes_by(calibrator, truth, convention)
    read_files = []
    for file in files:
        with progress.status(f"reading {file.name} …"):
            read_files.append(read_results(file, truth=truth, score_field=score, common=common))
    if common:
        truth, read_files = common_photos(truth, read_files)
    records: list[Audit] = []
    for file, read in zip(files, read_files, strict=True):
        with progress.status(f"auditing {file.name} …"):
            record = run(truth, read, area=area, score=score, sigmas=own_sigmas, replicates=draws, seed=seed)
            records.append(record if known is None else replace(record, notes=(*record.notes, *known(read))))
    records = with_comparisons(records)
    change = None if before is None else _change(*records)
    print_numbers(records)
    print_categories(records)
    print_comparisons(records)
    if change is not None:
        print_change(change)
    print_notes(records)
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


def _change(before: "Audit", after: "Audit") -> "Rescoring | None":
    """What the other scores of the same poses are worth, draw by draw. None, and a line that says so, where the poses
    are not the same, or AP is not known."""
    from trustpose.audit.rescoring import rescoring_of, same_poses

    if not same_poses(before, after):
        typer.echo("trustpose: --before and --after hold other poses: headroom closed is left out", err=True)
        return None
    if before.headroom is None:
        typer.echo("trustpose: nobody counts for AP: headroom closed is left out", err=True)
        return None
    return rescoring_of(before, after)


def _check_images(images: Path | None, report: Path | None) -> None:
    """What would fail at the end fails at once."""
    if images is not None and report is None:
        raise InputError("--images draws a gallery into the report, expected --report too")
    if images is not None and not images.is_dir():
        raise InputError(f"{images}: no such directory, --images expects the folder of the photos")


def parse_skeleton(name: str | None) -> "Skeleton | None":
    """The skeleton of `--skeleton`, or None where it is not given. Raises InputError."""
    from trustpose.skeletons import skeleton_of

    return None if name is None else skeleton_of(name)


def parse_sigmas(text: str | None):
    """The numbers of `--sigmas`, or None where it is not given. Raises InputError."""
    if text is None:
        return None
    import numpy as np

    try:
        return np.array([float(part) for part in text.split(",")])
    except ValueError:
        raise InputError(f"--sigmas: expected numbers separated by commas, got {text[:60]!r}") from None

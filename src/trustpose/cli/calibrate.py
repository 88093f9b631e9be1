"""`trustpose calibrate`: predict expected OKS, OPKS and visibility for any estimator, from its results file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from trustpose.cli.audit import parse_sigmas, parse_skeleton
from trustpose.cli.choices import AREAS, calibrator_names, choices, completed, skeletons
from trustpose.cli.examples import examples
from trustpose.cli.files_to_fit import files_to_fit
from trustpose.cli.in_batches import apply_in_batches, is_read_in_batches
from trustpose.cli.outputs import check_outputs, print_notes, print_warnings, say_written, skeleton_file, table_format
from trustpose.cli.predict_engine import ADDRESS, ENGINE, WORKERS
from trustpose.cli.second import inputs_of, opinions_at_fitting, opinions_beside, parse_second
from trustpose.cli.table_engine import OVERWRITE, RESUME, TableEngine
from trustpose.files import InputError, is_stdout

if TYPE_CHECKING:
    import numpy as np

    from trustpose.calibration.card import Card
    from trustpose.calibration.crossfit import Options
    from trustpose.calibration.fit import Fit
    from trustpose.calibration.second import Second
    from trustpose.evaluation.rescoring import Rescoring
    from trustpose.formats.coco import ResultsFile, TruthFile
    from trustpose.poses import Area

GOALS = ("occluded-f1", "total-f1", "likelihood")

calibrate = typer.Typer(
    help="Calibrate any estimator from its results file: fit on labelled photos, apply to others.",
    no_args_is_help=True,
    epilog=examples("calibrate"),
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@calibrate.command(epilog=examples("fit"))
def fit(
    gt: Annotated[Path, typer.Option(help="COCO keypoint ground truth: JSON, or Parquet by convert.")],
    results: Annotated[
        Path, typer.Option(help="The estimator's results on these photos: JSON, CSV, Parquet or a folder of its parts.")
    ],
    out: Annotated[Path, typer.Option(help="Write the calibrator to this file (-: standard output).")],
    method: Annotated[
        str,
        typer.Option(
            **choices(
                "auto",
                "isotonic",
                "platt",
                "temperature",
                "trees",
                about="How scores are mapped; auto: the best in cross-validation.",
            ),
        ),
    ] = "auto",
    area: Annotated[
        str,
        typer.Option(
            **completed(lambda: AREAS),
            help="Area for OKS: segment (COCO evaluation), box, box*0.53, file (the annotations' own area), "
            "or auto: segment; file if some areas have another source; box*0.53 if there are none.",
        ),
    ] = "auto",
    folds: Annotated[int, typer.Option(help="Number of folds for cross-validation, by photo.", min=2)] = 5,
    estimator: Annotated[str | None, typer.Option(help="The estimator's name, checked by apply.")] = None,
    category: Annotated[
        str | None, typer.Option(help="Category, by name or id, if there are several; all: each of them.")
    ] = None,
    common: Annotated[
        bool, typer.Option("--common", help="Fit only on the photos that both files have in common.")
    ] = False,
    skeleton: Annotated[
        str | None,
        typer.Option(
            **completed(skeletons),
            help="Skeleton of the annotations, overriding their own names: NAME or FILE.json.",
        ),
    ] = None,
    sigmas: Annotated[
        str | None, typer.Option(help="Sigmas for OKS: one per keypoint, comma-separated, or one for all.")
    ] = None,
    goal: Annotated[
        str | None,
        typer.Option(
            **completed(lambda: GOALS),
            help="Also decide absent, occluded or visible (visibility_label in results): occluded-f1 or total-f1, by "
            "the thresholds with the best F1, or likelihood, the likeliest class.",
        ),
    ] = None,
    second: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]RESULTS|MODEL",
            help="Second opinion: another network's results on the same people, JSON, or a network to run on them, "
            "'default' for the bundled one; with its name, checked by apply. Repeatable; those that do not help are "
            "left out.",
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the photos, for a network as --second.")] = None,
    json: Annotated[
        Path | None, typer.Option(help="Write the printed numbers to this file as JSON (-: stdout).")
    ] = None,
    draws: Annotated[int, typer.Option(help="Resamplings of the photos for the 95 % intervals.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the trees and of the resampling.", min=0)] = 0,
    most: Annotated[
        int, typer.Option(help="Fit on at most so many results, those of photos drawn by their ids.", min=1)
    ] = 200_000,
) -> None:
    """Fit a calibrator and print its out-of-fold numbers."""
    seconds = parse_second(second, images)
    check_outputs(
        {"--out": out, "--json": json},
        {"--gt": gt, "--results": results, "--skeleton": skeleton_file(skeleton)} | inputs_of(seconds, images),
    )
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.calibration.crossfit import Options
    from trustpose.cli.calibrate_tables import means, print_fit
    from trustpose.formats.coco.together import left_out_notes

    named = parse_skeleton(skeleton)
    truth, printed = files_to_fit(gt, results, category, named, most, common=common, has_second=bool(seconds))
    options = Options(
        method=method,
        area=area,
        folds=folds,
        seed=seed,
        estimator=estimator,
        category=category,
        skeleton=named,
        sigmas=parse_sigmas(sigmas),
        replicates=draws,
        goal=goal,
        most=most,
    )
    fitted, worth = _fit(truth, printed, options, opinions_at_fitting(seconds, images, truth, printed))
    Calibrator.of(fitted.parts).save(out)
    pooled = [] if worth is None or truth.categories is None else [means(truth.categories)]
    print_fit(fitted.parts.card, worth, (*truth.notes, *left_out_notes(truth, printed), *pooled))

    say_written(out, f"calibrator ({fitted.parts.card.method}), for `trustpose calibrate apply`")
    if json is not None:
        from dataclasses import asdict

        from trustpose.files import write_json

        rescored = None if worth is None else asdict(worth)
        write_json(json, {"card": fitted.parts.card.as_dict(), "rescoring": rescored})
        say_written(json, "the printed numbers as JSON")


@calibrate.command(epilog=examples("apply"))
def apply(
    calibrator: Annotated[
        Path,
        typer.Option(
            **completed(calibrator_names),
            help="A file written by `trustpose calibrate fit`, or shipped:NAME (models --shipped).",
        ),
    ],
    results: Annotated[
        Path,
        typer.Option(help="COCO keypoint results of the same estimator: JSON, CSV, Parquet or a folder of its parts."),
    ],
    out: Annotated[
        Path,
        typer.Option(help="Write the results with trust to this file (-: standard output); .parquet: as Parquet."),
    ],
    estimator: Annotated[str | None, typer.Option(help="The estimator's name; must match the calibrator's.")] = None,
    skeleton: Annotated[
        str | None,
        typer.Option(
            **completed(skeletons), help="Skeleton of the results (NAME or FILE.json); must match the calibrator's."
        ),
    ] = None,
    sigmas: Annotated[str | None, typer.Option(help="Sigmas for OKS; must match the calibrator's.")] = None,
    second: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]RESULTS|MODEL",
            help="Second opinion that the calibrator was fitted with: that network's results on these people, JSON, or "
            "the network, 'default' for the bundled one. Repeated as at fitting.",
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the photos, for a network as --second.")] = None,
    engine: Annotated[str | None, ENGINE] = None,
    address: Annotated[str | None, ADDRESS] = None,
    workers: Annotated[int | None, WORKERS] = None,
    resume: Annotated[bool, RESUME] = False,
    overwrite: Annotated[bool, OVERWRITE] = False,
) -> None:
    """Add expected OKS, expected OPKS and visibility to results, and presence if the calibrator was fitted on whole
    photos; keypoints and printed scores are unchanged.

    A calibrator fitted with --goal also adds visibility_label, the decision per keypoint: 0 absent, 1 occluded, 2
    visible.
    """
    from trustpose.calibration.applied_record import photo_ids, record_path, write_record

    seconds = parse_second(second, images)
    check_outputs(
        {} if engine else {"--out": [out, *([] if is_stdout(out) else [record_path(out)])]},
        {"--calibrator": calibrator, "--results": results, "--skeleton": skeleton_file(skeleton)}
        | inputs_of(seconds, images),
    )
    from rich.console import Console
    from rich.progress import Progress

    from trustpose.calibration.calibrator import Calibrator
    from trustpose.formats.coco import read_results
    from trustpose.formats.parquet_order import runs
    from trustpose.formats.parquet_parts import open_parts
    from trustpose.formats.tables import write_table
    from trustpose.skeletons import COCO_WHOLEBODY_133

    chosen = Calibrator.load(calibrator)
    if estimator is not None and (fitted_on := chosen.card.estimator) not in (None, estimator):
        raise InputError(f"{calibrator}: was fitted on the estimator {fitted_on!r}, not on {estimator!r}")
    _check_sigmas(calibrator, chosen.card, parse_sigmas(sigmas))
    named = parse_skeleton(skeleton)
    spread = TableEngine(engine, address, workers, resume, overwrite)
    if spread.is_wanted(results) or is_read_in_batches(results, out):
        if seconds:
            raise InputError(f"--second: is not read in batches, as {results} is; expected results in one smaller file")
        if engine is not None:
            out = spread.calibrate(chosen, results, out, named)
        else:
            apply_in_batches(chosen, results, out, named)
        print_warnings(results, write_record(out, results, calibrator, chosen, runs(open_parts(results))))
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"reading {results.name}", total=None)
        is_whole = chosen.card.keypoints == COCO_WHOLEBODY_133.keypoints
        read = read_results(results, skeleton=COCO_WHOLEBODY_133 if is_whole else None)
        progress.update(bar, description="second opinion")
        try:
            others = opinions_beside(seconds, images, read, chosen.card)
        except InputError as error:
            raise InputError(f"{calibrator}: {error}") from None
        progress.update(bar, description="calibrating", total=len(read.poses))
        try:
            applied = chosen.apply(
                read.poses, second=others, skeleton=named, tick=lambda done: progress.update(bar, advance=done)
            )
        except InputError as error:
            raise InputError(f"{results}: {error}") from None
        progress.update(bar, description=f"writing {out.name}")
        texts = {"image_id": read.image_texts.text_of, "annotation_id": read.annotation_texts.text_of}
        write_table(out, applied.poses, format=table_format(out), category_id=read.category_id, texts=texts)
    print_notes(read.notes)
    say_written(out, f"{len(applied.poses):,} poses with expected OKS, expected OPKS and visibility")
    print_warnings(results, (*write_record(out, results, calibrator, chosen, photo_ids(read)), *applied.warnings))


def _check_sigmas(path: Path, card: "Card", wanted: "np.ndarray | None") -> None:
    """Raise InputError if a calibrator was fitted with other sigmas than those wanted."""
    import numpy as np

    if wanted is None:
        return
    fitted = np.array(card.sigmas)
    if wanted.shape not in ((1,), fitted.shape) or not np.allclose(fitted, wanted, rtol=1e-6):
        raise InputError(f"{path}: was fitted with other sigmas than --sigmas: {fitted.tolist()}")


def _fit(
    truth: "TruthFile", printed: "ResultsFile", options: "Options", second: "tuple[Second, ...]"
) -> "tuple[Fit, Rescoring | None]":
    """Fit with a progress bar, then compute the gain from ranking by the out-of-fold trust."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from trustpose.calibration.fit import fit as run

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("reading people", total=options.steps(len(second)) + 1)
        fitted = run(truth, printed, options, lambda step: progress.update(bar, advance=1, description=step), second)
        progress.update(bar, advance=1, description="average precision")
        return fitted, _worth(fitted, truth, printed, options)


def _worth(fitted: "Fit", truth: "TruthFile", printed: "ResultsFile", options: "Options") -> "Rescoring | None":
    """Compute the gain from ranking by the out-of-fold trust, averaged over categories; None if no person counts."""
    from trustpose.evaluation.rescoring import rescoring

    poses, area = fitted.out_of_fold, cast("Area", fitted.parts.card.area)
    try:
        return rescoring(
            *(truth, poses, printed.score, poses.ranking_score),
            category_id=printed.category_id,
            sigmas=options.sigmas,
            area=area,
            replicates=options.replicates,
            seed=options.seed,
        )
    except InputError:  # the fit is still valid
        return None

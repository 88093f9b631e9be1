"""`trustpose calibrate`: expected OKS, expected OPKS and visibility for any estimator, from its results file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from trustpose.cli.audit import parse_sigmas
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.audit.rescoring import Rescoring
    from trustpose.calibration.card import Card
    from trustpose.calibration.crossfit import Options
    from trustpose.calibration.fit import Fit
    from trustpose.data.coco import ResultsFile, TruthFile
    from trustpose.poses import Area

calibrate = typer.Typer(
    help="Trust for any estimator, from its results file: fit a calibrator on labelled photos, apply it to others.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@calibrate.command()
def fit(
    gt: Annotated[Path, typer.Option(help="COCO keypoint ground truth, JSON.")],
    results: Annotated[Path, typer.Option(help="The estimator's COCO keypoint results on these photos, JSON.")],
    out: Annotated[Path, typer.Option(help="Write the calibrator here, one file.")],
    method: Annotated[
        str, typer.Option(help="auto (by cross-validation), isotonic, platt, temperature or trees.")
    ] = "auto",
    area: Annotated[
        str, typer.Option(help="Area that OKS is measured with: segment (COCO evaluation), box or box*0.53.")
    ] = "segment",
    folds: Annotated[int, typer.Option(help="Parts that the photos are divided into.", min=2)] = 5,
    estimator: Annotated[str | None, typer.Option(help="The estimator's name; apply compares it.")] = None,
    category: Annotated[str | None, typer.Option(help="Category, by name or id, where several apply.")] = None,
    sigmas: Annotated[
        str | None, typer.Option(help="Sigmas for a skeleton without published ones: K numbers, comma-separated.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="Write what is printed here as JSON.")] = None,
    draws: Annotated[int, typer.Option(help="Draws of photos for the 95 % intervals.", min=1)] = 1000,
    seed: Annotated[int, typer.Option(help="Seed of the trees and of the draws.", min=0)] = 0,
) -> None:
    """Fit a calibrator; the numbers printed are of photos that its model had not seen."""
    for name, path in (("--out", out), ("--json", json)):
        if path is not None and path.is_dir():
            raise InputError(f"{path}: is a directory, {name} expects a file to write")
    from trustpose.calibration.crossfit import Options
    from trustpose.data.coco import read_results, read_truth

    truth = read_truth(gt, category)
    printed = read_results(results, truth=truth)
    options = Options(
        method=method,
        area=area,
        folds=folds,
        seed=seed,
        estimator=estimator,
        category=category,
        sigmas=parse_sigmas(sigmas),
        replicates=draws,
    )
    fitted, worth = _fit(truth, printed, options)
    fitted.calibrator.save(out)
    _print(fitted.calibrator.card, worth)
    if json is not None:
        from dataclasses import asdict

        from trustpose.files import write_json

        rescored = None if worth is None else asdict(worth)
        write_json(json, {"card": fitted.calibrator.card.as_dict(), "rescoring": rescored})


@calibrate.command()
def apply(
    calibrator: Annotated[Path, typer.Option(help="What `trustpose calibrate fit` wrote.")],
    results: Annotated[Path, typer.Option(help="COCO keypoint results of the same estimator, JSON.")],
    out: Annotated[Path, typer.Option(help="Write the results with trust here.")],
    estimator: Annotated[
        str | None, typer.Option(help="The estimator's name; refused where the calibrator names another.")
    ] = None,
) -> None:
    """Add expected OKS, expected OPKS and visibility to results; points and printed scores stay as they are."""
    if out.is_dir():
        raise InputError(f"{out}: is a directory, --out expects a file to write")
    from rich.console import Console
    from rich.progress import Progress

    from trustpose.calibration.calibrator import Calibrator
    from trustpose.data.coco import read_results, write_results

    chosen = Calibrator.load(calibrator)
    fitted_on = chosen.card.estimator
    if estimator is not None and fitted_on is not None and estimator != fitted_on:
        raise InputError(f"{calibrator}: was fitted on the estimator {fitted_on!r}, not on {estimator!r}")
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"reading {results.name}", total=None)
        read = read_results(results)
        progress.update(bar, description="calibrating", total=len(read.poses))
        try:
            trusted = chosen(read.poses, tick=lambda done: progress.update(bar, advance=done))
            warnings = chosen.shift(read.poses).warnings()
        except InputError as error:
            raise InputError(f"{results}: {error}") from None
        progress.update(bar, description=f"writing {out.name}")
        write_results(out, trusted, category_id=read.category_id)
    for warning in warnings:
        typer.echo(f"trustpose: warning: {results}: {warning}", err=True)


def _fit(truth: "TruthFile", printed: "ResultsFile", options: "Options") -> "tuple[Fit, Rescoring | None]":
    """Fit with a progress bar; what ranking by the out-of-fold trust is worth comes last."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from trustpose.calibration.fit import fit as run

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task("reading people", total=options.steps() + 1)
        fitted = run(truth, printed, options, lambda step: progress.update(bar, advance=1, description=step))
        progress.update(bar, advance=1, description="average precision")
        return fitted, _worth(fitted, truth, printed, options)


def _worth(fitted: "Fit", truth: "TruthFile", printed: "ResultsFile", options: "Options") -> "Rescoring | None":
    """What ranking by the out-of-fold trust is worth; None for a skeleton without published sigmas."""
    from trustpose.audit.rescoring import rescoring
    from trustpose.data.coco import ranking_score

    if truth.skeleton is None or not truth.skeleton.has_sigmas:
        return None
    poses = fitted.out_of_fold
    better = ranking_score(poses)
    area = cast("Area", options.area)
    draws = {"replicates": options.replicates, "seed": options.seed}
    return rescoring(truth, poses, printed.score, better, area=area, **draws)


_ROWS = {
    "pose.pearson": "pose r, score with OKS",
    "keypoint.pearson": "keypoint r, with OPKS",
    "keypoint.pearson_pose_mean": "average r",
    "pose.ece": "pose ECE",
    "keypoint.ece": "keypoint ECE",
    "pose.brier": "pose Brier score",
    "keypoint.brier": "keypoint Brier score",
}


def _print(card: "Card", worth: "Rescoring | None") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table(title=f"out of fold, {card.folds} folds of photos; area: {card.area}", title_justify="left")
    for column in ("", "printed scores", card.method):
        table.add_column(column, justify="left" if not column else "right")
    for name, label in _ROWS.items():
        table.add_row(label, *(_cell(numbers[name]) for numbers in (card.before, card.after)))
    if worth is not None:
        table.add_row("AP", f"{worth.own:.3f}", f"{worth.better:.3f}")
        table.add_row("AP gain", "", _cell([worth.gain, *worth.intervals["gain"]]))
        if worth.closed is not None:
            table.add_row("headroom closed", "", _cell([worth.closed, *worth.intervals["closed"]]))
    console.print(table)
    notes = [card.why, *(f"{name} was left out: {reason}" for name, reason in card.skipped.items())]
    if card.unmatched:
        notes.append(f"{card.unmatched} results are about nobody and count with OKS 0")
    for note in notes:
        console.print(note, style="dim", markup=False, highlight=False, soft_wrap=True)


def _cell(value: list[float] | None) -> str:
    return "–" if value is None else f"{value[0]:.3f}  [{value[1]:.3f}, {value[2]:.3f}]"

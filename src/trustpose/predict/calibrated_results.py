"""Fit a calibrator to results files, and apply one to them: what `trustpose calibrate` does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from trustpose.calibration.applied_record import write_record
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.card import Card
from trustpose.calibration.fit import Fit, fit
from trustpose.calibration.opinions import Second
from trustpose.calibration.options import FitOptions
from trustpose.calibration.rows import calibrated_rows, calibrated_schema
from trustpose.evaluation.precision import Rescoring, rescoring
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile
from trustpose.io.companions import write_errors
from trustpose.io.row_stream import open_rows, write_in_order
from trustpose.poses import Area
from trustpose.predict.second_results import SecondSource, opinions_on_batches
from trustpose.skeletons import COCO_WHOLEBODY_133, parse_sigmas, skeleton_of

Tell = Callable[[str], None]


@dataclass(frozen=True)
class AppliedResults:
    """How many poses have trust now, notes on the file, and warnings about the calibrator."""

    poses: int
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def fit_results(
    truth: TruthFile, results: ResultsFile, options: FitOptions, second: tuple[Second, ...], tell: Tell
) -> tuple[Fit, Rescoring | None]:
    """Fit a calibrator, and compute the gain from ranking by the out-of-fold trust.

    Args:
        truth: the labelled people.
        results: an estimator's results on their photos.
        options: how it is fitted.
        second: second opinions on the results.
        tell: is called with the name of each step.

    Returns:
        The fit, and the gain, averaged over categories; None if no person counts.

    Raises:
        InputError: for files and options that do not fit.
    """
    fitted = fit(truth, results, options, tell, second)
    tell("average precision")
    poses, area = fitted.out_of_fold, cast(Area, fitted.parts.card.area)
    sigmas = parse_sigmas(options.sigmas) if isinstance(options.sigmas, str) else options.sigmas
    try:
        gain = rescoring(
            truth,
            poses,
            results.score,
            poses.ranking_score,
            category_id=results.category_id,
            sigmas=sigmas,
            area=area,
            draws=options.draws,
            seed=options.seed,
        )
    except InputError:  # the fit is still valid
        gain = None
    return fitted, gain


def load_calibrator(path: Path, estimator: str | None, sigmas: str | None) -> Calibrator:
    """Read a calibrator for an estimator's results. Raises InputError if it was fitted on another estimator, or with
    other sigmas."""
    calibrator = Calibrator.load(path)
    fitted_on = calibrator.card.estimator
    if estimator is not None and fitted_on not in (None, estimator):
        raise InputError(f"{path}: was fitted on the estimator {fitted_on!r}, not on {estimator!r}")
    if sigmas is not None:
        _check_sigmas(path, calibrator.card, parse_sigmas(sigmas))
    return calibrator


def apply_calibrator(
    path: str | Path,
    results: str | Path,
    out: str | Path,
    *,
    estimator: str | None = None,
    skeleton: str | None = None,
    sigmas: str | None = None,
    second: Sequence[SecondSource] = (),
    images: Path | None = None,
    progress: Callable[..., Any] = lambda *_, **__: None,
) -> AppliedResults:
    """Write the results of an estimator with a calibrator's trust, and a record of the calibrator beside them.

    Parquet is read and written in batches, so that neither file need fit into memory; the rows keep their order.

    Args:
        path: The calibrator's, a file or "shipped:NAME".
        results: COCO results of the same estimator: JSON, CSV, Parquet, or a folder of Parquet parts.
        out: The file to write, in the format of its suffix; from Parquet, without a suffix, a new folder of parts.
        estimator: Name of the estimator, which must be the one that the calibrator was fitted on.
        skeleton: Of the results, NAME or FILE.json; must be the calibrator's.
        sigmas: For OKS; must be the calibrator's.
        second: The second opinions that the calibrator was fitted with.
        images: Folder of the photos, for second opinions that are networks.
        progress: Called with a number of people that are done, and with a new `description` or `total`.

    Returns:
        The number of poses, notes and warnings.

    Raises:
        InputError: Naming the file at fault.
    """
    path, results, out = Path(path), Path(results), Path(out)
    calibrator = load_calibrator(path, estimator, sigmas)
    named = None if skeleton is None else skeleton_of(skeleton)
    try:
        opinions = opinions_on_batches(second, images, calibrator.card)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    progress(0, description=f"reading {results.name}")
    is_whole = calibrator.card.keypoints == COCO_WHOLEBODY_133.keypoints
    stream = open_rows(results, skeleton=COCO_WHOLEBODY_133 if is_whole else None)
    schema = None if stream.parts is None else calibrated_schema(calibrator, stream.parts.parts)
    applied, notes = calibrator.stream(stream.count, named), dict[str, None]()
    progress(0, description="calibrating", total=stream.count)
    with write_in_order(out, schema, stream) as write:
        for batch in stream.batches():
            notes |= dict.fromkeys(batch.results.notes)
            seconds = [opinion(batch.results) for opinion in opinions]
            rows = calibrated_rows(applied, batch.results, batch.rows, schema, second=seconds, tick=progress)
            write(rows, batch.position)
        try:
            warnings = applied.warnings()
        except InputError as error:
            raise InputError(f"{results}: {error}") from None
    write_errors(out, calibrator.errors)
    record_warnings = write_record(out, results, path, calibrator, stream.image_ids())
    return AppliedResults(stream.count, tuple(notes), (*record_warnings, *warnings))


def _check_sigmas(path: Path, card: Card, sigmas: np.ndarray) -> None:
    """Raise InputError if a calibrator was fitted with other sigmas."""
    fitted = np.array(card.sigmas)
    if sigmas.shape not in ((1,), fitted.shape) or not np.allclose(fitted, sigmas, rtol=1e-6):
        raise InputError(f"{path}: was fitted with other sigmas than --sigmas: {fitted.tolist()}")

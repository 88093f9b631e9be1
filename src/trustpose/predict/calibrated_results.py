"""Fit a calibrator to results files, and apply one to them: what `trustpose calibrate` does in memory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from trustpose.calibration.applied_record import photo_ids, write_record
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.card import Card
from trustpose.calibration.fit import Fit, fit
from trustpose.calibration.opinions import Second
from trustpose.calibration.options import FitOptions
from trustpose.evaluation.precision import Rescoring, rescoring
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile
from trustpose.io.output_files import table_format
from trustpose.io.tables import write_table
from trustpose.poses import Area
from trustpose.predict.second_results import SecondSource, opinions_of_calibrator
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
    path: Path,
    calibrator: Calibrator,
    results: Path,
    out: Path,
    *,
    skeleton: str | None = None,
    seconds: Sequence[SecondSource] = (),
    images: Path | None = None,
    progress: Callable[..., Any] = lambda *_, **__: None,
) -> AppliedResults:
    """Add trust to a results file in memory, and write it with a record of the calibrator.

    Args:
        path: of the calibrator, for messages and the record.
        calibrator: see `load_calibrator`.
        results: COCO results of the same estimator.
        out: the file to write.
        skeleton: of the results, NAME or FILE.json; must be the calibrator's.
        seconds, images: the second opinions, and the photos' folder for those that are networks.
        progress: is called with a number of people that are done, and with a new `description` or `total`.

    Returns:
        The number of poses, notes and warnings.

    Raises:
        InputError: naming the file at fault.
    """
    progress(0, description=f"reading {results.name}")
    is_whole = calibrator.card.keypoints == COCO_WHOLEBODY_133.keypoints
    file = read_results(results, skeleton=COCO_WHOLEBODY_133 if is_whole else None)
    progress(0, description="second opinion")
    try:
        opinions = opinions_of_calibrator(seconds, images, file, calibrator.card)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    progress(0, description="calibrating", total=len(file.poses))
    try:
        applied = calibrator.apply(
            file.poses,
            second=opinions,
            skeleton=None if skeleton is None else skeleton_of(skeleton),
            tick=progress,
        )
    except InputError as error:
        raise InputError(f"{results}: {error}") from None
    progress(0, description=f"writing {out.name}")
    texts = {"image_id": file.image_texts.text_of, "annotation_id": file.annotation_texts.text_of}
    write_table(out, applied.poses, format=table_format(out), category_id=file.category_id, texts=texts)
    record_warnings = write_record(out, results, path, calibrator, photo_ids(file))
    return AppliedResults(len(applied.poses), tuple(file.notes), (*record_warnings, *applied.warnings))


def _check_sigmas(path: Path, card: Card, sigmas: np.ndarray) -> None:
    """Raise InputError if a calibrator was fitted with other sigmas."""
    fitted = np.array(card.sigmas)
    if sigmas.shape not in ((1,), fitted.shape) or not np.allclose(fitted, sigmas, rtol=1e-6):
        raise InputError(f"{path}: was fitted with other sigmas than --sigmas: {fitted.tolist()}")

"""The options of fitting a calibrator, for the command line and Python."""

from dataclasses import dataclass

from trustpose.datasets.options import SEED, GroundTruthOptions
from trustpose.options import option, repr_of_changes

MAX_RESULTS = 200_000  # results; 1.9 GB and about three minutes


@dataclass(frozen=True)
class FitOptions(GroundTruthOptions):
    """How `trustpose calibrate fit` and `Calibrator.fit` fit a calibrator.

    `trustpose calibrate fit --help` lists the fields; `Calibrator.fit` takes them by name.

    Example:
        >>> calibrator = tp.Calibrator.fit("gt.json", "results.json", method="platt", folds=2)
    """

    __repr__ = repr_of_changes

    method: str = option(
        "auto",
        names=("auto", "isotonic", "platt", "temperature", "trees"),
        help="How scores are mapped to trust. auto: the best in cross-validation.",
    )
    folds: int = option(5, minimum=2, help="Number of folds for cross-validation, by photo.")
    seed: int = option(0, minimum=0, help=SEED)
    estimator: str | None = option(
        None, help="Name of the estimator; a calibrator is applied to results of the same estimator only."
    )
    draws: int = option(1000, minimum=1, help="Bootstrap resamplings of the photos for the 95 % intervals.")
    goal: str | None = option(
        None,
        names=("occluded-f1", "total-f1", "likelihood"),
        help="Also decide whether each keypoint is absent, occluded or visible (visibility_label in results): by the "
        "thresholds with the best F1 of occluded keypoints or of all classes, or by the likeliest class.",
    )
    max_results: int = option(
        MAX_RESULTS, minimum=1, help="Maximum number of results to fit on; of more, a sample of photos is used."
    )

"""The options of fitting a calibrator, for the command line and Python."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trustpose.options import option

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from trustpose.skeletons import Skeleton

AREAS = ("auto", "segment", "box", "box*0.53", "file")
AREA = (
    "Area for OKS. segment: COCO evaluation's; file: the annotations' own; auto: segment; file if some areas have "
    "another source; box*0.53 if there are none."
)
SKELETON = "Skeleton of the annotations, overriding the names that they have: NAME or FILE.json."
SIGMAS = "Sigmas for OKS: one per keypoint, separated by commas, or one for all."
SEED = "Seed of everything that is drawn at random."
MAX_RESULTS = 200_000  # results; 1.9 GB and about three minutes


def _skeletons() -> Iterable[str]:
    from trustpose.skeletons import SKELETONS

    return SKELETONS


@dataclass(frozen=True)
class FitOptions:
    """How `trustpose calibrate fit` and `Calibrator.fit` fit a calibrator.

    In Python `sigmas` may be an array (K,), or of one number for all keypoints.
    """

    method: str = option(
        "auto",
        names=("auto", "isotonic", "platt", "temperature", "trees"),
        help="How scores are mapped. auto: the best in cross-validation.",
    )
    area: str = option(
        "auto",
        names=AREAS,
        help=AREA,
    )
    folds: int = option(5, minimum=2, help="Number of folds for cross-validation, by photo.")
    seed: int = option(0, minimum=0, help=SEED)
    estimator: str | None = option(
        None, help="Name of the estimator; a calibrator is applied to results of the same estimator only."
    )
    category: str | int | None = option(None, help="Category, by name or id, if there are several; all: each of them.")
    skeleton: "Skeleton | str | Path | None" = option(
        None,
        names=_skeletons,
        help=SKELETON,
    )
    sigmas: "Float[np.ndarray, ' L'] | str | None" = option(None, help=SIGMAS)
    draws: int = option(1000, minimum=1, help="Resamplings of the photos for the 95 % intervals.")
    goal: str | None = option(
        None,
        names=("occluded-f1", "total-f1", "likelihood"),
        help="Also decide whether each keypoint is absent, occluded or visible (visibility_label in results): by the "
        "thresholds with the best F1 of occluded keypoints or of all classes, or by the likeliest class.",
    )
    max_results: int = option(
        MAX_RESULTS, minimum=1, help="Fit on at most this many results, those of photos that are drawn by their ids."
    )

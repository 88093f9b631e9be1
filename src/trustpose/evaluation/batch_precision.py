"""AP and AR of poses that come in batches: COCO's numbers, and AP on people with few to many labelled keypoints."""

import numpy as np
from jaxtyping import Float

from trustpose.evaluation.benchmarks import OCCLUSION_BENCHMARKS, evaluate_inside, occlusion_groups
from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.ranked_poses import RankedPoses
from trustpose.metrics.average_precision import (
    AREA_RANGES,
    OKS_THRESHOLDS,
    AveragePrecision,
    Evaluation,
    evaluate,
    mean_of_counted,
    summary_of,
)

_STEPS = len(OKS_THRESHOLDS)
_AREAS = len(AREA_RANGES)
_CURVES = (_AREAS + len(OCCLUSION_BENCHMARKS)) * _STEPS


class BatchPrecision(RankedPoses):
    """AP and AR by one score. Matching is within photos, so that a batch of whole photos tells of each of its poses
    whether it is right at every threshold, and the poses of all batches in order give precision and recall."""

    def __init__(self) -> None:
        super().__init__(_CURVES)
        self._people = np.zeros(_CURVES, np.int64)

    def count(self, measured: PairedResults, score: Float[np.ndarray, " N"]) -> None:
        """Evaluate a batch of whole photos by a score (N,) of its poses."""
        options = {"sigmas": measured.sigmas, "area": measured.area, "pairs": measured.pairs}
        first = evaluate(measured.poses, measured.truth, score, **options)  # type: ignore[arg-type]
        groups = occlusion_groups(measured.truth).values()
        found = [first, *(evaluate_inside(measured, score, inside) for inside in groups)]
        assert measured.poses.image_id is not None
        self._people += np.concatenate([_people(one) for one in found])
        order = first.order  # that of the others, too: by score alone
        self.add(
            *(score[order].astype(np.float64), measured.poses.image_id[order]),
            np.concatenate([_by_pose(one.true_positive) for one in found], axis=1),
            np.concatenate([_by_pose(one.pose_ignored) for one in found], axis=1),
        )

    def summary(self) -> tuple[AveragePrecision, dict[str, float]]:
        """Return COCO's ten numbers and the AP of each occlusion benchmark; -1 if no person counts."""
        curves = self.curves(self._people)
        precision = curves.precision().reshape(-1, _STEPS, curves.precision().shape[1])
        recall = curves.recall().reshape(-1, _STEPS)
        groups = zip(OCCLUSION_BENCHMARKS, precision[_AREAS:], strict=True)
        return summary_of(precision[:_AREAS], recall[:_AREAS]), {name: mean_of_counted(one) for name, one in groups}


def _people(evaluation: Evaluation) -> np.ndarray:
    """Return how many people count in each curve."""
    return np.repeat(np.count_nonzero(~evaluation.person_ignored, axis=1), _STEPS)


def _by_pose(flags: np.ndarray) -> np.ndarray:
    """Return flags (A, D, T) as (D, A · T)."""
    return np.moveaxis(flags, 1, 0).reshape(flags.shape[1], flags.shape[0] * flags.shape[2])

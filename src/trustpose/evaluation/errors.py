"""The sections of an audit on kinds of error: keypoints (Ronchi & Perona), and scores that rank a worse pose first."""

import numpy as np
from jaxtyping import Float

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.curves import Curves
from trustpose.evaluation.record import CompetingScores, Errors, ScoringErrors, known
from trustpose.metrics.diagnosis import DIAGNOSED, Diagnosis, diagnose
from trustpose.metrics.diagnosis_impact import (
    KEYPOINT_STAGES,
    STAGES,
    corrected_evaluations,
    stage_gains,
    stage_precisions,
)
from trustpose.metrics.diagnosis_scores import diagnose_scores

_BINS = 19  # coco-analyze's


class KeypointErrors:
    """Keypoints by kind of error, and the AP gained by correcting each kind."""

    def __init__(self) -> None:
        self._counts = {kind.name.lower(): 0 for kind in DIAGNOSED}
        self._by_score, self._rescored = Curves(1 + len(KEYPOINT_STAGES)), Curves(1)

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        errors = diagnosis(batch)
        for name, count in errors.counts().items():
            self._counts[name] += count
        corrected = corrected_evaluations(
            batch.poses, batch.truth, batch.score, errors, sigmas=batch.sigmas, area=batch.area
        )
        self._by_score.add(batch, corrected.by_score, corrected.score, corrected.rows)
        self._rescored.add(batch, [corrected.rescored], corrected.best_score, corrected.rows)

    def result(self) -> Errors:
        """Return counts and gains."""
        (precision, recall), (rescored, rescored_recall) = (
            curves.precision_recall() for curves in (self._by_score, self._rescored)
        )
        by_score = list(zip(precision, recall, strict=True))
        gains = stage_gains(*stage_precisions(by_score, (rescored[0], rescored_recall[0])))
        return Errors(**self._counts, ap_gain={name: known(float(gains[name].mean())) for name in STAGES})


def diagnosis(batch: Batch) -> Diagnosis:
    """Classify the keypoints of a batch."""
    skeleton = batch.file.skeleton
    flip_index = np.arange(batch.poses.keypoint_count) if skeleton is None else skeleton.flip_index
    return diagnose(
        batch.poses,
        batch.truth,
        batch.score,
        sigmas=batch.sigmas,
        flip_index=flip_index,
        area=batch.area,
        pairs=batch.pairs,
    )


class ScoreErrors:
    """Scoring errors of people of 32² pixels and more, as coco-analyze counts them."""

    def __init__(self) -> None:
        self._counts = np.zeros(4, np.int64)  # errors, errors by the optimal score, reordered images, images
        self._closest: list[np.ndarray] = [np.zeros((0, 2))]  # score and optimal score of poses
        self._others: list[np.ndarray] = [np.zeros((0, 2))]

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        errors = diagnose_scores(batch.poses, batch.truth, batch.score, sigmas=batch.sigmas, area=batch.area)
        misranked = int(errors.misranked.sum()), int(errors.misranked_after.sum())
        self._counts += np.array([*misranked, errors.reordered_images, errors.images])
        scores = np.stack([batch.score, errors.optimal_score], axis=1)
        self._closest.append(scores[errors.closest])
        self._others.append(scores[errors.others])

    def result(self) -> ScoringErrors:
        """Return counts and histograms."""
        errors, errors_after, reordered, images = self._counts.tolist()
        closest, competing = np.concatenate(self._closest), np.concatenate(self._others)
        return ScoringErrors(
            errors=errors,
            errors_by_optimal_score=errors_after,
            reordered_images=reordered,
            images=images,
            score=_competing(closest[:, 0], competing[:, 0]),
            optimal_score=_competing(closest[:, 1], competing[:, 1]),
        )


def _competing(closest: Float[np.ndarray, " P"], competing: Float[np.ndarray, " Q"]) -> CompetingScores:
    """Both histograms have the same bins, from the lowest to the highest of all these scores."""
    edges = np.histogram_bin_edges(np.concatenate([closest, competing]), _BINS)
    counts = [np.histogram(scores, edges)[0] for scores in (closest, competing)]
    lists = (tuple(values.tolist()) for values in (edges, *counts))
    return CompetingScores(*lists, overlap=int(np.minimum(*counts).sum()))

"""The section of an audit on visibility: labelled or not, absent, occluded or visible, and occluded keypoints ranked at
every threshold."""

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.datasets.folds import fold_of
from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.record import (
    F1,
    LabelledVisibility,
    Number,
    OccludedKeypoints,
    RankedClass,
    TernaryVisibility,
    VisibilityTrust,
    known,
)
from trustpose.evaluation.sections import Findings
from trustpose.evaluation.visibility_sums import LABELLED, NOT_TERNARY, VisibilitySums, labelled_visibility
from trustpose.metrics import bootstrap
from trustpose.metrics.binary_ranking import binary_ranking, binary_ranking_replicates
from trustpose.metrics.visibility import (
    best_labelled_threshold,
    confusion,
    labelled_scores,
    ternary_scores,
)
from trustpose.poses import Visibility

CLASSES = ("absent", "occluded", "visible")
FOLDS = 5  # a threshold is chosen on four fifths of the photos and reported on the fifth


def visibility_trust(measured: PairedResults, findings: Findings, *, is_ternary: bool) -> VisibilityTrust:
    """Evaluate the prediction of absent, occluded and visible: `visibility_label`, else the likeliest of `visibility`;
    labelled or not also from the third number. `is_ternary`: whether the ground truth's v is COCO's
    (`TruthFile.has_visibility`); if not, only labelled or not is evaluated."""
    sums, poses, rows = VisibilitySums(), measured.poses, measured.rows
    sums.add(measured)
    source = sums.source(findings.notes)
    if source is None:
        return nothing()
    if source == "score":
        return _visibility_of_raw_score(measured, findings)
    visibility = None
    if sums.has_probabilities and poses.visibility is not None:
        visibility = poses.visibility[rows]
    if source == "visibility":
        assert visibility is not None
        label, is_labelled = np.argmax(visibility, axis=2), visibility[..., Visibility.ABSENT] < 0.5
    else:
        assert poses.visibility_label is not None
        label = poses.visibility_label[rows].astype(np.int64)
        is_labelled = label != Visibility.ABSENT
    _draw_labelled(measured, is_labelled, findings)
    if not is_ternary:
        findings.notes.append(NOT_TERNARY)
        return VisibilityTrust(sums.labelled(source), no_ternary(), no_occluded())
    _draw_ternary(measured, label, findings)
    return VisibilityTrust(
        sums.labelled(source),
        sums.ternary(source),
        no_occluded() if visibility is None else _occluded(measured, visibility, findings),
    )


def _draw_ternary(measured: PairedResults, predicted: Int[np.ndarray, "n K"], findings: Findings) -> None:
    image = np.broadcast_to(measured.image[:, None], predicted.shape)
    draws = ternary_scores(bootstrap.confusion_replicates(measured.counts, measured.v, predicted, image))
    for i, name in enumerate(CLASSES):
        findings.interval(f"visibility.ternary.{name}.f1", draws.f1[:, i])
    findings.interval("visibility.ternary.total.f1", draws.total_f1)


def _occluded(measured: PairedResults, visibility: Float[np.ndarray, "n K 3"], findings: Findings) -> OccludedKeypoints:
    """Evaluate P(occluded) at every threshold, among labelled keypoints, and at the best one, among all."""
    image = np.broadcast_to(measured.image[:, None], measured.v.shape)
    labelled, occluded = measured.labelled, measured.v == Visibility.OCCLUDED
    chance = visibility[..., Visibility.OCCLUDED].astype(np.float64)
    present = chance + visibility[..., Visibility.VISIBLE]
    given_labelled = np.divide(chance, present, out=np.zeros_like(chance), where=present > 0)
    ranked = []
    for name, score in (("", chance), ("given_labelled.", given_labelled)):
        some = (score[labelled], occluded[labelled])
        found = binary_ranking(*some)
        draws = binary_ranking_replicates(measured.counts, *some, image[labelled])
        findings.interval(f"visibility.occluded.{name}average_precision", draws.average_precision)
        findings.interval(f"visibility.occluded.{name}auroc", draws.auroc)
        ranked.append(RankedClass(known(float(found.average_precision)), known(float(found.auroc))))
    best_f1, threshold = _best(measured, chance, occluded, findings)
    count = int(labelled.sum())
    share = known(occluded.sum() / count) if count else None
    own, conditional = ranked
    return OccludedKeypoints(own.average_precision, own.auroc, conditional, best_f1, threshold, share, count)


def _best(
    measured: PairedResults, score: Float[np.ndarray, "n K"], occluded: Bool[np.ndarray, "n K"], findings: Findings
) -> tuple[Number, Number]:
    """Return the F1 of "occluded from a threshold on" among all keypoints, each fold of photos with the threshold that
    is best on the others, and the threshold that is best on all; None if a threshold cannot be chosen."""
    fold = fold_of(measured.image_ids[measured.image], FOLDS)
    predicted = np.zeros(score.shape, dtype=np.int64)
    for one in np.unique(fold):
        inside = fold == one
        threshold = best_labelled_threshold(score[~inside], occluded[~inside]).threshold
        if np.isnan(threshold):
            findings.notes.append(
                "visibility.occluded.best_f1 and visibility.occluded.threshold: null, a threshold is chosen on other "
                "photos than it is reported on, and these have no occluded keypoint"
            )
            return None, None
        predicted[inside] = score[inside] >= threshold
    truly, image = occluded.astype(np.int64), np.broadcast_to(measured.image[:, None], score.shape)
    draws = bootstrap.confusion_replicates(measured.counts, truly, predicted, image, classes=2)
    findings.interval("visibility.occluded.best_f1", labelled_scores(draws).f1)
    f1 = labelled_scores(confusion(truly, predicted, classes=2)).f1
    return known(float(f1)), known(best_labelled_threshold(score, occluded).threshold)


def _visibility_of_raw_score(measured: PairedResults, findings: Findings) -> VisibilityTrust:
    third = measured.poses.score
    assert third is not None
    score = third[measured.rows]
    best = best_labelled_threshold(score, measured.labelled)
    findings.notes.append(
        "visibility.labelled: the file has no visibility; a keypoint counts as labelled where its third number is at "
        f"least {best.threshold:.4g}, the best single threshold, chosen on these very people"
    )
    findings.notes.append("visibility.ternary and visibility.occluded: null, the file has no visibility")
    is_labelled = score >= best.threshold
    _draw_labelled(measured, is_labelled, findings)
    truly = measured.labelled.astype(np.int64)
    scores = labelled_scores(confusion(truly, is_labelled.astype(np.int64), classes=2))
    return VisibilityTrust(labelled_visibility(scores, known(best.threshold)), no_ternary(), no_occluded())


def _draw_labelled(measured: PairedResults, is_labelled: Bool[np.ndarray, "n K"], findings: Findings) -> None:
    truly, found = measured.labelled.astype(np.int64), is_labelled.astype(np.int64)
    image = np.broadcast_to(measured.image[:, None], truly.shape)
    draws = labelled_scores(bootstrap.confusion_replicates(measured.counts, truly, found, image, classes=2))
    for name in LABELLED:
        findings.interval(f"visibility.labelled.{name}", getattr(draws, name))


def no_ternary() -> TernaryVisibility:
    """Return the section without any number."""
    none = F1(None)
    return TernaryVisibility(none, none, none, none)


def no_occluded() -> OccludedKeypoints:
    """Return the section without any number."""
    return OccludedKeypoints(None, None, RankedClass(None, None), None, None, None, 0)


def nothing() -> VisibilityTrust:
    """Return the section without any number."""
    return VisibilityTrust(LabelledVisibility(None, None, None, None, None), no_ternary(), no_occluded())

"""The section of an audit on visibility: labelled or not, absent, occluded or visible, and occluded keypoints ranked at
every threshold."""

from collections.abc import Callable
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.draws import Findings, PhotoTable, Ranking
from trustpose.evaluation.section_records import (
    F1,
    LabelledVisibility,
    Number,
    OccludedKeypoints,
    RankedClass,
    TernaryVisibility,
    VisibilityTrust,
    none_if_nan,
)
from trustpose.evaluation.trust import ranking_draws
from trustpose.images import fold_of
from trustpose.metrics.classification import (
    LabelledScores,
    LabelledThreshold,
    ThresholdSearch,
    confusion_by_group,
    labelled_scores,
    ternary_scores,
)
from trustpose.poses import MISSING_ID, Visibility

Source = Literal["visibility_label", "visibility", "score"]
CLASSES = ("absent", "occluded", "visible")
LABELLED = ("precision", "recall", "f1", "accuracy")
FOLDS = 5  # a threshold is chosen on four fifths of the photos and reported on the fifth
NOT_TERNARY = (
    "visibility.ternary and visibility.occluded: null, the ground truth says whether a keypoint is labelled, not "
    "whether it is occluded or visible"
)
_NO_THRESHOLD = (
    "visibility.occluded.best_f1 and visibility.occluded.threshold: null, a threshold is chosen on other photos than "
    "it is reported on, and these have no occluded keypoint"
)
_PHOTOS_AT_ONCE = 2**16
_NO_TERNARY = TernaryVisibility(F1(None), F1(None), F1(None), F1(None))
_NO_OCCLUDED = OccludedKeypoints(None, None, RankedClass(None, None), None, None, None, 0)
_NOTHING = VisibilityTrust(LabelledVisibility(None, None, None, None, None), _NO_TERNARY, _NO_OCCLUDED)


class _Decisions:
    """Confusion of true and predicted visibility by one field of the results."""

    def __init__(self) -> None:
        self.without = 0  # results that lack the field
        self.labelled, self.ternary = np.zeros((2, 2), np.int64), np.zeros((3, 3), np.int64)
        self.labelled_photos, self.ternary_photos = PhotoTable(2, 2), PhotoTable(3, 3)

    def add(
        self,
        batch: Batch,
        has_field: Bool[np.ndarray, " n"],
        predicted: Int[np.ndarray, "n K"],
        is_labelled: Bool[np.ndarray, "n K"],
    ) -> None:
        """Count the keypoints of poses whose person has labels."""
        self.without += int((~has_field).sum())
        v, predicted, is_labelled = batch.v[has_field], predicted[has_field], is_labelled[has_field]
        image = np.broadcast_to(batch.image[has_field, None], v.shape)
        labels = ((v > 0).astype(np.int64), is_labelled.astype(np.int64))
        labelled = confusion_by_group(*labels, image, len(batch.image_id), 2)
        ternary = confusion_by_group(v, predicted, image, len(batch.image_id))
        self.labelled += labelled.sum(axis=0)
        self.ternary += ternary.sum(axis=0)
        self.labelled_photos.append(labelled)
        self.ternary_photos.append(ternary)


class VisibilityPrediction:
    """How well absent, occluded and visible are predicted: by `visibility_label`, else the likeliest of `visibility`;
    labelled or not also by the third number. Where the ground truth's v is not COCO's (`is_ternary`), only labelled or
    not is evaluated."""

    def __init__(self, *, is_ternary: bool) -> None:
        self._is_ternary = is_ternary
        self._rows, self._labelled, self._occluded, self._photos = 0, 0, 0, 0
        self._decisions: dict[Source, _Decisions] = {}
        self._raw = Ranking(1)  # the third number; labelled
        self._chance, self._conditional = Ranking(2), Ranking(1)  # P(occluded); occluded, labelled

    def add(self, batch: Batch) -> None:
        """Count the keypoints of poses whose person has labels."""
        poses, rows = batch.poses, batch.rows
        self._rows += len(rows)
        self._labelled += int(batch.labelled.sum())
        self._occluded += int((batch.v == Visibility.OCCLUDED).sum())
        photo = np.repeat(batch.first + batch.image, batch.v.shape[1])
        if poses.visibility_label is not None:
            label = poses.visibility_label[rows].astype(np.int64)
            has_label = ~(label == MISSING_ID).any(axis=1)
            decisions = self._decisions.setdefault("visibility_label", _Decisions())
            decisions.add(batch, has_label, label, label != Visibility.ABSENT)
        if poses.visibility is not None:
            visibility = poses.visibility[rows]
            has_all = ~np.any(np.isnan(visibility), axis=(1, 2))
            likeliest = np.argmax(np.nan_to_num(visibility), axis=2)
            decisions = self._decisions.setdefault("visibility", _Decisions())
            decisions.add(batch, has_all, likeliest, visibility[..., Visibility.ABSENT] < 0.5)
            if self._is_ternary and not decisions.without:
                self._rank_occluded(batch, visibility, photo)
        if poses.visibility_label is None and poses.visibility is None:
            assert poses.score is not None
            self._raw.add(poses.score[rows].ravel(), photo, batch.labelled.reshape(-1, 1))

    def _rank_occluded(self, batch: Batch, visibility: np.ndarray, photo: np.ndarray) -> None:
        labelled, occluded = batch.labelled.ravel(), (batch.v == Visibility.OCCLUDED).ravel()
        chance = visibility[..., Visibility.OCCLUDED].astype(np.float64).ravel()
        present = chance + visibility[..., Visibility.VISIBLE].ravel()
        conditional = np.divide(chance, present, out=np.zeros_like(chance), where=present > 0)
        self._chance.add(chance, photo, np.stack([occluded, labelled], axis=1))
        self._conditional.add(conditional[labelled], photo[labelled], occluded[labelled, None])

    def result(self, findings: Findings) -> VisibilityTrust:
        """Return the numbers, with notes on what they are made of."""
        source = self._source(findings.notes)
        if source is None:
            return _NOTHING
        if source == "score":
            return self._by_raw_score(findings)
        decisions = self._decisions[source]
        labelled = labelled_scores(decisions.labelled)
        _draw_labelled(findings, decisions.labelled_photos)
        if not self._is_ternary:
            findings.notes.append(NOT_TERNARY)
            return VisibilityTrust(_labelled_record(labelled, None), _NO_TERNARY, _NO_OCCLUDED)
        draws = ternary_scores(findings.resampling.sums(decisions.ternary_photos))
        for column, name in enumerate(CLASSES):
            findings.interval(f"visibility.ternary.{name}.f1", draws.f1[:, column])
        findings.interval("visibility.ternary.total.f1", draws.total_f1)
        scores = ternary_scores(decisions.ternary)
        f1 = [F1(none_if_nan(value)) for value in scores.f1]
        return VisibilityTrust(
            _labelled_record(labelled, None),
            TernaryVisibility(*f1, total=F1(none_if_nan(float(scores.total_f1)))),
            self._occluded_keypoints(findings) if self._is_complete("visibility") else _NO_OCCLUDED,
        )

    def _is_complete(self, source: Source) -> bool:
        return source in self._decisions and not self._decisions[source].without

    def _source(self, notes: list[str]) -> Source | None:
        """Return what visibility is predicted by, with notes: `visibility_label` or `visibility`, if every row has it;
        "score", the third number, if the file has neither; None if it cannot be evaluated."""
        if not self._rows:
            notes.append("visibility.*: null, no result is matched to a labelled person")
            return None
        without = {name: decisions.without for name, decisions in self._decisions.items()}
        if without.get("visibility"):
            section = "visibility.occluded" if "visibility_label" in without else "visibility.*"
            notes.append(f"{section}: null, {without['visibility']} results have no visibility while others do")
        if "visibility_label" in without:
            missing = without["visibility_label"]
            notes.append(
                f"visibility.*: visibility_label is not used, {missing} results have none while others do"
                if missing
                else "visibility.labelled and visibility.ternary: evaluate the file's visibility_label, chosen by a "
                "decision rule"
            )
        if not without:
            return "score"
        sources: tuple[Source, ...] = ("visibility_label", "visibility")
        return next((source for source in sources if self._is_complete(source)), None)

    def _occluded_keypoints(self, findings: Findings) -> OccludedKeypoints:
        """Evaluate P(occluded) at every threshold, among labelled keypoints, and at the best one, among all."""
        ranked = []
        for name, ranking, among in (("", self._chance, 1), ("given_labelled.", self._conditional, None)):
            draws = ranking_draws(ranking, findings.resampling, among=among)
            for number, values in zip(("average_precision", "auroc"), draws, strict=True):
                findings.interval(f"visibility.occluded.{name}{number}", values)
            precision, auroc = ranking_draws(ranking, None, among=among)
            ranked.append(RankedClass(none_if_nan(float(precision[0])), none_if_nan(float(auroc[0]))))
        best_f1, threshold = self._best_threshold(findings)
        share = self._occluded / self._labelled if self._labelled else None
        chance, conditional = ranked
        return OccludedKeypoints(
            average_precision=chance.average_precision,
            auroc=chance.auroc,
            given_labelled=conditional,
            best_f1=best_f1,
            threshold=threshold,
            share=share,
            n=self._labelled,
        )

    def _best_threshold(self, findings: Findings) -> tuple[Number, Number]:
        """Return the F1 of "occluded from a threshold on" among all keypoints, each fold of photos with the threshold
        that is best on the others, and the threshold that is best on all; None if a threshold cannot be chosen."""
        photos = findings.resampling.image_id
        fold, inside = fold_of(photos, FOLDS), np.zeros(FOLDS + 1, np.int64)
        has_keypoints = np.zeros(FOLDS, np.bool_)
        for _, photo, flags in self._chance.blocks():
            inside[:FOLDS] += np.bincount(fold[photo[flags[:, 0]]], minlength=FOLDS)
            has_keypoints[fold[photo]] = True
        searches = [ThresholdSearch(self._occluded - int(count)) for count in inside]
        for score, photo, flags in self._chance.blocks():
            for number, search in enumerate(searches):
                chosen = fold[photo] != number
                search.add(score[chosen], flags[chosen, 0])
        limits = np.array([search.best().threshold for search in searches])
        if np.isnan(limits[:FOLDS][has_keypoints]).any():
            findings.notes.append(_NO_THRESHOLD)
            return None, None
        table = self._photo_confusion(self._chance, len(photos), lambda score, photo: score >= limits[fold[photo]])
        counts, draws = _total_and_draws(findings, table)
        findings.interval("visibility.occluded.best_f1", draws.f1)
        return none_if_nan(float(counts.f1)), none_if_nan(limits[FOLDS])

    def _by_raw_score(self, findings: Findings) -> VisibilityTrust:
        search = ThresholdSearch(self._labelled)
        for score, _, flags in self._raw.blocks():
            search.add(score, flags[:, 0])
        best: LabelledThreshold = search.best()
        findings.notes.append(
            "visibility.labelled: the file has no visibility; a keypoint counts as labelled where its third number is "
            f"at least {best.threshold:.4g}, the best single threshold, chosen on the same people"
        )
        findings.notes.append("visibility.ternary and visibility.occluded: null, the file has no visibility")
        photos = len(findings.resampling.image_id)
        table = self._photo_confusion(self._raw, photos, lambda score, _: score >= best.threshold)
        scores, _ = _total_and_draws(findings, table)
        _draw_labelled(findings, table)
        return VisibilityTrust(_labelled_record(scores, none_if_nan(best.threshold)), _NO_TERNARY, _NO_OCCLUDED)

    def _photo_confusion(
        self, ranking: Ranking, photos: int, predicted: Callable[[np.ndarray, np.ndarray], np.ndarray]
    ) -> PhotoTable:
        """Return the confusion of each photo of a ranking's first flag with what is predicted from score and photo."""
        counts = np.zeros((photos, 2, 2), np.int32)
        for score, photo, flags in ranking.blocks():
            np.add.at(counts.reshape(-1), 4 * photo + 2 * flags[:, 0] + predicted(score, photo), 1)
        table = PhotoTable(2, 2)
        for start in range(0, photos, _PHOTOS_AT_ONCE):
            table.append(counts[start : start + _PHOTOS_AT_ONCE])
        return table


def _total_and_draws(findings: Findings, table: PhotoTable) -> tuple[LabelledScores, LabelledScores]:
    total = sum((rows.sum(axis=0) for _, rows in table.pieces()), np.zeros((2, 2), np.int64))
    return labelled_scores(total), labelled_scores(findings.resampling.sums(table))


def _draw_labelled(findings: Findings, table: PhotoTable) -> None:
    draws = labelled_scores(findings.resampling.sums(table))
    for name in LABELLED:
        findings.interval(f"visibility.labelled.{name}", getattr(draws, name))


def _labelled_record(scores: LabelledScores, threshold: Number) -> LabelledVisibility:
    return LabelledVisibility(*(none_if_nan(float(getattr(scores, name))) for name in LABELLED), threshold=threshold)

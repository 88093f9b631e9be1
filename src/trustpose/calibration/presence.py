"""Presence: P(a labeller would have boxed this person, and this is the one box for it), from all poses of a photo.

Logistic regression on a few numbers that every results file with trust gives: the detector's score, the expected OKS
of the person in the box, how the pose ranks among the photo's, and how much a better one overlaps it. A detector's
score alone takes a double of a person for another person, and knows nothing of the pose.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.calibration.score_maps import fit_logistic, logit, sigmoid
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.oks import oks as object_keypoint_similarity
from trustpose.io.coco.truth import TruthFile
from trustpose.json_records import NumberOrText
from trustpose.metrics.classification import binary_ranking, presence_targets
from trustpose.metrics.matching import same_image_pairs
from trustpose.metrics.reliability import expected_calibration_error
from trustpose.names import expected_one_of
from trustpose.poses import Poses, Truth, box_size

Features = dict[str, Float[np.ndarray, " N"]]
FEATURES = ("box score", "pose score", "quality", "person", "rank", "size", "overlap", "similarity", "double")
FEWEST = 50  # results that match a person, and that match none
_LEAST = 1e-6  # of a product of probabilities, for its logarithm


@dataclass(frozen=True, eq=False)
class PresenceTargets:
    """Of N results: whether each is the one box for a boxed person (`metrics.classification`), and for
    one with labelled keypoints, of whom there are `people` in these photos."""

    present: Bool[np.ndarray, " N"]
    labelled: Bool[np.ndarray, " N"]
    people: int

    @classmethod
    def of(
        cls, poses: Poses, truth: Truth, score: Float[np.ndarray, " N"], complete_images: Int[np.ndarray, " I"]
    ) -> tuple["PresenceTargets", Int[np.ndarray, " n"]]:
        """Return the targets of the n results that count, taken in the order of `score` (N,), and their rows (n,).
        Raises ValueError if image_id or Truth.box is None."""
        person, counts = presence_targets(poses, truth, score, complete_images)
        rows = np.flatnonzero(counts)
        has_keypoints = np.asarray((truth.v > 0).any(axis=1))
        assert truth.image_id is not None  # presence_targets reads it
        if truth.iscrowd is not None:
            has_keypoints &= ~truth.iscrowd
        present = person[rows] >= 0
        labelled = present & has_keypoints[person[rows]] if len(truth) else present
        people = int((has_keypoints & np.isin(truth.image_id, complete_images)).sum())
        return cls(present, labelled, people), rows


@dataclass(frozen=True)
class PresenceModel:
    """Slopes of the features that it reads, by name, and the offset, of the logit of presence.

    `min_presence` is the threshold with the best F1 of people shown, on people the fit has not seen. Boxes of the
    model's own detector below `least_box_score` are hardly ever shown at that threshold, and prediction skips them;
    0: none. `fitted_on` describes the data, texts and numbers by name. Raises ValueError for an unknown feature or a
    number out of range.
    """

    slopes: Mapping[str, float]
    offset: float
    min_presence: float
    fitted_on: Mapping[str, NumberOrText] = field(default_factory=dict)
    least_box_score: float = 0.0

    def __post_init__(self) -> None:
        unknown = [name for name in self.slopes if name not in FEATURES]
        if unknown:
            raise ValueError(f"slopes.{unknown[0]}: {expected_one_of(FEATURES, unknown[0])}")
        if not np.isfinite([*self.slopes.values(), self.offset]).all():
            raise ValueError("slopes: expected finite numbers, and an offset that is one")
        if not 0 <= self.min_presence <= 1:
            raise ValueError(f"min_presence: expected 0 to 1, got {self.min_presence}")
        if not 0 <= self.least_box_score <= 1:
            raise ValueError(f"least_box_score: expected 0 to 1, got {self.least_box_score}")

    def __call__(
        self,
        poses: Poses,
        person: Float[np.ndarray, " N"] | None = None,
        skipped: Float[np.ndarray, "S 4"] | None = None,
    ) -> Float[np.ndarray, " N"]:
        """Return the presence (N,) of poses of whole photos with `pose_quality`; without `image_id` all are of one.

        person: a trust head's P(the box holds a person) (N,), for a model that reads it. skipped: boxes (S, 4), xyxy,
        below `least_box_score` in the poses' photo, which is then only one. A double in such a box has no pose: its OKS
        is taken to be the IoU of the boxes, near which it is in the mean. Raises ValueError if poses lack what it
        reads.
        """
        features = presence_features(poses, person)
        if skipped is not None and len(skipped) and "double" in features:
            overlap = np.nan_to_num(paired_iou(poses.person_box()[:, None].astype(np.float64), skipped[None]))
            features["double"] = np.maximum(features["double"], overlap.max(axis=1))
        lacking = [name for name in self.slopes if name not in features]
        if lacking:
            raise ValueError(f"presence reads {lacking[0]!r}, which these poses do not have")
        total = np.full(len(poses), self.offset)
        for name, slope in self.slopes.items():
            total += slope * features[name]
        return sigmoid(total)

    @classmethod
    def fit(
        cls,
        features: Features,
        targets: PresenceTargets,
        fold: Int[np.ndarray, " N"],
        fitted_on: Mapping[str, float | int | str],
    ) -> tuple["PresenceModel", Float[np.ndarray, " N"]]:
        """Fit to N results that count; `fold` (N,) is that of each one's photo. Returns the model and its out-of-fold
        presence (N,), which chooses `min_presence`."""
        names = list(features)
        inputs, target = np.stack([features[name] for name in names], axis=1), targets.present.astype(np.float64)
        out_of_fold = np.empty(len(target))
        for left_out in np.unique(fold):
            inside = fold == left_out
            *slopes, offset = fit_logistic(inputs[~inside], target[~inside])
            out_of_fold[inside] = sigmoid(inputs[inside] @ np.array(slopes) + offset)
        *slopes, offset = fit_logistic(inputs, target)
        named = dict(zip(names, map(float, slopes), strict=True))
        return cls(named, float(offset), best_threshold(out_of_fold, targets), fitted_on), out_of_fold

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `read_record` reads."""
        numbers = {"slopes": dict(self.slopes), "offset": self.offset, "min_presence": self.min_presence}
        skipped = {"least_box_score": self.least_box_score} if self.least_box_score else {}
        return numbers | skipped | {"fitted_on": dict(self.fitted_on)}


def fit_presence(
    poses: Poses, truth: TruthFile, fold: Int[np.ndarray, " N"], score: str
) -> tuple[PresenceModel, Float[np.ndarray, " N"]]:
    """Fit to N results of whole photos with `pose_quality` that is out of fold, reading the feature `score`, "box
    score" or "pose score"; return the model and the presence (N,), out of fold for the results that count.

    Raises ValueError, saying why, if these files cannot teach it.
    """
    complete = truth.images.id[truth.all_people_boxed]
    if truth.categories is not None:
        raise ValueError("the ground truth has several categories")
    if not len(complete):
        raise ValueError(
            "the ground truth does not say that all people of a photo have boxes (images' all_people_boxed, crowd "
            "regions, or people with a box and no keypoints)"
        )
    targets, rows = PresenceTargets.of(poses, truth.truth, person_score(poses, poses.presence), complete)
    counts = np.bincount(targets.present, minlength=2)
    if counts.min() < FEWEST:
        kind = "match no person" if counts[0] < FEWEST else "match a person"
        raise ValueError(f"{counts.min()} results {kind}, expected at least {FEWEST}")
    features = presence_features(poses, poses.presence)
    if score not in features:
        raise ValueError(f"the results' {score} is not from 0 to 1")
    chosen = {name: column[rows] for name, column in features.items() if name == score or not name.endswith("score")}
    model, presence = PresenceModel.fit(chosen, targets, fold[rows], {})
    ranked = binary_ranking(presence, targets.present)
    calibration = expected_calibration_error(presence, targets.present.astype(np.float64))
    fitted_on = {"results": len(rows), "photos": len(complete), "auroc": float(ranked.auroc), "ece": calibration}
    everywhere = model(poses, poses.presence)
    everywhere[rows] = presence
    return replace(model, fitted_on=fitted_on), everywhere


def presence_features(poses: Poses, person: Float[np.ndarray, " N"] | None = None) -> Features:
    """Return the features (N,) by name, as far as the poses have what they are made of.

    "box score", "pose score", "quality" and "person" are logits of the detector's score, the pose's own score, the
    expected OKS and `person`. Poses rank by `person_score`; "rank" is the logarithm of a pose's share in its photo's
    highest, "size" that of its box's area in the largest. "overlap" is the highest IoU with a better pose's box,
    "similarity" the highest OKS with a better pose, "double" with a worse one, over the mean of both boxes' areas times
    .53. Raises ValueError without pose_quality or any score from 0 to 1.
    """
    ranking = person_score(poses, person)
    columns = {"box score": poses.box_score, "pose score": poses.pose_score}
    columns |= {"quality": poses.pose_quality, "person": person}
    features = {
        name: logit(column.astype(np.float64))
        for name, column in columns.items()
        if column is not None and _is_unit(column)
    }
    return features | _among_others(poses, ranking)


def person_score(poses: Poses, person: Float[np.ndarray, " N"] | None = None) -> Float[np.ndarray, " N"]:
    """Return the box score, else the pose score, × expected OKS (× `person`) of each pose (N,), by which poses rank
    before their presence is known. Raises ValueError as `presence_features` does."""
    if poses.pose_quality is None:
        raise ValueError("presence reads pose_quality, which these poses do not have")
    for detected in (poses.box_score, poses.pose_score):
        if detected is not None and _is_unit(detected):
            product = detected.astype(np.float64) * poses.pose_quality
            return np.maximum(product if person is None else product * person, _LEAST)
    raise ValueError("presence reads box_score or pose_score from 0 to 1, and these poses have neither")


def _is_unit(score: Float[np.ndarray, " N"]) -> bool:
    """Return whether all scores are from 0 to 1, none NaN."""
    return bool(((score >= 0) & (score <= 1)).all())


def _among_others(poses: Poses, product: Float[np.ndarray, " N"]) -> Features:
    """Return the features that compare a pose with the others of its photo."""
    count, box = len(poses), poses.person_box().astype(np.float64)
    image = np.zeros(count, np.int64) if poses.image_id is None else poses.image_id
    area = np.maximum(np.nan_to_num(box_size(box)).prod(axis=1), 1.0)
    first, second = same_image_pairs(image, image)
    first, second = first[first != second], second[first != second]  # (P,)
    highest, largest = product.copy(), area.copy()
    np.maximum.at(highest, first, product[second])
    np.maximum.at(largest, first, area[second])
    features = {"rank": np.log(product / highest), "size": np.log(area / largest)}
    overlap = np.nan_to_num(paired_iou(box[first], box[second]))
    touching = overlap > 0
    first, second, overlap = first[touching], second[touching], overlap[touching]
    is_better = (product[second] > product[first]) | ((product[second] == product[first]) & (second < first))
    features["overlap"] = _highest(overlap[is_better], first[is_better], count)
    skeleton = poses.skeleton
    if skeleton is None or not skeleton.has_sigmas:
        return features
    counted = np.asarray(np.isfinite(poses.xy).all(axis=2))  # (N, K)
    if poses.missing is not None:
        counted &= ~poses.missing
    xy = np.where(counted[..., None], poses.xy, 0.0).astype(np.float64)
    mean_area = (area[first] + area[second]) / 2 * 0.53
    both = (counted[first] & counted[second]).astype(np.int64)
    similarity = np.nan_to_num(object_keypoint_similarity(xy[first], xy[second], both, mean_area, skeleton.sigmas))
    features["similarity"] = _highest(similarity[is_better], first[is_better], count)
    features["double"] = _highest(similarity[~is_better], first[~is_better], count)
    return features


def _highest(value: Float[np.ndarray, " P"], row: Int[np.ndarray, " P"], count: int) -> Float[np.ndarray, " N"]:
    """Return the highest value of each row, 0 for a row without any."""
    highest = np.zeros(count)
    np.maximum.at(highest, row, value)
    return highest


def best_threshold(presence: Float[np.ndarray, " N"], targets: PresenceTargets) -> float:
    """Return the threshold, to two places, with the best F1 of the people shown: precision among all boxed people,
    recall among those with labelled keypoints."""
    thresholds = np.arange(0.01, 1.0, 0.01)
    shown = presence[None] >= thresholds[:, None]  # (T, N)
    precision = (shown & targets.present).sum(axis=1) / np.maximum(shown.sum(axis=1), 1)
    recall = (shown & targets.labelled).sum(axis=1) / max(targets.people, 1)
    f1 = 2 * precision * recall / np.maximum(precision + recall, _LEAST)
    return float(np.round(thresholds[int(np.argmax(f1))], 2))

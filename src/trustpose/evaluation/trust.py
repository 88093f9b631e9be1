"""The sections of an audit on scores: the pose score against OKS, keypoint scores against OPKS, and presence."""

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.draws import Findings, PhotoTable, Ranking, Resampling
from trustpose.evaluation.section_records import (
    KeypointTrust,
    KeypointType,
    Number,
    PoseTrust,
    PresenceTrust,
    none_if_nan,
)
from trustpose.metrics.classification import BinaryRankingDraws, presence_targets
from trustpose.metrics.localisation import THRESHOLDS, hit_levels, precision_of_counts
from trustpose.metrics.rank_correlation import RankedPairs
from trustpose.metrics.reliability import (
    CalibrationSums,
    PearsonSums,
    bin_edges,
    exact_sums,
    mean_of,
    pearson_from_sums,
)
from trustpose.metrics.spill import Spill, quantiles

UNIT_BINS = bin_edges(np.zeros(0))[1:-1]  # of the 15 bins of equal width
_BINS = len(UNIT_BINS) + 1
_NO_FIELD = "presence: null, the file has no presence"
_INCOMPLETE = (
    "presence: null, the ground truth does not say that all people of a photo have boxes (images' all_people_boxed, "
    "crowd regions, or people with a box and no keypoints), so an unmatched result may be a person"
)


class Correlation:
    """Pearson's r of pairs (x, y) in each of G groups, exact, and of all pairs in draws of photos."""

    def __init__(self, groups: int = 1) -> None:
        self.sums = PearsonSums(groups)
        self._photos = PhotoTable(6)  # n, means of x and y, and the sums of squares and products about them
        self._lowest, self._highest = np.full(2, np.inf), np.full(2, -np.inf)

    def add(
        self,
        x: Float[np.ndarray, " n"],
        y: Float[np.ndarray, " n"],
        image: Int[np.ndarray, " n"],
        images: int,
        group: Int[np.ndarray, " n"] | None = None,
    ) -> None:
        """Count pairs of a batch of `images` whole photos; `image` (n,) numbers a pair's."""
        self.sums.add(x, y, group)
        n = np.bincount(image, minlength=images)
        centred, means = [], []
        for column, values in enumerate((x, y)):
            values = np.asarray(values, np.float64)
            self._lowest[column] = min(self._lowest[column], values.min(initial=np.inf))
            self._highest[column] = max(self._highest[column], values.max(initial=-np.inf))
            means.append(np.bincount(image, weights=values, minlength=images) / np.maximum(n, 1))
            centred.append(values - means[column][image])
        a, b = centred
        squares = [np.bincount(image, weights=product, minlength=images) for product in (a * a, b * b, a * b)]
        self._photos.append(np.stack([n, *means, *squares], axis=1))

    def draws(self, resampling: Resampling) -> Float[np.ndarray, " B"]:
        """Return r in every draw."""
        # standardised by all pairs, which does not change r but reduces rounding errors
        total = np.zeros(3)
        for _, rows in self._photos.pieces():
            n, x, y, *_ = rows.T
            total += [n.sum(), (n * x).sum(), (n * y).sum()]
        mean = total[1:] / max(total[0], 1)
        spread = np.zeros(2)
        for _, rows in self._photos.pieces():
            n, x, y, xx, yy, _ = rows.T
            spread += [(xx + n * (x - mean[0]) ** 2).sum(), (yy + n * (y - mean[1]) ** 2).sum()]
        spread = np.sqrt(spread / max(total[0], 1))
        # exactly 0 for constants, despite the rounding of the mean
        scale = np.where((self._lowest < self._highest) & (spread > 0), 1 / np.where(spread > 0, spread, 1), 0.0)

        def standardised(rows: np.ndarray) -> np.ndarray:
            n, x, y, xx, yy, xy = rows.T
            x, y = (x - mean[0]) * scale[0], (y - mean[1]) * scale[1]
            squares = xx * scale[0] ** 2 + n * x * x, yy * scale[1] ** 2 + n * y * y
            return np.stack([n, n * x, n * y, *squares, xy * scale[0] * scale[1] + n * x * y], axis=1)

        return pearson_from_sums(resampling.sums(self._photos, standardised))


class Calibration:
    """ECE and Brier score in each of G groups, exact, and of all rows in draws of photos.

    Scores are clipped to 0–1: whether they are on that scale is known when all are.
    """

    def __init__(self, groups: int = 1, *, has_equal_mass: bool = True) -> None:
        self.sums = CalibrationSums(UNIT_BINS, groups)
        self._photos = PhotoTable(2 + _BINS)  # n, Σ (score − target)², and Σ score − target of each bin
        self._score, self._target = (Spill(), Spill()) if has_equal_mass else (None, None)

    def add(
        self,
        score: Float[np.ndarray, " n"],
        target: Float[np.ndarray, " n"],
        image: Int[np.ndarray, " n"],
        images: int,
        group: Int[np.ndarray, " n"] | None = None,
    ) -> None:
        """Count rows of a batch of `images` whole photos; `image` (n,) numbers a row's."""
        self.sums.add(score, target, group)
        score, target = np.clip(np.asarray(score, np.float64), 0.0, 1.0), np.asarray(target, np.float64)
        gap = score - target
        bins = image * _BINS + np.searchsorted(UNIT_BINS, score, side="left")
        gaps = np.bincount(bins, weights=gap, minlength=images * _BINS).reshape(images, _BINS)
        columns = np.bincount(image, minlength=images), np.bincount(image, weights=gap * gap, minlength=images)
        self._photos.append(np.concatenate([np.stack(columns, axis=1), gaps], axis=1))
        if self._score is not None and self._target is not None:
            self._score.append(score)
            self._target.append(target)

    def equal_mass(self) -> Number:
        """Return ECE in bins of about equally many rows."""
        assert self._score is not None and self._target is not None
        if not len(self._score):
            return None
        edges = quantiles(self._score, 100 * np.linspace(0, 1, _BINS + 1) / 100)
        sums = CalibrationSums(edges[1:-1])
        for score, target in zip(self._score.blocks(), self._target.blocks(), strict=True):
            sums.add(score, target)
        return none_if_nan(sums.ece())

    def draws(self, resampling: Resampling) -> tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"]]:
        """Return ECE, in the bins of all rows, and Brier score in every draw."""
        sums = resampling.sums(self._photos)
        errors = np.stack([np.abs(sums[:, 2:]).sum(axis=1), sums[:, 1]])
        ece, brier = np.divide(errors, sums[:, 0], out=np.full(errors.shape, np.nan), where=sums[:, 0] > 0)
        return ece, brier


class PoseScore:
    """The pose score against OKS, over the poses whose person has labels."""

    def __init__(self) -> None:
        self._correlation, self._calibration = Correlation(), Calibration()
        self._pairs = RankedPairs()
        self._field = ""

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        self._field = batch.pose_field
        score, oks = batch.pose_score[batch.rows].astype(np.float64), batch.oks[batch.rows]
        self._correlation.add(score, oks, batch.image, len(batch.image_id))
        self._calibration.add(score, oks, batch.image, len(batch.image_id))
        self._pairs.add(score, oks, batch.first + batch.image)

    def result(self, findings: Findings) -> PoseTrust:
        """Return the numbers, with a note on a score that is not on the scale 0–1."""
        sums = self._correlation.sums
        is_on_scale = note_scale(self._calibration.sums, f"pose.ece: '{self._field}'", findings.notes)
        findings.interval("pose.pearson", self._correlation.draws(findings.resampling))
        counts = (counts[0].copy() for _, counts in findings.resampling.blocks(1))
        findings.interval("pose.spearman", np.array([*self._pairs.in_draws(counts)]))
        if is_on_scale:
            findings.interval("pose.ece", self._calibration.draws(findings.resampling)[0])
        return PoseTrust(
            pearson=none_if_nan(float(sums.pearson()[0])),
            spearman=none_if_nan(self._pairs.spearman(np.ones(len(findings.resampling.image_id), np.int8))),
            n=int(sums.count[0]),
            ece=none_if_nan(self._calibration.sums.ece()) if is_on_scale else None,
            ece_equal_mass=self._calibration.equal_mass() if is_on_scale else None,
        )


class KeypointScores:
    """Keypoint scores against OPKS, unlabelled keypoints counting 0, for each of K keypoints of the skeleton."""

    def __init__(self, keypoints: int) -> None:
        self._correlation, self._calibration = Correlation(keypoints), Calibration(keypoints)
        self._mean = Correlation()
        self._opks = [0] * keypoints  # exact, over labelled ones
        self._labelled, self._level = np.zeros((2, keypoints), np.int64)
        self._without_quality, self._source = 0, ""

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        self._source = batch.keypoint_source
        if batch.poses.quality is not None:
            self._without_quality += int(np.isnan(batch.poses.quality[batch.rows]).any(axis=1).sum())
        score, opks, images = batch.keypoint_score, batch.opks, len(batch.image_id)
        n, k = score.shape
        group, image = np.tile(np.arange(k), n), np.repeat(batch.image, k)
        self._correlation.add(score.ravel(), opks.ravel(), image, images, group)
        self._calibration.add(score.ravel(), opks.ravel(), image, images, group)
        self._mean.add(score.mean(axis=1), opks.mean(axis=1), batch.image, images)
        labelled = batch.labelled
        for keypoint, more in enumerate(exact_sums(opks[labelled], group.reshape(n, k)[labelled], k)):
            self._opks[keypoint] += more
        self._labelled += labelled.sum(axis=0)
        self._level += hit_levels(opks, labelled).sum(axis=0)

    def result(self, findings: Findings) -> KeypointTrust:
        """Return the numbers, with notes on scores without quality or off the scale 0–1."""
        if self._without_quality:
            findings.notes.append(
                f"keypoint.*: {self._without_quality} results have no keypoint_quality; their third numbers are used"
            )
        calibration, pearson = self._calibration.sums.together(), self._correlation.sums.together()
        is_on_scale = note_scale(calibration, f"keypoint.ece and keypoint.brier: '{self._source}'", findings.notes)
        findings.interval("keypoint.pearson", self._correlation.draws(findings.resampling))
        findings.interval("keypoint.pearson_pose_mean", self._mean.draws(findings.resampling))
        if is_on_scale:
            ece, brier = self._calibration.draws(findings.resampling)
            findings.interval("keypoint.ece", ece)
            findings.interval("keypoint.brier", brier)
        return KeypointTrust(
            pearson=none_if_nan(float(pearson.pearson()[0])),
            pearson_pose_mean=none_if_nan(float(self._mean.sums.pearson()[0])),
            ece=none_if_nan(calibration.ece()) if is_on_scale else None,
            ece_equal_mass=self._calibration.equal_mass() if is_on_scale else None,
            brier=none_if_nan(calibration.brier()) if is_on_scale else None,
            n=int(pearson.count[0]),
            source=self._source,
        )

    def types(self, names: tuple[str, ...]) -> dict[str, KeypointType]:
        """Return the numbers of each keypoint of the skeleton, with AP and AR over keypoints (mAPK)."""
        sums, calibration = self._correlation.sums, self._calibration.sums
        count, pearson = sums.count, sums.pearson()
        table = precision_of_counts(self._level, self._labelled, count, len(THRESHOLDS))
        return {
            name: KeypointType(
                n=int(self._labelled[k]),
                mean_opks=none_if_nan(mean_of(self._opks[k], int(self._labelled[k]))),
                pearson=none_if_nan(float(pearson[k])),
                ece=none_if_nan(calibration.ece(k)) if calibration.is_on_scale(k) else None,
                AP=none_if_nan(table.AP[k]),
                AR=none_if_nan(table.AR[k]),
            )
            for k, name in enumerate(names)
        }


class Presence:
    """The results' `presence` against whether each is the one box for a person that the labellers boxed."""

    def __init__(self) -> None:
        self._calibration, self._ranking = Calibration(has_equal_mass=False), Ranking(1)
        self._has_field = self._has_complete_photos = False

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos, whatever their results' categories."""
        presence, target, rows = _present(batch)
        self._has_complete_photos |= bool(batch.file.all_people_boxed.any())
        self._has_field |= batch.results.poses.presence is not None
        image = batch.pose_image[rows]
        self._calibration.add(presence, target.astype(np.float64), image, len(batch.image_id))
        self._ranking.add(presence, batch.first + image, target[:, None])

    def result(self, findings: Findings) -> PresenceTrust:
        """Return the numbers, with a note where there are none."""
        sums, resampling = self._calibration.sums, findings.resampling
        if not self._has_field or not self._has_complete_photos:
            findings.notes.append(_NO_FIELD if not self._has_field else _INCOMPLETE)
        if not sums.count[0]:
            return PresenceTrust(None, None, None, 0)
        findings.interval("presence.auroc", ranking_draws(self._ranking, resampling)[1])
        ece, brier = self._calibration.draws(resampling)
        findings.interval("presence.ece", ece)
        findings.interval("presence.brier", brier)
        auroc = ranking_draws(self._ranking, None)[1]
        return PresenceTrust(
            auroc=none_if_nan(float(auroc[0])),
            ece=none_if_nan(sums.ece()),
            brier=none_if_nan(sums.brier()),
            n=int(sums.count[0]),
        )


def _present(batch: Batch) -> tuple[Float[np.ndarray, " n"], Bool[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Return presence, whether present, and the rows (n,) of the results that count."""
    poses, is_complete = batch.results.poses, batch.file.all_people_boxed
    if poses.presence is None or not is_complete.any():
        return np.zeros(0), np.zeros(0, np.bool_), np.zeros(0, np.int64)
    order = np.nan_to_num(poses.presence.astype(np.float64), nan=-1.0)
    person, counts = presence_targets(poses, batch.file.truth, order, batch.file.images.id[is_complete])
    rows = np.flatnonzero(counts & ~np.isnan(poses.presence))
    return poses.presence[rows].astype(np.float64), person[rows] >= 0, rows


def ranking_draws(
    ranking: Ranking, resampling: Resampling | None, positive: int = 0, among: int | None = None
) -> tuple[Float[np.ndarray, " B"], Float[np.ndarray, " B"]]:
    """Return average precision and AUROC of a ranking's flag `positive` in every draw, or once of all rows (None);
    among the rows with the flag `among` if it is not None."""
    results = []
    blocks = [None] if resampling is None else resampling.blocks()
    for drawn in blocks:
        draws = BinaryRankingDraws(1 if drawn is None else len(drawn[1]))
        for score, photo, flags in ranking.blocks():
            if among is not None:
                inside = flags[:, among]
                score, photo, flags = score[inside], photo[inside], flags[inside]
            counts = np.ones((1, 1), np.int8) if drawn is None else drawn[1]
            draws.add(counts, score, flags[:, positive], np.zeros_like(photo) if drawn is None else photo)
        results.append(draws.result())
    if not results:
        return np.zeros(0), np.zeros(0)
    precision = np.concatenate([result.average_precision for result in results])
    return precision, np.concatenate([result.auroc for result in results])


def note_scale(sums: CalibrationSums, label: str, notes: list[str]) -> bool:
    """Return whether scores are on the scale 0–1, with a note if some were clipped or all are off it."""
    if not sums.count[0]:
        return False
    low, high, outside = sums.lowest[0], sums.highest[0], int(sums.outside[0])
    if not sums.is_on_scale():
        notes.append(f"{label}: null, scores run from {low:.4g} to {high:.4g}, expected 0 to 1")
        return False
    if outside:
        notes.append(f"{label}: {outside} of {sums.count[0]} scores lie outside 0 to 1 (highest {high:.4g}), clipped")
    return True

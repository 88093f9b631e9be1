"""The sections of an audit on errors: kinds of keypoint errors, scores that rank a worse pose first, and errors
in pixels.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Float

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.draws import Curves, Findings, PhotoTable
from trustpose.evaluation.section_records import CompetingScores, Errors, ScoringErrors, none_if_nan
from trustpose.geometry.expected_error import expected_error, quality_if_labelled
from trustpose.metrics import bootstrap
from trustpose.metrics.diagnosis import DIAGNOSED, Diagnosis, diagnose, diagnose_scores
from trustpose.metrics.diagnosis_impact import (
    KEYPOINT_STAGES,
    STAGES,
    corrected_evaluations,
    stage_gains,
    stage_precisions,
)
from trustpose.metrics.localisation import (
    QUALITY_RANGES,
    SHARES,
    DiscCoverage,
    PixelTrust,
    errors_of_labelled,
    share_name,
)
from trustpose.metrics.spill import Spill, quantiles
from trustpose.poses import Poses

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
            batch.poses,
            batch.truth,
            batch.score,
            errors,
            sigmas=batch.sigmas,
            area=batch.area,
            pairs=batch.pairs,
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
        return Errors(**self._counts, ap_gain={name: none_if_nan(float(gains[name].mean())) for name in STAGES})


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
        pose_area=batch.pose_area,
    )


class ScoreErrors:
    """Scoring errors of people of 32² pixels and more, as coco-analyze counts them."""

    def __init__(self) -> None:
        self._counts = np.zeros(4, np.int64)  # errors, errors by the optimal score, reordered images, images
        self._closest: list[np.ndarray] = [np.zeros((0, 2))]  # score and optimal score of poses
        self._competing_scores: list[np.ndarray] = [np.zeros((0, 2))]

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        errors = diagnose_scores(batch.poses, batch.truth, batch.score, sigmas=batch.sigmas, area=batch.area)
        misranked = int(errors.misranked.sum()), int(errors.misranked_after.sum())
        self._counts += np.array([*misranked, errors.reordered_images, errors.images])
        scores = np.stack([batch.score, errors.optimal_score], axis=1)
        self._closest.append(scores[errors.closest])
        self._competing_scores.append(scores[errors.others])

    def result(self) -> ScoringErrors:
        """Return counts and histograms."""
        errors, errors_after, reordered, images = self._counts.tolist()
        closest, competing = np.concatenate(self._closest), np.concatenate(self._competing_scores)
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


_QUANTILES = np.linspace(0.02, 0.98, 97)  # between which the medians of draws are interpolated


class _Discs:
    """Keypoints, and those of them within each disc."""

    def __init__(self) -> None:
        self.count = 0
        self.within = np.zeros(len(SHARES), np.int64)

    def add(self, probability: np.ndarray) -> None:
        self.count += len(probability)
        self.within += (probability[:, None] <= SHARES).sum(axis=0)

    def coverage(self) -> DiscCoverage:
        shares = [float(count / self.count) if self.count else None for count in self.within.tolist()]
        return DiscCoverage(dict(zip(map(share_name, SHARES), shares, strict=True)), self.count)


class PixelErrors:
    """The distance of labelled keypoints to their labels against the error that their quality stands for.

    Not part of the draws that compare files: neither a higher nor a lower coverage is better.
    """

    def __init__(self) -> None:
        self._has_quality, self._has_model = False, False
        self._labelled, self._left_out = 0, 0
        self._all, self._joints, self._kinds = _Discs(), dict[str, _Discs](), tuple[str, ...]()
        self._ranges = {(low, high): _Discs() for low, high in pairwise(QUALITY_RANGES)}
        self._photos = PhotoTable(1 + len(SHARES))
        self._ratio, self._photo = Spill(), Spill(np.int64)

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        poses, person = batch.poses[batch.rows], batch.person[batch.rows]
        error = expected_error(poses, sigmas=batch.sigmas)
        if error is None:
            return
        self._has_quality, self._has_model = True, error.model is not None
        offset = poses.xy.astype(np.float64) - batch.truth.xy[person]
        counted = batch.labelled & np.isfinite(error.std) & (error.std > 0)
        self._labelled += int(batch.labelled.sum())
        self._left_out += int((batch.labelled & ~counted).sum())
        distance = np.hypot(offset[..., 0], offset[..., 1])[counted]
        probability, ratio = errors_of_labelled(distance, error[counted])
        image = np.broadcast_to(batch.image[:, None], counted.shape)[counted]
        within = np.concatenate([probability[:, None] <= SHARES, np.ones((len(image), 1), bool)], axis=1)
        self._photos.append(bootstrap.sums_by_group(within.astype(np.int64), image, len(batch.image_id)))
        self._ratio.append(ratio)
        self._photo.append(batch.first + image)
        self._count(poses, counted, probability)

    def _count(self, poses: Poses, counted: np.ndarray, probability: np.ndarray) -> None:
        quality = quality_if_labelled(poses)
        assert quality is not None
        self._all.add(probability)
        joint = np.nonzero(counted)[1]
        kinds = joint_kinds(poses)
        self._kinds = tuple(dict.fromkeys(kinds))
        kind = np.array([self._kinds.index(name) for name in kinds])[joint]
        for number in np.unique(kind).tolist():
            self._joints.setdefault(self._kinds[number], _Discs()).add(probability[kind == number])
        quality = quality[counted]
        for (low, high), discs in self._ranges.items():
            discs.add(probability[(quality >= low) & ((quality < high) | (high == QUALITY_RANGES[-1]))])

    def result(self, findings: Findings) -> PixelTrust:
        """Return the numbers, with notes on keypoints that are left out."""
        if not self._has_quality:
            findings.notes.append("pixels.*: null, the results have no keypoint_quality")
            return PixelTrust(_Discs().coverage().coverage, None, 0)
        if self._left_out:
            findings.notes.append(
                f"pixels.*: {self._left_out} of {self._labelled} labelled keypoints are left out: missing, without "
                "keypoint_quality, or in a box without area"
            )
        for name, values in {"median_ratio": self._median_draws(findings), **self._coverage_draws(findings)}.items():
            if len(values) and not np.isnan(values).all():
                findings.intervals[f"pixels.{name}"] = bootstrap.interval(values)
        if not self._has_model:
            findings.notes.append(
                "pixels.*: the discs are those of the mixture of Rayleigh distributions alone, as no error model came "
                "with the results"
            )
        whole, has_keypoints = self._all.coverage(), self._all.count > 0
        ranges = {f"{low:g}-{high:g}": discs.coverage() for (low, high), discs in self._ranges.items()}
        return PixelTrust(
            coverage=whole.coverage,
            median_ratio=float(quantiles(self._ratio, np.array([0.5]))[0]) if has_keypoints else None,
            n=whole.n,
            joints={name: self._joints[name].coverage() for name in self._kinds if name in self._joints},
            by_quality=ranges if has_keypoints else {},
            discs="fitted" if self._has_model else "mixture",
        )

    def _coverage_draws(self, findings: Findings) -> dict[str, np.ndarray]:
        sums = findings.resampling.sums(self._photos)
        total = sums[:, -1:]
        shares = np.divide(sums[:, :-1], total, out=np.full(sums[:, :-1].shape, np.nan), where=total > 0)
        return {f"coverage.{share_name(share)}": shares[:, column] for column, share in enumerate(SHARES)}

    def _median_draws(self, findings: Findings) -> np.ndarray:
        """Return the median ratio in every draw, interpolated between quantiles of all ratios."""
        resampling = findings.resampling
        if not len(self._ratio):
            return np.full(resampling.draws, np.nan)
        grid = quantiles(self._ratio, _QUANTILES)
        bins = len(grid) + 1
        sums = np.zeros((resampling.draws, bins))
        for ratio, photo in zip(self._ratio.blocks(), self._photo.blocks(), strict=True):
            first, photos = int(photo[0]), int(photo[-1] - photo[0]) + 1  # photos ascend
            cell = (photo - first) * bins + np.searchsorted(grid, ratio, side="left")
            table = np.bincount(cell, minlength=photos * bins).reshape(photos, bins)
            for draws, counts in resampling.of_photos(first, first + photos):
                sums[draws] += bootstrap.replicate_sums(counts, table)
        sums = np.cumsum(sums, axis=1)
        total = sums[:, -1:]
        shares = np.divide(sums[:, :-1], total, out=np.full(sums[:, :-1].shape, np.nan), where=total > 0)
        return np.array([np.nan if np.isnan(row).any() else np.interp(0.5, row, grid) for row in shares])


def joint_kinds(poses: Poses) -> list[str]:
    """Return the name of each joint without its side, so that left and right have the same; numbers without a
    skeleton."""
    if poses.skeleton is None:
        return [str(index) for index in range(poses.keypoint_count)]
    names, mirror = poses.skeleton.names, poses.skeleton.flip_index
    plain = [name.removeprefix("left_").removeprefix("right_") for name in names]
    return [plain[min(index, mirror[index])] for index in range(len(names))]

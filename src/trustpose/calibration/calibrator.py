"""The public calibrator: adds trust to results; stored as one file."""

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from trustpose.calibration.card import LABELS, CalibratorParts, read_calibrator, write_calibrator
from trustpose.calibration.features import PART, NormalisedPoses, pose_features, read_people
from trustpose.calibration.fit import fit
from trustpose.calibration.metrics import PlainValue
from trustpose.calibration.opinions import OpinionCard, Second, Seconds, matching, read_opinion, seconds_of
from trustpose.calibration.options import MAX_RESULTS, FitOptions
from trustpose.calibration.score_maps import Probabilities
from trustpose.calibration.shift import DistributionShiftWarning, OpinionCheck, Shift
from trustpose.calibration.shipped import calibrator_file
from trustpose.datasets.ground_truth import TruthSource
from trustpose.files import InputError
from trustpose.io.read_poses import PosesSource, poses_of
from trustpose.notebook import html_line, html_table
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton, difference, skeleton_of

if TYPE_CHECKING:
    from trustpose.io.coco.results import ResultsFile

_OFF_SCALE = 0.25  # share of keypoint scores outside the fitted range that means another estimator or scale


class ScaleCheck:
    """Compares keypoint scores, of one batch or of many, with the quantiles (101,) of those fitted on."""

    def __init__(self, fitted: Float[np.ndarray, "101"]) -> None:
        self._low, self._high = fitted[[1, -2]]  # 1st and 99th percentile
        self._outside = self._count = 0
        self._lowest, self._highest = np.inf, -np.inf

    def add(self, poses: Poses) -> None:
        """Count the scores of these poses; missing keypoints are never outside."""
        score = poses.score
        if score is None or not len(poses):
            return
        margin = 0.5 * max(self._high - self._low, 1e-6)
        outside = (score < self._low - margin) | (score > self._high + margin)
        if poses.missing is not None:
            outside &= ~poses.missing
        self._outside += int(np.count_nonzero(outside))
        self._count += outside.size
        self._lowest, self._highest = min(self._lowest, score.min()), max(self._highest, score.max())

    def state(self) -> list[float]:
        """Return what was counted, to be joined with others'."""
        return [self._outside, self._count, float(self._lowest), float(self._highest)]

    def join(self, state: Sequence[float]) -> None:
        """Count what another check counted, its `state`."""
        outside, count, lowest, highest = state
        self._outside += int(outside)
        self._count += int(count)
        self._lowest, self._highest = min(self._lowest, lowest), max(self._highest, highest)

    def check(self) -> None:
        """Raise InputError if more than a quarter of the scores lie outside the fitted range."""
        if self._outside > _OFF_SCALE * self._count:
            raise InputError(
                f"keypoint scores range from {self._lowest:.4g} to {self._highest:.4g}, but the calibrator "
                f"was fitted on {self._low:.4g} to {self._high:.4g}: another estimator, or another scale"
            )


_THREADS = min(4, os.cpu_count() or 1)
_SAMPLE = 4_000  # people to compare with the fitted ones: distances to 0.02, a fiftieth of a call's time
FEWEST = 10  # fewest people that a call compares: fewer need a distance above 0.6 for a warning
ProgressCallback = Callable[[int], None]
_SHOWN = {"pose.pearson": "pose r", "keypoint.ece": "keypoint ECE"}


def compared_rows(count: int) -> Int[np.ndarray, " S"] | None:
    """Return the rows, ascending, of `count` people that are compared with the fitted ones; None for all."""
    if count <= _SAMPLE:
        return None
    return np.sort(np.random.default_rng(0).choice(count, _SAMPLE, replace=False))


@dataclass(frozen=True, eq=False, repr=False)
class Applied:
    """Poses with trust, and a sentence for each detected distribution shift."""

    poses: Poses
    warnings: tuple[str, ...]

    def __repr__(self) -> str:
        """One line: the poses, and how many sentences."""
        return f"Applied({self.poses!r}, {len(self.warnings)} warnings)"


@dataclass(frozen=True, eq=False, repr=False)
class Calibrator(CalibratorParts):
    """Predict trust for the poses of one estimator, fitted on its results on labelled people.

    `calibrator(poses)` fills `quality`, `visibility` and `pose_quality`, `presence` if the fit could learn it, and, if
    it was fitted with a goal, `visibility_label`; it never moves, drops or zeroes a keypoint and does not change
    `score` and `pose_score`. `card` describes the fit. The first call with people or scores unlike the fitted ones
    warns (`DistributionShiftWarning`), as does the command line. `errors` says which discs of `expected_error` hold.
    """

    _warned: list[str] = field(default_factory=list, init=False, repr=False)

    def __repr__(self) -> str:
        """One line: the method, what it was fitted on, and what held-out photos say of it."""
        card = self.card
        estimator = "" if card.estimator is None else f" of {card.estimator}"
        people = f"{card.truth.used:,} people of {card.truth.file}"
        numbers = [f"{label} {_change(card.before[name], card.after[name])}" for name, label in _SHOWN.items()]
        return f"Calibrator({card.method}, fitted on poses{estimator} of {people}; held out: {', '.join(numbers)})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the card's numbers before and after."""
        card = self.card
        names = [name for name in LABELS if name in card.before and name in card.after]
        rows = [(LABELS[name], _first(card.before[name]), _first(card.after[name])) for name in names]
        return html_line(repr(self)) + html_table(("held out", "before", "after"), rows)

    @classmethod
    def of(cls, parts: CalibratorParts) -> "Calibrator":
        """Return the calibrator with parts that were fitted or read."""
        return cls(**{part.name: getattr(parts, part.name) for part in fields(CalibratorParts)})

    @classmethod
    def fit(
        cls,
        ground_truth: TruthSource,
        results: "Poses | ResultsFile | str | Path",
        *,
        method: str = "auto",
        area: str = "auto",
        folds: int = 5,
        seed: int = 0,
        estimator: str | None = None,
        category: str | int | None = None,
        skeleton: Skeleton | str | Path | None = None,
        sigmas: Float[np.ndarray, " L"] | None = None,
        goal: str | None = None,
        second: Seconds = None,
        max_results: int = MAX_RESULTS,
    ) -> "Calibrator":
        """Fit a calibrator to one estimator's results on labelled people.

        Args:
            ground_truth: the labelled people, or the path of their file.
            results: the estimator's poses of the same photos, or the path of their COCO results file.
            method: "trees", "logistic", "isotonic", …; "auto" chooses by cross-validation (`calibration.fit`).
            area: of people, for OKS: "segment", "box", "box*0.53", "file"; "auto": see `TruthFile.area_convention`.
            folds: of cross-validation, whole photos each.
            seed: of the division into folds.
            estimator: the estimator's name, which calls can be checked against.
            category: of the ground truth, by name or id, if there are several.
            skeleton: overrides the ground truth's.
            sigmas: (K,) or one for all, for OKS, instead of the skeleton's.
            goal: also decide visibility labels by a rule for this goal (`calibration.decisions.GOALS`).
            second: other networks' poses of the same people, as `Poses`, a results file, several in a list, or several
                by the network's name in a dict. Those that help are kept, and every call then needs them;
                `card.opinions` has the effect of each.
            max_results: with more results than this, those of a sample of photos are read (`calibration.fit`).

        Returns:
            The calibrator; `card` says what it was fitted on and how well it does on held-out photos.

        Raises:
            InputError: if a file cannot be read, the two do not belong together, or there is too little data.

        Example:
            >>> calibrator = tp.Calibrator.fit("gt.json", "results.json", method="platt", folds=2)
            >>> calibrator.save("mine.cal")
        """
        options = FitOptions(
            method=method,
            area=area,
            folds=folds,
            seed=seed,
            estimator=estimator,
            category=category,
            skeleton=skeleton,
            sigmas=sigmas,
            goal=goal,
            max_results=max_results,
        )
        return cls.of(fit(ground_truth, results, options, second=second).parts)

    def __call__(
        self,
        poses: PosesSource,
        *,
        second: Seconds = None,
        skeleton: Skeleton | str | Path | None = None,
        tick: ProgressCallback | None = None,
    ) -> Poses:
        """Add trust to poses of the estimator that the calibrator was fitted on.

        Args:
            poses: N poses, or the path of their results file. Neighbours are searched within an `image_id`; without it
                all poses belong to one photo.
            second: the second opinions that the calibrator was fitted with, in any form of `fit`'s: other networks'
                poses in the same photos, paired by `annotation_id`, else by their boxes (`second.same_people`).
            skeleton: if given, must equal the fitted one, as must `poses.skeleton`.
            tick: is called with the number of people done.

        Returns:
            The N poses with `quality` (N, K), `visibility` (N, K, 3) and `pose_quality` (N,) filled, with `presence`
            (N,) if the fit could learn it, and with `visibility_label` (N, K) by the rule of the card's `decision`.

        Raises:
            InputError: if a file cannot be read; if the poses have another skeleton, lack fields that the calibrator
                reads, or have scores on another scale; if a second opinion is lacking, unknown or another network's.
            TypeError: for anything but poses or a path.

        Example:
            >>> calibrator = tp.Calibrator.fit("gt.json", "results.json", method="platt", folds=2)
            >>> calibrator("new.json").pose_quality.shape
            (60,)
        """
        poses = poses_of(poses)
        applied = self.apply(poses, second=second, skeleton=skeleton, tick=tick)
        if not self._warned:
            self._warned.extend(applied.warnings)
            for sentence in applied.warnings:
                warnings.warn(sentence, DistributionShiftWarning, stacklevel=2)
        return applied.poses

    def apply(
        self,
        poses: PosesSource,
        *,
        second: Seconds = None,
        skeleton: Skeleton | str | Path | None = None,
        tick: ProgressCallback | None = None,
    ) -> "Applied":
        """Like a call, but also return sentences on distribution shift (with 10 people or more)."""
        poses = poses_of(poses)
        stream = self.stream(len(poses), skeleton)
        return Applied(stream(poses, second, tick), stream.warnings())

    def stream(self, count: int, skeleton: Skeleton | str | Path | None = None) -> "CalibratorStream":
        """Return a stream to call with batches of whole photos, `count` poses in all."""
        return CalibratorStream(self, count, skeleton)

    def trusted(self, poses: Poses, *, second: Seconds = None) -> Poses:
        """Like a call, without a comparison with the fitted people: for the few people of one photo."""
        return self.trust_of(poses, self.with_opinions(self._people(poses, None), poses, seconds_of(second)), None)

    def trust_of(self, poses: Poses, people: NormalisedPoses, tick: ProgressCallback | None) -> Poses:
        """Return the N poses with trust; `people` are the same, normalised (`people_of`), with second opinions."""
        n, k = len(poses), poses.keypoint_count
        quality, visibility, pose_quality = np.empty((n, k)), np.empty((n, k, 3)), np.empty(n)

        def apply(start: int) -> int:
            rows = slice(start, start + PART)
            probabilities = self._probabilities(people.rows(rows))
            quality[rows], visibility[rows], pose_quality[rows] = (
                probabilities.quality,
                probabilities.visibility,
                probabilities.pose,
            )
            return min(PART, n - start)

        with ThreadPoolExecutor(_THREADS) as pool:
            for done in pool.map(apply, range(0, n, PART)):
                if tick is not None:
                    tick(done)
        label = None if self.card.decision is None else self.card.decision.rule(visibility)
        trust = {"quality": quality, "visibility": visibility, "pose_quality": pose_quality}
        trusted = replace(poses, **trust, visibility_label=label, suppressed_score=None, error_model=self.errors)
        return trusted if self.card.presence is None else replace(trusted, presence=self._presence(trusted))

    def _presence(self, poses: Poses) -> Float[np.ndarray, " N"]:
        """Return the presence (N,) of poses of whole photos with trust. Raises InputError if they lack fields."""
        assert self.card.presence is not None
        try:
            return self.card.presence(replace(poses, skeleton=self.card.skeleton))
        except ValueError as error:
            raise InputError(f"poses: {error}, but the calibrator reads it") from None

    def warnings(self, poses: PosesSource, second: Seconds = None) -> tuple[str, ...]:
        """Return the sentences on distribution shift of `apply`, however few people there are; none without people."""
        poses = poses_of(poses)
        people = self.with_opinions(self._people(poses, None), poses, seconds_of(second))
        return self._warnings(people, len(poses)) if len(poses) else ()

    def shift(self, poses: PosesSource) -> Shift:
        """Compare these poses with those that the calibrator was fitted on, using at most 4,000 of them.

        Raises InputError as `__call__` does, and if there are no poses.
        """
        poses = poses_of(poses)
        if not len(poses):
            raise InputError("there are no poses to compare with those that the calibrator was fitted on")
        return self._compare(self._people(poses, None), len(poses))

    def _compare(self, people: NormalisedPoses, count: int) -> Shift:
        chosen = compared_rows(count)
        people = people if chosen is None else people.rows(chosen)
        return self.domain.compare(pose_features(people), people.score_of_present())

    def _warnings(self, people: NormalisedPoses, count: int) -> tuple[str, ...]:
        return (*self._compare(people, count).warnings(), *self.about_opinions(people))

    def about_opinions(self, people: NormalisedPoses) -> list[str]:
        """Return sentences on second opinions that are unlike those fitted with."""
        opinions = zip(self.opinions, people.opinions, self._kept_cards, strict=True)
        return [sentence for domain, opinion, card in opinions for sentence in domain.warnings(opinion, card.label)]

    @property
    def _kept_cards(self) -> list[OpinionCard]:
        return [card for card in self.card.opinions if card.kept]

    def with_opinions(
        self, people: NormalisedPoses, poses: Poses, seconds: tuple[Second, ...], *, is_checked: bool = True
    ) -> NormalisedPoses:
        """Return the people with the second opinions that the model reads. Raises InputError, with `is_checked` also if
        the scores of one are on another scale than at fitting."""
        opinions = []
        for card, domain, second in zip(
            self._kept_cards, self.opinions, matching(self.card.opinions, seconds), strict=True
        ):
            opinion = read_opinion(poses, people.size, second, self.card.skeleton, trust=card.trust)
            if is_checked:
                domain.check(opinion, card.label)
            opinions.append(opinion)
        return replace(people, opinions=tuple(opinions))

    def opinion_checks(self) -> list[OpinionCheck]:
        """Return what compares the second opinions that the model reads with those fitted with, in its order."""
        cards = zip(self.opinions, self._kept_cards, strict=True)
        return [OpinionCheck(domain, card.label) for domain, card in cards]

    def save(self, path: str | Path) -> None:
        """Write the calibrator to one file, atomically: arrays and JSON, no code.

        Args:
            path: the file, usually named .cal.

        Raises:
            InputError: if it cannot be written.
        """
        write_calibrator(path, self)

    @classmethod
    def load(cls, path: str | Path) -> "Calibrator":
        """Read a calibrator. No code of the file is run.

        Args:
            path: a file written by `save`, or "shipped:NAME", a bundled one (`trustpose models --shipped`).

        Raises:
            InputError: if there is no such file, or it is of another kind or damaged.

        Example:
            >>> tp.Calibrator.load("shipped:mediapipe").card.estimator
            'mediapipe'
        """
        return cls.of(read_calibrator(calibrator_file(path)))

    def _probabilities(self, people: NormalisedPoses) -> Probabilities:
        if len(people) == 1:  # numpy sums a single column in another order than those of several
            return self._probabilities(people.rows(np.zeros(2, np.int64))).of(slice(0, 1))
        probabilities = self.model(people)
        return probabilities if self.recalibration is None else self.recalibration(probabilities, people.missing)

    def _people(self, poses: Poses, skeleton: Skeleton | str | Path | None) -> NormalisedPoses:
        people = self.people_of(poses, skeleton)
        scale = ScaleCheck(self.domain.scores)
        scale.add(poses)
        scale.check()
        return people

    def people_of(self, poses: Poses, skeleton: Skeleton | str | Path | None) -> NormalisedPoses:
        """Return the poses in normalised units, with their neighbours. Raises InputError if they have another skeleton
        or lack fields."""
        card = self.card
        declared_skeleton = None if skeleton is None else skeleton_of(skeleton, "skeleton")
        for pose_skeleton in (declared_skeleton, poses.skeleton):
            if differ := difference(pose_skeleton, card.skeleton):
                raise InputError(f"poses and calibrator have different skeletons, {differ}")
        if poses.keypoint_count != len(card.keypoints):
            raise InputError(
                f"poses have {poses.keypoint_count} keypoints, but the calibrator was fitted on {len(card.keypoints)}"
            )
        card.source.check(poses)
        return read_people(poses, card.skeleton, card.source)


def _first(number: PlainValue) -> str:
    """Return a number of a card, which has its interval too."""
    return "–" if number is None else f"{number[0]:.3f}"


def _change(before: PlainValue, after: PlainValue) -> str:
    return f"{_first(before)} → {_first(after)}"


class CalibratorStream:
    """A calibrator that is called with batches of whole photos, `count` poses in all; then `warnings`.

    Scores on another scale are only known after all batches: `warnings` raises that error, and the output is to be
    discarded. The people compared with the fitted ones are the same for any batches, ascending by photo. Several
    streams may share the work, each from pose `start` on; `join` then gives one of them what the others have `found`.
    """

    def __init__(
        self, calibrator: Calibrator, count: int, skeleton: Skeleton | str | Path | None = None, start: int = 0
    ) -> None:
        self._calibrator, self._count, self._skeleton = calibrator, count, skeleton
        self._scale = ScaleCheck(calibrator.domain.scores)
        self._compared, self._done = compared_rows(count), start
        self._features: list[dict[str, np.ndarray]] = []
        self._scores: list[np.ndarray] = []
        self._opinion_checks = calibrator.opinion_checks()

    def __call__(self, poses: Poses, second: Seconds = None, tick: ProgressCallback | None = None) -> Poses:
        """Return the poses with trust, as `Calibrator.__call__` does, with second opinions on their photos. Raises
        InputError, for scores on another scale only if this batch is all of them."""
        calibrator = self._calibrator
        people = calibrator.people_of(poses, self._skeleton)
        self._scale.add(poses)
        if len(poses) == self._count:
            self._scale.check()
        people = calibrator.with_opinions(people, poses, seconds_of(second), is_checked=False)
        for check, opinion in zip(self._opinion_checks, people.opinions, strict=True):
            check.add(opinion)
        if len(poses) == self._count:
            self._check_scales()
        applied = calibrator.trust_of(poses, people, tick)
        start, self._done = self._done, self._done + len(poses)
        chosen = np.arange(len(poses)) if poses.image_id is None else np.argsort(poses.image_id, kind="stable")
        if self._compared is not None:
            first, end = np.searchsorted(self._compared, [start, self._done])
            chosen = chosen[self._compared[first:end] - start]
        if len(chosen):
            sample = people.rows(chosen)
            self._features.append(pose_features(sample))
            self._scores.append(sample.score_of_present())
        return applied

    def state(self) -> dict[str, np.ndarray]:
        """Return what `warnings` needs of the poses so far, as arrays by name."""
        arrays = {"scale": np.array(self._scale.state())}
        if self._features:
            arrays["scores"] = np.concatenate(self._scores, axis=1)
            names = list(self._features[0])
            arrays["names"] = np.array(names)
            arrays["features"] = np.stack([np.concatenate([part[name] for part in self._features]) for name in names])
        return arrays

    def join(self, state: Mapping[str, np.ndarray], count: int) -> None:
        """Add the `state` of another stream, over the next `count` poses."""
        self._scale.join(state["scale"].tolist())
        self._done += count
        if "names" in state:
            self._features.append(dict(zip(state["names"].tolist(), state["features"], strict=True)))
            self._scores.append(state["scores"])

    def warnings(self) -> tuple[str, ...]:
        """Return sentences on distribution shift, as `Calibrator.apply` does. Raises InputError for scores on another
        scale."""
        self._check_scales()
        if self._done != self._count:
            raise InputError(f"{self._done:,} poses were read, expected {self._count:,}: did the files change?")
        if self._count < FEWEST:
            return ()
        features = {name: np.concatenate([part[name] for part in self._features]) for name in self._features[0]}
        shift = self._calibrator.domain.compare(features, np.concatenate(self._scores, axis=1))
        return (*shift.warnings(), *(sentence for check in self._opinion_checks for sentence in check.warnings()))

    def _check_scales(self) -> None:
        """Raise InputError for scores, of the poses or of a second opinion, on another scale than at fitting."""
        self._scale.check()
        for check in self._opinion_checks:
            check.check()

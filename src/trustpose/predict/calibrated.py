"""A calibrator in a predictor: its trust for every pose, with second opinions of other models on the same boxes."""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import tee
from pathlib import Path

import numpy as np

from trustpose.calibration.calibrator import FEWEST, Calibrator
from trustpose.calibration.card import Card
from trustpose.calibration.distribution_shift import DistributionShiftWarning
from trustpose.calibration.opinion_card import matching
from trustpose.calibration.second import Second
from trustpose.calibration.shipped import calibrator_file
from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.base import BasePredictor
from trustpose.predict.fingerprints import fingerprint_of, network_file
from trustpose.predict.photos import Prediction, no_poses
from trustpose.predict.second_opinion import Photo, as_second, second_opinions, together
from trustpose.skeletons import difference

_MOST = 4_000  # people compared with the fitted ones, as in a call of the calibrator


@dataclass(eq=False)
class Calibrated:
    """Fills `quality`, `visibility` and `pose_quality` of a stream of predictions, photo by photo, with a calibrator.

    `path` is the calibrator's file. `seconds` are the models of the second opinions that it reads, with their names.
    Each runs on the photo and the boxes of its poses. At the end of a stream of at least ten people it warns, once, if
    people or scores are unlike those at fitting (`DistributionShiftWarning`).
    """

    calibrator: Calibrator
    seconds: tuple[tuple[str | None, BasePredictor], ...]
    fingerprint: str
    path: Path | None = None
    _is_warned: bool = field(default=False, init=False)

    def __call__(self, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
        """Yield the same predictions with trust. Raises InputError for poses that the calibrator cannot read."""
        first, *copies = tee(predictions, len(self.seconds) + 1)
        opinions = [
            second_opinions(model, _photos(copy), name)
            for (name, model), copy in zip(self.seconds, copies, strict=True)
        ]
        seen = _Seen([], [])
        for prediction in first:
            poses = prediction.poses
            if prediction.error is not None or not len(poses):
                yield replace(prediction, poses=self.with_empty_fields(poses))
                continue
            second = [next(opinion) for opinion in opinions]
            seen.add(poses, second)
            yield replace(prediction, poses=self.calibrator.trusted(poses, second=second))
        if not self._is_warned and seen.people >= FEWEST:
            self._is_warned = True
            for sentence in self.calibrator.warnings(*seen.together()):
                warnings.warn(sentence, DistributionShiftWarning, stacklevel=2)

    def with_empty_fields(self, poses: Poses) -> Poses:
        """Return empty poses with the empty fields of trust."""
        keypoints = poses.keypoint_count
        label = None if self.calibrator.card.decision is None else np.zeros((0, keypoints), np.int8)
        empty = np.zeros((0, keypoints))
        visibility = np.zeros((0, keypoints, 3))
        trusted = replace(
            poses, quality=empty, visibility=visibility, visibility_label=label, pose_quality=np.zeros(len(poses))
        )
        return trusted if self.calibrator.card.presence is None else replace(trusted, presence=np.zeros(len(poses)))


@dataclass
class _Seen:
    """The first people of a stream, with the second opinions on them."""

    poses: list[Poses]
    opinions: list[list[Second]]

    @property
    def people(self) -> int:
        return sum(map(len, self.poses))

    def add(self, poses: Poses, opinions: list[Second]) -> None:
        if self.people < _MOST:
            self.poses.append(poses)
            self.opinions.append(opinions)

    def together(self) -> tuple[Poses, list[Second]]:
        people = [len(poses) for poses in self.poses]
        return Poses.concatenate(self.poses), [
            together(list(parts), people) for parts in zip(*self.opinions, strict=True)
        ]


def _photos(predictions: Iterator[Prediction]) -> Iterator[Photo]:
    """Yield the photos with people."""
    for prediction in predictions:
        if prediction.error is None and len(prediction.poses):
            source = prediction.photo.source if prediction.pixels is None else prediction.pixels
            yield source, prediction.photo.image_id, prediction.poses


def calibrated(
    predictor: BasePredictor,
    source: Calibrator | str | Path,
    seconds: Sequence[tuple[str | None, BasePredictor]],
    estimator: str | None,
) -> Calibrated:
    """Return a calibrator for a predictor's poses, with the models of its second opinions, by name. `estimator`: the
    predictor's name as at fitting, if the user gave it.

    Raises InputError if it was fitted on another estimator or skeleton, or with other second opinions.
    """
    is_file = not isinstance(source, Calibrator)
    calibrator = Calibrator.load(source) if is_file else source
    label = str(source) if is_file else "calibrator"
    if differ := difference(predictor.skeleton, calibrator.card.skeleton):
        raise InputError(f"{label}: {predictor.model} and the calibrator have different skeletons, {differ}")
    _check_estimator(predictor, calibrator.card, estimator, label)
    empty = [as_second(model, no_poses(model.skeleton), name) for name, model in seconds]
    try:
        read_ids = {id(opinion) for opinion in matching(calibrator.card.opinions, empty)}
    except InputError as error:
        raise InputError(f"{label}: {error}") from None
    seconds_read = tuple(pair for pair, opinion in zip(seconds, empty, strict=True) if id(opinion) in read_ids)
    content = calibrator_file(source).read_bytes() if is_file else repr(calibrator.card).encode()
    digest = hashlib.sha256(content)
    for opinion in empty:
        digest.update(str(opinion.model).encode())
    return Calibrated(calibrator, seconds_read, digest.hexdigest(), Path(source) if is_file else None)


def _check_estimator(predictor: BasePredictor, card: Card, name: str | None, label: str) -> None:
    """Raise InputError if the calibrator names its estimator, and this is another."""
    fitted_estimator = card.estimator
    if name is not None and fitted_estimator is not None and name != fitted_estimator:
        raise InputError(f"{label}: was fitted on the estimator {fitted_estimator!r}, not on {name!r}")
    prefix = predictor.model.partition(":")[0]
    if name is not None or prefix == fitted_estimator or not (card.networks or fitted_estimator in ADAPTERS):
        return
    file = network_file(predictor)
    if file is None or fingerprint_of(file) not in card.networks:
        raise InputError(
            f"{label}: is for {fitted_estimator}, but {predictor.model} is not the network that it was fitted on, by "
            f"its file's fingerprint; if it is the same network in another file, say so with "
            f"--estimator {fitted_estimator}"
        )
